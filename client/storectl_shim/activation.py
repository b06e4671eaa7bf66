"""The Python API: it puts an environment into an interpreter that runs already, such as a notebook's.

    import storectl
    storectl.activate()                          # the project of the notebook, or of the current folder
    storectl.activate("numpy>=1.21", "pandas")   # no project: these, locked once

The environment takes the place of site-packages: after the script's folder, PYTHONPATH and the standard library,
before the interpreter's own packages. Loaded modules stay loaded: a conflict is told before anything is changed.

Standard library only, CPython 3.9 to 3.14: an interpreter without storectl loads it by ``storectl_shim/notebook.py``.
"""

from __future__ import annotations

import importlib
import os
import site
import sys
import threading
import warnings

from storectl_shim.activation_errors import ActivationError, ActivationWarning, ConflictError
from storectl_shim.asked import Asked, place_and_requirements
from storectl_shim.conflicts import find_conflicts
from storectl_shim.environment import (
    Environment,
    check_interpreter,
    has_project,
    make_environment,
    names_of,
    read_import_map,
    root_of,
    this_interpreter,
)

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_activating = threading.RLock()
_active: list[tuple[Asked, Environment]] = []
"""What was activated last in this interpreter, if anything was."""

_companions: dict[str, str] = {}
"""By the view: the folder of a checkout that came to ``sys.path`` together with it."""


def activate(
    *what: str | os.PathLike[str],
    project: str | os.PathLike[str] | None = None,
    lock: str | os.PathLike[str] | None = None,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    default_groups: bool = True,
    python: str | None = None,
    on_conflict: str = "error",
    offline: bool = False,
) -> Environment:
    """Make a project's locked packages importable here, in place of those of an earlier activation; or requirements.

    ``project`` is its folder or a file in it, None for that of the notebook or the current folder; ``lock`` is a lock
    file of one's own. ``python`` may only say what this interpreter is. With ``offline`` nothing is fetched.

    Requirements are locked once, for this interpreter, and remembered. They come on top of the ``project`` or ``lock``
    that is given with them; else of what this function was asked for before; else of the project that this program was
    started in by `storectl run`; else they are all that there is. Versions that are there stay if they fit. All
    arguments by position are requirements, unless it is one alone that is the path of a project.

    If a module is loaded already that would come from elsewhere, that is a ConflictError, with nothing changed; with
    ``on_conflict="warn"`` it is an ActivationWarning. Any other trouble is an ActivationError.
    """
    if on_conflict not in ("error", "warn"):
        raise ValueError(f'on_conflict is "error" or "warn", not {on_conflict!r}')
    _check_python(python)
    place, requirements = place_and_requirements(what, project)
    asked = Asked(place, lock, names_of(extras), names_of(groups), default_groups)
    with _activating:
        before = _active[-1] if _active and view_of(_active[-1][1]) in sys.path else None
        if requirements and asked == Asked():
            asked = before[0] if before is not None else Asked(alone=not (active_views() and has_project()))
        asked = asked.with_requirements(requirements)
        keep = before[1].path if before is not None and requirements else None
        if keep is not None and before is not None and asked == before[0]:
            return before[1]
        made = make_environment(asked, python=this_interpreter(), offline=offline, keep=keep)
        check_interpreter(made)
        put_in_place(made, on_conflict)
        _active[:] = [(asked, made)]
    return made


def environment(
    project: str | os.PathLike[str] | None = None,
    *,
    lock: str | os.PathLike[str] | None = None,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    default_groups: bool = True,
    python: str | None = None,
    offline: bool = False,
) -> Environment:
    """The environment of a project, made if it is not ready. This interpreter is not changed.

    ``python`` is a version or the path of an interpreter, None for the project's own choice. ActivationError if there
    is none.
    """
    asked = Asked(project, lock, names_of(extras), names_of(groups), default_groups)
    return make_environment(asked, python=python, offline=offline)


def put_in_place(made: Environment, on_conflict: str) -> None:
    """Put the environment on ``sys.path``, in place of any other of storectl's. Does nothing if it is there already."""
    view = view_of(made)
    if view in sys.path:
        return
    _check_conflicts(made, on_conflict)
    for old in active_views():
        _take_away(old)
    place = _place_of_site_packages()
    sys.path.insert(place, view)
    importlib.invalidate_caches()
    _process_pth_files(view, place)
    _set_variables(made.path)


def view_of(made: Environment) -> str:
    """The environment's site-packages as it is written on ``sys.path``: without symbolic links, as the shim has it."""
    return os.path.realpath(made.site_packages)


def accompany(view: str, folder: str | None) -> None:
    """Have this folder stand before the view on ``sys.path`` while the view is there, in place of an earlier folder."""
    earlier = _companions.pop(view, None)
    sys.path[:] = [entry for entry in sys.path if entry != earlier]
    if folder is not None and folder not in sys.path:
        sys.path.insert(sys.path.index(view), folder)
        _companions[view] = folder


