"""A power cut during a commit, or right after it, leaves no entry that is torn and no view of one that is not there.

What a file system promises is modelled (``support.power_cut``). What has not been in a barrier is torn, at its worst.
"""

import itertools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_store.entries import commit as commit_module
from storectl_store.entries import placing
from storectl_store.entries.trash import delete_tree
from storectl_store.environments import publish as publishing
from support.collected import broken, published
from support.power_cut import Journal
from support.stores import written_store
from support.wheels import make_wheel

STATES = 25
"""So many states of the disk are tried, of all that are allowed."""

CHANGING = ("rename", "replace", "unlink", "rmdir", "mkdir", "chmod")


WHEELS = [make_wheel(name) for name in ("one", "two", "three", "four", "five")]


class Disk:
    """A store that gets an entry, and then four more with a view of all: ``journal`` says how, ``durable`` is a copy."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, without: str | None) -> None:
        self.root, self.durable = root, root.with_name("durable")
        self.journal = Journal(root)
        self._without = without
        with written_store(root) as written:
            written.commit(WHEELS[0])
            with monkeypatch.context() as patched:
                patched.setattr(commit_module, "barrier", self._entries_are_written)
                patched.setattr(publishing, "barrier", self._view_is_written)
                for module in (placing, publishing):
                    rename = self.journal.recording(module.rename_noreplace)
                    patched.setattr(module, "rename_noreplace", rename)
                self.journal.record(patched, *CHANGING)
                published(written, *WHEELS)

    def _entries_are_written(self, tmp: Path) -> bool:
        self.journal.changes.clear()
        shutil.copytree(self.root, self.durable, symlinks=True)
        if self._without == "the barrier of entries":
            for file in self.durable.glob(f"{tmp.name}/*/*/entry/**/*.py"):
                file.chmod(0o644)
                file.write_bytes(b"")
        return True

    def _view_is_written(self, stage: Path) -> bool:
        shutil.copytree(stage, self.durable / stage.relative_to(self.root), symlinks=True)
        self.journal.forget(stage)
        if self._without != "the barrier of the view":
            self.journal.note_barrier()
        return True

    def problems(self) -> Iterator[str]:
        """What is broken in any of many states that the disk may have after a power cut."""
        for state in itertools.islice(self.journal.states(random.Random(19)), STATES):
            delete_tree(self.root)
            shutil.copytree(self.durable, self.root, symlinks=True)
            for change in state:
                change.apply()
            yield from broken(self.root)


def test_no_state_of_the_disk_has_a_torn_entry_or_a_view_of_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path / "store", monkeypatch, without=None)
    assert list(disk.problems()) == []
    assert len(disk.journal.syncs) == 1  # the view's; what a commit changes after its own barrier waits for it


@pytest.mark.parametrize(
    ("without", "problem"),
    [
        ("the barrier of entries", "it has 0 bytes"),
        ("the barrier of the view", "an environment shows an entry that is gone"),
    ],
)
def test_both_barriers_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str, problem: str) -> None:
    disk = Disk(tmp_path / "store", monkeypatch, without=without)
    assert any(problem in each for each in disk.problems())
