"""Holds: what a warm is working with. The collector decides under the same mutex that grants them."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from storectl_store.digest import Digest, EnvironmentId

Held = Digest | EnvironmentId


class Hold:
    """Keeps some environments and entries until it is closed; closing it again does nothing. Threads may share it."""

    def __init__(self, holds: "Holds") -> None:
        self._holds = holds
        self._kept: list[Held] = []

    def add(self, kept: Iterable[Held]) -> None:
        """Keep these, too. They may be there or not; whoever adds them looks after that."""
        self._holds._add(self._kept, list(kept))  # noqa: SLF001  # the two are one

    def close(self) -> None:
        """Let go of everything."""
        self._holds._remove(self._kept)  # noqa: SLF001  # as above

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Holds:
    """Everything that is held, with one mutex. Nobody who has the mutex waits for anything but the disk."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._counts: Counter[Held] = Counter()

    def keep(self, kept: Iterable[Held] = ()) -> Hold:
        """A hold of these, to be closed once a record names them."""
        hold = Hold(self)
        hold.add(kept)
        return hold

    @contextmanager
    def deciding(self) -> Iterator["Deciding"]:
        """Nothing becomes held while this lasts: the collector looks, and renames what is free, within it."""
        with self._mutex:
            yield Deciding(self._counts)

    def held(self) -> frozenset[Held]:
        """What is held at this moment."""
        with self._mutex:
            return frozenset(self._counts)

    def _add(self, known: list[Held], kept: list[Held]) -> None:
        with self._mutex:
            self._counts.update(kept)
            known += kept

    def _remove(self, known: list[Held]) -> None:
        with self._mutex:
            self._counts.subtract(known)
            for each in known:
                if not self._counts[each]:
                    del self._counts[each]
            known.clear()


class Deciding:
    """What is held, while nothing can become held."""

    def __init__(self, counts: Counter[Held]) -> None:
        self._counts = counts

    def is_held(self, what: Held) -> bool:
        """Whether anybody holds it."""
        return self._counts[what] > 0
