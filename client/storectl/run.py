"""`storectl run`, if the launcher hands it over: options, links, first runs, changed lock files, errors.

It has to be quick: it imports neither click nor json, unless the environment must be made.
"""

from __future__ import annotations

import os
import sys

from storectl.errors import (
    ClientError,
    DaemonProblemError,
    FileAccessError,
    NoLockFileError,
    OutputError,
    ProjectOwnerError,
    printable,
)
from storectl.frozen import frozen_environment, is_frozen
from storectl.locks.freshness import with_fresh_lock_file
from storectl.locks.named import DEFAULT, default_project, named_project
from storectl.locks.remembered import Locking, locking_for
from storectl.locks.script_block import has_block, script_lock_file
from storectl.locks.unlocked import locate_or_lock
from storectl.meaning import (
    Grounds,
    Meaning,
    forget_script,
    grounds_of_named,
    grounds_of_project,
    grounds_of_script,
    write_shortcut,
)
from storectl.options import is_true
from storectl.program import execute, program_environ
from storectl.run_arguments import Kind, RunRequest, parse_run
from storectl.run_options import help_of_options
from storectl.shortcuts import PLAIN, spelling_of
from storectl.target import SCRIPT_SUFFIXES, check_script, command_line, names_script, script_folder
from storectl_shim.leases import held
from storectl_shim.locations import store_folder
from storectl_shim.project_record import NEVER_TELL, first_told, last_environment, read_ready

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from storectl.options import Options

CANNOT_RUN = 125
"""The exit code if storectl itself is the reason that nothing ran; also that of `env`, `timeout` and `docker run`."""

_PROJECT_HINT = "--project and UV_PROJECT take the path of a folder that is there"

HELP = """\
Usage: storectl run [OPTIONS] [PYTHON OPTIONS] script.py | -m module | -c code | command | -  [ARGUMENTS]

Run a program in the environment of its project's lock file. The project is the nearest folder upward
from the script's (else from the current one) that holds a lock file: uv.lock, pylock.toml, poetry.lock, pdm.lock,
Pipfile.lock, or a requirements.txt with hashes. Without a program: the interactive interpreter.
Exit codes are the program's; 125 to 127 are storectl's.

{options}
  -h, --help                  this text
      --                      ends all options: what follows is the name of a script or command
Python's own options (-X dev, -W error, -I, -O, -u, -i, …) may stand there too; what follows the program is its own.
"""


def main(arguments: list[str]) -> int:
    """Do what the arguments after `storectl run` ask for: become the program, or return an exit code."""
    try:
        request = parse_run(arguments, os.environ, _enter)
        if request.kind == Kind.HELP:
            sys.stdout.write(HELP.format(options=help_of_options()))
            return 0
        if len(request.choices) > 1 or request.parallel:
            return _run_matrix(request)
        command, environ = _prepared(request, request.options)
        _remember(arguments, request)
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
    own = _own_variables(request, options)
    how = locking_for(options, refresh=request.refresh)
    options = _with_script(request, options, own, how)
    given = with_files(request.env_files, os.environ)
    options = options.for_program(_program(request))
    try:
        environment = environment_for(request, options, own, how)
    except NoLockFileError as error:
        _check_meant_script(request)
        if _is_passed_by(error) or not (request.no_project or _may_be_outside(request, options)):
            raise
        from storectl.bare import bare_environ, bare_python  # noqa: PLC0415 - projects do not have to wait for it

        python = bare_python(options.python, own)
        environ = bare_environ(python, given)
    else:
        python = os.path.join(environment, "bin", "python")
        environ = program_environ(environment, given)
    command = _command(request, python, environ)
    if is_true(own.get("STORECTL_VERBOSE")):
        sys.stderr.write(f"storectl: {printable(' '.join(command))} (with {python})\n")
    return command, environ


def _program(request: RunRequest) -> tuple[str, ...]:
    """The program, if its imports can be told before it runs: a script, ``-c`` with code, ``-m`` with a module."""
    if request.kind != Kind.NAMED:
        return request.arguments[:2]
    file = _named_file(request)
    return () if file is None else (file,)


def _own_variables(request: RunRequest, options: Options) -> dict[str, str]:
    """The variables that count for storectl itself."""
    return {**os.environ, **request.variables, **({"UV_OFFLINE": "1"} if options.offline else {})}


