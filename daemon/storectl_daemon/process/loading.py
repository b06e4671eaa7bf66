"""Parts of the daemon that are loaded when first needed: a daemon that only answers programs stays small."""

import asyncio
import gc
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Loaded(Generic[T]):
    """The value that ``load`` makes, in a thread and once, for any number of callers. For one event loop.

    ``load`` imports, which takes some tenths of a second; programs are answered meanwhile. If ``load`` raises, every
    waiter gets the exception; the next call tries again.
    """

    def __init__(self, load: Callable[[], T], *, name: str) -> None:
        self._load = load
        self._name = name
        self._loading: asyncio.Task[T] | None = None

    @property
    def begun(self) -> bool:
        """Whether loading has begun."""
        return self._loading is not None

    def begin(self) -> None:
        """Begin to load in the background, unless that has begun already: the value will be needed."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load_and_freeze), name=f"loading {self._name}")
            self._loading.add_done_callback(self._note_failure)

    async def get(self) -> T:
        """The value, as soon as it has been loaded."""
        self.begin()
        assert self._loading is not None
        return await asyncio.shield(self._loading)

    def _load_and_freeze(self) -> T:
        value = self._load()
        gc.freeze()  # code and types stay for good; a collection that looks at all of them stops every thread for 50 ms
        return value

    def _note_failure(self, loading: "asyncio.Task[T]") -> None:
        if loading.cancelled() or loading.exception() is not None:
            self._loading = None
