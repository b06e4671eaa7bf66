"""What a ``pyproject.toml`` beside a lock file adds to a selection: the project itself, and its default groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from packaging.utils import NormalizedName

from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import LocalProject, Pin, Selected
from storectl_store.selection.tables.toml_table import Table, parse_toml

DefaultGroups = tuple[NormalizedName, ...] | Literal["all"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """A ``pyproject.toml``. ``name`` is None without ``[project]``.

    ``packaged``: the project is installed as a package. ``[tool.uv] package`` says so; without that, it is one if there
    is a ``[build-system]``. ``default_groups`` is None if the file does not say them.
    """

    name: NormalizedName | None
    packaged: bool
    extras: frozenset[NormalizedName]
    groups: frozenset[NormalizedName]
    default_groups: DefaultGroups


_NO_PROJECT = ProjectFile(name=None, packaged=False, extras=frozenset(), groups=frozenset(), default_groups=None)


def project_file_of(lock_file: LockFile) -> ProjectFile:
    """The project beside the lock file; an empty one if there is none. Raises LockFileError if it is malformed."""
    if lock_file.pyproject is None:
        return _NO_PROJECT
    return parse_project_file(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))


def parse_project_file(content: bytes, file: str) -> ProjectFile:
    """The project that this ``pyproject.toml`` describes. Raises LockFileError if it is malformed."""
    top = parse_toml(content, file)
    project = top.optional_table("project")
    uv = top.table("tool").table("uv")
    package = uv.optional_boolean("package")
    has_backend = top.optional_table("build-system") is not None
    return ProjectFile(
        name=project.name("name") if project else None,
        packaged=has_backend if package is None else package,
        extras=_keys(project.table("optional-dependencies")) if project else frozenset(),
        groups=_keys(top.table("dependency-groups"))
        | ({NormalizedName("dev")} if uv.array("dev-dependencies") else set()),
        default_groups=default_groups_in(uv),
    )


def root_project(lock_file: LockFile, taken: Iterable[Selected]) -> tuple[LocalProject, ...]:
    """The project beside the lock file, if it is a package and the lock file does not say what it is; else empty.

    ``taken`` are the projects that the lock file has.
    """
    project = project_file_of(lock_file)
    names = {item.name for item in taken if isinstance(item, LocalProject | Pin)}
    if project.name is None or not project.packaged or project.name in names:
        return ()
    return (LocalProject(name=project.name, path=str(lock_file.project), kind="root", packaged=True),)


def _keys(table: Table) -> frozenset[NormalizedName]:
    return frozenset(table.as_name(key, key) for key in table.values)


def default_groups_in(uv: Table) -> DefaultGroups:
    """The ``default-groups`` of ``[tool.uv]``, or of a table of ``uv.lock``, which repeats them."""
    if uv.values.get("default-groups") == "all":
        return "all"
    return uv.names("default-groups") if "default-groups" in uv.values else None


def project_requires_python(lock_file: LockFile) -> str | None:
    """``requires-python`` of the ``pyproject.toml`` beside a lock file; None if it has none."""
    if lock_file.pyproject is None:
        return None
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    return top.table("project").optional_specifiers("requires-python")