def active_views() -> list[str]:
    """The site-packages folders on ``sys.path`` that are storectl's: those for which its shim has a hook."""
    hooked = {getattr(hook, "storectl_view", None) for hook in _hooks()}
    return [entry for entry in sys.path if entry in hooked]


def _hooks() -> list[Any]:
    """The hooks of ``sys.path_hooks``, and behind them those that the shim's hooks have replaced."""
    found: list[Any] = list(sys.path_hooks)
    for hook in found:
        found += [hook.storectl_stands_for] if hasattr(hook, "storectl_stands_for") else []
    return found


def path_lines(view: str) -> list[str]:
    """The folders that the ``.pth`` files of a view put on ``sys.path``."""
    return [os.path.normpath(os.path.join(view, line)) for line in _pth_lines(view) if not _is_import(line)]


def _check_python(python: str | None) -> None:
    """ActivationError E_INTERPRETER if ``python`` is another interpreter than this one."""
    if python is None:
        return
    version = ".".join(map(str, sys.version_info[:3]))
    is_version = python == version or version.startswith(f"{python}.")
    if not is_version and os.path.realpath(python) not in (this_interpreter(), os.path.realpath(sys.executable)):
        raise ActivationError(
            f"this interpreter is Python {version} ({this_interpreter()}), not {python}",
            code="E_INTERPRETER",
            hint="start the interpreter you mean, or leave `python` away",
        )


def _check_conflicts(made: Environment, on_conflict: str) -> None:
    earlier = sys.path[: _place_of_site_packages()]
    conflicts = find_conflicts(read_import_map(made), view_of(made), dict(sys.modules), earlier)
    if conflicts and on_conflict == "error":
        raise ConflictError(conflicts)
    for conflict in conflicts:
        warnings.warn(f"{conflict.text}: restart the interpreter", ActivationWarning, stacklevel=4)


def _place_of_site_packages() -> int:
    """The index on ``sys.path`` of an earlier environment, else of the interpreter's own packages, else its end."""
    own = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    places = {os.path.realpath(folder) for folder in (*own, *active_views())}
    return next((i for i, entry in enumerate(sys.path) if os.path.realpath(entry) in places), len(sys.path))


def _process_pth_files(view: str, place: int) -> None:
    """Process the ``.pth`` files of the view as ``site`` does, which starts the shim; put their folders behind it."""
    before = list(sys.path)
    site.addsitedir(view, {os.path.abspath(entry) for entry in before})
    added = [entry for entry in sys.path[len(before) :] if entry not in before]
    if sys.path == before + added:
        sys.path[:] = [*before[: place + 1], *added, *before[place + 1 :]]


def _take_away(view: str) -> None:
    """Undo what an environment did here: its folders, its hooks, the finders of its packages, its place on PATH."""
    accompany(view, None)
    place = sys.path.index(view)
    lines = set(path_lines(view))
    sys.path[place:] = [entry for entry in sys.path[place:] if entry != view and entry not in lines]
    hooks = [_without(hook, view) for hook in sys.path_hooks]
    sys.path_hooks[:] = [hook for hook in hooks if not _is_of(hook, view)]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_of(finder, view)]
    for path in [path for path in sys.path_importer_cache if str(path).startswith(view)]:
        sys.path_importer_cache.pop(path, None)
    scripts = os.path.join(root_of(view), "bin")
    os.environ["PATH"] = os.pathsep.join(
        folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder != scripts
    )


def _without(hook: Any, view: str) -> Any:
    """The hook without the shim's hook for this view: that one is replaced by the hook that it had replaced."""
    if getattr(hook, "storectl_view", None) == view:
        return hook.storectl_stands_for
    if hasattr(hook, "storectl_stands_for"):
        hook.storectl_stands_for = _without(hook.storectl_stands_for, view)
    return hook


def _is_of(hook: object, view: str) -> bool:
    """Whether a package of this view has installed the hook or finder."""
    module = sys.modules.get(getattr(hook, "__module__", None) or type(hook).__module__)
    return str(getattr(module, "__file__", None) or "").startswith(f"{view}/")


def _set_variables(root: str) -> None:
    """Set the variables that child processes use, as `storectl run` sets them."""
    scripts = os.path.join(root, "bin")
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = f"{scripts}{os.pathsep}{path}" if path else scripts
    os.environ["VIRTUAL_ENV"] = root
    os.environ.pop("PYTHONHOME", None)


def _pth_lines(view: str) -> Iterator[str]:
    for name in sorted(os.listdir(view)):
        if name.endswith(".pth") and not name.startswith("."):
            with open(os.path.join(view, name), encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.strip() for line in file]
            yield from (line for line in lines if line and not line.startswith("#"))


def _is_import(line: str) -> bool:
    return line.startswith(("import ", "import\t"))
