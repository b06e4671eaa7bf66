"""A folder as a slow file system shows it: a pass-through of FUSE that counts, and takes its time for each call.

``python -m support.slow_tree SOURCE MOUNT METADATA READ KEPT REPORT`` mounts it until it is unmounted. ``METADATA`` and
``READ`` are the seconds of a call, ``KEPT`` those for which the kernel keeps what it has looked up. It works on one
call after the other. At the end it writes to the file ``REPORT``, as JSON, how many calls of each kind there were, how
many bytes were read, and the mean seconds that calls really took. It needs ``mfusepy`` and libfuse 3.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
METADATA = ("getattr", "readdir", "readlink", "open")
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was asked of the file system: calls by kind, bytes, and the mean seconds of a metadata call."""

    calls: Mapping[str, int]
    read_bytes: int
    seconds: float

    @property
    def metadata(self) -> int:
        """All calls but reads."""
        return sum(self.calls.get(kind, 0) for kind in METADATA)


class SlowTree:
    """What is below a folder. ``report`` is there after the block of ``slow_tree``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report: Counted | None = None


@contextmanager
def slow_tree(
    source: Path, mount: Path, *, metadata: float, read: float = 0.0, kept: float = 0.0
) -> Iterator[SlowTree]:
    """The folder, mounted until the block ends. Skips the test if there is no FUSE."""
    _need_fuse()
    mount.mkdir()
    report = mount.with_suffix(".json")
    arguments = [source, mount, metadata, read, kept, report]
    command = [sys.executable, "-m", "support.slow_tree", *map(str, arguments)]
    server = subprocess.Popen(command, cwd=TESTS, stderr=subprocess.PIPE)
    tree = SlowTree(mount)
    try:
        _until(lambda: server.poll() is not None or os.path.ismount(mount))
        if server.poll() is not None:
            assert server.stderr is not None
            pytest.skip(f"FUSE: {server.stderr.read().decode()[-300:]}")
        yield tree
    finally:
        subprocess.run(["fusermount3", "-u", "-z", mount], check=False, capture_output=True)
        try:
            server.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        assert server.stderr is not None
        server.stderr.close()
    tree.report = Counted(**json.loads(report.read_text()))


def hurry() -> None:
    """Come before other work of this machine, if that is allowed: a call of 5 ms is not to take 100."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)


def _need_fuse() -> None:
    try:
        import mfusepy  # noqa: F401, PLC0415 - few machines have it
    except (ImportError, OSError) as error:
        pytest.skip(f"needs mfusepy and libfuse 3: {error}")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this account may not open /dev/fuse")


def _until(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def _operations(source: str, metadata: float, read: float) -> Any:
    import mfusepy  # noqa: PLC0415 - as above

    class Passed(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def __init__(self) -> None:
            self.calls: Counter[str] = Counter()
            self.spent = 0.0
            self.read_bytes = 0

        def _takes(self, kind: str) -> None:
            begun = time.perf_counter()
            self.calls[kind] += 1
            time.sleep(read if kind == "read" else metadata)
            if kind != "read":
                self.spent += time.perf_counter() - begun

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            self._takes("getattr")
            status = os.lstat(source + path)
            names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino", "st_blocks")
            times = {name: getattr(status, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
            return {name: getattr(status, name) for name in names} | times

        def readdir(self, path: str, fh: int) -> list[str]:
            self._takes("readdir")
            return [".", "..", *os.listdir(source + path)]

        def readlink(self, path: str) -> str:
            self._takes("readlink")
            return os.readlink(source + path)

        def open(self, path: str, flags: int) -> int:
            self._takes("open")
            return os.open(source + path, os.O_RDONLY)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            self._takes("read")
            content = os.pread(fh, size, offset)
            self.read_bytes += len(content)
            return content

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

    return Passed()


def main() -> None:
    """Serve until it is unmounted."""
    import mfusepy  # noqa: PLC0415 - as above

    source, mount, metadata, read, kept, report = sys.argv[1:]
    hurry()
    operations = _operations(source, float(metadata), float(read))
    options = {"entry_timeout": float(kept), "attr_timeout": float(kept), "negative_timeout": float(kept)}
    mfusepy.FUSE(operations, mount, foreground=True, nothreads=True, ro=True, **options)
    calls = dict(operations.calls)
    number = sum(count for kind, count in calls.items() if kind != "read")
    told = {"calls": calls, "read_bytes": operations.read_bytes, "seconds": operations.spent / max(number, 1)}
    Path(report).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