def _with_script(request: RunRequest, options: Options, environ: Mapping[str, str], how: Locking) -> Options:
    """The options with the lock file of the script, if it has a block."""
    file = _file_that_may_have_block(request)
    if file is None:
        return options
    check_script(file)
    lock_file = script_lock_file(file, options.python, environ, how)
    return options.with_lock_file(lock_file) if lock_file is not None else options


def _file_that_may_have_block(request: RunRequest) -> str | None:
    elsewhere = request.options.lock_file or request.project or request.environment
    return None if elsewhere else _named_file(request)


def _named_file(request: RunRequest) -> str | None:
    """The script, or another file, that the program is; None if it is neither."""
    if request.kind != Kind.NAMED:
        return None
    name = request.arguments[0]
    return name if _is_script(request) or os.path.isfile(name) else None


def _remember(arguments: list[str], request: RunRequest) -> None:
    """Leave a shortcut, so that the launcher itself starts the next program that is asked for in this way."""
    spelled = spelling_of(arguments, os.environ)
    if spelled is None or is_frozen(os.environ) or _names_paths(request.requirements):
        return
    environ = _own_variables(request, request.options)

    def resolve() -> Meaning:
        how = Locking(locked=True)
        project, options = _project(request, _with_script(request, request.options, environ, how), environ, how)
        if not request.requirements:
            return Meaning(project, options.key)
        from storectl.locks.overlay import locked_overlay  # noqa: PLC0415 - only --with has to wait for it

        below = read_ready(store_folder(environ), project, options.key, environ) or ""
        overlay = locked_overlay(request.requirements, below, project, environ, how)
        return Meaning(project, options.with_overlay(overlay).key, options.key)

    write_shortcut(spelled.spelling, lambda: _grounds(request, spelled.spelling, environ), resolve, environ)


def _names_paths(requirements: Iterable[str]) -> bool:
    """Whether one of these is a path: it depends on the current folder."""
    if not requirements:
        return False
    from storectl.locks.requirement_words import absolute_requirements  # noqa: PLC0415 - only --with has to wait for it

    return any("/" in text for text in absolute_requirements(requirements))


def _grounds(request: RunRequest, spelling: str, environ: Mapping[str, str]) -> Grounds | None:
    """What the meaning of this command line depends on; None if the launcher finds nothing for it."""
    if request.environment is not None:
        return grounds_of_named(request.environment, environ)
    file = _file_that_may_have_block(request)
    if file is not None:
        if has_block(file):
            return grounds_of_script(file, request.options.python, environ)
        forget_script(file, environ)
    by_name = request.options.package is not None
    found = grounds_of_project(_starts(request), by_name=by_name, environ=environ)
    return grounds_of_named(DEFAULT, environ) if found is None and spelling == PLAIN else found


def _may_be_outside(request: RunRequest, options: Options) -> bool:
    """Whether the program may run outside of a project: nothing is asked for that only a project has."""
    return options.is_plain and options.lock_file is None and request.project is None


def _is_passed_by(error: NoLockFileError) -> bool:
    """Whether there is a lock file, which another user may have put there: the user should hear of it."""
    return error.code == ProjectOwnerError.default_code


