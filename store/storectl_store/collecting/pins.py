"""Pins: environments that a person wants to keep. Each is a file ``<store>/roots/<name>``. Format 1, one line of text.

    1 <environment id> <ns since the epoch> <absolute folder of the project that it was pinned for>

A pin keeps the environment of then, whatever becomes of the project. Nothing else keeps such a file, so it is synced,
and nothing makes it again: one that cannot be read stops every collect until a person has looked at it.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_store.digest import EnvironmentId, is_environment_id
from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError

_FORMAT = "1"
_FIELDS = 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnvironment:
    """A pin. ``at_ns`` is the time of the system clock at which it was made."""

    name: str
    environment: EnvironmentId
    at_ns: int
    project: Path


def is_pin_name(name: str) -> bool:
    """Whether a pin may have this name: up to 64 letters, digits, ``.``, ``_`` and ``-``, a letter or digit first."""
    return _NAME.fullmatch(name) is not None


def read_pins(layout: StoreLayout) -> tuple[KeptEnvironment, ...]:
    """All pins, by name. Raises StoreError if one of them cannot be read, StoreFormatError if it says nothing known."""
    with disk_errors(f"read the pins in {layout.roots}"):
        return tuple(_read(layout.pin(name)) for name in _names(layout.roots))


def write_pin(layout: StoreLayout, pin: KeptEnvironment) -> None:
    """Write the pin, in place of one of the same name. It is durable afterwards."""
    line = f"{_FORMAT} {pin.environment} {pin.at_ns} {_quoted(pin.project)}\n"
    with disk_errors(f"write the pin {pin.name}"):
        if not layout.roots.is_dir():
            layout.roots.mkdir(exist_ok=True)
            fsync_folder(layout.root)
        replace_file(layout.pin(pin.name), line.encode("utf-8", "surrogateescape"), mode=0o644, synced=True)


def remove_pin(layout: StoreLayout, name: str) -> bool:
    """Remove the pin. Returns whether there was one."""
    with disk_errors(f"remove the pin {name}"):
        try:
            layout.pin(name).unlink()
        except FileNotFoundError:
            return False
        fsync_folder(layout.roots)
        return True


def _names(folder: Path) -> list[str]:
    """The names of the pins; a folder of digits has the roots of one user (``collecting.node_roots``)."""
    try:
        with os.scandir(folder) as found:
            return sorted(
                each.name
                for each in found
                if not each.name.startswith(".") and not (each.name.isdecimal() and each.is_dir(follow_symlinks=False))
            )
    except FileNotFoundError:
        return []


def _read(file: Path) -> KeptEnvironment:
    line = file.read_bytes().decode("utf-8", "surrogateescape")
    words = line.removesuffix("\n").split(" ", _FIELDS - 1)
    with suppress(ValueError):
        form, environment, at_ns, project = words
        if form == _FORMAT and line.endswith("\n") and is_environment_id(environment) and project.startswith("/"):
            return KeptEnvironment(
                name=file.name, environment=environment, at_ns=int(at_ns), project=Path(_unquoted(project))
            )
    raise StoreFormatError(
        f"{file} is no pin that this version of storectl can read",
        hint=f"storectl env unpin {file.name} removes it",
        path=str(file),
    )


def _quoted(path: Path) -> str:
    """The path on one line: a newline in it, and a backslash, are written as an escape."""
    return str(path).replace("\\", "\\\\").replace("\n", "\\n")


def _unquoted(text: str) -> str:
    return re.sub(r"\\([\\n])", lambda match: "\n" if match[1] == "n" else "\\", text)
