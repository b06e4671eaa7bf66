"""The ``[dependency-groups]`` of a ``pyproject.toml`` (PEP 735), with what each group includes in it.

    [dependency-groups]
    test = ["pytest", { include-group = "base" }]

If a group includes itself, or a group that does not exist, then uv, Poetry and PDM all refuse the project, even if its
lock file says everything that is needed. So does storectl: an environment of the old lock file would hide the mistake.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.selection.tables.toml_table import Table

_KEY = "dependency-groups"
_INCLUDE = "include-group"


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyGroup:
    """One group by itself: its own ``requirements`` as written, and the names of the groups it ``includes``."""

    requirements: tuple[str, ...]
    includes: tuple[NormalizedName, ...]


Groups = Mapping[NormalizedName, DependencyGroup]


def dependency_groups(top: Table) -> dict[NormalizedName, DependencyGroup]:
    """The groups of a ``pyproject.toml``. Raises LockFileError, with its line, if one is malformed or there twice."""
    table = top.table(_KEY)
    groups: dict[NormalizedName, DependencyGroup] = {}
    for key in table.values:
        name = table.as_name(key, key)
        if name in groups:
            raise table.error(f"there are two groups `{name}`", key=key, hint="give one of them another name")
        groups[name] = _group(table, key)
    return groups


def check_includes(top: Table, groups: Groups) -> None:
    """Raise LockFileError, with its line, if a group includes itself, directly or not, or one that does not exist."""
    for name in groups:
        for _ in included_groups(top, groups, name):
            pass


def included_groups(top: Table, groups: Groups, name: NormalizedName) -> Iterator[NormalizedName]:
    """This group and every group that it includes, in the order of their requirements.

    Raises LockFileError if a group includes itself, directly or not, or a group that does not exist.
    """
    yield from _included(top, groups, name, ())


def flat_groups(top: Table, groups: Groups) -> dict[NormalizedName, tuple[str, ...]]:
    """The requirements of each group, with those of the groups that it includes.

    Raises LockFileError if a group includes itself, directly or not, or a group that does not exist.
    """
    return {
        name: tuple(text for each in included_groups(top, groups, name) for text in groups[each].requirements)
        for name in groups
    }


def _group(table: Table, key: str) -> DependencyGroup:
    requirements: list[str] = []
    includes: list[NormalizedName] = []
    for item in table.array(key):
        if isinstance(item, str):
            requirements.append(item)
        elif isinstance(item, dict) and item.keys() == {_INCLUDE} and isinstance(item[_INCLUDE], str):
            includes.append(table.as_name(key, item[_INCLUDE]))
        else:
            raise table.error(
                f"group `{key}` has {str(item)[:80]} in it",
                key=key,
                hint='a group holds requirements and { include-group = "name" } only',
            )
    return DependencyGroup(requirements=tuple(requirements), includes=tuple(includes))


def _included(
    top: Table, groups: Groups, name: NormalizedName, within: tuple[NormalizedName, ...]
) -> Iterator[NormalizedName]:
    yield name
    for other in groups[name].includes:
        if other in (*within, name):
            way = " -> ".join(f"`{each}`" for each in (*within, name, other))
            raise top.error(f"group `{other}` includes itself: {way}", key=_KEY, hint="take one of the includes out")
        if other not in groups:
            known = ", ".join(f"`{each}`" for each in sorted(groups))
            raise top.error(
                f"group `{name}` includes `{other}`, which is no group", key=_KEY, hint=f"the groups are {known}"
            )
        yield from _included(top, groups, other, (*within, name))
