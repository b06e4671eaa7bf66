"""Environments for the Python API: what an environment offers, and how the command line is asked to make one.

Standard library only, CPython 3.9 to 3.14: a notebook's interpreter need not have storectl installed. The command line
makes the environment in a process of its own, so that nothing of it is loaded here and conflicts with the project's.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from storectl_shim.activation_errors import ActivationError
from storectl_shim.leases import held
from storectl_shim.locations import NoHomeError, store_folder
from storectl_shim.project_record import (
    INPUTS,
    LOCK_FILES,
    absolute_interpreter,
    absolute_lock_file,
    find_member,
    find_project,
    options_key,
    read_ready,
)
from storectl_shim.trust import ForeignFileError, check_inputs

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from storectl_shim.asked import Asked

COMMAND = "storectl-python"

_REPORT = re.compile(r"storectl: (E_[A-Z0-9_]+): (.*)")
_OWN_VARIABLES = ("STORECTL_PYTHON", "STORECTL_EXTRAS", "STORECTL_GROUPS", "STORECTL_SOCKET", "STORECTL_LEASE")
"""Variables that `storectl` would take for options. Here only the arguments count."""


@dataclass(frozen=True)
class Environment:
    """One environment, ready to be used. All paths are absolute.

    ``path`` is its folder, ``python`` its interpreter, ``site_packages`` what belongs on ``sys.path``; ``project`` and
    ``lock_file`` are what it was made from.
    """

    path: str
    project: str
    lock_file: str

    @property
    def id(self) -> str:
        """The name of the environment. Equal lock files and interpreters have the same environment."""
        return os.path.basename(self.path)

    @property
    def python(self) -> str:
        """Its ``bin/python``."""
        return os.path.join(self.path, "bin", "python")

    @property
    def site_packages(self) -> str:
        """Its ``lib/pythonX.Y/site-packages``."""
        library = os.path.join(self.path, "lib")
        names = [name for name in sorted(os.listdir(library)) if name.startswith("python")]
        return os.path.join(library, names[0], "site-packages")

    @property
    def scripts(self) -> dict[str, str]:
        """Its commands: the absolute path of each, by name."""
        folder = os.path.join(self.path, "bin")
        return {name: os.path.join(folder, name) for name in sorted(os.listdir(folder)) if not _is_python(name)}

    @property
    def import_map(self) -> dict[str, str]:
        """The file of each module that its wheels provide, by name; for environments of this interpreter only."""
        return dict(read_import_map(self).modules())


class Modules:
    """The import map of an environment, asked by module name."""

    def __init__(self, site_packages: str, reader: Any) -> None:
        self._root = site_packages
        self._map = reader.ImportMap(root_of(site_packages), site_packages, None, _say_nothing)
        self._module, self._namespace = reader.MODULE, reader.NAMESPACE
        self._suffixes = [suffix for _, suffixes in reader.LOADERS for suffix in suffixes]

    def file_of(self, name: str) -> str | None:
        """The file of a module; None if the environment lacks it, or has only folders of a namespace."""
        parent, _, tail = name.rpartition(".")
        record = self._table(parent.replace(".", "/")).get(tail)
        return None if record is None else self._file(name.replace(".", "/"), record)

    def modules(self, folder: str = "") -> Iterator[tuple[str, str]]:
        """Every module at and below a folder (``pkg/sub``), with its file."""
        for tail, record in sorted(self._table(folder).items()):
            if tail == "__init__":
                continue  # the package itself, once more
            below = f"{folder}/{tail}" if folder else tail
            file = self._file(below, record)
            if file is not None:
                yield below.replace("/", "."), file
            if not self._module <= record < self._namespace:
                yield from self.modules(below)

    def _table(self, folder: str) -> dict[str, int]:
        table: dict[str, int] = (self._map.table(folder) or {}) if folder else self._map.top_level()
        if self._map.failed:
            raise ActivationError(
                f"the import map of {self._map.root} cannot be read",
                code="E_IMPORT_MAP",
                hint="storectl doctor says what is wrong with the store",
                environment=self._map.root,
            )
        return table

    def _file(self, path: str, record: int) -> str | None:
        if record >= self._namespace:
            return None
        inside = "" if record >= self._module else "/__init__"
        return f"{self._root}/{path}{inside}{self._suffixes[record % self._module]}"


def root_of(site_packages: str) -> str:
    """``<root>`` of ``<root>/lib/python3.12/site-packages``."""
    return site_packages.rsplit("/", 3)[0]


def _say_nothing(trouble: str) -> None:
    """Print nothing: the caller raises what is wrong with the map."""


def read_import_map(environment: Environment) -> Modules:
    """The import map, read by the environment's own shim: whatever the map's format is, that shim knows it.

    ActivationError E_INTERPRETER if the environment is for another Python: only that one knows its suffixes.
    """
    check_interpreter(environment)
    folder = os.path.realpath(environment.site_packages)
    loader = importlib.machinery.SourceFileLoader("_storectl_map", os.path.join(folder, "..", "_storectl_map.py"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    reader = importlib.util.module_from_spec(spec)
    loader.exec_module(reader)
    return Modules(folder, reader)


def check_interpreter(environment: Environment) -> None:
    """ActivationError E_INTERPRETER if the environment is not for this interpreter."""
    own = library_folder()
    other = os.path.basename(os.path.dirname(environment.site_packages))
    if own != other:
        raise ActivationError(
            f"{environment.path} is for {other}, and this is {own}",
            code="E_INTERPRETER",
            hint="make the environment of this interpreter: without `python`",
            environment=environment.path,
        )


def library_folder() -> str:
    """``python3.12``, or ``python3.13t`` for a free-threaded build."""
    threaded = "t" if "t" in getattr(sys, "abiflags", "") else ""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}{threaded}"


def this_interpreter() -> str:
    """This interpreter, or the one that its virtual environment was made of; absolute, without symbolic links."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def make_environment(
    asked: Asked, *, python: str | None = None, offline: bool = False, keep: str | None = None
) -> Environment:
    """The environment that is asked for. The daemon makes it if it is not ready; ActivationError if it cannot be made.

    It stays there as long as this process lives. ``python`` is a version or the path of an interpreter, None for the
    project's own. If requirements have to be locked, the versions in the environment ``keep`` stay if they fit.
    """
    if asked.alone:
        return _make_alone({"python": python}, ["--no-project", *_on_top(asked, keep)], offline=offline)
    lock_file = None if asked.lock is None else absolute_lock_file(os.fspath(asked.lock))
    try:
        folder, found, member = _locate(asked.project, lock_file)
    except ForeignFileError as error:
        raise ActivationError(str(error), code=error.code, hint=error.hint, path=error.path) from None
    options: dict[str, Any] = {
        "python": None if python is None else absolute_interpreter(python),
        "extras": asked.extras,
        "groups": asked.groups,
        "default_groups": asked.default_groups,
        "lock_file": lock_file,
        "member": member,
    }

    def made() -> str:
        ready = None if asked.requirements else read_ready(_store(), folder, options_key(**options))
        return ready or str(_warm(member or folder, options, _on_top(asked, keep), offline=offline)["path"])

    return Environment(path=held(made, str), project=folder, lock_file=found)


