"""The start of `storectl-python` and `python -m storectl`: to `run` and the daemon directly, to everything else through typer.

The one place that turns exceptions into exit codes: no traceback reaches a user, unless STORECTL_DEBUG is set.
"""

import os
import sys

from storectl.isolation import isolate

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def start() -> int:
    """Run the command in ``sys.argv``, isolated from the variables of its user; its exit code."""
    isolate(sys.argv[1:], os.environ)
    return main()


def main() -> int:
    """Run the command in ``sys.argv``; its exit code."""
    arguments = sys.argv[1:]
    running = arguments[:1] == ["run"]
    try:
        return _dispatch(arguments, running=running)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more, which is no error; but the interpreter would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("STORECTL_DEBUG"):
            raise
        return _report(error, running=running)


def _dispatch(arguments: list[str], *, running: bool) -> int:
    # Imported here: `run` has no time for typer, the daemon no room, and everything else no use for what `run` imports.
    if running:
        from storectl.run import main as run  # noqa: PLC0415 - see above

        return run(arguments[1:])
    if arguments in (["--version"], ["-V"]):
        from storectl import __version__  # noqa: PLC0415 - see above

        sys.stdout.write(f"storectl {__version__}\n")
        return 0
    if arguments[:1] == ["daemon"]:
        from storectl.foreground import become_daemon, is_plain  # noqa: PLC0415 - see above

        if is_plain(arguments):
            return become_daemon(arguments[1:])
    from storectl.cli import main as command_line  # noqa: PLC0415 - see above

    return command_line(arguments)


def _report(error: Exception, *, running: bool) -> int:
    from storectl.errors import ClientError, CurrentFolderError  # noqa: PLC0415 - see above

    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    problem = ClientError(what, code="E_DEFECT", hint="a defect of storectl; STORECTL_DEBUG=1 shows where it happened")
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        problem = CurrentFolderError(
            "the current folder is gone", hint='where there is one of its name again, cd into it: cd "$PWD"'
        )
    sys.stderr.write(problem.report())
    return 125 if running else 1


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(start())
