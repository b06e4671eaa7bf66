"""What ``pyproject.toml`` says to PDM: dependencies by group, sources, and the hash that its lock file has of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.selection.dependency_groups import DependencyGroup, dependency_groups, flat_groups
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.staleness import sha256_of_json
from storectl_store.selection.tables.toml_table import Table, parse_toml

DEFAULT = NormalizedName("default")
"""PDM's name, among its groups, for the dependencies of the project itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdmProject:
    """A project of PDM. ``dependencies``, ``extras`` and ``groups`` are dependency specifiers as they are written.

    ``packaged``: PDM installs the project itself, since it has a name and ``distribution`` is not false. ``indexes``
    and ``find_links`` are the addresses in ``[[tool.pdm.source]]``. ``exclusive``: one of these sources replaces the
    default index, by its name. ``overrides`` are the projects whose version ``[tool.pdm.resolution.overrides]`` sets,
    whatever other projects require; ``excludes`` are the projects that are left out.
    """

    name: NormalizedName | None
    packaged: bool
    dependencies: tuple[str, ...]
    extras: Mapping[NormalizedName, tuple[str, ...]]
    groups: Mapping[NormalizedName, tuple[str, ...]]
    indexes: tuple[str, ...]
    find_links: tuple[str, ...]
    exclusive: bool
    content_hash: str
    overrides: frozenset[NormalizedName] = frozenset()
    excludes: frozenset[NormalizedName] = frozenset()


def pdm_project_of(lock_file: LockFile) -> PdmProject | None:
    """The project beside the lock file; None if there is none. Raises LockFileError if it is malformed."""
    if lock_file.pyproject is None:
        return None
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    project = top.table("project")
    pdm = top.table("tool").table("pdm")
    sources = pdm.tables("source")
    distribution = pdm.optional_boolean("distribution")
    resolution = pdm.table("resolution")
    overrides = resolution.table("overrides")
    return PdmProject(
        name=project.name("name") if "name" in project.values else None,
        packaged="name" in project.values and distribution is not False,
        dependencies=project.texts("dependencies"),
        extras=_lists(project.table("optional-dependencies")),
        groups=_groups(top, pdm),
        indexes=tuple(_url(source) for source in sources if source.optional_text("type") != "find_links"),
        find_links=tuple(_url(source) for source in sources if source.optional_text("type") == "find_links"),
        exclusive=any(source.optional_text("name") == "pypi" for source in sources),
        content_hash=_content_hash(top, project, pdm),
        overrides=frozenset(overrides.as_name(key, key) for key in overrides.values),
        excludes=frozenset(resolution.names("excludes")),
    )


def _url(source: Table) -> str:
    return source.text("url")


def _lists(table: Table) -> dict[NormalizedName, tuple[str, ...]]:
    return {table.as_name(key, key): table.texts(key) for key in table.values}


def _groups(top: Table, pdm: Table) -> dict[NormalizedName, tuple[str, ...]]:
    """The development groups of both tables, each with those it includes. PDM has one set of names for both tables."""
    groups = dependency_groups(top)
    for name, texts in _lists(pdm.table("dev-dependencies")).items():
        standard = groups.get(name, DependencyGroup(requirements=(), includes=()))
        groups[name] = DependencyGroup(requirements=(*standard.requirements, *texts), includes=standard.includes)
    return flat_groups(top, groups)


def _content_hash(top: Table, project: Table, pdm: Table) -> str:
    """``content_hash`` as PDM computes it: sha256 over what its resolver reads, as JSON with sorted keys."""
    groups: dict[str, list[object]] = {}
    for table in (top.table("dependency-groups"), pdm.table("dev-dependencies")):
        for key in table.values:
            groups.setdefault(table.as_name(key, key), []).extend(table.array(key))
    data = {
        "sources": pdm.values.get("source", []),
        "dependencies": project.values.get("dependencies", []),
        "dev-dependencies": groups,
        "optional-dependencies": project.values.get("optional-dependencies", {}),
        "requires-python": project.values.get("requires-python", ""),
        "resolution": pdm.values.get("resolution", {}),
    }
    return f"sha256:{sha256_of_json(data)}"
