"""Parts of the daemon that are loaded when they are first needed: what only answers programs is small, and starts at once."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Loaded(Generic[T]):
    """What ``load`` makes, in a thread and once, however many wait for it. For one event loop.

    ``load`` imports, which takes some tenths of a second: programs are answered meanwhile. What it raises reaches all
    who waited; who asks after that has it tried again.
    """

    def __init__(self, load: Callable[[], T], *, name: str) -> None:
        self._load = load
        self._name = name
        self._loading: asyncio.Task[T] | None = None

    @property
    def begun(self) -> bool:
        """Whether somebody has needed it."""
        return self._loading is not None

    def begin(self) -> None:
        """Load it, if nobody has; somebody is going to need it."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load), name=f"loading {self._name}")
            self._loading.add_done_callback(self._note_failure)

    async def get(self) -> T:
        """What was made, as soon as it is."""
        self.begin()
        assert self._loading is not None
        return await asyncio.shield(self._loading)

    def _note_failure(self, loading: "asyncio.Task[T]") -> None:
        if loading.cancelled() or loading.exception() is not None:
            self._loading = None
