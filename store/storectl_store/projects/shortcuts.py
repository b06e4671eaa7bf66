"""What becomes of shortcuts (``storectl_shim.shortcuts``): the command line writes them, the daemon takes them away.

Nothing needs one, so each may go at any moment. The file goes first, then its stamps.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from storectl_shim.shortcuts import PLACE, STAMP, TOOLS, read_target
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.project_record import remove_empty

_UNFINISHED_S = 3600
"""So long, in seconds, a stamp without a shortcut may belong to one that is being written."""

Target = tuple[str, str]
"""The folder of a project, and the key of a set of its options."""


def drop_lost_shortcuts(layout: StoreLayout) -> int:
    """Delete the shortcuts that lead to no record, or that start nowhere any more. Returns how many."""

    def leads_somewhere(start: Path, target: Target) -> bool:
        there = os.path.lexists(start) or start.is_relative_to(TOOLS)
        return there and os.path.exists(layout.ready_record(Path(target[0]), target[1]))

    return _drop_all_but(layout, layout.shortcuts, leads_somewhere)


def forget_shortcuts(layout: StoreLayout, project: Path) -> None:
    """Delete the shortcuts to the project in this folder that start in it or below it."""
    with disk_errors(f"forget the shortcuts to {project}"):
        _drop_all_but(layout, layout.shortcuts_of(project), lambda _, target: target[0] != str(project))


def shortcut_files(layout: StoreLayout) -> list[Path]:
    """Every shortcut that is there."""
    return sorted(file for folder in _folders(layout.shortcuts) for file in _shortcuts_in(folder))


def shortcut_problem(file: Path) -> str | None:
    """What is wrong with the shortcut in this file; None if all is as it was written, or if it is gone."""
    return "it is not as it was written" if read_target(str(file)) is None and file.exists() else None


def _drop_all_but(layout: StoreLayout, top: Path, is_wanted: Callable[[Path, Target], bool]) -> int:
    dropped = 0
    for folder in list(_folders(top)):
        start = Path("/") / folder.parent.relative_to(layout.shortcuts)
        for file in _shortcuts_in(folder):
            target = read_target(str(file))
            if target is None or not is_wanted(start, target):
                file.unlink(missing_ok=True)
                dropped += 1
        _drop_stamps(folder)
        remove_empty(folder, layout.root)
    return dropped


def _folders(top: Path) -> Iterator[Path]:
    for parent, names, _ in os.walk(top):
        if PLACE in names:
            names.remove(PLACE)
            yield Path(parent, PLACE)


def _shortcuts_in(folder: Path) -> list[Path]:
    return [folder / name for name in os.listdir(folder) if STAMP not in name and not name.startswith(".")]


def _drop_stamps(folder: Path) -> None:
    """Delete stamps of shortcuts that are gone, and what a crash has left half written."""
    there = {file.name for file in _shortcuts_in(folder)}
    for name in os.listdir(folder):
        if name.partition(STAMP)[0] not in there and _is_old(folder / name):
            (folder / name).unlink(missing_ok=True)


def _is_old(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_ctime > _UNFINISHED_S
    except FileNotFoundError:
        return False
