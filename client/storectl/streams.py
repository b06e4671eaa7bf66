"""The standard streams of the command line: output that cannot be written is an error told in one line.

Python leaves a closed stream as None, and tells of a full disk only at the end of the process. Here every write that fails
raises OutputError once; what is written after it is thrown away, so that nothing is told twice. Of stderr nothing is told:
there is no other place to tell it.
"""

from __future__ import annotations

import errno
import io
import os
import sys

from storectl.errors import OutputError

TYPE_CHECKING = False  # typing takes longer to import than all of `run`
if TYPE_CHECKING:
    from typing import TextIO

STDOUT, STDERR = 1, 2


def check_output() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams whose failure is ours to tell."""
    sys.stdout = _text_stream(_Output(STDOUT if sys.stdout is not None else None), sys.stdout, "backslashreplace")
    sys.stderr = _text_stream(_Told(STDERR if sys.stderr is not None else None), sys.stderr, "backslashreplace")


def flush_output() -> None:
    """Write what is still held back; OutputError if that fails."""
    sys.stdout.flush()
    sys.stderr.flush()


def end_as_interrupted_writer() -> None:
    """End this process as the system ends one that writes into a pipe that nobody reads: by SIGPIPE, without a word."""
    import signal  # noqa: PLC0415 - few commands come here

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


class _Output(io.RawIOBase):
    """Standard output, or None if it was closed from the beginning: its number may be another file's by now."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        if self._failed:
            return len(data)
        try:
            return os.write(self.fileno(), data)
        except OSError as error:
            self._failed = True
            return self._refused(error, len(data))

    def _refused(self, error: OSError, size: int) -> int:  # noqa: ARG002 - one that does not tell needs the size
        raise OutputError(
            f"cannot write to standard output: {error.strerror}",
            hint="see where it leads to: a full disk, or a closed file",
            errno=error.errno,
        ) from None


class _Told(_Output):
    """Standard error. If it was closed, programs that are to write there get a file that swallows everything."""

    def __init__(self, descriptor: int | None) -> None:
        super().__init__(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC) if descriptor is None else descriptor)

    def _refused(self, error: OSError, size: int) -> int:  # noqa: ARG002 - as above
        return size


def _text_stream(raw: _Output, like: TextIO | None, errors: str) -> io.TextIOWrapper:
    encoding = getattr(like, "encoding", None) or "utf-8"
    buffered = io.BufferedWriter(raw)  # type: ignore[type-var]
    line_buffering = isinstance(raw, _Told) or raw.isatty()
    return io.TextIOWrapper(buffered, encoding, errors, line_buffering=line_buffering)
