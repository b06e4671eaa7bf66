"""`storectl run --with`: packages on top of a project's environment, locked once so that they fit it.

    <state>/overlays/<key>/    the requirements' own lock file, see ``requirements``

The key is made of the requirements and the environment's id, so that another lock file of the project means another
overlay. A second run finds the folder, and needs neither uv nor pip.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import ChosenPython, chosen_python, first_on_path, pinned_at, pinned_in
from storectl.locks.requirement_words import absolute_requirements, check_requirements, fingerprints
from storectl_shim.locations import state_folder

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOCK_FILES = ("uv.lock", "pylock.toml")
"""What uv and pip name the lock files that they make of requirements."""


def locked_overlay(
    requirements: Sequence[str],
    environment: str,
    project: str,
    environ: Mapping[str, str],
    *,
    refresh: bool = False,
    offline: bool = False,
) -> str:
    """The absolute path of the lock file for requirements on top of an environment, made now if it is not there."""
    requirements = absolute_requirements(requirements)
    folder = _folder([os.path.basename(environment), *_parts(requirements)], environ)
    found = _lock_file_in(folder)
    if found is not None and not refresh:
        return found
    from storectl.locks.requirements import Wanted, lock_requirements  # noqa: PLC0415 - for the first run only

    python = ChosenPython(version=_feature_version(environment), executable=os.path.join(environment, "bin", "python"))
    wanted = Wanted(
        requirements=requirements,
        python=python,
        constraints=tuple(_versions(environment)),
        variables=_indexes(project) | offline_variables(offline),
    )
    return lock_requirements(folder, wanted, environ)


def locked_alone(
    requirements: Sequence[str],
    python: str | None,
    environ: Mapping[str, str],
    *,
    refresh: bool = False,
    offline: bool = False,
) -> str:
    """The absolute path of the lock file for requirements without a project.

    ``python`` is a version or a path; None means a ``.python-version`` here or above, else the first Python on PATH.
    """
    requirements = absolute_requirements(requirements)
    pinned = None if python else pinned_at(os.getcwd(), environ)
    folder = _folder([python or pinned or first_on_path(environ), *_parts(requirements)], environ)
    found = _lock_file_in(folder)
    if found is not None and not refresh and has_its_python(folder):
        return found
    from storectl.locks.requirements import Wanted, lock_requirements  # noqa: PLC0415 - for the first run only

    check_requirements(requirements)
    chosen = chosen_python(python, environ, pinned=pinned)
    wanted = Wanted(requirements=requirements, python=chosen, notes=chosen.pin, variables=offline_variables(offline))
    return lock_requirements(folder, wanted, environ)


def _parts(requirements: Sequence[str]) -> list[str]:
    return sorted([*requirements, *fingerprints(requirements)])


def _folder(parts: list[str], environ: Mapping[str, str]) -> str:
    import hashlib  # noqa: PLC0415 - 3 ms that no run without --with pays

    key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(os.path.realpath(state_folder(environ)), "overlays", key)


def _feature_version(environment: str) -> str:
    """``3.12`` of an environment with ``lib/python3.12``, or ``lib/python3.13t``."""
    names = os.listdir(os.path.join(environment, "lib"))
    return next(name for name in names if name.startswith("python"))[len("python") :].rstrip("t")


def has_its_python(folder: str) -> bool:
    """Whether the interpreter that the folder was locked for, by the pin in it, is there; true without a pin."""
    pin = pinned_in(folder)
    return pin is None or os.access(pin.strip(), os.X_OK)


def offline_variables(offline: bool) -> dict[str, str]:  # noqa: FBT001 - the answer to one option
    """The variables that keep uv and pip from the network, if ``offline``."""
    return {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"} if offline else {}


def _lock_file_in(folder: str) -> str | None:
    paths = (os.path.join(folder, name) for name in LOCK_FILES)
    return next((path for path in paths if os.path.isfile(path)), None)


def _versions(environment: str) -> Iterator[str]:
    """``name==version`` of every distribution in the environment, by the names of its ``.dist-info`` folders."""
    library = os.path.join(environment, "lib")
    for python in sorted(os.listdir(library)):
        for name in sorted(os.listdir(os.path.join(library, python, "site-packages"))):
            stem, dot, kind = name.rpartition(".")
            if dot and kind == "dist-info":
                project, _, version = stem.partition("-")
                yield f"{project}=={version}"


def _indexes(project: str) -> dict[str, str]:
    """The indexes of the project, as variables for uv: added packages come from where the project's own come from."""
    import tomllib  # noqa: PLC0415 - the first run only

    try:
        with open(os.path.join(project, "pyproject.toml"), encoding="utf-8-sig") as file:
            indexes = tomllib.loads(file.read()).get("tool", {}).get("uv", {}).get("index", [])
        default = [index["url"] for index in indexes if index.get("default")]
        others = [
            f"{index['name']}={index['url']}" if "name" in index else index["url"]
            for index in indexes
            if not index.get("default") and not index.get("explicit")
        ]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}  # the project has no such file, or no indexes that uv would take
    return {
        **({"UV_DEFAULT_INDEX": default[0]} if default else {}),
        **({"UV_INDEX": " ".join(others)} if others else {}),
    }
