"""`storectl run`, where the launcher does not do it: options, links, first runs, changed lock files, errors.

What it imports is part of what it promises: neither typer, rich, httpx2 nor json, unless the environment must be made.
"""

from __future__ import annotations

import os
import sys

from storectl.errors import ClientError, DaemonProblemError, printable
from storectl.program import execute, program_environ
from storectl.project import locate_project
from storectl.run_arguments import Kind, RunRequest, parse_run
from storectl.target import check_script, command_line, looks_like_script, script_folder
from storectl_shim.locations import store_folder
from storectl_shim.project_record import last_environment, read_notices, read_ready

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

CANNOT_RUN = 125
"""The exit code where storectl itself is the reason that nothing ran; that of `env`, `timeout` and `docker run`."""

HELP = """\
Usage: storectl run [OPTIONS] [PYTHON OPTIONS] script.py | -m module | -c code | command | -  [ARGUMENTS]

Run a program in the environment of its project's lock file. The project is the nearest folder upward
from the script's (else from the current one) that holds uv.lock, pylock.toml or a requirements.txt with hashes.
Without a program: the interactive interpreter. Exit codes are the program's; 125 to 127 are storectl's.

  -p, --python VERSION|PATH   the interpreter (or STORECTL_PYTHON)
      --extra NAME            an extra of the project; may be repeated (or STORECTL_EXTRAS, a list)
      --group NAME            a dependency group; may be repeated (or STORECTL_GROUPS, a list)
      --only-group NAME       this group alone, without the project; may be repeated
      --no-default-groups     without the groups that are there by default
      --all-extras            every extra of the project
      --offline               never touch the network; say what is missing (or STORECTL_OFFLINE=1)
      --lock FILE             this lock file
      --project DIR           the project at or above this folder
  -h, --help                  this text
      --                      ends these options
Python's own options (-X dev, -W error, -I, -O, -u, -i, …) may stand there too; what follows the program is its own.
"""


def main(arguments: list[str]) -> int:
    """Run what the arguments after `storectl run` say. Returns only where that failed, with the exit code."""
    try:
        request = parse_run(arguments, os.environ)
        if request.kind is Kind.HELP:
            sys.stdout.write(HELP)
            return 0
        environment = environment_for(request, os.environ)
        environ = program_environ(environment, os.environ)
        execute(_command(request, environment, environ), environ)
    except ClientError as error:
        sys.stderr.write(error.report())
        return error.exit_code if error.exit_code != ClientError.exit_code else CANNOT_RUN


def environment_for(request: RunRequest, environ: Mapping[str, str]) -> str:
    """The absolute path of the request's environment, made by the daemon where it is not ready."""
    project, _ = locate_project(_starts(request), request.options, environ)
    store, key = store_folder(environ), request.options.key
    ready = read_ready(store, project, key)
    if ready is None:
        return _made_environment(request, project, last_environment(store, project, key))
    for notice in read_notices(store, project, key):
        sys.stderr.write(f"storectl: warning: {printable(notice)}\n")
    return ready


def _starts(request: RunRequest) -> list[str]:
    """Where the search for the project starts, the first first; TargetNotFoundError for a script that is not there."""
    script = request.kind is Kind.NAMED and looks_like_script(request.arguments[0])
    if script:
        check_script(request.arguments[0])
    if request.project is not None:
        return [request.project]
    return [script_folder(request.arguments[0]), os.getcwd()] if script else [os.getcwd()]


def _made_environment(request: RunRequest, project: str, last: str | None) -> str:
    """What the daemon makes; the last good environment where only the lock file is at fault."""
    from storectl.warming import warm  # noqa: PLC0415 - an environment that is ready needs no daemon and no HTTP

    try:
        return warm(project, request.options, os.environ).path
    except DaemonProblemError as error:
        if last is None or not error.code.startswith("E_LOCK"):
            raise
        sys.stderr.write(
            f"storectl: warning: {error.code}: {error.message} (running in the last good environment of {project})\n"
        )
        return last


def _command(request: RunRequest, environment: str, environ: Mapping[str, str]) -> list[str]:
    if request.kind is Kind.NAMED:
        name, *arguments = request.arguments
        return command_line(name, tuple(arguments), request.interpreter_options, environment, environ)
    return [os.path.join(environment, "bin", "python"), *request.interpreter_options, *request.arguments]
