"""`storectl tool`: run commands of packages that belong to no project."""

import os

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import PASS_ON, Group, offline, python
from storectl.daemon.chosen_python import chosen_python
from storectl.errors import TargetNotFoundError
from storectl.locks.remembered import Locking
from storectl.locks.tools import known_tools, lock_tool, remove_tool, tool_of
from storectl.options import Options, options_of_environment
from storectl.program import execute, tool_environ
from storectl.run import environment_at
from storectl_shim.locations import state_folder


@click.group(cls=Group, no_args_is_help=True)
def tool() -> None:
    """Run commands of packages that belong to no project."""


@tool.command(context_settings=PASS_ON)
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--from", "source", metavar="REQUIREMENT", help="The project that has the command; default: its name.")
@click.option("--with", "more", metavar="REQUIREMENT", multiple=True, help="One more; may be repeated.")
@python
@click.option("--refresh", is_flag=True, help="Lock it anew.")
@offline
def run(
    name: str,
    arguments: tuple[str, ...],
    *,
    source: str | None,
    more: tuple[str, ...],
    python: str | None,
    refresh: bool,
    offline: bool,
) -> None:
    """Run a tool. It is locked once, by uv or pip, and then always the same until --refresh."""
    ambient = options_of_environment(os.environ)
    offline = offline or ambient.offline
    wanted = tool_of(name, source=source, more=more, python=python or ambient.python)
    folder = lock_tool(
        state_folder(os.environ),
        wanted,
        os.environ,
        Locking(refresh=refresh, offline=offline),
        choose=lambda: chosen_python(wanted.python, os.environ),
    )
    environment = environment_at(os.path.realpath(folder), Options(offline=offline), os.environ)
    program = os.path.join(environment, "bin", wanted.command)
    if not os.path.isfile(program):
        commands = sorted(n for n in os.listdir(os.path.join(environment, "bin")) if not n.startswith("python"))
        raise TargetNotFoundError(
            f"{', '.join(wanted.requirements)} has no command {wanted.command}",
            hint=f"it has {', '.join(commands) or 'none'}: storectl tool run --from {wanted.requirements[0]} COMMAND",
        )
    execute([program, *arguments], tool_environ(environment, os.environ))


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
