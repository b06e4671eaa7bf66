"""The command line without `run`: it puts the commands together, and turns their errors into lines and exit codes."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from storectl import __version__
from storectl.commands import daemon, env, kernel, store, tool, watch
from storectl.commands.doctor import doctor
from storectl.commands.link import link
from storectl.commands.lock import lock
from storectl.commands.run import run
from storectl.commands.trust import trust
from storectl.commands.warm import warm
from storectl.errors import ClientError, OutputError, UsageError

INTERRUPTED = 130

app = typer.Typer(
    name="storectl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no frames, no types of parameters, nothing cut off
    help="One store of unpacked wheels for every project: environments are there before you run anything.",
)
app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)
app.command()(warm)
app.command()(lock)
app.command()(trust)
app.add_typer(watch.app, name="watch")
app.command()(link)
app.add_typer(daemon.app, name="daemon")
app.add_typer(env.app, name="env")
app.add_typer(store.app, name="store")
app.add_typer(tool.app, name="tool")
app.add_typer(kernel.app, name="kernel")
app.command()(doctor)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        sys.stdout.write(f"storectl {__version__}\n")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def root(*, version: Version = False) -> None:
    """Take the options before the command."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. An error that a user can cause is told in one line and a hint."""
    try:
        return int(app(list(arguments), prog_name="storectl", standalone_mode=False) or 0)
    except OutputError:
        raise  # the reader of the output is gone: there is nothing to report, and the caller ends the command
    except ClientError as error:
        return _report(error)
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not (hasattr(error, "format_message") and hasattr(error, "show")):
            raise
        return _report_usage(error)


def _report(error: ClientError) -> int:
    sys.stdout.flush()
    sys.stderr.write(error.report())
    return error.exit_code


def _report_usage(error: Any) -> int:
    """Report an error of the command line's parser.

    It is known by its methods, not by its class: some versions of typer raise click's own classes, others theirs.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return UsageError.exit_code
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "storectl"
    return _report(UsageError(error.format_message().rstrip("."), hint=f"see {command} --help"))
