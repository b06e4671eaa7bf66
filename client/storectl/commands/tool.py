"""`storectl tool`: run commands of packages that belong to no project."""

import os
from typing import Any

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import PASS_ON, Group, asked_by, options_of_tools, own_variables, settings
from storectl.errors import TargetNotFoundError
from storectl.locks.tools import known_tools, remove_tool
from storectl.run_options import unknown_option
from storectl.tool_arguments import TOOL_OPTIONS, ToolRequest
from storectl.tool_run import run_tool
from storectl_shim.locations import state_folder


@click.group(cls=Group, no_args_is_help=True)
def tool() -> None:
    """Run commands of packages that belong to no project."""


@tool.command(context_settings=PASS_ON)
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
@options_of_tools
@settings
@click.pass_context
def run(context: click.Context, /, name: str, arguments: tuple[str, ...], **values: Any) -> None:
    """Run a tool. It is locked once, by uv or pip, and then always the same until --refresh."""
    if name.startswith("-"):
        known = (each for parameter in context.command.params for each in parameter.opts)
        raise unknown_option(name, known, command="tool run", hint="see storectl tool run --help")
    asked = asked_by(TOOL_OPTIONS, values)
    run_tool(ToolRequest(name, arguments, asked), own_variables(context), typed=[])


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
