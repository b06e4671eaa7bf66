"""Holds: what a warm is working with. The collector decides under the same mutex that grants them.

A warm holds what it finds or makes until a record names it. The collector reads the records first, and decides later:
a record may be written, and the hold closed, in between. So a collect remembers: as long as it lasts, everything that
anybody has held since it began counts as held.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from storectl_store.digest import Digest, EnvironmentId

Held = Digest | EnvironmentId


class Hold:
    """Keeps some environments and entries until it is closed. Threads may share it.

    Once closed it keeps nothing any more, also of what is added later: a thread may not have heard of the end yet.
    """

    def __init__(self, holds: "Holds") -> None:
        self._holds = holds
        self._kept: list[Held] | None = []

    def add(self, kept: Iterable[Held]) -> None:
        """Keep these, too. They may be there or not; whoever adds them looks after that."""
        added = list(kept)
        with self._holds._mutex:  # noqa: SLF001  # the two are one
            if self._kept is not None:
                self._holds._add(added)  # noqa: SLF001  # as above
                self._kept += added

    def close(self) -> None:
        """Let go of everything. Closing it again does nothing."""
        with self._holds._mutex:  # noqa: SLF001  # as above
            self._holds._remove(self._kept or ())  # noqa: SLF001  # as above
            self._kept = None

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
        self._remembered: list[set[Held]] = []  # one for each collect that is under way

    def keep(self, kept: Iterable[Held] = ()) -> Hold:
        """A hold of these, to be closed once a record names them."""
        hold = Hold(self)
        hold.add(kept)
        return hold

    @contextmanager
    def deciding(self) -> Iterator["Deciding"]:
        """Nothing becomes held while this lasts: the collector looks, and renames what is free, within it."""
        with self._mutex:
            yield Deciding(self._counts, self._remembered)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """While this lasts, what is held now or later counts as held, even once it is let go of.

        A collect enters it before it reads the first root, and leaves it after it has taken the last thing away.
        """
        with self._mutex:
            remembered = set(self._counts)
            self._remembered.append(remembered)
        try:
            yield
        finally:
            with self._mutex:
                self._remembered = [each for each in self._remembered if each is not remembered]

    def held(self) -> frozenset[Held]:
        """What is held at this moment."""
        with self._mutex:
            return frozenset(self._counts)

    def _add(self, kept: Iterable[Held]) -> None:
        """With the mutex: one hold more of each."""
        for each in kept:
            self._counts[each] += 1
            for remembered in self._remembered:
                remembered.add(each)

    def _remove(self, kept: Iterable[Held]) -> None:
        """With the mutex: one hold less of each."""
        for each in kept:
            self._counts[each] -= 1
            if not self._counts[each]:
                del self._counts[each]


class Deciding:
    """What is held, while nothing can become held."""

    def __init__(self, counts: Counter[Held], remembered: Sequence[AbstractSet[Held]]) -> None:
        self._counts = counts
        self._remembered = remembered

    def is_held(self, what: Held) -> bool:
        """Whether anybody holds it, or has held it since a collect that is under way began."""
        return self._counts[what] > 0 or any(what in remembered for remembered in self._remembered)
