"""The command line without `run`: it finds the command, and turns its errors into lines and exit codes.

A command's module is imported when the command is run: what others need is not loaded.
"""

import sys
from collections.abc import Mapping, Sequence

import click

from storectl import __version__
from storectl.commands.parameters import Group
from storectl.errors import ClientError, OutputError, UsageError
from storectl.run_options import unknown_option

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run:run", "Run a program in the environment of its project."),
    "warm": ("warm:warm", "Fetch, unpack and compile all that the project's lock file needs."),
    "add": ("edit:add", "Add requirements to a project with its own tool, and make the new environment."),
    "remove": ("edit:remove", "Remove requirements from a project with its own tool, and make the new environment."),
    "upgrade": ("edit:upgrade", "Lock newer versions with the project's own tool, and make the new environment."),
    "lock": ("lock:lock", "Lock a project with its own tool."),
    "trust": ("trust:trust", "Trust folders of other users."),
    "watch": ("watch:watch", "The projects whose lock files the daemon watches."),
    "link": ("link:link", "Make .venv, a virtual environment of the project's own that follows its lock file."),
    "unlink": ("link:unlink", "Remove the .venv that `storectl link` made."),
    "daemon": ("daemon:daemon", "Be the daemon, or start, stop and look at it."),
    "env": ("env:env", "The environments, and how that of a project is."),
    "image": ("image:image", "Environments as one file each, for nodes that have no store."),
    "module": ("module:module", "Environments as modules of Lmod."),
    "store": ("store:store", "What is in the store, and whether it is as it was unpacked."),
    "layer": ("layer:layer", "Stores of others, below your own, whose wheels and environments you use."),
    "tool": ("tool:tool", "Run commands of packages that belong to no project."),
    "shim": ("shim:shim", "`python` that is the project's own, in every folder."),
    "kernel": ("kernel:kernel", "One Jupyter kernel that finds the project of each notebook."),
    "uninstall": ("uninstall:uninstall", "Remove all that storectl has made, once it has listed it and asked."),
    "doctor": ("doctor:doctor", "Check what storectl needs."),
    "completion": ("completion:completion", "Print the script that completes command lines in a shell."),
    "complete": ("completion:complete", ""),
}
"""By name: the command as ``module:attribute`` of ``storectl.commands``, and the first sentence of its help."""


@click.group(
    cls=Group,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One store of unpacked wheels for every project: environments are there before you run anything.",
)
@click.version_option(__version__, "-V", "--version", message="storectl %(version)s")
def root() -> None:
    """Take the options before the command."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. An error that a user can cause is told in one line and a hint."""
    try:
        with root.make_context("storectl", list(arguments)) as context:
            return int(root.invoke(context) or 0)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except OutputError:
        raise  # the reader of the output is gone: there is nothing to report, and the caller ends the command
    except ClientError as error:
        return _report(error)
    except click.NoSuchOption as error:
        return _report(_unknown_option(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "storectl"
        return _report(UsageError(error.format_message().rstrip("."), hint=f"see {command} --help"))


def _unknown_option(error: click.NoSuchOption) -> UsageError:
    path = error.ctx.command_path if error.ctx else "storectl"
    parameters = error.ctx.command.get_params(error.ctx) if error.ctx else ()
    known = (name for parameter in parameters for name in parameter.opts if name.startswith("-"))
    command = path.removeprefix("storectl ")
    return unknown_option(error.option_name, known, command=command, hint=f"see {path} --help")


def _report(error: ClientError) -> int:
    sys.stdout.flush()
    sys.stderr.write(error.report())
    return error.exit_code
