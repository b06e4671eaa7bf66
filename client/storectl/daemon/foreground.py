"""Being the daemon: the one module of the command line that imports it.

A daemon lives for days, and whatever its process has loaded stays: as it is started as a rule, it never sees typer.
"""

import gc
from collections.abc import Sequence


def is_plain(arguments: Sequence[str]) -> bool:
    """Whether a command line is the daemon's own, in the form that service files and other commands use."""
    return list(arguments[:1]) == ["daemon"] and (
        len(arguments) == 1
        or (len(arguments) == 3 and arguments[1] == "--log-file" and arguments[2][:1] not in {"", "-"})
    )


def become_daemon(options: Sequence[str]) -> int:
    """Serve until told to stop; the exit code."""
    gc.disable()  # what is imported stays: to look at it again and again takes a seventh of importing it
    try:
        from storectl_daemon.main import main  # noqa: PLC0415 - only the daemon itself needs the daemon
    finally:
        gc.enable()
    return main(options)
