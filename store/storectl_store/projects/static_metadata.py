"""Which local projects need no build: ``pyproject.toml`` says everything, and the backend adds nothing.

An editable installation of such a project is a line in a ``.pth`` file and the metadata of ``[project]`` (PEP 621). So
storectl can make it without running any code of the project or its backend. If anything is computed (``dynamic``),
compiled, generated or done by a plugin, the backend itself is needed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.import_roots import folder_above
from storectl_store.projects.pyproject import read_pyproject, table_at

_BACKENDS: Mapping[str, frozenset[str]] = {
    "hatchling.build": frozenset({"hatchling"}),
    "setuptools.build_meta": frozenset({"setuptools", "wheel"}),
    "flit_core.buildapi": frozenset({"flit-core"}),
    "poetry.core.masonry.api": frozenset({"poetry-core"}),
    "pdm.backend": frozenset({"pdm-backend"}),
    "uv_build": frozenset({"uv-build"}),
}
"""Backends that only copy Python files unless configured otherwise.

Each maps to the build requirements that do not change that.
"""


_DEFAULT_BACKEND = "setuptools.build_meta"  # PEP 517: a project that names no backend is built with this one


def is_flat(document: dict[str, Any]) -> bool:
    """Whether ``flat-source = true`` in ``[tool.storectl]`` says that ``src`` is the package of the project's name."""
    return table_at(document, "tool", "storectl").get("flat-source") is True


def static_project(folder: Path) -> dict[str, Any] | None:
    """The parsed ``pyproject.toml`` of the project in this folder if it needs no build; otherwise None.

    No backend makes an editable wheel of a flat source folder, so such a project needs none, whatever its backend.
    Raises EnvironmentBuildError if its metadata would have to be computed.
    """
    document = read_pyproject(folder)
    project, system = table_at(document, "project"), table_at(document, "build-system")
    if is_flat(document):
        if project.get("dynamic") or not isinstance(project.get("version"), str):
            raise EnvironmentBuildError(
                f"{folder / 'pyproject.toml'}: `flat-source` needs a [project] table that says name and version itself",
                hint="write the version into [project] and take out `dynamic`",
                path=str(folder),
            )
        return document
    backend = system.get("build-backend", _DEFAULT_BACKEND)
    if (
        not project
        or not isinstance(backend, str)
        or backend not in _BACKENDS
        or "backend-path" in system
        or project.get("dynamic")
    ):
        return None
    if not isinstance(project.get("version"), str) or not _only(system.get("requires", []), _BACKENDS[backend]):
        return None
    return None if _does_more(backend, document, folder) else document


def _does_more(backend: str, document: dict[str, Any], folder: Path) -> bool:
    """Whether the backend is configured to do more than to find the packages."""
    return _EXTRAS[backend](table_at(document, "tool"), folder)


def _hatchling(tool: dict[str, Any], folder: Path) -> bool:
    build = table_at(tool, "hatch", "build")
    wheel = table_at(build, "targets", "wheel")
    tables = (build, wheel)
    more = ("hooks", "force-include", "shared-data", "shared-scripts")
    return (
        (folder / "hatch_build.py").exists()
        or any(key in table for table in tables for key in more)
        or any(_renames(_by_package(table_at(table, "sources"))) for table in tables)
    )


def _renames(folders: Mapping[str, Any]) -> bool:
    """Whether a package's import name differs from the name of its folder: then a line of a path is not enough."""
    return any(
        isinstance(folder, str) and not folder_above(folder, package.replace(".", "/"))
        for package, folder in folders.items()
    )


def _by_package(sources: Mapping[str, Any]) -> dict[str, str]:
    """Hatchling's packages by folder, turned into folders by package, as setuptools has them."""
    return {package: folder for folder, package in sources.items() if isinstance(package, str)}


def _setuptools(tool: dict[str, Any], folder: Path) -> bool:
    options = table_at(tool, "setuptools")
    more = ("ext-modules", "cmdclass", "dynamic", "script-files", "data-files")
    return (
        any((folder / name).exists() for name in ("setup.py", "setup.cfg"))
        or any(key in options for key in more)
        or _renames(table_at(options, "package-dir"))
    )


def _poetry(tool: dict[str, Any], _folder: Path) -> bool:
    options = table_at(tool, "poetry")
    return any(key in options for key in ("build", "scripts", "plugins", "extras", "dependencies", "version"))


def _pdm(tool: dict[str, Any], folder: Path) -> bool:
    options = table_at(tool, "pdm")
    more = ("custom-hook", "run-setuptools", "editable-backend", "wheel-data")
    return (
        (folder / "pdm_build.py").exists()
        or "version" in options
        or any(key in table_at(options, "build") for key in more)
    )


def _uv_build(tool: dict[str, Any], _folder: Path) -> bool:
    return "data" in table_at(tool, "uv", "build-backend")


def _flit(tool: dict[str, Any], _folder: Path) -> bool:
    return "external-data" in table_at(tool, "flit")


_EXTRAS: Mapping[str, Callable[[dict[str, Any], Path], bool]] = {
    "hatchling.build": _hatchling,
    "setuptools.build_meta": _setuptools,
    "flit_core.buildapi": _flit,
    "poetry.core.masonry.api": _poetry,
    "pdm.backend": _pdm,
    "uv_build": _uv_build,
}


def _only(requires: Any, names: frozenset[str]) -> bool:
    """Whether these build requirements are all among the names."""
    if not isinstance(requires, list):
        return False
    try:
        return all(canonicalize_name(Requirement(text).name) in names for text in requires)
    except (InvalidRequirement, TypeError):
        return False


def backend_inputs(document: dict[str, Any]) -> tuple[str, ...]:
    """The names of files in a project's folder that its backend looks for, whether they exist or not."""
    system = table_at(document, "build-system")
    backend = system.get("build-backend", _DEFAULT_BACKEND)
    known = isinstance(backend, str) and "backend-path" not in system
    if known and backend in _LOOKED_FOR and _only(system.get("requires", []), _BACKENDS[backend]):
        return ("pyproject.toml", *_LOOKED_FOR[backend])
    return _LOOKED_FOR_BY_ANY


_LOOKED_FOR: Mapping[str, tuple[str, ...]] = {
    "hatchling.build": ("hatch_build.py",),
    "setuptools.build_meta": ("setup.py", "setup.cfg", "MANIFEST.in"),
    "flit_core.buildapi": (),
    "poetry.core.masonry.api": (),
    "pdm.backend": ("pdm_build.py",),
    "uv_build": (),
}

_LOOKED_FOR_BY_ANY = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "MANIFEST.in",
    "meson.build",
    "CMakeLists.txt",
    "Cargo.toml",
    "build.py",
)
