"""The command line's entry: it hands `run`, a plain `warm` and the daemon to their modules, and the rest to click.

It is the one place that turns exceptions into exit codes: a user sees no traceback, unless STORECTL_DEBUG is set.
"""

import errno
import gc
import os
import sys

from storectl.errors import ClientError, CurrentFolderError, FileAccessError, HomeMissingError, OutputError
from storectl.streams import check_output, end_as_interrupted_writer, flush_output
from storectl_shim.locations import NoHomeError

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def main() -> int:
    """Run the command in ``sys.argv``; return its exit code."""
    arguments = sys.argv[1:]
    running = arguments[:1] == ["run"]
    check_output()
    try:
        code = _dispatch(arguments, running=running)
        flush_output()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OutputError) and error.facts["errno"] == errno.EPIPE:
            end_as_interrupted_writer()
        if os.environ.get("STORECTL_DEBUG"):
            raise
        return _report(error, running=running)
    return code


def _dispatch(arguments: list[str], *, running: bool) -> int:
    # Imported here: click would make `run` slow and the daemon large, and the other commands need nothing of `run`.
    if running:
        from storectl.run import main as run  # noqa: PLC0415 - see above

        return run(arguments[1:])
    if arguments[:2] == ["tool", "run"]:
        from storectl.tool_run import main as run_tool  # noqa: PLC0415 - see above

        if (code := run_tool(arguments[2:])) is not None:
            return code
    if arguments[:1] == ["warm"]:
        from storectl import plain_warm  # noqa: PLC0415 - see above

        if plain_warm.is_plain(arguments[1:], os.environ):
            return plain_warm.main(arguments[1:])
    if arguments[:1] == ["as"]:
        from storectl.python_name import main as become_python  # noqa: PLC0415 - see above

        return become_python(arguments[1:])
    if arguments in (["--version"], ["-V"]):
        from storectl import __version__  # noqa: PLC0415 - see above

        sys.stdout.write(f"storectl {__version__}\n")
        return 0
    if arguments[:1] == ["daemon"]:
        from storectl.daemon.foreground import become_daemon, is_plain  # noqa: PLC0415 - see above

        if is_plain(arguments):
            return become_daemon(arguments[1:])
    gc.disable()  # a command leaves little garbage, and the collector would take a twentieth of its time
    from storectl.cli import main as command_line  # noqa: PLC0415 - see above

    return command_line(arguments)


def _report(error: Exception, *, running: bool) -> int:
    sys.stderr.write(_problem_of(error).report())
    return 125 if running else 1


def _problem_of(error: Exception) -> ClientError:
    """The error to report for an exception that no command has reported itself."""
    if isinstance(error, ClientError):  # an OutputError: commands report all others themselves
        return error
    if isinstance(error, NoHomeError):
        return HomeMissingError(str(error), hint=error.hint)
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return CurrentFolderError(
            "the current folder is gone", hint='where there is one of its name again, cd into it: cd "$PWD"'
        )
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes)):
        return FileAccessError(
            f"{os.fsdecode(error.filename)}: {error.strerror}",
            hint="see whose it is and what its mode allows; STORECTL_DEBUG=1 shows what it was needed for",
        )
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ClientError(what, code="E_DEFECT", hint="a defect of storectl; STORECTL_DEBUG=1 shows where it happened")


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
