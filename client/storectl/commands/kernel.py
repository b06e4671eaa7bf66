"""`storectl kernel`: one Jupyter kernel that finds the project of each notebook."""

import dataclasses
import os
import sys
from pathlib import Path

import click

from storectl.commands.output import print_json, print_lines, print_table
from storectl.commands.parameters import PASS_ON, Command, Group, as_json
from storectl.errors import UsageError, printable
from storectl.kernels.specs import install as install_spec
from storectl.kernels.specs import installed, known_data_folders, prefix_data_folder, user_data_folder
from storectl.kernels.specs import remove as remove_spec
from storectl.program import execute, program_environ
from storectl.run_options import options_of_environment
from storectl_shim.environment import storectl_command


@click.group(cls=Group, no_args_is_help=True)
def kernel() -> None:
    """One Jupyter kernel that finds the project of each notebook."""


def prefix(command: Command) -> Command:
    """Give a command the options that say below which prefix a kernel is."""
    for option in (
        click.option("--sys-prefix", is_flag=True, help="Below the prefix of storectl's own interpreter."),
        click.option("--prefix", metavar="DIR", help="Below this prefix: DIR/share/jupyter."),
        click.option("--user", is_flag=True, help="For this user; the default."),
    ):
        command = option(command)
    return command


@kernel.command()
@click.option("--name", metavar="NAME", default="storectl", show_default=True, help="Its name for Jupyter.")
@click.option("--display-name", metavar="TEXT", default="Python (storectl)", show_default=True, help="For people.")
@prefix
def install(*, name: str, display_name: str, user: bool, prefix: str | None, sys_prefix: bool) -> None:
    """Tell Jupyter of the kernel. Each notebook then runs in the environment of the project that its folder is in."""
    data_folder = _data_folder(user=user, prefix=prefix, sys_prefix=sys_prefix) or user_data_folder(os.environ)
    spec = install_spec(
        data_folder, name, display_name, [os.path.abspath(c) if "/" in c else c for c in storectl_command()]
    )
    print_lines(str(spec.folder))


@kernel.command("list")
@as_json
def list_kernels(*, json: bool) -> None:
    """Print the kernels of storectl that Jupyter knows."""
    specs = list(installed(known_data_folders(os.environ)))
    if json:
        print_json([dataclasses.asdict(spec) | {"folder": str(spec.folder)} for spec in specs])
    else:
        print_table(("name", "shown as", "folder"), [(s.name, s.display_name, str(s.folder)) for s in specs])


@kernel.command()
@click.argument("name", metavar="[NAME]", default="storectl")
@prefix
def remove(name: str, *, user: bool, prefix: str | None, sys_prefix: bool) -> None:
    """Remove a kernel of storectl's, wherever it is, or below one prefix alone."""
    chosen = _data_folder(user=user, prefix=prefix, sys_prefix=sys_prefix)
    for spec in remove_spec([chosen] if chosen else known_data_folders(os.environ), name):
        print_lines(str(spec.folder))


@kernel.command(hidden=True, context_settings=PASS_ON)
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def start(arguments: tuple[str, ...]) -> None:
    """Become the kernel of the project here. What Jupyter runs; its log has what goes to stderr."""
    # Imported here: the module that parses requirements takes 30 ms to load, and no other command needs it.
    from storectl.kernels.kernel import notebook_starts, prepare_kernel  # noqa: PLC0415 - see above

    prepared = prepare_kernel(notebook_starts(os.environ), options_of_environment(os.environ), os.environ)
    for notice in prepared.notices:
        sys.stderr.write(f"storectl: warning: {printable(notice)}\n")
    execute(prepared.command(arguments), program_environ(prepared.environment, os.environ))


def _data_folder(*, user: bool, prefix: str | None, sys_prefix: bool) -> Path | None:
    """The data folder that the options name; None if they name none. UsageError if they name several."""
    if user + (prefix is not None) + sys_prefix > 1:
        raise UsageError("--user, --prefix and --sys-prefix exclude each other", hint="give one of them")
    if user:
        return user_data_folder(os.environ)
    if prefix is not None or sys_prefix:
        return prefix_data_folder(prefix if prefix is not None else sys.prefix)
    return None
