"""A power cut during a collect leaves no view of which an entry is missing, whatever the file system had written by then.

What a file system promises is modelled (``support.power_cut``), and tried on images of real ones.
"""

import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from storectl_store.collecting import sweep as sweeping
from storectl_store.disk.durability import fsync_folder
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree
from support.collected import broken, collect, made_store
from support.mounts import mounted
from support.power_cut import Journal
from support.stores import written_store

STATES = 30
"""So many states of the disk are tried, of all that are allowed."""


CHANGING = ("rename", "unlink", "rmdir")


def journal_of(root: Path, live: str, monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal(root)
    with written_store(root) as written, monkeypatch.context() as patched:
        journal.record(patched, *CHANGING)
        patched.setattr(sweeping, "fsync_folder", journal.sync)
        collect(written, live)
    return journal


def problems(root: Path, journal: Journal, live: str, whole: Path) -> list[str]:
    """What is broken in any of many states that the disk may have after a power cut."""
    found: list[str] = []
    for state in itertools.islice(journal.states(random.Random(18)), STATES):
        delete_tree(root)
        shutil.copytree(whole, root, symlinks=True)
        moving = [*root.glob("environments/*"), *root.glob("store/*/*")]
        for folder in moving:
            folder.chmod(0o700)
        for change in state:
            change.apply()
        for folder in moving:
            with suppress(FileNotFoundError):
                folder.chmod(0o555)
        found += broken(root, live)
    return found


@pytest.mark.parametrize("synced", [True, False], ids=["as it is", "without the syncs of environments and trash"])
def test_no_state_of_the_disk_has_a_view_without_its_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, synced: bool
) -> None:
    root, whole = tmp_path / "store", tmp_path / "whole"
    live = made_store(root)
    shutil.copytree(root, whole, symlinks=True)
    journal = journal_of(root, live, monkeypatch)
    layout = StoreLayout(root)
    if not synced:
        journal.drop_syncs_of(layout.environments, layout.trash)
    found = problems(root, journal, live, whole)
    assert (found == []) == synced, found
    assert synced or "an environment shows an entry that is gone" in found


# --- real file systems ----------------------------------------------------------------------------------------------


def images_of_a_collect(image: Path, at: Path, live: str, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A copy of the disk after each call by which a collect changes or syncs something: what a power cut would leave."""
    images: list[Path] = []

    def cut() -> None:
        images.append(image.with_name(f"{image.name}.{len(images)}"))
        subprocess.run(["cp", "--sparse=always", image, images[-1]], check=True)

    def cutting(call: Callable[..., Any]) -> Callable[..., Any]:
        def changing(*arguments: Any, **options: Any) -> None:
            call(*arguments, **options)
            cut()

        return changing

    with written_store(at / "store") as written, monkeypatch.context() as patched:
        for name in ("rename", "unlink", "rmdir", "fsync"):
            patched.setattr(os, name, cutting(getattr(os, name)))
        collect(written, live)
    return images


def sync_manifests_only(folder: Path) -> None:
    if folder.name == "meta":
        fsync_folder(folder)


@pytest.mark.system
@pytest.mark.whole
@pytest.mark.parametrize("system", ["ext4", "btrfs"])
@pytest.mark.parametrize("synced", [True, False], ids=["as it is", "without the syncs of environments and trash"])
def test_no_image_of_a_disk_has_a_view_without_its_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, system: str, synced: bool
) -> None:
    if shutil.which(f"mkfs.{system}") is None:
        pytest.skip(f"no mkfs.{system}")
    image, at = tmp_path / "disk", tmp_path / "mounted"
    at.mkdir()
    subprocess.run(["truncate", "--size=120M", image], check=True)
    subprocess.run([f"mkfs.{system}", "-q", image], check=True)
    if not synced:
        monkeypatch.setattr(sweeping, "fsync_folder", sync_manifests_only)
    with mounted("-o", "loop", str(image), str(at)):
        live = made_store(at / "store")
        os.sync()
        images = images_of_a_collect(image, at, live, monkeypatch)
    found = []
    for each in images:
        with mounted("-o", "loop", str(each), str(at)):
            found += [f"{each.suffix}: {problem}" for problem in broken(at / "store", live)]
        each.unlink()
    orders_by_itself = system == "ext4"  # all changes of names are in one journal
    assert (found == []) == (synced or orders_by_itself), found