def with_files(paths: tuple[str, ...], environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, and those of the files of --env-file."""
    if not paths:
        return environ
    from storectl.env_files import with_env_files  # noqa: PLC0415 - few programs have such a file

    return with_env_files(paths, environ)


def environment_for(request: RunRequest, options: Options, environ: Mapping[str, str], how: Locking) -> str:
    """The absolute path of the environment with these options; the daemon makes it if it is not ready.

    With the requirements of --with on top of the project's; without a project, with them alone.
    """
    try:
        project, options = _project(request, options, environ, how)
    except NoLockFileError:
        if not request.requirements or not (request.no_project or _may_be_outside(request, options)):
            raise
        from storectl.locks.overlay import locked_alone  # noqa: PLC0415 - only --with has to wait for it

        lock_file = locked_alone(request.requirements, options.python, environ, how)
        return environment_at(os.path.dirname(lock_file), options.alone(), environ)
    below = environment_at(project, options, environ, last_will_do=request.no_sync)
    if not request.requirements:
        return below
    from storectl.locks.overlay import check_not_rolled_back, locked_overlay  # noqa: PLC0415 - as above

    check_not_rolled_back(project, options, environ)
    overlay = locked_overlay(request.requirements, below, project, environ, how)
    return environment_at(project, options.with_overlay(overlay), environ)


def _project(request: RunRequest, options: Options, environ: Mapping[str, str], how: Locking) -> tuple[str, Options]:
    """The folder of the project or of the named environment, and the options for it; NoLockFileError if there is none.

    Outside of projects it is the user's default environment, unless another Python is asked for or active.
    """
    if request.environment is not None:
        return named_project(request.environment, options, environ)
    try:
        project, _, options = locate_or_lock(lambda: _starts(request), options, environ, how)
    except NoLockFileError as error:
        if _is_passed_by(error):
            raise
        other = options.python or environ.get("VIRTUAL_ENV") or request.no_project
        default = default_project(options, environ) if not other and _may_be_outside(request, options) else None
        if default is None:
            raise
        return default
    return project, options


def environment_at(project: str, options: Options, environ: Mapping[str, str], *, last_will_do: bool = False) -> str:
    """The absolute path of the environment of the project in this folder, which has no symbolic links in its path.

    The environment stays there as long as this process lives. If ``last_will_do``, the one that these options had last
    is not brought up to date.
    """
    store, key = store_folder(environ), options.key

    def ready() -> str:
        last = last_environment(store, project, key)
        if last_will_do and last is not None:
            return last
        found = read_ready(store, project, key, environ)
        if found is None:
            return _made_environment(options, project, last, environ)
        if key == "default" and not is_frozen(environ):
            _tell_first(store, project, environ)
        return found

    return with_fresh_lock_file(lambda: held(ready, str), project, options, environ)


def _tell_first(store: str, project: str, environ: Mapping[str, str]) -> None:
    """Say that the environment was ready before anybody asked, if the daemon has left that to say; only to a person."""
    told = first_told(store, project)
    hushed = is_true(environ.get("STORECTL_QUIET")) or environ.get("STORECTL_TELL", "").lower() in NEVER_TELL
    if told and not hushed and sys.stderr.isatty():
        sys.stderr.write(f"storectl: {printable(told)} (storectl env show tells more; STORECTL_TELL=never, nothing)\n")


def _starts(request: RunRequest) -> Iterator[str]:
    """Where the search for the project starts, in order; TargetNotFoundError for a script that is not there."""
    script = _is_script(request)
    if script:
        check_script(request.arguments[0])
    if request.no_project:
        return
    if request.project is not None:
        if not os.path.isdir(request.project):
            raise FileAccessError(f"there is no folder {request.project}", hint=_PROJECT_HINT)
        yield request.project
        return
    if script:
        yield script_folder(request.arguments[0])
    yield os.getcwd()


def _check_meant_script(request: RunRequest) -> None:
    """TargetNotFoundError for a script that is not there. Without a project its name cannot be a command's."""
    if request.kind == Kind.NAMED and request.arguments[0].endswith(SCRIPT_SUFFIXES):
        check_script(request.arguments[0])


def _is_script(request: RunRequest) -> bool:
    return request.kind == Kind.NAMED and (request.script or names_script(request.arguments[0]))


def _made_environment(options: Options, project: str, last: str | None, environ: Mapping[str, str]) -> str:
    """The environment that the daemon makes, or that was made before; the last good one if the lock file is bad."""
    from storectl.daemon.warming import warm  # noqa: PLC0415 - an environment that is ready needs no daemon and no HTTP

    try:
        if is_frozen(environ):
            return frozen_environment(project, options, environ).path
        return warm(project, options, environ).path
    except DaemonProblemError as error:
        gone = options.lock_file is not None and not os.path.exists(options.lock_file)  # that a named one follows
        if last is None or options.lock_check or not (gone or error.code.startswith("E_LOCK")):
            raise
        sys.stderr.write(
            f"storectl: warning: {error.code}: {error.message} (running in the last good environment of {project})\n"
        )
        return last


def _command(request: RunRequest, python: str, environ: Mapping[str, str]) -> list[str]:
    if request.kind == Kind.NAMED:
        name, *arguments = request.arguments
        own = request.interpreter_options
        return command_line(name, tuple(arguments), own, python, environ, script=request.script)
    return [python, *request.interpreter_options, *request.arguments]


def _enter(folder: str) -> None:
    """Go to the folder of --directory; FileAccessError if that cannot be."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise FileAccessError(
            f"cannot go to {folder}: {error.strerror}", hint="--directory takes the path of an existing folder"
        ) from None
