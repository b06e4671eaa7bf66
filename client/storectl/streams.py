"""The standard streams of the command line: output that cannot be written is an error told in one line.

Python leaves a closed stream as None, and tells of a full disk only at the end of the process. Here every write that fails
raises OutputError once; what is written after it is thrown away, so that nothing is told twice. Of stderr nothing is told:
there is no other place to tell it.
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
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams whose failure is ours to tell."""
    _occupy_standard_numbers()
    sys.stdout = _text_stream(_Output(STDOUT if sys.stdout is not None else None), sys.stdout)
    sys.stderr = _text_stream(_Told(STDERR), sys.stderr)


def flush_output() -> None:
    """Write what is still held back; OutputError if that fails."""
    sys.stdout.flush()
    sys.stderr.flush()


def end_as_interrupted_writer() -> None:
    """End this process as the system ends one that writes into a pipe that nobody reads: by SIGPIPE, without a word."""
    import signal  # noqa: PLC0415 - few commands come here

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def output_encoding(own: str) -> str:
    """The locale's encoding, which ``-X utf8`` hides; that of Python itself for one that is ASCII, or not known."""
    found = _locale.getencoding()
    try:
        is_ascii = codecs.lookup(found).name == "ascii"
    except LookupError:
        return own
    return own if is_ascii or own.lower() != "utf-8" else found


def _occupy_standard_numbers() -> None:
    """See that no file that is opened later gets the number of a closed standard stream, and is taken for one.

    A program that we become, or start, has them closed as they were.
    """
    for number in range(STDERR + 1):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # gets the lowest number that is free


class _Output(io.RawIOBase):
    """Standard output, or None if it was closed from the beginning: what has its number now is not what was meant."""

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
    """Standard error. If it was closed, a file that swallows everything has its number by now."""

    def _refused(self, error: OSError, size: int) -> int:  # noqa: ARG002 - as above
        return size


def _text_stream(raw: _Output, like: TextIO | None) -> io.TextIOWrapper:
    encoding = output_encoding(getattr(like, "encoding", None) or "utf-8")
    buffered = io.BufferedWriter(raw)  # type: ignore[type-var]
    line_buffering = isinstance(raw, _Told) or raw.isatty()
    return io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=line_buffering)
