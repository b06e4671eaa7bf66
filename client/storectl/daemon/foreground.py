"""How this process becomes the daemon. No other module of the command line imports the daemon.

A daemon lives for days, and the modules that its process has loaded stay in memory. Started in the usual way, it never
loads click.
"""

import gc
from collections.abc import Sequence


def is_plain(arguments: Sequence[str]) -> bool:
    """Whether the command line is one of those that service files and other commands start the daemon with."""
    return list(arguments[:1]) == ["daemon"] and (
        len(arguments) == 1
        or (len(arguments) == 3 and arguments[1] in {"--log-file", "--node"} and arguments[2][:1] not in {"", "-"})
    )


def become_daemon(options: Sequence[str]) -> int:
    """Serve until told to stop; return the exit code."""
    gc.disable()  # what is imported stays; to have the collector look at it repeatedly takes a seventh of the import
    try:
        from storectl_daemon.main import main  # noqa: PLC0415 - only the daemon itself needs the daemon
    finally:
        gc.enable()
    return main(options)
