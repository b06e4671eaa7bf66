"""Progress on stderr: nothing for what is quick, one line that changes on a terminal, a rare line elsewhere."""

import math
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from storectl.daemon.answers import Progress
from storectl.errors import printable
from storectl.options import is_true

SLOW_S = 0.3
"""What takes no longer than this is not worth a word."""

SLOW_IN_LOGS_S = 5.0
"""Where nobody watches, a line is for whoever wonders later why it took so long: after this time, and again after it."""

CLEAR_LINE = "\r\x1b[K"

VERBS = {
    "resolve": "reading the lock file",
    "build": "building from source",
    "fetch": "fetching",
    "unpack": "unpacking",
    "compile": "compiling",
    "publish": "publishing",
}


class ProgressLine:
    """A WarmListener that tells a person. ``close`` takes the line away."""

    def __init__(
        self, stream: TextIO, *, slow_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._tty = stream.isatty()
        self._clock = clock
        if slow_s is None:
            slow_s = SLOW_S if self._tty else SLOW_IN_LOGS_S
        self._pause_s = 0.0 if self._tty else SLOW_IN_LOGS_S
        self._speak_at = clock() + slow_s
        self._shown = False

    def progress(self, progress: Progress) -> None:
        """Show this step, where the whole has been slow."""
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
        """Show a warning, slow or not."""
        self.close()
        self._stream.write(f"storectl: warning: {printable(message)}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._shown:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()
            self._shown = False


def progress_line(stream: TextIO, environ: Mapping[str, str]) -> ProgressLine:
    """The line for a person; one that only warns if UV_NO_PROGRESS says so."""
    return ProgressLine(stream, slow_s=math.inf if is_true(environ.get("UV_NO_PROGRESS")) else None)


def describe(progress: Progress) -> str:
    """``fetching 3 of 20 (45 %, 12.0 of 26.7 MB): numpy``."""
    verb = VERBS.get(progress.phase, printable(progress.phase))
    if progress.phase == "resolve" or not progress.total:
        return verb
    amount = f"{progress.percent} %"
    if progress.bytes_total:
        amount += f", {progress.bytes_done / 1e6:.1f} of {progress.bytes_total / 1e6:.1f} MB"
    current = f": {printable(progress.current)}" if progress.current else ""
    return f"{verb} {progress.done} of {progress.total} ({amount}){current}"
