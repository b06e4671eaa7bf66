"""The daemon's log: on stderr in the foreground, otherwise in one file that is rotated before it grows large.

If that file cannot be opened, the log goes to stderr, too.
"""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MOST_BYTES = 4 << 20
_OLD_FILES = 2
_CHATTY = ("httpx2", "httpcore2", "watchfiles", "asyncio")


def configure_logs(log_file: Path | None) -> None:
    """Send every record of the process to one place. Libraries log only what is wrong."""
    handler = _handler(log_file)
    handler.setFormatter(_PlainFormatter(_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _handler(log_file: Path | None) -> logging.Handler:
    if log_file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _PrivateFileHandler(
            log_file, maxBytes=_MOST_BYTES, backupCount=_OLD_FILES, encoding="utf-8", errors="backslashreplace"
        )
    except OSError:  # a log is no reason not to serve
        return logging.StreamHandler(sys.stderr)


class _PrivateFileHandler(RotatingFileHandler):
    """Log files that only their owner can read, because they name projects and folders."""

    def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the type is the base class's own
        return os.fdopen(
            os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600),
            self.mode,
            encoding=self.encoding,
            errors=self.errors,
        )


class _PlainFormatter(logging.Formatter):
    """One line for each record, unless there is a traceback: text from outside cannot forge a second record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the base class's own
        return super().formatMessage(record).replace("\n", "\\n").replace("\r", "\\r")
