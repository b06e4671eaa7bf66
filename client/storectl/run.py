"""`storectl run`, if the launcher hands it over: options, links, first runs, changed lock files, errors.

It has to be quick: it imports neither click, h11 nor json, unless the environment must be made.
"""

from __future__ import annotations

import os
import sys

from storectl.errors import ClientError, DaemonProblemError, NoLockFileError, OutputError, printable
from storectl.locks.named import default_project, named_project
from storectl.locks.script_block import script_lock_file
from storectl.program import execute, program_environ
from storectl.project import locate_member
from storectl.run_arguments import Kind, RunRequest, parse_run
from storectl.target import SCRIPT_SUFFIXES, check_script, command_line, names_script, script_folder
from storectl_shim.locations import store_folder
from storectl_shim.project_record import last_environment, read_notices, read_ready

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storectl.options import Options

CANNOT_RUN = 125
"""The exit code if storectl itself is the reason that nothing ran; also that of `env`, `timeout` and `docker run`."""

HELP = """\
Usage: storectl run [OPTIONS] [PYTHON OPTIONS] script.py | -m module | -c code | command | -  [ARGUMENTS]

Run a program in the environment of its project's lock file. The project is the nearest folder upward
from the script's (else from the current one) that holds uv.lock, pylock.toml or a requirements.txt with hashes.
Without a program: the interactive interpreter. Exit codes are the program's; 125 to 127 are storectl's.

  -p, --python VERSION|PATH   the interpreter (or STORECTL_PYTHON, UV_PYTHON); several run the program under each
      --parallel              several side by side, the version before each line of output
      --extra NAME            an extra of the project; may be repeated (or STORECTL_EXTRAS, a list)
      --group NAME            a dependency group; may be repeated (or STORECTL_GROUPS, a list)
      --only-group NAME       this group alone, without the project; may be repeated
      --no-default-groups     without the groups that are there by default
      --all-extras            every extra of the project
      --with REQUIREMENT      on top of the project, locked once to fit it; may be repeated
      --refresh               lock what --with names anew
      --offline               never touch the network; say what is missing (or STORECTL_OFFLINE=1, UV_OFFLINE=1)
      --lock FILE             this lock file
      --project DIR           the project at or above this folder
  -e, --env NAME              this named environment, made by `storectl env create` (or STORECTL_ENV)
  -h, --help                  this text
      --                      ends all options: what follows is the name of a script or command
Python's own options (-X dev, -W error, -I, -O, -u, -i, …) may stand there too; what follows the program is its own.
"""


def main(arguments: list[str]) -> int:
    """Do what the arguments after `storectl run` ask for: become the program, or return an exit code."""
    try:
        request = parse_run(arguments, os.environ)
        if request.kind is Kind.HELP:
            sys.stdout.write(HELP)
            return 0
        if len(request.choices) > 1 or request.parallel:
            return _run_matrix(request)
        command, environ = _prepared(request, request.options)
        execute(command, environ)
    except OutputError:
        raise  # the caller ends this command as any other
    except ClientError as error:
        sys.stderr.write(error.report())
        return error.exit_code if error.exit_code != ClientError.exit_code else CANNOT_RUN


def _run_matrix(request: RunRequest) -> int:
    """Run the program under each Python. Every environment is made before the first program starts."""
    from storectl.matrix import Prepared, run_in_turn, run_side_by_side  # noqa: PLC0415 - only if there are several

    runs = []
    for options in request.choices:
        command, environ = _prepared(request, options)
        runs.append(Prepared(python=options.python or "default", command=command, environ=environ))
    return run_side_by_side(runs) if request.parallel else run_in_turn(runs)


