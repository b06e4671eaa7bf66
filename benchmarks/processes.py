"""What the kernel tells of processes, by /proc. An OSError for one that has ended."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_LOOK_EVERY = 0.2  # seconds
_RESTS_FOR = 0.5  # seconds
_ENDS_WITHIN = 20.0  # seconds, after which a process is killed


def resident(pid: int) -> int:
    """Bytes of the process in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """What the process has used so far, by user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_seconds(pid: int) -> float:
    """The same of a process and of all that it has started, whether they have ended or not."""
    seconds = 0.0
    for each in _with_children([pid]):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds


def let_rest(pid: int) -> None:
    """Wait until the process has used no processor time for a while: a daemon that has just started is up then."""
    before, since = processor_seconds(pid), time.monotonic()
    while time.monotonic() - since < _RESTS_FOR:
        time.sleep(0.05)
        if (now := processor_seconds(pid)) != before:
            before, since = now, time.monotonic()


def end(pid: int) -> None:
    """End a daemon and what it has started, each by its id, and wait until none of them is left.

    On a busy machine a daemon may not find the time to answer ``daemon stop`` within its deadline.
    """
    tree = _with_children([pid])
    for each, number in ((pid, signal.SIGTERM), *((each, signal.SIGKILL) for each in tree)):
        deadline = time.monotonic() + _ENDS_WITHIN
        with suppress(ProcessLookupError):
            os.kill(each, number)
        while _runs(each) and time.monotonic() < deadline:
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie, which waits for its parent only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def switches(pid: int) -> int:
    """Voluntary context switches of all threads: each is a wake-up."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


class Peak(threading.Thread):
    """The largest resident memory of processes and what they started, together, and their processor time.

    It looks five times a second, and for the processes themselves only where none is left of the last ones: to look is work, which slows down
    what is measured.
    """

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        super().__init__(daemon=True)
        self.rss = 0
        self._processes = processes
        self._over = threading.Event()
        self._cpu: dict[int, float] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    @property
    def cpu(self) -> float:
        """Seconds so far; of a process that ended, up to the last look at it."""
        return sum(dict(self._cpu).values())

    def run(self) -> None:
        found: Sequence[int] = ()
        while not self._over.wait(_LOOK_EVERY):
            found = [pid for pid in found if os.path.exists(f"/proc/{pid}")] or self._processes()
            tree = _with_children(found)
            self.rss = max(self.rss, sum(map(_unshared, tree)))
            for pid in tree:
                with suppress(OSError):
                    self._cpu[pid] = processor_seconds(pid)


def _with_children(pids: Sequence[int]) -> list[int]:
    found = list(pids)
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split() if int(child) not in found]
    return found


def _unshared(pid: int) -> int:
    """Bytes of the process's own share of memory (PSS): what several processes map counts once in all."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
