"""Batches: items that arrive while a run is busy share the next run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _weightless(_item: object) -> int:
    return 0


class Batcher(Generic[Item, Result]):
    """Runs one batch at a time, or ``at_once`` of them. Each item gets its own result, or the error of its batch.

    ``run`` gets at least one item and returns one result for each item, in the same order. A batch is complete with the
    item that makes it weigh ``enough``; by default it takes all items that wait.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        at_once: int = 1,
        weigh: Callable[[Item], int] = _weightless,
        enough: int = 1,
    ) -> None:
        self._run = run
        self._at_once = at_once
        self._weigh = weigh
        self._enough = enough
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._runners: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """The item's result, after the batch it was part of.

        A caller that is cancelled takes its item back. If the batch has begun, the caller waits for its end instead,
        because it must not remove files that the batch still uses.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        place = (item, future)
        self._waiting.append(place)
        if len(self._runners) < self._at_once:
            self._runners.add(asyncio.create_task(self._drain()))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not future.done():
                await asyncio.wait({future})
            if future.done() and not future.cancelled():
                future.exception()  # retrieved, so that asyncio does not log it
            raise

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._run_batch(self._next_batch())
        finally:
            self._runners -= {asyncio.current_task()}

    def _next_batch(self) -> Sequence[tuple[Item, asyncio.Future[Result]]]:
        weight = count = 0
        while weight < self._enough and count < len(self._waiting):
            weight += self._weigh(self._waiting[count][0])
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _run_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error) if isinstance(error, Exception) else future.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def aclose(self) -> None:
        """Wait for what is running. Nothing new may be submitted."""
        if self._runners:
            await asyncio.wait(set(self._runners))