def _prepared(request: RunRequest, options: Options) -> tuple[list[str], dict[str, str]]:
    """The program's command line and variables with these options. A script may have a lock file of its own."""
    named = request.kind is Kind.NAMED and not (options.lock_file or request.project or request.name)
    if named and (_is_script(request) or os.path.isfile(request.arguments[0])):
        check_script(request.arguments[0])
        own = script_lock_file(request.arguments[0])
        options = options.with_lock_file(own) if own is not None else options
    try:
        environment = environment_for(request, options, os.environ)
    except NoLockFileError:
        _check_meant_script(request)
        raise
    environ = program_environ(environment, os.environ)
    return _command(request, environment, environ), environ


def environment_for(request: RunRequest, options: Options, environ: Mapping[str, str]) -> str:
    """The absolute path of the environment with these options; the daemon makes it if it is not ready."""
    if request.requirements:
        return _environment_with(request, options, environ)
    return environment_at(*_project(request, options, environ), environ)


def _environment_with(request: RunRequest, options: Options, environ: Mapping[str, str]) -> str:
    """The environment with the requirements of --with on top of the project's; without a project, with them alone."""
    from storectl.locks.overlay import locked_alone, locked_overlay  # noqa: PLC0415 - only --with has to wait for it

    wanted, refresh, offline = request.requirements, request.refresh, options.offline
    try:
        project, options = _project(request, options, environ)
    except NoLockFileError:
        if options.lock_file is not None or request.project is not None:
            raise
        lock_file = locked_alone(wanted, options.python, environ, refresh=refresh, offline=offline)
        return environment_at(os.path.dirname(lock_file), options.alone(), environ)
    below = environment_at(project, options, environ)
    overlay = locked_overlay(wanted, below, project, environ, refresh=refresh, offline=offline)
    return environment_at(project, options.with_overlay(overlay), environ)


def _project(request: RunRequest, options: Options, environ: Mapping[str, str]) -> tuple[str, Options]:
    """The folder of the project, or of the named environment, and the options for it.

    If there is no project, it is the user's default environment; NoLockFileError if there is none of both.
    """
    if request.name is not None:
        return named_project(request.name, options, environ)
    try:
        project, _, options = locate_member(_starts(request), options, environ)
    except NoLockFileError as error:
        default = None if error.facts.get("unlocked", True) else default_project(options, environ)
        if default is None:
            raise
        return default
    return project, options


def environment_at(project: str, options: Options, environ: Mapping[str, str]) -> str:
    """The absolute path of the environment of the project in this folder, which has no symbolic links in its path."""
    store, key = store_folder(environ), options.key
    ready = read_ready(store, project, key)
    if ready is None:
        return _made_environment(options, project, last_environment(store, project, key))
    for notice in read_notices(store, project, key):
        sys.stderr.write(f"storectl: warning: {printable(notice)}\n")
    return ready


def _starts(request: RunRequest) -> Iterator[str]:
    """Where the search for the project starts, in order; TargetNotFoundError for a script that is not there."""
    script = _is_script(request)
    if script:
        check_script(request.arguments[0])
    if request.project is not None:
        yield request.project
        return
    if script:
        yield script_folder(request.arguments[0])
    yield os.getcwd()


def _check_meant_script(request: RunRequest) -> None:
    """TargetNotFoundError for a script that is not there. Without a project its name cannot be a command's."""
    if request.kind is Kind.NAMED and request.arguments[0].endswith(SCRIPT_SUFFIXES):
        check_script(request.arguments[0])


def _is_script(request: RunRequest) -> bool:
    return request.kind is Kind.NAMED and names_script(request.arguments[0])


def _made_environment(options: Options, project: str, last: str | None) -> str:
    """The environment that the daemon makes; the last good one if it refuses the lock file."""
    from storectl.daemon.warming import warm  # noqa: PLC0415 - an environment that is ready needs no daemon and no HTTP

    try:
        return warm(project, options, os.environ).path
    except DaemonProblemError as error:
        gone = options.lock_file is not None and not os.path.exists(options.lock_file)  # that a named one follows
        if last is None or not (gone or error.code.startswith("E_LOCK")):
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
