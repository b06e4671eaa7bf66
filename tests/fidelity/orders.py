"""Imports in given orders, each in a process forked before anything was imported, told as JSON.

Runs inside either environment, like ``inside``: standard library of CPython 3.9 to 3.14 only, nothing of the script's folder
(which is put on ``sys.path`` once this is loaded) or of the environment before the fork.

    python orders.py SCRIPT_FOLDER < {"orders": [[name, ...], ...]}
    python -S orders.py --plain SCRIPT_FOLDER    the same, without the shim
    python -S orders.py --serve                  as the interpreter of any venv, without starting one for each: see ``start_as``
"""

from __future__ import annotations

import email
import gc
import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import json
import os
import pkgutil
import runpy
import site
import sys
import tempfile
from importlib.machinery import ModuleSpec, PathFinder

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
from fidelity.inside import loader_kind, relative, site_packages, start_without_shim  # noqa: E402  # found only now

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Sequence
    from typing import Any

_SIMPLE = (str, int, bytes, type(None))
_NOT_WHEELS = ("_storectl", "_virtualenv", "pip")
_ASKS_THE_DAEMON = "_socket"
"""What the shim imports more than a venv does, where it is told of a daemon."""
_WRITTEN_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")


def told(value: object) -> object:
    """A value as JSON, its paths relative; of what has an address in its text, the type."""
    if isinstance(value, str):
        return relative(value)
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    if isinstance(value, _SIMPLE):
        return repr(value)
    return type(value).__name__


def spec_told(spec: ModuleSpec | None) -> object:
    """All of a spec."""
    if spec is None:
        return None
    places = spec.submodule_search_locations
    loader = None if spec.loader is None else [loader_kind(spec.loader), type(spec.loader).__name__]
    return [
        spec.name,
        spec.parent,
        spec.has_location,
        loader,
        told([spec.origin, spec.cached]),
        None if places is None else [type(places).__name__, told(list(places))],
    ]


def module_told(module: types.ModuleType) -> object:
    """All that a program may ask of a module."""
    spec = getattr(module, "__spec__", None)
    path = getattr(module, "__path__", None)
    text = relative(repr(module))
    own = {name: told(value) for name, value in vars(module).items() if not name.startswith("__")}
    return [
        "module",
        text if " at 0x" not in text else type(module).__name__,
        told([getattr(module, name, "-") for name in ("__name__", "__package__", "__file__", "__cached__")]),
        None if path is None else [type(path).__name__, told(list(path))],
        spec_told(spec),
        [name for name in vars(module) if name.startswith("__")],
        own,
    ]


def error_told(error: BaseException) -> object:
    """An exception with its traceback, this file's own frames left out."""
    facts = [getattr(error, name, None) for name in ("name", "path", "filename", "lineno")]
    cause = error.__cause__ or error.__context__
    return [
        "error",
        type(error).__name__,
        relative(str(error)),
        told(facts),
        frames_told(error),
        None if cause is None else [type(cause).__name__, relative(str(cause))],
    ]


def frames_told(error: BaseException) -> list[object]:
    """The traceback, this file's own frames left out, a row of importlib's own as one: how it is written is no promise."""
    frames: list[object] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename.startswith("<frozen importlib._bootstrap"):
            if frames[-1:] != ["importlib"]:
                frames.append("importlib")
        elif code.co_filename != __file__:
            frames.append([relative(code.co_filename), step.tb_lineno, code.co_name])
        step = step.tb_next
    return frames


def attempt(action: Callable[[], object]) -> object:
    """What the action answers, or what it raises."""
    try:
        return action()
    except BaseException as error:
        return error_told(error)


def in_order(names: Sequence[str]) -> dict[str, object]:
    """Each name imported after the others."""
    before = set(sys.modules)
    found = {
        f"{number} {name}": attempt(lambda name=name: module_told(importlib.import_module(name)))  # type: ignore[misc]
        for number, name in enumerate(names)
    }
    found["sys.modules"] = [name for name in sys.modules if name not in before and name != _ASKS_THE_DAEMON]
    found["sys.path"] = told([entry for entry in sys.path if entry.startswith((sys.prefix, sys.path[0]))])
    return found


def looked_for(names: Sequence[str]) -> dict[str, object]:
    """Each name found but not imported, but for its parents; and by ``PathFinder`` alone."""
    found: dict[str, object] = {}
    for name in names:
        found["spec " + name] = attempt(lambda name=name: spec_told(importlib.util.find_spec(name)))  # type: ignore[misc]
        found["finder " + name] = attempt(lambda name=name: spec_told(PathFinder.find_spec(name)))  # type: ignore[misc]
    return found


def again(names: Sequence[str]) -> dict[str, object]:
    """Each name imported, then after ``invalidate_caches``, reloaded, then without its entry in ``sys.modules``."""
    found: dict[str, object] = {}
    for name in names:
        found["first " + name] = attempt(lambda name=name: module_told(importlib.import_module(name)))  # type: ignore[misc]
    importlib.invalidate_caches()
    for name in names:
        if name in sys.modules:
            found["reload " + name] = attempt(lambda name=name: module_told(importlib.reload(sys.modules[name])))  # type: ignore[misc]
            sys.modules.pop(name, None)
        found["anew " + name] = attempt(lambda name=name: module_told(importlib.import_module(name)))  # type: ignore[misc]
    return found


