"""`storectl tool`: run commands of packages that belong to no project."""

import os
from typing import Annotated

import typer

from storectl.commands.output import print_lines
from storectl.commands.parameters import Offline, Python
from storectl.daemon.chosen_python import chosen_python
from storectl.errors import TargetNotFoundError
from storectl.locks.tools import known_tools, lock_tool, remove_tool, tool_of
from storectl.options import Options, options_of_environment
from storectl.program import execute, tool_environ
from storectl.run import environment_at
from storectl_shim.locations import state_folder

app = typer.Typer(no_args_is_help=True, help="Run commands of packages that belong to no project.")

Name = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="The command, by default of the project of that name.")
]
Arguments = Annotated[list[str] | None, typer.Argument(metavar="ARGUMENTS", help="For the command itself.")]
Source = Annotated[str | None, typer.Option("--from", metavar="REQUIREMENT", help="The project that has the command.")]
More = Annotated[list[str] | None, typer.Option("--with", metavar="REQUIREMENT", help="One more; may be repeated.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Lock it anew.")]


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    name: Name,
    arguments: Arguments = None,
    *,
    source: Source = None,
    more: More = None,
    python: Python = None,
    refresh: Refresh = False,
    offline: Offline = False,
) -> None:
    """Run a tool. It is locked once, by uv or pip, and then always the same until --refresh."""
    ambient = options_of_environment(os.environ)
    offline = offline or ambient.offline
    tool = tool_of(name, source=source, more=more or [], python=python or ambient.python)
    folder = lock_tool(
        state_folder(os.environ),
        tool,
        os.environ,
        choose=lambda: chosen_python(tool.python, os.environ),
        refresh=refresh,
        offline=offline,
    )
    environment = environment_at(os.path.realpath(folder), Options(offline=offline), os.environ)
    program = os.path.join(environment, "bin", tool.command)
    if not os.path.isfile(program):
        commands = sorted(n for n in os.listdir(os.path.join(environment, "bin")) if not n.startswith("python"))
        raise TargetNotFoundError(
            f"{', '.join(tool.requirements)} has no command {tool.command}",
            hint=f"it has {', '.join(commands) or 'none'}: storectl tool run --from {tool.requirements[0]} COMMAND",
        )
    execute([program, *(arguments or [])], tool_environ(environment, os.environ))


@app.command("list")
def list_tools() -> None:
    """Print every tool that was locked."""
    print_lines(*(shown for shown, _ in known_tools(state_folder(os.environ))))


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="The name of its command.")]) -> None:
    """Forget a tool, by the name of its command."""
    found = [folder for shown, folder in known_tools(state_folder(os.environ)) if shown.partition(" ")[0] == name]
    if not found:
        raise TargetNotFoundError(f"no tool {name} was ever run", hint="storectl tool list prints those that were")
    for folder in found:
        remove_tool(folder)
