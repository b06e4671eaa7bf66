"""What was collected last: ``<store>/collects.json``, a sealed JSON object. Each field may be absent.

    {"format": 1, "reported": {…}, "last": {…}, "automatic": seconds}

``reported`` is what the first collect by itself would have taken, which only reports. ``last`` is what the last collect
took; both are {"at": seconds, "environments", "entries", "bytes", "inodes"}. ``automatic`` is when the last collect by
itself was tried. Times are of the system clock. A file that cannot be read is as good as none: the first collect by
itself then reports once more.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from storectl_daemon.collecting.report import Collected, Planned
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.sealed import opened, sealed

COLLECTS_FORMAT = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a collect took, or would have taken, at a time of the system clock."""

    at: float
    environments: int
    entries: int
    bytes: int
    inodes: int


def took(at: float, told: Planned | Collected) -> Took:
    """What this takes, or took."""
    return Took(
        at=at,
        environments=told.environments,
        entries=told.entries,
        bytes=told.size.bytes,
        inodes=told.size.inodes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collects:
    """What is known of collects so far."""

    reported: Took | None = None
    last: Took | None = None
    automatic: float | None = None


def read_collects(layout: StoreLayout) -> Collects:
    """What was written last; nothing if that cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        value = json.loads(opened(layout.collects.read_bytes())[0])
        if value["format"] == int(COLLECTS_FORMAT):
            automatic = value["automatic"]
            return Collects(
                reported=_decoded(value["reported"]),
                last=_decoded(value["last"]),
                automatic=None if automatic is None else float(automatic),
            )
    return Collects()


def write_collects(layout: StoreLayout, collects: Collects) -> None:
    """Replace the file. Raises StoreError if the disk refuses."""
    value = {"format": int(COLLECTS_FORMAT), **asdict(collects)}
    with disk_errors(f"write {layout.collects}"):
        replace_file(layout.collects, sealed(json.dumps(value, sort_keys=True).encode() + b"\n"), mode=PRIVATE)


def _decoded(value: Mapping[str, Any] | None) -> Took | None:
    if value is None:
        return None
    counts = {name: int(value[name]) for name in ("environments", "entries", "bytes", "inodes")}
    return Took(at=float(value["at"]), **counts)
