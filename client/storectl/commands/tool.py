"""`storectl tool`: run commands of packages that belong to no project."""

import os

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import PASS_ON, Group, offline, own_variables, python, settings
from storectl.daemon.chosen_python import chosen_python
from storectl.errors import TargetNotFoundError
from storectl.locks.remembered import Locking
from storectl.locks.tools import known_tools, lock_tool, remove_tool, tool_of
from storectl.options import Options
from storectl.program import execute, tool_environ
from storectl.run import environment_at, with_files
from storectl.run_options import options_of_environment, unknown_option
from storectl_shim.locations import state_folder


@click.group(cls=Group, no_args_is_help=True)
def tool() -> None:
    """Run commands of packages that belong to no project."""


@tool.command(context_settings=PASS_ON)
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--from", "source", metavar="REQUIREMENT", help="The project that has the command; default: its name.")
@click.option(
    "-w", "--with", "--with-editable", "more", metavar="REQUIREMENT", multiple=True, help="One more; may be repeated."
)
@click.option("--with-requirements", "files", metavar="FILE", multiple=True, help="What the file requires, too.")
@click.option("--env-file", "env_files", metavar="FILE", multiple=True, help="Variables for the tool; may be repeated.")
@click.option("--no-env-file", is_flag=True, help="No variables from files.")
@python
@click.option("--refresh", is_flag=True, help="Lock it anew.")
@offline
@settings
@click.pass_context
def run(
    context: click.Context,
    name: str,
    arguments: tuple[str, ...],
    *,
    source: str | None,
    more: tuple[str, ...],
    files: tuple[str, ...],
    env_files: tuple[str, ...],
    no_env_file: bool,
    python: str | None,
    refresh: bool,
    offline: bool,
) -> None:
    """Run a tool. It is locked once, by uv or pip, and then always the same until --refresh."""
    if name.startswith("-"):
        known = (each for parameter in context.command.params for each in parameter.opts)
        raise unknown_option(name, known, command="tool run", hint="see storectl tool run --help")
    ambient = options_of_environment(os.environ)
    offline = offline or ambient.offline
    wanted = tool_of(
        name, source=source, more=(*more, *(f"-r {file}" for file in files)), python=python or ambient.python
    )
    folder = lock_tool(
        state_folder(os.environ),
        wanted,
        os.environ,
        Locking(refresh=refresh, offline=offline),
        choose=lambda: chosen_python(wanted.python, os.environ, offline=offline),
    )
    environment = environment_at(os.path.realpath(folder), Options(offline=offline), os.environ)
    program = os.path.join(environment, "bin", wanted.command)
    if not os.path.isfile(program):
        commands = sorted(n for n in os.listdir(os.path.join(environment, "bin")) if not n.startswith("python"))
        raise TargetNotFoundError(
            f"{', '.join(wanted.requirements)} has no command {wanted.command}",
            hint=f"it has {', '.join(commands) or 'none'}: storectl tool run --from {wanted.requirements[0]} COMMAND",
        )
    files = () if no_env_file else env_files or tuple(os.environ.get("UV_ENV_FILE", "").split())
    execute([program, *arguments], tool_environ(environment, with_files(files, own_variables(context))))


@tool.command("list")
def list_tools() -> None:
    """Print every tool that was locked."""
    print_lines(*(shown for shown, _ in known_tools(state_folder(os.environ))))


@tool.command()
@click.argument("name", metavar="NAME")
def remove(name: str) -> None:
    """Forget a tool, by the name of its command."""
    found = [folder for shown, folder in known_tools(state_folder(os.environ)) if shown.partition(" ")[0] == name]
    if not found:
        raise TargetNotFoundError(f"no tool {name} was ever run", hint="storectl tool list prints those that were")
    for folder in found:
        remove_tool(folder)
