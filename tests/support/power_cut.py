"""What may be on a disk after a power cut, as a model of what every file system promises.

Changes of one folder reach the disk in their order, those of different folders in any order. After a sync of a folder
all of its changes so far are there, and after a barrier all changes so far. A rename is in both folders or in none.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storectl_store.disk.durability import fsync_folder

rmdir, chmod, mkdir = os.rmdir, os.chmod, os.mkdir

EVERYWHERE = ""
"""The folder of a sync that is a barrier."""


@dataclass(frozen=True)
class Change:
    """One change of the names in ``folders``, or of the mode of one. ``path`` is what changes."""

    path: str
    folders: frozenset[str]
    apply: Callable[[], object]


@dataclass
class Journal:
    """What was asked of the file system below ``root``: changes in their order, and how many came before each sync."""

    root: Path
    changes: list[Change] = field(default_factory=list)
    syncs: list[tuple[int, str]] = field(default_factory=list)

    def record(self, monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
        """Record these calls of ``os``, as far as they are by path."""
        for name in calls:
            monkeypatch.setattr(os, name, self.recording(getattr(os, name)))

    def drop_syncs_of(self, *folders: Path) -> None:
        """As if these folders had not been synced."""
        self.syncs = [(count, folder) for count, folder in self.syncs if Path(folder) not in folders]

    def recording(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> None:
            call(*arguments, **options)
            if "dir_fd" not in options and Path(arguments[0]).is_relative_to(self.root):
                again = partial(_again, call, arguments, options)
                self.changes.append(Change(str(arguments[0]), _folders(call, arguments), again))

        return recorded

    def sync(self, folder: Path) -> None:
        """Sync the folder, and note it."""
        fsync_folder(folder)
        self.syncs.append((len(self.changes), str(folder)))

    def forget(self, path: Path) -> None:
        """As if what is at this path had been there before."""
        self.changes = [change for change in self.changes if change.path != str(path)]

    def note_barrier(self) -> None:
        """Note that all changes so far are on the disk now."""
        self.syncs.append((len(self.changes), EVERYWHERE))

    def states(self, chance: random.Random) -> Iterator[list[Change]]:
        """What may be on the disk, if the power is cut at any time: random ones of all that are allowed."""
        while True:
            asked = chance.randint(0, len(self.changes))
            synced = [(count, folder) for count, folder in self.syncs if count <= asked]
            yield self._reached(asked, synced, chance)

    def _reached(self, asked: int, synced: Sequence[tuple[int, str]], chance: random.Random) -> list[Change]:
        """Of the changes asked for: those before a sync of their folder, and of others those whose elders are there."""
        reached: list[Change] = []
        stuck: set[str] = set()
        wanted = chance.random()
        for place, change in enumerate(self.changes[:asked]):
            must = any(place < count and folder in {*change.folders, EVERYWHERE} for count, folder in synced)
            if must or (not stuck & change.folders and chance.random() < wanted):
                reached.append(change)
            else:
                stuck |= change.folders
        return reached


def _folders(call: Callable[..., Any], arguments: Sequence[Any]) -> frozenset[str]:
    if call is chmod:
        return frozenset({str(arguments[0])})
    paths = arguments[:1] if call is mkdir else arguments
    own = {str(paths[0])} if call in (mkdir, rmdir) else set()
    return frozenset({os.path.dirname(path) for path in paths} | own)


def _again(call: Callable[..., Any], arguments: Sequence[Any], options: Any) -> None:
    with suppress(*([FileNotFoundError] if call is chmod else [])):  # what has the mode may be under its old name
        call(*arguments, **options)
