"""Import roots: the folders of a local project from which its own packages are imported.

They become lines of the ``.pth`` file in its editable wheel. If the build backend is configured by folders alone, they
are read from ``pyproject.toml``:

    setuptools    [tool.setuptools.packages.find] where, [tool.setuptools] package-dir
    hatchling     [tool.hatch.build] dev-mode-dirs, [tool.hatch.build.targets.wheel] sources, packages
    poetry-core   [tool.poetry] packages, their ``from``
    uv_build      [tool.uv.build-backend] module-root
    pdm-backend   [tool.pdm.build] package-dir
    maturin       [tool.maturin] python-source

Without any of these, the root is ``src`` if that holds packages or modules, and otherwise the project's folder.
"""

import os
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.pyproject import read_pyproject, table_at
from storectl_store.selection.pin import LocalProject

_DEEPEST_NAMESPACE = 3


def import_roots(project: LocalProject, seen: Path | None = None) -> tuple[str, ...]:
    """Absolute folders to import the project's code from; none for a virtual project.

    ``seen`` is the folder to look into instead of the project's own: a copy of it as it will be. Raises
    EnvironmentBuildError if the path of a folder cannot be a line of a ``.pth`` file.
    """
    if not project.packaged:
        return ()
    folder = os.fspath(seen) if seen else project.path
    tool = table_at(read_pyproject(Path(folder)), "tool")
    declared = [os.path.normpath(os.path.join(folder, root)) for root in _declared(tool)]
    roots = [root for root in declared if os.path.isdir(root)] or [_conventional(folder)]
    for root in roots:
        _check_line(root)
    return tuple(dict.fromkeys(moved(root, folder, project.path) for root in roots))


def moved(path: str, folder: str, project: str) -> str:
    """The path below ``project`` that corresponds to this one below ``folder``."""
    return path if folder == project else os.path.normpath(os.path.join(project, os.path.relpath(path, folder)))


def root_candidates(document: dict[str, Any]) -> tuple[str, ...]:
    """The folders, relative to the project, whose existence decides what its import roots are."""
    declared = [root for root in _declared(table_at(document, "tool")) if "\0" not in root]
    return (*declared, "src")


def _check_line(root: str) -> None:
    if root != root.rstrip() or any(c in root for c in "\n\r\0"):
        raise EnvironmentBuildError(
            f"local code cannot be imported from {root!r}",
            hint="rename the folder: its path must not hold newlines or end with white space",
            path=root,
        )
    if not os.path.isabs(root) or not os.path.isdir(root):
        raise EnvironmentBuildError(f"local code is expected in {root!r}, which is not an absolute folder", path=root)


def _declared(tool: dict[str, Any]) -> list[str]:
    """The folders of the first backend that has a setting for them, relative to the project."""
    for reader in _READERS:
        if roots := list(reader(tool)):
            return roots
    return []


def _setuptools(tool: dict[str, Any]) -> Iterator[str]:
    yield from _strings(table_at(tool, "setuptools", "packages", "find").get("where"))
    folders = table_at(tool, "setuptools", "package-dir")
    if isinstance(root := folders.get(""), str):
        yield root
    for package, folder in folders.items():
        if package and isinstance(folder, str) and (root := folder_above(folder, package.replace(".", "/"))):
            yield root


def _hatchling(tool: dict[str, Any]) -> Iterator[str]:
    if folders := _strings(table_at(tool, "hatch", "build").get("dev-mode-dirs")):
        yield from folders
        return
    for build in (table_at(tool, "hatch", "build", "targets", "wheel"), table_at(tool, "hatch", "build")):
        sources = build.get("sources")
        yield from _strings(sources)
        if isinstance(sources, dict):
            for folder, package in sources.items():
                if isinstance(package, str) and (root := folder_above(folder, package)):
                    yield root
        if not sources:
            yield from (posixpath.dirname(package.rstrip("/")) or "." for package in _strings(build.get("packages")))


def _poetry(tool: dict[str, Any]) -> Iterator[str]:
    packages = table_at(tool, "poetry").get("packages")
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, dict):
            yield from _strings([package.get("from", ".")])


def _uv_build(tool: dict[str, Any]) -> Iterator[str]:
    root = table_at(tool, "uv", "build-backend").get("module-root")
    yield from _strings([root or "."] if isinstance(root, str) else None)


def _pdm(tool: dict[str, Any]) -> Iterator[str]:
    yield from _strings([table_at(tool, "pdm", "build").get("package-dir")])


def _maturin(tool: dict[str, Any]) -> Iterator[str]:
    yield from _strings([table_at(tool, "maturin").get("python-source")])


_READERS: tuple[Callable[[dict[str, Any]], Iterator[str]], ...] = (
    _setuptools,
    _hatchling,
    _poetry,
    _uv_build,
    _pdm,
    _maturin,
)


def folder_above(folder: str, package: str) -> str:
    """The folder above ``package`` if ``folder`` ends with it.

    "" if it does not: to import such a package takes more than a path.
    """
    folder = folder.rstrip("/")
    if not package:
        return folder
    if folder == package:
        return "."
    return folder.removesuffix(f"/{package}") if folder.endswith(f"/{package}") else ""


def _conventional(project: str) -> str:
    source = os.path.join(project, "src")
    is_package_itself = os.path.isfile(os.path.join(source, "__init__.py"))
    return source if not is_package_itself and _holds_code(source, _DEEPEST_NAMESPACE) else project


def _holds_code(folder: str, depth: int) -> bool:
    """Whether a module is in this folder, or within ``depth`` folders below whose names can be imported."""
    try:
        with os.scandir(folder) as found:
            children = list(found)
    except OSError:
        return False
    if any(child.name.endswith((".py", ".pyi", ".so")) and child.is_file() for child in children):
        return True
    return depth > 0 and any(
        child.name.isidentifier() and child.is_dir() and _holds_code(child.path, depth - 1) for child in children
    )


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
