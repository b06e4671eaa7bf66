"""A Jupyter kernel: the project's environment, and beside it what a kernel needs and the project does not lock.

The kernel runs the project's Python in the project's environment. If that has no ``ipykernel``, the environment of a
remembered tool for the same interpreter comes after it on ``sys.path``: the project's versions win. If they are too old
for that ipykernel, storectl locks another one that fits them. If there is none, the modules in question come from the
kernel's environment after all, and the user is told. docs/adr/0010-a-kernel-beside-the-project.md has the reasons.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import storectl_shim
from storectl.daemon.chosen_python import ChosenPython
from storectl.errors import ClientError, NoLockFileError
from storectl.kernels.fit import Installed, Misfit, installed_in, markers_of, misfits
from storectl.locks.remembered import Locking
from storectl.locks.tools import Tool, lock_tool
from storectl.options import Options
from storectl.project import locate_member
from storectl.run import environment_at
from storectl_shim.environment import Environment

KERNEL = "ipykernel"
OLDEST = "ipykernel>=6.29"
"""Locked for a project with old versions. Releases older than this state no limit to the Pythons they run on."""

_CHANGES: Mapping[str, tuple[str, str]] = {
    "uv.lock": ("`uv add {}`", "`uv remove {}`"),
    "poetry.lock": ("`poetry add {}`", "`poetry remove {}`"),
    "pdm.lock": ("`pdm add {}`", "`pdm remove {}`"),
    "Pipfile.lock": ("`pipenv install {}`", "`pipenv uninstall {}`"),
    "pylock.toml": ("add {} to pyproject.toml, `storectl lock`", "take {} out of pyproject.toml, `storectl lock`"),
    "requirements.txt": (
        "add {} to requirements.in, `storectl lock`",
        "take {} out of requirements.in, `storectl lock`",
    ),
    "": ("there is no project here: `uv init`, `uv add {}`", "there is no project here"),
}
"""By the kind of lock file: the commands to use instead of installing or removing packages in a kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel that can be started. Paths are absolute.

    ``beside`` is the site-packages folder that comes after the environment's, None if the environment has ipykernel.
    ``overlaid`` are the top-level modules that come from ``beside`` in any case. ``notices`` are shown with the first
    cell.
    """

    environment: str
    lock_file: str | None
    beside: str | None = None
    overlaid: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line of the kernel's process; ``arguments`` are for ipykernel."""
        add, remove = _CHANGES.get(os.path.basename(self.lock_file or ""), _CHANGES["uv.lock"])
        plan = {
            "beside": self.beside,
            "overlaid": self.overlaid,
            "notices": self.notices,
            "add": add,
            "remove": remove,
        }
        starter = os.path.join(os.path.dirname(os.path.abspath(storectl_shim.__file__)), "kernel.py")
        return [os.path.join(self.environment, "bin", "python"), starter, json.dumps(plan), *arguments]


def prepare_kernel(starts: Sequence[str], options: Options, environ: Mapping[str, str]) -> Kernel:
    """The kernel of the project at or above the first of ``starts`` that has one.

    If there is no project, or its environment cannot be made, the kernel has no project's packages, and a notice that
    says so. ClientError if not even ipykernel can be had.
    """
    try:
        project, lock_file, options = locate_member(starts, options, environ)
    except ClientError as error:
        return _empty_kernel(error, None, options, environ)
    try:
        environment = environment_at(project, options, environ)
    except ClientError as error:
        return _empty_kernel(error, lock_file, options, environ)
    return _kernel_of(environment, lock_file, options, environ)


def notebook_starts(environ: Mapping[str, str]) -> list[str]:
    """Where the search for the project starts: the notebook, if the server tells its path, then the current folder."""
    notebook = environ.get("JPY_SESSION_NAME", "")
    return [*([notebook] if os.path.isabs(notebook) and os.path.exists(notebook) else []), os.getcwd()]


def _empty_kernel(error: ClientError, lock_file: str | None, options: Options, environ: Mapping[str, str]) -> Kernel:
    hint = f" ({error.hint})" if error.hint and not isinstance(error, NoLockFileError) else ""
    notice = f"{error.code}: {error.message}{hint}; this kernel has none of a project's packages"
    environment = _tool_environment(_tool("{}.{}".format(*sys.version_info)), Options(offline=options.offline), environ)
    return Kernel(environment=environment, lock_file=lock_file, notices=(notice,))


def _kernel_of(environment: str, lock_file: str, options: Options, environ: Mapping[str, str]) -> Kernel:
    locked = installed_in(_site_packages(environment))
    if KERNEL in locked:
        return Kernel(environment=environment, lock_file=lock_file)
    beside, found = _fitting(environment, locked, options, environ)
    return Kernel(
        environment=environment,
        lock_file=lock_file,
        beside=beside,
        overlaid=tuple(sorted({module for misfit in found for module in misfit.beside.modules()})),
        notices=tuple(misfit.text for misfit in found),
    )


def _fitting(
    environment: str, locked: Mapping[str, Installed], options: Options, environ: Mapping[str, str]
) -> tuple[str, list[Misfit]]:
    """The site-packages folder of the ipykernel that fits best to what is locked, and the misfits that remain."""
    python, version = _interpreter_of(environment)
    tool_options = Options(python=python, offline=options.offline)
    markers = markers_of(version)
    feature = ".".join(version.split(".")[:2])
    beside = _site_packages(_tool_environment(_tool(feature), tool_options, environ))
    own = installed_in(beside)
    found = misfits(locked, own, markers)
    if not found:
        return beside, found
    constraints = tuple(f"{name}=={locked[name].version}" for name in sorted(set(own) & set(locked)))
    try:
        other = _site_packages(_tool_environment(_tool(feature, constraints), tool_options, environ))
    except ClientError:
        return beside, found
    return other, misfits(locked, installed_in(other), markers)


def _tool(python: str, constraints: tuple[str, ...] = ()) -> Tool:
    requirement = OLDEST if constraints else KERNEL
    return Tool(command=KERNEL, requirements=(requirement,), python=python, constraints=constraints)


def _tool_environment(tool: Tool, options: Options, environ: Mapping[str, str]) -> str:
    python = ChosenPython(version=tool.python or platform.python_version(), executable=options.python)
    folder = lock_tool(tool, environ, Locking(offline=options.offline), choose=lambda: python)
    return environment_at(folder, options, environ)


def _site_packages(environment: str) -> str:
    return os.path.realpath(Environment(path=environment, project="", lock_file="").site_packages)


def _interpreter_of(environment: str) -> tuple[str, str]:
    """The path of the base interpreter and its full version, such as 3.12.1, as ``pyvenv.cfg`` has them."""
    text = Path(environment, "pyvenv.cfg").read_text(encoding="utf-8")
    fields = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return fields["executable"], fields["version"]
