"""The quarantine: damaged things are moved here, with the reasons, and stay until a person removes them.

    quarantine/<UTC time>-<8 hex digits>/
      why.json        {"format": 1, "at": seconds since the epoch, "what": text, "was": [paths below the store],
                       "why": [sentences]}
      <name>          each thing that was moved

All folders in it become writable for their owner, so that ``rm -r`` removes them.
"""

import json
import os
import secrets
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_store.entries.generation import renew_if_shared
from storectl_store.entries.layout import StoreLayout

QUARANTINE_FORMAT = 1
_MOST_REASONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What is set aside, for a person ("entry idna 3.4"), and why: a sentence for each finding.

    ``was`` are the paths the things had, if they have left them already.
    """

    what: str
    why: Sequence[str]
    was: Sequence[Path] = ()


def set_aside(layout: StoreLayout, things: Mapping[str, Path], reason: Reason) -> Path | None:
    """Move these files and folders of the store into one new folder of the quarantine, under the names given.

    A thing that is gone is left out. Returns the folder, or None if all of them were gone. Raises OSError if the disk
    refuses.
    """
    there = {name: path for name, path in things.items() if os.path.lexists(path)}
    if not there:
        return None
    place = layout.quarantine / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
    place.mkdir(parents=True)
    place.chmod(0o700)
    (place / "why.json").write_bytes(_explained(layout, there, reason))
    for name, path in there.items():
        _move(path, place / name)
    renew_if_shared(layout)
    return place


def _explained(layout: StoreLayout, there: Mapping[str, Path], reason: Reason) -> bytes:
    value = {
        "format": QUARANTINE_FORMAT,
        "at": time.time(),
        "what": reason.what,
        "was": [os.path.relpath(path, layout.root) for path in reason.was or there.values()],
        "why": list(reason.why[:_MOST_REASONS]),
    }
    return json.dumps(value, indent=1, sort_keys=True).encode("utf-8", "surrogateescape") + b"\n"


def _move(path: Path, place: Path) -> None:
    """Rename the thing. Folders of entries and views are read-only, so its parent is made writable for the moment."""
    parent = stat.S_IMODE(path.parent.stat().st_mode)
    is_folder = stat.S_ISDIR(path.lstat().st_mode)
    if is_folder:
        path.chmod(0o700)  # a folder that changes its parent gets a new "..", for which it has to be writable
    if parent & 0o200:
        path.rename(place)
    else:
        path.parent.chmod(parent | 0o200)
        try:
            path.rename(place)
        finally:
            path.parent.chmod(parent)
    if is_folder:
        _open_up(place)


def _open_up(folder: Path) -> None:
    folder.chmod(0o700)
    with os.scandir(folder) as found:
        folders = [Path(child.path) for child in found if child.is_dir(follow_symlinks=False)]
    for child in folders:
        with suppress(FileNotFoundError):
            _open_up(child)
