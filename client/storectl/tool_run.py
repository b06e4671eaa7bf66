"""`storectl tool run`, if the launcher hands it over: options, first runs, `--refresh`, errors.

It goes the way of `storectl run`, with neither click nor json if the tool is ready. What it does not read itself is
click's (``storectl.commands.tool``).
"""

from __future__ import annotations

import os
import sys

from storectl.daemon.chosen_python import chosen_python
from storectl.errors import ClientError, OutputError, TargetNotFoundError
from storectl.frozen import is_frozen
from storectl.locks.remembered import Locking
from storectl.locks.tools import Tool, lock_tool, tool_of
from storectl.meaning import Meaning, grounds_of_tool, write_shortcut
from storectl.options import Options
from storectl.program import execute, tool_environ
from storectl.run import environment_at, with_files
from storectl.run_options import options_of_environment
from storectl.shortcuts import spelling_of_tool
from storectl.tool_arguments import ToolRequest, parse_tool_run

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of a run
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def main(arguments: list[str]) -> int | None:
    """Do what the arguments after `storectl tool run` ask for: become the tool, or return an exit code.

    None if click has to read the arguments.
    """
    own = dict(os.environ)
    request = parse_tool_run(arguments, own)
    if request is None:
        return None
    os.environ.update(request.asked.variables)
    try:
        run_tool(request, own, typed=arguments)
    except OutputError:
        raise  # the caller ends this command as any other
    except ClientError as error:
        sys.stderr.write(error.report())
        return error.exit_code


def run_tool(request: ToolRequest, own: Mapping[str, str], *, typed: list[str]) -> NoReturn:
    """Become the tool, with the user's own variables. ``typed`` are the arguments after `storectl tool run`.

    RequirementsError if it cannot be locked, TargetNotFoundError if it has no command of this name.
    """
    asked = request.asked
    ambient = options_of_environment(os.environ)
    offline = "offline" in asked or ambient.offline
    tool = tool_of(
        request.name,
        source=next(iter(asked.all("from")), None),
        more=(*asked.all("with"), *(f"-r {file}" for file in asked.all("files"))),
        python=next(iter(asked.all("python")), None) or ambient.python,
    )
    folder = lock_tool(
        tool,
        os.environ,
        Locking(refresh="refresh" in asked, offline=offline),
        choose=lambda: chosen_python(tool.python, os.environ, offline=offline),
    )
    environment = environment_at(folder, Options(offline=offline), os.environ)
    program = _program(tool, environment)
    _remember(tool, folder, typed, own)
    files = asked.all("env_files") or tuple(own.get("UV_ENV_FILE", "").split())
    given = with_files(() if "no_env_file" in asked else files, own)
    execute([program, *request.arguments], tool_environ(environment, given))


def _program(tool: Tool, environment: str) -> str:
    program = os.path.join(environment, "bin", tool.command)
    if os.path.isfile(program):
        return program
    commands = sorted(n for n in os.listdir(os.path.join(environment, "bin")) if not n.startswith("python"))
    raise TargetNotFoundError(
        f"{', '.join(tool.requirements)} has no command {tool.command}",
        hint=f"it has {', '.join(commands) or 'none'}: storectl tool run --from {tool.requirements[0]} COMMAND",
    )


def _remember(tool: Tool, folder: str, typed: list[str], environ: Mapping[str, str]) -> None:
    """Leave a shortcut, so that the launcher itself starts the tool the next time."""
    spelled = spelling_of_tool(typed, environ)
    if spelled is None or is_frozen(environ):
        return
    if any("/" in text for text in tool.requirements):  # a path depends on the current folder
        return
    grounds = grounds_of_tool(spelled.name, environ)
    write_shortcut(spelled.spelling, lambda: grounds, lambda: Meaning(folder, Options().key), environ)
