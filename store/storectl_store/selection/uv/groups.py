"""The dependency groups of the projects of a ``uv.lock``, and the Pythons that they ask for.

    [tool.uv.dependency-groups]
    dev = { requires-python = ">=3.12" }

A selected group narrows the Pythons of the whole workspace, whichever member it belongs to, and so does a group that it
includes. uv chooses the interpreter accordingly.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.selection.dependency_groups import (
    DependencyGroup,
    check_includes,
    dependency_groups,
    included_groups,
)
from storectl_store.selection.project_file import default_groups_in
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.uv.workspace import UvProject

DEV = NormalizedName("dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedGroups:
    """The groups that a command asks for: those ``named``, and the default ones unless ``defaults`` is false.

    With ``every`` it asks for all of them. Those ``left_out`` do not count whatever asks for them.
    """

    named: frozenset[str] = frozenset()
    defaults: bool = True
    every: bool = False
    left_out: frozenset[str] = frozenset()

    @classmethod
    def by(cls, options: Mapping[str, Any]) -> Self:
        """The groups that these options ask for (``selection.asked``)."""
        groups = frozenset(options.get("groups", ()))
        return cls(
            named=groups | {DEV} if options.get("dev") else groups,
            defaults=options.get("default_groups", True) and not options.get("only_groups"),
            every=bool(options.get("all_groups")),
            left_out=frozenset(options.get("no_groups", ())),
        )


DEFAULT_GROUPS = AskedGroups()


def groups_of(project: UvProject) -> dict[NormalizedName, DependencyGroup]:
    """The groups of a project, with uv's own older form of ``dev``. Raises LockFileError if one is malformed."""
    groups = dependency_groups(project.table)
    if "dev-dependencies" in project.uv.values:
        older = project.uv.texts("dev-dependencies")
        dev = groups.get(DEV, DependencyGroup(requirements=(), includes=()))
        groups[DEV] = DependencyGroup(requirements=(*dev.requirements, *older), includes=dev.includes)
    return groups


def check_groups(members: Iterable[UvProject]) -> None:
    """Raise LockFileError if uv would refuse the groups of one of these projects."""
    for project in members:
        groups = groups_of(project)
        check_includes(project.table, groups)
        settings = _settings(project)
        for key in settings.values:
            if settings.as_name(key, key) not in groups:
                raise settings.error(f"`{key}` is no group", key=key, hint="correct its name in [tool.uv]")


def required_pythons(members: Iterable[UvProject], root: UvProject, asked: AskedGroups) -> tuple[str, ...]:
    """The version specifiers of Python of every group that is asked for, and of the groups that those include."""
    defaults = default_groups_in(root.uv) if asked.defaults else ()
    named = {canonicalize_name(name) for name in asked.named} | set(_names(defaults))
    left_out = {canonicalize_name(name) for name in asked.left_out}
    every = asked.every or defaults == "all"
    return tuple(
        specifiers
        for project in members
        if _settings(project).values
        for name in groups_of(project)
        if (every or name in named) and name not in left_out
        for specifiers in _pythons_of(project, name)
    )


def _names(defaults: tuple[NormalizedName, ...] | str | None) -> tuple[NormalizedName, ...]:
    return (DEV,) if defaults is None else defaults if isinstance(defaults, tuple) else ()


def _pythons_of(project: UvProject, name: NormalizedName) -> Iterator[str]:
    settings = _settings(project)
    own = {
        settings.as_name(key, key): settings.table(key).optional_specifiers("requires-python")
        for key in settings.values
    }
    for each in included_groups(project.table, groups_of(project), name):
        if specifiers := own.get(each):
            yield specifiers


def _settings(project: UvProject) -> Table:
    return project.uv.table("dependency-groups")
