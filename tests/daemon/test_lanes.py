"""How many large wheels are fetched at once, by a clock of the test's own."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from storectl_daemon.network.lanes import LARGE, PATIENCE, WINDOW, Lanes
from support.daemon import turns_until

MIB = 1 << 20


class Line:
    """Downloads that hold a lane until they are let go. ``rate`` gives bytes a second for so many of them."""

    def __init__(self, rate: Callable[[int], float], *, most: int = 6) -> None:
        self.now = 100.0
        self.rate = rate
        self.lanes = Lanes(most, clock=lambda: self.now)
        self.under_way: dict[str, tuple[asyncio.Event, Callable[[int], None]]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, *names: str, size: int | None = LARGE) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._download(name, self.lanes.lane(size)))

    async def _download(self, name: str, lane: AbstractAsyncContextManager[Callable[[int], None]]) -> None:
        async with lane as arrived:
            over = asyncio.Event()
            self.under_way[name] = over, arrived
            try:
                await over.wait()
            finally:
                del self.under_way[name]

    async def settle(self) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return " ".join(sorted(self.under_way))

    async def run(self, seconds: float) -> str:
        """Let so much time pass, and say what is under way then."""
        end = self.now + seconds
        while self.now < end:
            self.now += WINDOW / 4
            share = self.rate(len(self.under_way)) * WINDOW / 4 / len(self.under_way)
            for _, arrived in list(self.under_way.values()):
                arrived(int(share))
            await self.settle()
        return await self.settle()

    async def end(self, name: str) -> str:
        self.under_way[name][0].set()
        await self.tasks[name]
        return await self.settle()


def test_two_share_a_line_in_the_order_in_which_they_asked_and_small_ones_do_not_wait() -> None:
    async def scenario() -> None:
        line = Line(lambda _: 12.0 * MIB)
        line.ask("a", "b", "c", "d")
        line.ask("small", size=LARGE - 1)
        line.ask("unknown", size=None)
        assert await line.settle() == "a b small unknown"
        assert await line.run(PATIENCE - 1) == "a b small unknown"
        await line.end("small")
        await line.end("unknown")
        assert await line.end("b") == "a c"

    asyncio.run(scenario())


def test_one_more_is_tried_once_and_no_further_one_if_it_brings_nothing() -> None:
    async def scenario() -> None:
        line = Line(lambda _: 12.0 * MIB)
        line.ask("a", "b", "c", "d", "e")
        await line.settle()
        assert await line.run(PATIENCE - WINDOW) == "a b"
        assert await line.run(2 * WINDOW) == "a b c"
        assert await line.run(10 * PATIENCE) == "a b c"
        assert await line.end("a") == "b c"
        assert await line.end("b") == "c d"

    asyncio.run(scenario())


def test_where_each_connection_has_its_own_limit_there_are_soon_as_many_as_may_be() -> None:
    async def scenario() -> None:
        line = Line(lambda connections: connections * MIB, most=4)
        line.ask("a", "b", "c", "d", "e")
        await line.settle()
        assert await line.end("a") == "b c"
        assert await line.run(3 * WINDOW) == "b c d e"

    asyncio.run(scenario())


def test_small_wheels_do_not_make_the_first_window_look_fast() -> None:
    """They come at once, beside the large ones: what arrives afterwards would be less with one lane more."""

    async def scenario() -> None:
        line = Line(lambda connections: connections * MIB)
        line.ask("a", "b", "c", "d")
        line.ask("s", "t", "u", size=1)
        await line.settle()
        await line.run(PATIENCE)
        assert await line.end("a") == "b c s t u"
        for name in "stu":
            await line.end(name)
        assert await line.run(2 * WINDOW) == "b c d"

    asyncio.run(scenario())


def test_all_is_forgotten_when_none_is_left() -> None:
    async def scenario() -> None:
        line = Line(lambda connections: connections * MIB)
        line.ask("a", "b", "c", "d")
        await line.settle()
        await line.end("a")
        assert await line.run(2 * WINDOW) == "b c d"
        for name in "bcd":
            await line.end(name)
        line.ask("e", "f", "g")
        assert await line.settle() == "e f"

    asyncio.run(scenario())


def test_who_is_cancelled_takes_no_lane_from_others() -> None:
    async def scenario() -> None:
        line = Line(lambda _: 12.0 * MIB)
        line.ask("a", "b", "c", "d", "e")
        await line.settle()
        line.tasks["c"].cancel()  # it waits
        await line.settle()
        line.under_way["a"][0].set()
        await turns_until(line.tasks["a"].done)
        line.tasks["d"].cancel()  # it was let in, or is about to be
        await turns_until(line.tasks["d"].done)
        assert await line.settle() == "b e"

    asyncio.run(scenario())
