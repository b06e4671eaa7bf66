"""The belt: which environments and entries the processes of this machine name, beside the leases that they hold.

A program that closes every descriptor has no lease any more, and a shell with ``VIRTUAL_ENV`` never had one. So before
environments go, ``/proc`` is looked through, once: command lines, the variables that programs were started with, mapped
files, the programs and current folders. What is named anywhere counts as used. Paths are known by their ends, as
processes may see the store by another path, through links or in a container. Only what, as the process sees it, leads
into another store is left out.

The order matters: first the write leases, then this, then the renaming. Who had the file open before the leases made
them fail; who closed it before then had been started before this, and is seen here by its command line.
"""

import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storectl_shim.leases import GIVEN, NUMBERS
from storectl_store.digest import EnvironmentId

_ENVIRONMENT = re.compile(rb"/environments/([0-9a-f]{32})(?![0-9a-f])")
_ENTRY = re.compile(rb"/store/([a-z0-9][a-z0-9._-]*/[0-9a-f]{32})(?![0-9a-f])")
_BEFORE_A_PATH = (b"\0", b"\n", b":", b"=")
_FILES = ("cmdline", "environ", "maps")
_LINKS = ("exe", "cwd", f"fd/{GIVEN}", *(f"fd/{number}" for number in NUMBERS[:2]))
_BEING_STARTED_S = 0.001
_LOOKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process. ``started`` is in seconds of the system clock."""

    pid: int
    name: str
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What processes name: environments by id, entries by address (``<name>/<prefix>``)."""

    environments: Mapping[EnvironmentId, tuple[Process, ...]] = field(default_factory=dict)
    entries: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)


def look_through_processes(store: Path, *, proc: Path = Path("/proc")) -> Seen:
    """What the processes name of the store in this folder that this user may look into, but for this process.

    Raises OSError if the processes of this machine cannot be listed: then nothing is known. On macOS nothing tells.
    """
    if sys.platform != "linux" and not proc.is_dir():
        return Seen()
    environments: dict[EnvironmentId, list[Process]] = defaultdict(list)
    entries: dict[str, list[Process]] = defaultdict(list)
    started = _StartTimes(proc)
    for folder in _processes(proc):
        told = b"\n".join(_told(folder))
        ids = {EnvironmentId(name) for name in _named(_ENVIRONMENT, told, folder, store)}
        addresses = _named(_ENTRY, told, folder, store)
        if ids or addresses:
            process = _described(folder, started)
            for each in ids:
                environments[each].append(process)
            for address in addresses:
                entries[address].append(process)
    return Seen(
        environments={each: tuple(found) for each, found in environments.items()},
        entries={each: tuple(found) for each, found in entries.items()},
    )


def _processes(proc: Path) -> Iterator[str]:
    own = str(os.getpid())
    for name in os.listdir(proc):
        if name.isdigit() and name != own:
            yield f"{proc}/{name}"


def _named(pattern: re.Pattern[bytes], told: bytes, folder: str, store: Path) -> set[str]:
    """The names in what a process told, but for those in paths that lead into another store."""
    paths: dict[bytes, re.Match[bytes]] = {}
    for match in pattern.finditer(told):
        start = max(told.rfind(mark, 0, match.start()) for mark in _BEFORE_A_PATH) + 1
        paths[told[start : match.end()]] = match
    return {
        match[1].decode()
        for path, match in paths.items()
        if not _is_elsewhere(path, folder, os.fsencode(store) + match[0])
    }


def _is_elsewhere(text: bytes, folder: str, ours: bytes) -> bool:
    """Whether the path at the end of this text leads, for this process, to something else than ours.

    Not if that cannot be told.
    """
    start = 0 if text.startswith(b"/") else text.find(b" /") + 1  # in a line of mapped files other words come first
    path = text[start:]
    if not path.startswith(b"/"):
        return False
    try:
        return not os.path.samestat(os.stat(os.fsencode(f"{folder}/root") + path), os.stat(ours))
    except (OSError, ValueError):
        return False


def _told(folder: str) -> Iterator[bytes]:
    """What a process says of itself; nothing of one that has gone, or of what only its owner may read."""
    for name in _FILES:
        yield _command_line(folder) if name == "cmdline" else _content(f"{folder}/{name}")
    for name in _LINKS:
        with suppress(OSError):
            yield os.readlink(os.fsencode(f"{folder}/{name}"))


def _command_line(folder: str) -> bytes:
    """The command line. A process that is being started at this moment has none yet: wait for it.

    The kernel's own processes and those that have ended have none either, and no program.
    """
    for _ in range(_LOOKS):
        line = _content(f"{folder}/cmdline")
        if line or not _has_program(folder):
            return line
        time.sleep(_BEING_STARTED_S)
    return b""


def _has_program(folder: str) -> bool:
    try:
        return bool(os.readlink(f"{folder}/exe"))
    except OSError:
        return False


def _content(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""


class _StartTimes:
    """When processes were started, by the kernel's count of ticks since the machine was."""

    def __init__(self, proc: Path) -> None:
        lines = _content(f"{proc}/stat").splitlines()
        fields = (line.split() for line in lines if line.startswith(b"btime "))
        self._booted = next((float(parts[1]) for parts in fields), 0.0)
        self._ticks = os.sysconf("SC_CLK_TCK")

    def of(self, stat: bytes) -> float:
        """The start time in a process's ``stat``, of which the 22nd field counts; the name before may have spaces."""
        fields = stat.rpartition(b")")[2].split()
        return self._booted + int(fields[19]) / self._ticks if len(fields) > 19 else 0.0


def _described(folder: str, started: _StartTimes) -> Process:
    name = _content(f"{folder}/comm").decode(errors="replace").strip()
    return Process(pid=int(os.path.basename(folder)), name=name, started=started.of(_content(f"{folder}/stat")))
