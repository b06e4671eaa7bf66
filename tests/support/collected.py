"""Stores with environments that nobody uses, for what collects them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from storectl_store.entries.bytecode_files import BYTECODE_FORMAT
from storectl_store.entries.sealed import sealed
from storectl_store.environments.publish import publish_environment
from storectl_store.selection.target import Interpreter
from support.environments import made_up_interpreter, plan_of
from support.stores import WrittenStore, digest
from support.wheels import WheelBytes


def published(written: WrittenStore, *wheels: WheelBytes, interpreter: Interpreter | None = None) -> Path:
    """The environment of these wheels, committed and published."""
    manifests = [committed.manifest for committed in written.commit(*wheels)]
    plan = plan_of(manifests, interpreter or made_up_interpreter(), written.store.layout)
    return publish_environment(written.store, plan)


def side_manifest(written: WrittenStore, wheel: WheelBytes, cache_tag: str = "cpython-312") -> Path:
    """A side manifest of this entry, which lists no bytecode."""
    path = written.store.layout.bytecode_manifest(digest(wheel), cache_tag)
    value = {"format": BYTECODE_FORMAT, "digest": digest(wheel), "cache_tag": cache_tag, "files": {}}
    path.write_bytes(sealed(json.dumps(value).encode() + b"\n"))
    return path


def aged(paths: Iterable[Path], time: float) -> None:
    """Let these files and folders be of this time."""
    for path in paths:
        os.utime(path, (time, time))