def resources(names: Sequence[str]) -> dict[str, object]:
    """What is beside each package, listed and read, by three ways."""
    found: dict[str, object] = {}
    for name in names:
        found["files " + name] = attempt(lambda name=name: _files_of(name))  # type: ignore[misc]
        found["data " + name] = attempt(lambda name=name: told(pkgutil.get_data(name, "table.txt")))  # type: ignore[misc]
        found["modules " + name] = attempt(lambda name=name: _modules_below(name))  # type: ignore[misc]
    return found


def _files_of(name: str) -> object:
    entries = importlib.resources.files(name).iterdir()
    return sorted(
        [entry.name, entry.is_dir(), None if entry.is_dir() else len(entry.read_bytes())]
        for entry in entries
        if entry.name != "__pycache__" and not entry.name.startswith(_NOT_WHEELS)
    )


def _modules_below(name: str) -> object:
    path = importlib.import_module(name).__path__
    return [[found.name, found.ispkg] for found in pkgutil.iter_modules(path, name + ".")]


def run_as_main(names: Sequence[str]) -> dict[str, object]:
    """Each name as ``python -m`` runs it."""
    return {
        "-m " + name: attempt(lambda name=name: sorted(runpy.run_module(name, run_name="__main__", alter_sys=True)))  # type: ignore[misc]
        for name in names
    }


def environment(_names: Sequence[str]) -> dict[str, object]:
    """What is installed, and what can be imported."""
    found: dict[str, object] = {
        "iter_modules": [m.name for m in pkgutil.iter_modules() if not m.name.startswith(_NOT_WHEELS)],
        "from .pth": getattr(sys, "from_pth", None),
        "at start": sorted(name for name, module in sys.modules.items() if _is_ours(module)),
    }
    below = pkgutil.iter_modules([site_packages()])
    found["site-packages"] = [[m.name, m.ispkg] for m in below if not m.name.startswith(_NOT_WHEELS)]
    for distribution in importlib.metadata.distributions():
        points = sorted(map(repr, distribution.entry_points))
        files = sorted(str(file) for file in distribution.files or () if _is_the_wheels(file))
        found["distribution " + distribution.metadata["Name"]] = [
            distribution.version,
            points,
            files,
            sorted(distribution.requires or ()),
        ]
    if hasattr(importlib.metadata, "packages_distributions"):
        packages = importlib.metadata.packages_distributions()
        found["packages"] = sorted([name, sorted(set(owners))] for name, owners in packages.items())
    return found


def _is_the_wheels(file: importlib.metadata.PackagePath) -> bool:
    return file.name not in _WRITTEN_BY_INSTALLERS and file.parts[0] != ".."


def _is_ours(module: object) -> bool:
    return str(getattr(module, "__file__", "")).startswith(sys.prefix)


def everything(orders: Sequence[Sequence[str]]) -> dict[str, object]:
    """The answers for each order and of each other question, all in processes of their own."""
    site_packages()
    names = sorted(set(orders[0]))
    found = {f"order {number}": forked(lambda order=order: in_order(order)) for number, order in enumerate(orders)}  # type: ignore[misc]
    for work in (looked_for, again, resources, run_as_main, environment):
        found[work.__name__] = forked(lambda work=work: work(names))  # type: ignore[misc]
    return found


def forked(work: Callable[[], object]) -> object:
    """What the work tells in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as answer:
                json.dump(attempt(work), answer)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else ["died", status]


def start_as(request: dict[str, Any]) -> dict[str, object]:
    """Become what the interpreter of a venv is once it has started, and answer; with what start-up said on stderr."""
    os.environ.clear()
    os.environ.update(request["environ"])
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        sys.prefix = sys.exec_prefix = request["root"]
        sys.executable = request["root"] + "/bin/python"
        os.chdir(request["script"])
        start(request["script"], plain=request["plain"])
        found = everything(request["orders"])
        sys.stderr.flush()
        said.seek(0)
        found["stderr"] = said.read().decode()
    return found


def start(script: str, *, plain: bool) -> None:
    """``site``, which has not run yet, and the script's folder."""
    if plain:
        start_without_shim()
    else:
        site.main()
    sys.path.insert(0, script)


def serve() -> None:
    """Answer each request, one line of JSON, in a fork, which has what it takes to ask already."""
    _files_of("json")
    email.message_from_string("")
    gc.disable()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(forked(lambda request=request: start_as(request))), flush=True)  # type: ignore[misc]


def main(arguments: list[str]) -> None:
    del sys.path[0]
    if arguments == ["--serve"]:
        serve()
        return
    if arguments[0] == "--plain":
        start(arguments[1], plain=True)
    else:
        sys.path.insert(0, arguments[0])
    json.dump(everything(json.load(sys.stdin)["orders"]), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
