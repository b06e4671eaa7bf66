"""What ``pyproject.toml`` says to PDM: dependencies by group, sources, and the hash by which PDM knows its lock file."""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.staleness import sha256_of_json
from storectl_store.selection.toml_table import Table, parse_toml

DEFAULT = NormalizedName("default")
"""What PDM calls the dependencies of the project itself, among its groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdmProject:
    """A project of PDM. ``dependencies``, ``extras`` and ``groups`` are dependency specifiers as they are written.

    ``packaged`` is whether PDM installs the project itself: it has a name, and ``distribution`` is not false. ``indexes``
    are those of ``[[tool.pdm.source]]``; ``exclusive`` where one of them replaces the default one, by its name.
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


def pdm_project_of(lock_file: LockFile) -> PdmProject | None:
    """The project beside the lock file, None where there is none; LockFileError where it is malformed."""
    if lock_file.pyproject is None:
        return None
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    project = top.table("project")
    pdm = top.table("tool").table("pdm")
    sources = pdm.tables("source")
    distribution = pdm.optional_boolean("distribution")
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
    )


def _url(source: Table) -> str:
    return source.text("url")


def _lists(table: Table) -> dict[NormalizedName, tuple[str, ...]]:
    return {table.as_name(key, key): table.texts(key) for key in table.values}


def _groups(top: Table, pdm: Table) -> dict[NormalizedName, tuple[str, ...]]:
    """The development groups of both tables, with what a group includes in it."""
    table = top.table("dependency-groups")
    raw = {table.as_name(key, key): table.array(key) for key in table.values}
    groups = {name: tuple(_flat(table, raw, name, ())) for name in raw}
    for name, texts in _lists(pdm.table("dev-dependencies")).items():
        groups[name] = (*groups.get(name, ()), *texts)
    return groups


def _flat(
    table: Table, raw: Mapping[NormalizedName, list[object]], name: NormalizedName, within: tuple[NormalizedName, ...]
) -> list[str]:
    if name in within:
        raise table.error(f"the group `{name}` includes itself")
    texts: list[str] = []
    for item in raw.get(name, []):
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict) and isinstance(included := item.get("include-group"), str):
            texts += _flat(table, raw, table.as_name(name, included), (*within, name))
        else:
            raise table.error(f"`{name}` must hold dependencies and included groups only")
    return texts


def _content_hash(top: Table, project: Table, pdm: Table) -> str:
    """As PDM computes ``content_hash``: sha256 over what its resolver reads, as JSON with sorted keys."""
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
