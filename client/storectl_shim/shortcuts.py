"""Shortcuts: what a command line means, written by the command line in Python and read by the launcher.

    <store>/shortcuts/<start>/@storectl/<spelling>          the calls, see below; the file must be this user's
    <store>/shortcuts/<start>/@storectl/<spelling>.+<ns>    empty, with this modification time in ns since the epoch
    <store>/shortcuts/<start>/@storectl/.<anything>         what is still being written

``<start>`` is an absolute path without symbolic links: the folder of the project or workspace member that the launcher
finds, of a named environment (<state>/named/NAME), or a script with a block. For `storectl tool run` it is
``/@tools/<NAME[@VERSION] as typed>``. ``<spelling>`` is made of the options and variables (``storectl.shortcuts``).

The file is a list of calls of the launcher's own functions, joined by &&, of which ``_storectl_to`` is the last:

    # storectl-shortcut 1 <8 hex digits: crc32 of the lines below>
    _storectl_as_before <path> +<ns>       as old as the stamp whose name ends with this
    _storectl_there <path> …               something is there
    _storectl_absent <path> …              nothing is there
    _storectl_leads_to <path> <path>       both lead to the same file
    _storectl_value <name> <value>         the variable has this value; empty: it is not set, or empty
    _storectl_to <folder> <key>            the project, and the key of its record (``storectl_shim.project_record``)

What must be as it was is only what the *command line* depends on; what the environment depends on is in the record of
that key, which the launcher checks next. If the launcher has searched for a project, it must have found this one.
Outside of projects it may only take the spelling ``plain`` of the default environment.

The file is replaced by rename. It names the times of its stamps, so it never meets those of another writer. It has at
most ``LIMIT`` bytes, so that after a power cut it is whole or empty, and an empty one leads nowhere.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes longer than reading a shortcut
if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "# storectl-shortcut 1"

SHORTCUTS = "shortcuts"
"""The folder of all shortcuts in the store."""

STAMP = ".+"
"""Between a shortcut's name and its stamp's time. Every word of a spelling begins with a letter, so none has this."""

PLACE = "@storectl"
"""The folder of the shortcuts of one start."""

TOOLS = "/@tools"
"""Where tools start: no project has this folder."""

LIMIT = 4000
"""The most bytes of a shortcut."""


def shortcuts_folder(store: str) -> str:
    """The folder of all shortcuts of a store."""
    return os.path.join(store, SHORTCUTS)


def shortcut_place(store: str, start: str) -> str:
    """The folder of the shortcuts of a start, an absolute path without symbolic links."""
    return os.path.join(store, SHORTCUTS, start.lstrip("/"), PLACE)


def shortcut_path(store: str, start: str, spelling: str) -> str:
    """The path of one shortcut."""
    return os.path.join(shortcut_place(store, start), spelling)


def stamp_path(shortcut: str, mtime_ns: int) -> str:
    """The path of the stamp of a shortcut with this time."""
    return f"{shortcut}{STAMP}{mtime_ns}"


def shortcut_content(calls: Iterable[str]) -> bytes:
    """The content of a shortcut that consists of these calls."""
    body = (" &&\n".join(calls) + "\n").encode()
    return _first_line(body) + b"\n" + body


def _first_line(body: bytes) -> bytes:
    from binascii import crc32  # a shared library in some Pythons

    return f"{FORMAT} {crc32(body):08x}".encode()


def target_of(content: bytes) -> tuple[str, str] | None:
    """The project's folder and the key that the content of a shortcut leads to; None if it leads nowhere."""
    last = os.fsdecode(content).rstrip("\n").rpartition("\n")[2]
    word, _, rest = last.partition(" ")
    quoted, _, key = rest.rpartition(" ")
    if word != "_storectl_to" or not key or len(quoted) < 2 or (quoted[0], quoted[-1]) != ("'", "'"):
        return None
    return quoted[1:-1].replace("'\\''", "'"), key


def read_target(shortcut: str) -> tuple[str, str] | None:
    """The project's folder and the key that a shortcut leads to.

    None if it is gone or not as it was written, or if one of its stamps is gone or not as old as its name says.
    """
    try:
        with open(shortcut, "rb") as file:
            content = file.read(LIMIT)
        first, _, body = content.partition(b"\n")
        if first != _first_line(body):
            return None
        calls = [line.removesuffix(b" &&").rpartition(b" +") for line in content.split(b"\n")]
        times = [int(time) for call, _, time in calls if call.startswith(b"_storectl_as_before ")]
        if all(os.stat(stamp_path(shortcut, mtime_ns)).st_mtime_ns == mtime_ns for mtime_ns in times):
            return target_of(content)
    except (OSError, ValueError):
        pass
    return None


def quoted(text: str) -> str:
    """The text as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