def _make_alone(options: Mapping[str, Any], more: Sequence[str], *, offline: bool) -> Environment:
    made = held(lambda: _warm(os.getcwd(), options, more, offline=offline), lambda answer: str(answer["path"]))
    return Environment(path=made["path"], project=made["project"], lock_file=made["lock_file"])


def has_project() -> bool:
    """Whether there is a project for the notebook or the current folder."""
    try:
        _locate(None, None)
    except (ActivationError, ForeignFileError):
        return False
    return True


def _on_top(asked: Asked, keep: str | None) -> list[str]:
    """The options of `storectl warm` for the requirements."""
    options = [f"--with={text}" for text in asked.requirements]
    return [*options, "--keep", keep] if options and keep is not None else options


def _store() -> str:
    try:
        return store_folder(os.environ)
    except NoHomeError as error:
        raise ActivationError(str(error), code="E_NO_HOME", hint=error.hint) from None


def names_of(given: Iterable[str]) -> tuple[str, ...]:
    """Names sorted, each once. A single name may be given as a text."""
    return tuple(sorted({given} if isinstance(given, str) else set(given)))


def _locate(project: str | os.PathLike[str] | None, lock_file: str | None) -> tuple[str, str, str | None]:
    """The project's folder, lock file and, if any, workspace member; ActivationError E_NO_LOCK without a project."""
    if lock_file is not None and project is None:
        if os.path.isfile(lock_file):
            check_inputs(os.path.dirname(lock_file), INPUTS, lock_file, os.environ)
            return os.path.dirname(lock_file), lock_file, None
        raise ActivationError(f"no lock file at {lock_file}", code="E_NO_LOCK", hint="check the path", start=lock_file)
    starts = [os.path.abspath(os.fspath(project))] if project is not None else _ambient_starts()
    for start in starts:
        folder = start if os.path.isdir(start) else os.path.dirname(start)
        found = find_project(folder, os.environ.get("HOME"))
        if found is not None:
            if lock_file is not None:
                return found[0], lock_file, None
            return found[0], found[1], find_member(folder, *found)
    raise ActivationError(
        f"no lock file ({', '.join(LOCK_FILES)}) at or above {starts[0]}",
        code="E_NO_LOCK",
        hint="make one (`uv lock`), or name the project's folder or a lock file",
        start=starts[0],
    )


