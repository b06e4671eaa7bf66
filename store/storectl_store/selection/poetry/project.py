"""What ``pyproject.toml`` says to Poetry: dependencies by group, extras, and the hash that its lock file has of them.

[tool.poetry]            dependencies, dev-dependencies, extras, group.NAME.{dependencies, optional, include-groups}
[project]                dependencies, optional-dependencies                                      (Poetry 2)
[dependency-groups]      PEP 735                                                                  (Poetry 2.2)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.selection.dependency_groups import DependencyGroup, dependency_groups, included_groups
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.poetry.constraints import Constraint
from storectl_store.selection.poetry.lock import MAIN, PoetryEdge, edges_of
from storectl_store.selection.staleness import sha256_of_json
from storectl_store.selection.tables.toml_table import Table, parse_toml

_DEV = NormalizedName("dev")
_LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_MEMBER = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryProject:
    """A project of Poetry. ``groups`` holds the dependencies of each group, those of the project under ``main``.

    ``extras`` maps each extra to the optional dependencies that it brings. ``optional_groups`` are selected only if
    asked for. ``content_hash`` is the hash that Poetry 2.3 and newer write for the project; ``older_hash`` is that of
    older versions, which left out ``[dependency-groups]``.
    """

    name: NormalizedName | None
    packaged: bool
    groups: Mapping[NormalizedName, tuple[PoetryEdge, ...]]
    optional_groups: frozenset[NormalizedName]
    extras: Mapping[NormalizedName, frozenset[NormalizedName]]
    content_hash: str
    older_hash: str


def poetry_project_of(lock_file: LockFile) -> PoetryProject | None:
    """The project beside the lock file; None if there is none. Raises LockFileError if it is malformed."""
    if lock_file.pyproject is None:
        return None
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    project, poetry = top.table("project"), top.table("tool").table("poetry")
    named = project if "name" in project.values else poetry
    groups, optional = _groups(top, project, poetry)
    return PoetryProject(
        name=named.name("name") if "name" in named.values else None,
        packaged="name" in named.values and poetry.optional_boolean("package-mode") is not False,
        groups=groups,
        optional_groups=optional,
        extras=_extras(project, poetry),
        content_hash=_content_hash(top, with_groups=True),
        older_hash=_content_hash(top, with_groups=False),
    )


def _groups(
    top: Table, project: Table, poetry: Table
) -> tuple[dict[NormalizedName, tuple[PoetryEdge, ...]], frozenset[NormalizedName]]:
    own: dict[NormalizedName, list[PoetryEdge]] = {MAIN: list(_main(project, poetry))}
    own.setdefault(_DEV, []).extend(edges_of(poetry.table("dev-dependencies")))
    included: dict[NormalizedName, list[NormalizedName]] = {}
    standard = top.table("dependency-groups")
    for name, group in dependency_groups(top).items():
        own.setdefault(name, []).extend(_of_requirement(standard, name, text) for text in group.requirements)
        included.setdefault(name, []).extend(group.includes)
    tables, optional = poetry.table("group"), set[NormalizedName]()
    for key in tables.values:
        name, table = tables.as_name(key, key), tables.table(key)
        own.setdefault(name, []).extend(edges_of(table.table("dependencies")))
        included.setdefault(name, []).extend(table.names("include-groups"))
        if table.optional_boolean("optional"):
            optional.add(name)
    if not own[_DEV] and _DEV not in included:
        del own[_DEV]
    groups = {name: DependencyGroup(requirements=(), includes=tuple(included.get(name, ()))) for name in own}
    flat = {name: [edge for each in included_groups(top, groups, name) for edge in own[each]] for name in own}
    return {name: tuple(edges) for name, edges in flat.items()}, frozenset(optional)


def _main(project: Table, poetry: Table) -> Iterator[PoetryEdge]:
    """The project's own dependencies.

    If both tables have one, ``[project]`` says that it is one, and ``[tool.poetry]`` says how.
    """
    stated = [_of_requirement(project, "dependencies", text) for text in project.texts("dependencies")]
    optional = project.table("optional-dependencies")
    for key in optional.values:
        stated += [_of_requirement(optional, key, text, optional=True) for text in optional.texts(key)]
    yield from stated
    if not stated or "dependencies" not in project.values:
        yield from (edge for edge in edges_of(poetry.table("dependencies")) if edge.name != "python")


def _of_requirement(table: Table, key: str, text: str, *, optional: bool = False) -> PoetryEdge:
    try:
        requirement = Requirement(text)
        return PoetryEdge(
            name=canonicalize_name(requirement.name),
            constraint=Constraint(str(requirement.specifier) or "*"),
            marker=str(requirement.marker) if requirement.marker else None,
            extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
            optional=optional,
            table=table,
        )
    except (InvalidRequirement, ValueError, RecursionError) as error:
        raise table.error(f"`{key}`: {text[:120]!r} is not a requirement", key=key) from error


def _extras(project: Table, poetry: Table) -> dict[NormalizedName, frozenset[NormalizedName]]:
    extras: dict[NormalizedName, frozenset[NormalizedName]] = {}
    for table in (poetry.table("extras"), project.table("optional-dependencies")):
        for key in table.values:
            names = (match[1] for text in table.texts(key) if (match := _MEMBER.match(text)))
            name = table.as_name(key, key)
            extras[name] = extras.get(name, frozenset()) | {canonicalize_name(member) for member in names}
    return extras


def _content_hash(top: Table, *, with_groups: bool) -> str:
    """``content-hash`` as Poetry computes it.

    Before 2.3 it left out ``[dependency-groups]`` (``with_groups`` false).
    """
    project, poetry = top.table("project"), top.table("tool").table("poetry")
    groups = dict(top.table("dependency-groups").values) if with_groups else {}
    stated = {key: project.values[key] for key in _PROJECT_KEYS if key in project.values}
    said = {
        key: poetry.values.get(key)
        for key in (*_LEGACY_KEYS, "group")
        if key in poetry.values or (key in _LEGACY_KEYS and not stated and not groups)
    }
    content: dict[str, object] = said
    if stated or groups:
        content = {
            **({"project": stated} if stated else {}),
            **({"dependency-groups": groups} if groups else {}),
            "tool": {"poetry": said},
        }
    return sha256_of_json(content)
