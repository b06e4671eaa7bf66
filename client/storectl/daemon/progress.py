"""Progress on stderr: nothing if the work is quick, one changing line on a terminal, a line now and then elsewhere."""

import math
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from storectl.daemon.answers import Progress
from storectl.errors import printable
from storectl.options import is_true

SLOW_S = 0.3
"""On a terminal, nothing is printed of work that takes no longer than this."""

SLOW_IN_LOGS_S = 5.0
"""Elsewhere, such as in a log, the first line comes after this time, and the next after as much time again."""

CLEAR_LINE = "\r\x1b[K"

VERBS = {
    "resolve": "reading the lock file",
    "build": "building from source",
    "fetch": "fetching",
    "unpack": "unpacking",
    "compile": "compiling",
    "publish": "publishing",
    "export": "exporting",
}


class ProgressLine:
    """A WarmListener that prints for people. ``close`` removes the line."""

    def __init__(
        self,
        stream: TextIO,
        *,
        slow_s: float | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._tty = stream.isatty()
        self._clock = clock
        if slow_s is None:
            slow_s = SLOW_S if self._tty else SLOW_IN_LOGS_S
        self._pause_s = 0.0 if self._tty else SLOW_IN_LOGS_S
        self._speak_at = clock() + slow_s
        self._shown = False
        self._quiet = quiet

    def progress(self, progress: Progress) -> None:
        """Show this step, if the work has taken long enough."""
        now = self._clock()
        if now < self._speak_at:
            return
        self._speak_at = now + self._pause_s
        if self._tty:
            self._stream.write(f"{CLEAR_LINE}storectl: {describe(progress)}")
            self._shown = True
        else:
            self._stream.write(f"storectl: {describe(progress)}\n")
        self._stream.flush()

    def warning(self, message: str) -> None:
        """Show a warning, however long the work has taken."""
        if self._quiet:
            return
        self.close()
        self._stream.write(f"storectl: warning: {printable(message)}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal as it was before."""
        if self._shown:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()
            self._shown = False


def progress_line(stream: TextIO, environ: Mapping[str, str]) -> ProgressLine:
    """The progress line of this stream; UV_NO_PROGRESS leaves warnings only, STORECTL_QUIET nothing."""
    quiet = is_true(environ.get("STORECTL_QUIET"))
    silent = quiet or is_true(environ.get("UV_NO_PROGRESS"))
    return ProgressLine(stream, slow_s=math.inf if silent else None, quiet=quiet)


def describe(progress: Progress) -> str:
    """Such as ``fetching 3 of 20 (45 %, 12.0 of 26.7 MB): numpy``."""
    verb = VERBS.get(progress.phase, printable(progress.phase))
    if progress.phase == "resolve" or not progress.total:
        return verb
    amount = f"{progress.percent} %"
    if progress.bytes_total:
        amount += f", {progress.bytes_done / 1e6:.1f} of {progress.bytes_total / 1e6:.1f} MB"
    current = f": {printable(progress.current)}" if progress.current else ""
    return f"{verb} {progress.done} of {progress.total} ({amount}){current}"
