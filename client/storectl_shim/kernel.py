"""What the process of a kernel runs: ipykernel, in the project's environment or from the folder beside it.

    <environment>/bin/python kernel.py PLAN -f CONNECTION_FILE

PLAN is JSON, as ``storectl.kernels.kernel.Kernel.command`` writes it. Standard library only, CPython 3.9 to 3.14. It
is one file, run by its path, so that nothing else that is installed beside it becomes importable.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

_PIP = re.compile(
    r"(?:^|[;&|(]|\bsudo\s|^\w+=\S*\s)\s*(?:(?:\S*/)?python[\w.]*\s+-m\s+|uv\s+)?(?:\S*/)?pip[\d.]*"
    r"\s+(?P<verb>install|uninstall)\b(?P<rest>[^;&|]*)"
)
"""Matches a command that changes packages, alone or among others, but not in the arguments of another command."""
_NO_NAME = re.compile(r"-(?!r$).*|\d*>.*")
_BACKEND = "MPLBACKEND"


class Overlay:
    """A finder for the few modules that must be the kernel's, even if the project has modules of the same names."""

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        self._path = [folder]
        self._names = frozenset(names)

    def find_spec(self, fullname: str, path: object = None, _target: object = None) -> ModuleSpec | None:
        """The spec of one of those modules, in the kernel's folder; their packages find the submodules."""
        return PathFinder.find_spec(fullname, self._path) if path is None and fullname in self._names else None


class Changes:
    """What is told instead of installing something: ``add`` and ``remove`` are sentences with a place for names."""

    def __init__(self, add: str, remove: str) -> None:
        self._sentences = {"install": add, "uninstall": remove}

    def refusal(self, command: str) -> str | None:
        """The one line for a command that would install or remove packages; None for any other command."""
        match = _PIP.search(command)
        if match is None:
            return None
        names = " ".join(word for word in match["rest"].split() if not _NO_NAME.fullmatch(word)) or "NAME"
        instead = self._sentences[match["verb"]].format(names)
        return f"storectl: nothing is installed into a running kernel: {instead}, then restart the kernel"


def main(arguments: Sequence[str]) -> None:
    """Become the kernel. Returns when it is shut down."""
    plan = json.loads(arguments[0])
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != own]
    sys.argv = ["ipykernel_launcher", *arguments[1:]]
    if plan["beside"] is not None:
        put_beside(plan["beside"], plan["overlaid"])
    _application(plan).launch_instance()


def put_beside(view: str, overlaid: Sequence[str]) -> None:
    """Put a second environment's packages after all others, by its own shim. Its ``.pth`` files are not processed."""
    sys.path.append(view)
    if overlaid:
        sys.meta_path.insert(0, Overlay(view, overlaid))
    spec = importlib.util.spec_from_file_location("_storectl", os.path.join(view, "_storectl.py"))
    if spec is None or spec.loader is None:
        return
    shim = sys.modules["_storectl"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    shim.start()


def _application(plan: dict[str, Any]) -> Any:
    """The class of ipykernel's application, made to prepare its shell before the user's start-up files run."""
    from ipykernel.kernelapp import IPKernelApp

    class KernelApp(IPKernelApp):  # type: ignore[misc]  # ipykernel is the project's or the tool's, never ours
        def init_code(self) -> None:
            prepare(self.shell, plan)
            super().init_code()

    return KernelApp


def prepare(shell: Any, plan: dict[str, Any]) -> None:
    """Prepare the shell for a notebook of a project: it shows the notices, and installs nothing."""
    if plan["notices"]:
        _show_once(shell, [f"storectl: warning: {notice}" for notice in plan["notices"]])
    _refuse_changes(shell, Changes(plan["add"], plan["remove"]))
    if plan["beside"] is not None and os.environ.get(_BACKEND, "").startswith("module://matplotlib_inline"):
        _keep_backend_here(plan["beside"])


def _show_once(shell: Any, lines: Sequence[str]) -> None:
    def show(*_: object) -> None:
        shell.events.unregister("pre_run_cell", show)
        sys.stderr.write("".join(f"{line}\n" for line in lines))

    shell.events.register("pre_run_cell", show)


def _refuse_changes(shell: Any, changes: Changes) -> None:
    """Guard ``!pip``, ``x = !pip``, ``%pip`` and ``%uv``: they refuse to change packages. Other commands go through."""

    def guarded(original: Any) -> Any:
        def run(command: str, *arguments: Any, **options: Any) -> Any:
            refusal = changes.refusal(command)
            if refusal is None:
                return original(command, *arguments, **options)
            sys.stderr.write(f"{refusal}\n")
            shell.user_ns["_exit_code"] = 1
            return None

        return run

    def guarded_magic(name: str, original: Any) -> Any:
        ask = guarded(lambda command: original(command[len(name) + 1 :]))
        return lambda line: ask(f"{name} {line}")

    shell.system, shell.getoutput = guarded(shell.system), guarded(shell.getoutput)
    for name in ("pip", "uv"):
        original = shell.find_line_magic(name)
        if original is not None:
            shell.register_magic_function(guarded_magic(name, original), "line", name)


def _keep_backend_here(view: str) -> None:
    """Hide the plotting backend from child processes, if only this process can import it.

    ``os.environ`` of this process keeps it: matplotlib reads it there when it is first imported.
    """
    spec = importlib.util.find_spec("matplotlib_inline")
    if spec is not None and str(spec.origin).startswith(f"{view}/"):
        os.unsetenv(_BACKEND)


if __name__ == "__main__":
    main(sys.argv[1:])