def _ambient_starts() -> list[str]:
    """Where the search for a project starts: the notebook, if Jupyter or VS Code tells it, and the current folder."""
    main = sys.modules.get("__main__")
    told = (getattr(main, "__vsc_ipynb_file__", None), os.environ.get("JPY_SESSION_NAME"))
    notebooks = [path for path in told if isinstance(path, str) and os.path.isabs(path) and os.path.exists(path)]
    return [*notebooks, os.getcwd()]


def _warm(folder: str, options: Mapping[str, Any], more: Sequence[str], *, offline: bool) -> dict[str, Any]:
    """The answer of `storectl warm --json`. What the command reports goes on to stderr."""
    command = [*storectl_command(), "warm", folder, "--json", *more]
    command += ["--python", options["python"]] if options["python"] is not None else []
    command += [word for name in options.get("extras", ()) for word in ("--extra", name)]
    command += [word for name in options.get("groups", ()) for word in ("--group", name)]
    command += [] if options.get("default_groups", True) else ["--no-default-groups"]
    command += ["--lock", options["lock_file"]] if options.get("lock_file") is not None else []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_command_environ(offline=offline),
        universal_newlines=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        report = _pass_on(process.stderr)
        output, _ = process.communicate()
    except BaseException:  # such as an interrupted cell: the environment is no longer waited for
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        raise _problem(report, process.returncode)
    answer: dict[str, Any] = json.loads(output)
    return answer


def _pass_on(stderr: Iterable[str] | None) -> list[str]:
    """Show progress and warnings as they come; return the lines of an error, for the exception."""
    report: list[str] = []
    for line in stderr or ():
        if report or _REPORT.match(line):
            report.append(line.rstrip("\n"))
        elif sys.stderr is not None:
            sys.stderr.write(line)
    return report


def _problem(report: list[str], code: int) -> ActivationError:
    match = _REPORT.match(report[0]) if report else None
    if match is None:
        return ActivationError(f"storectl warm ended with exit code {code}", code="E_COMMAND", hint="see its output")
    hint = next((line.partition(": ")[2] for line in report if line.startswith("hint: ")), None)
    return ActivationError(match[2], code=match[1], hint=hint)


def storectl_command() -> list[str]:
    """The command line that belongs to this file, or to this interpreter, or is on PATH; ActivationError E_COMMAND."""
    package = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(os.path.normpath(os.path.join(package, *[".."] * 4)), "bin", COMMAND)
    beside = os.path.join(os.path.dirname(sys.executable or ""), COMMAND)
    found = next((path for path in (installed, beside) if os.access(path, os.X_OK)), None) or shutil.which(COMMAND)
    if found is not None:
        return [found]
    if "storectl" in sys.modules and sys.executable:
        return [sys.executable, "-P", "-m", "storectl"]
    raise ActivationError(
        f"there is no {COMMAND} on PATH", code="E_COMMAND", hint="install storectl, or add its bin folder to PATH"
    )


def _command_environ(*, offline: bool) -> dict[str, str]:
    """The variables for the command line: without those that are meant for this interpreter and its environment."""
    environ = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    environ["STORECTL_OFFLINE"] = "1" if offline else "0"
    if "storectl" not in sys.modules:  # if storectl is imported from PYTHONPATH, the command line needs it too
        environ.pop("PYTHONPATH", None)
    environ.pop("PYTHONHOME", None)
    return environ


def _is_python(name: str) -> bool:
    return re.fullmatch(r"python[0-9.]*t?", name) is not None
