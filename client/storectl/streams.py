"""The standard streams of the command line: if output cannot be written, that is an error told in one line.

Python makes a closed stream None, and reports a full disk only when the process ends. Here the first write that fails
raises OutputError; later output is thrown away, so that the error is told once. A failure of stderr is not told:
there is no other stream to tell it on.
"""

from __future__ import annotations

import _locale
import codecs
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
    """Replace ``sys.stdout`` by a stream that raises OutputError, and ``sys.stderr`` by one that fails silently."""
    _occupy_standard_numbers()
    sys.stdout = _text_stream(_Output(STDOUT if sys.stdout is not None else None), sys.stdout)
    sys.stderr = _text_stream(_Told(STDERR), sys.stderr)


def flush_output() -> None:
    """Write what is still in the buffers; OutputError if that fails."""
    sys.stdout.flush()
    sys.stderr.flush()


def end_as_interrupted_writer() -> None:
    """End this process silently by SIGPIPE, as the system ends one that writes into a pipe without a reader."""
    import signal  # noqa: PLC0415 - few commands come here

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def output_encoding(own: str) -> str:
    """The locale's encoding, which ``-X utf8`` hides; ``own``, which is Python's, if that is ASCII or not known."""
    found = _locale.getencoding()
    try:
        is_ascii = codecs.lookup(found).name == "ascii"
    except LookupError:
        return own
    return own if is_ascii or own.lower() != "utf-8" else found


def _occupy_standard_numbers() -> None:
    """Make sure that no file opened later gets the number of a closed standard stream, and is then taken for it.

    A program that this process becomes or starts has those streams closed as they were.
    """
    for number in range(STDERR + 1):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # gets the lowest number that is free


class _Output(io.RawIOBase):
    """Standard output; None if it was closed from the beginning: another file has its number by now."""

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
    """Standard error. If it was closed, its number is that of a file that swallows everything."""

    def _refused(self, error: OSError, size: int) -> int:  # noqa: ARG002 - as above
        return size


def _text_stream(raw: _Output, like: TextIO | None) -> io.TextIOWrapper:
    encoding = output_encoding(getattr(like, "encoding", None) or "utf-8")
    buffered = io.BufferedWriter(raw)  # type: ignore[type-var]
    line_buffering = isinstance(raw, _Told) or raw.isatty()
    return io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=line_buffering)
