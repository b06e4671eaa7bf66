"""`python`, `python3` and `python3.12` as names of the launcher (`storectl shim install`), if it hands over.

In a project, and for a script of one, the name means the Python of the project's environment, as for `storectl run`;
elsewhere that of the default environment. ``python3.12`` never means another version: in a project it is -p 3.12. If
there is neither, it is the next program of that name on PATH, which the launcher looks for; if there is none of that
name, it is what the daemon finds.
"""

from __future__ import annotations

import os
import re
import sys

from storectl.daemon.chosen_python import chosen_python
from storectl.errors import ClientError, NoLockFileError, OutputError, PipRefusedError, ProjectOwnerError
from storectl.locks.named import default_project, named_project
from storectl.program import execute, program_environ
from storectl.project import locate_member
from storectl.run import CANNOT_RUN, environment_at
from storectl.run_arguments import script_of
from storectl.run_options import options_of_environment
from storectl.target import script_folder
from storectl_shim.locations import NoHomeError, store_folder
from storectl_shim.own_variables import PASSED
from storectl_shim.project_record import last_environment

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storectl.options import Options

_PYTHONS = ("STORECTL_PYTHON", "UV_PYTHON")
_ONLY_VERSION = (["-V"], ["-VV"], ["--version"])


def main(arguments: list[str]) -> int:
    """Become the Python that the launcher was called as: its path, and the arguments. Or return an exit code."""
    path, *rest = arguments
    try:
        command, environ = _meant(path, rest, os.environ)
        execute([command, *rest], environ)
    except OutputError:
        raise  # the caller ends this command as any other
    except ClientError as error:
        sys.stderr.write(error.report())
        return CANNOT_RUN


def _meant(path: str, arguments: list[str], environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The program and its variables."""
    name = os.path.basename(path)
    own = {key: value for key, value in environ.items() if key != PASSED}
    if environ.get(PASSED) == f"{os.getpid()} none":
        return _found(name, own), own
    environment = _environment(name, arguments, own)
    if environment is None:
        return path, own | {PASSED: f"{os.getpid()} next"}
    if arguments[:2] == ["-m", "pip"]:
        _check_pip(environment)
    return os.path.join(environment, "bin", name), program_environ(environment, own)


def _environment(name: str, arguments: list[str], environ: Mapping[str, str]) -> str | None:
    """The environment whose Python is meant; None outside of projects, if none has a Python of this name."""
    version = _version(name)
    passed = _PYTHONS if version else ()
    options = options_of_environment({name: value for name, value in environ.items() if name not in passed})
    try:
        project, options = _project(arguments, options, environ)
    except (NoHomeError, NoLockFileError, ProjectOwnerError):
        default = default_project(options, environ)
        environment = environment_at(*default, environ) if default is not None else None
        return environment if environment is not None and _has(environment, name) else None
    environment = _made(project, options, arguments, environ)
    if environment is None or _has(environment, name):
        return environment
    return _made(project, options.with_python(version), arguments, environ)


def _made(project: str, options: Options, arguments: list[str], environ: Mapping[str, str]) -> str | None:
    """The environment of the project. For a question of what Python this is, the last one will do, or else none.

    Prompts of shells ask for the version in every folder, and tools that look for interpreters try each (``-I``): for
    that alone nothing of a project is locked, fetched and built.
    """
    if arguments in _ONLY_VERSION or (arguments[:1] and re.fullmatch(r"-[A-Za-z]*I[A-Za-z]*", arguments[0])):
        return last_environment(store_folder(environ), project, options.key)
    return environment_at(project, options, environ)


def _project(arguments: list[str], options: Options, environ: Mapping[str, str]) -> tuple[str, Options]:
    if named := environ.get("STORECTL_ENV"):
        return named_project(named, options, environ)
    project, _, options = locate_member(_starts(script_of(arguments)), options, environ)
    return project, options


def _starts(script: str | None) -> Iterator[str]:
    if script is not None and os.path.exists(script):
        yield script_folder(script)
    yield os.getcwd()


def _has(environment: str, name: str) -> bool:
    return os.access(os.path.join(environment, "bin", name), os.X_OK)


def _version(name: str) -> str | None:
    """``3.12`` of ``python3.12``; None of ``python3``, which is every version's name."""
    version = name.removeprefix("python")
    return version if "." in version else None


def _found(name: str, environ: Mapping[str, str]) -> str:
    """The interpreter of this name that is not on PATH, such as one of uv or pyenv."""
    options = options_of_environment(environ)
    chosen = chosen_python(_version(name) or options.python, environ, offline=options.offline)
    return chosen.executable or name


def _check_pip(environment: str) -> None:
    library = os.path.join(environment, "lib")
    if any(os.path.isdir(os.path.join(library, each, "site-packages", "pip")) for each in os.listdir(library)):
        return
    raise PipRefusedError(
        f"{environment} has no pip: it is made from a lock file, and nothing is installed into it",
        hint="add it to the project (`storectl add NAME`), or to a named environment (`storectl env add`)",
    )
