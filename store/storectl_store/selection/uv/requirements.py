"""Requirements as a ``uv.lock`` records them and as a ``pyproject.toml`` declares them, to be compared.

    { name = "idna", extras = ["x"], specifier = ">=3", marker = "…", index = "https://…" }     from an index
    { name = "lib", editable = "lib" }                              or directory, virtual, path, url, git

What ``[tool.uv.sources]`` says of a name decides the source. If that is subtle (several sources, or one for some extra
or group only), the name is not compared: it is better to miss a change than to report one that did not happen.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version

from storectl_store.selection.addresses import file_url, is_url
from storectl_store.selection.marker_equality import mean_the_same
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.version_bounds import allow_the_same

_LOCAL = ("editable", "directory", "virtual", "path")
_PLACES = frozenset({*_LOCAL, "git", "url", "index"})
_REVISIONS = ("rev", "tag", "branch")
_SIMPLE = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)[ \t]*((?:[<>=!~]=?[^\s;@()\[\]\"']+)?)")
"""A name with version specifiers, and nothing else."""

Source = tuple[str, ...]
"""Kind and location.

For example ``("local", "lib")``, ``("git", url, revision, subdirectory)``, ``("url", url)`` or ``("index", url)``.
"""

Specifiers = frozenset[tuple[str, str]]
"""Operators with their versions, in a form in which specifiers that mean the same are equal."""

_MOST_FLAT = 2000

SUBTLE: Source = ()
"""The source of a requirement that is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvRequirement:
    """One requirement. ``source`` is None for any index.

    For a declared requirement, ``extra`` is the extra that it belongs to, and ``own_marker`` its marker without that
    extra.
    """

    name: NormalizedName
    extras: frozenset[NormalizedName]
    specifiers: Specifiers
    source: Source | None
    marker: str | None
    extra: NormalizedName | None = None
    own_marker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The ``[tool.uv.sources]`` that apply to one project. ``folder`` is the project's, relative to the lock file.

    ``tables`` are what they say of each name, None if that is subtle. ``indexes`` are the addresses of named indexes as
    `index_address` gives them, empty if that is subtle. ``members`` are the folders of workspace members, relative to
    the lock file. ``base`` is the lock file's own absolute folder: a path may leave it and come back by its name.
    """

    folder: str
    tables: Mapping[NormalizedName, Table | None] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[NormalizedName, str] = field(default_factory=dict)
    base: str = "/"

    def of_name(self, name: NormalizedName) -> Source | None:
        """The source of a requirement without an address of its own: None for any index, SUBTLE if not compared."""
        if name not in self.tables:
            return None
        table = self.tables[name]
        return SUBTLE if table is None else self._read(name, table)

    def _read(self, name: NormalizedName, table: Table) -> Source:
        if {"marker", "extra", "group", "lfs"} & table.values.keys():
            return SUBTLE
        if table.optional_boolean("workspace"):
            return ("local", self.members[name]) if name in self.members else SUBTLE
        subdirectory = table.optional_text("subdirectory") or ""
        if git := table.optional_text("git"):
            revision = next((value for key in _REVISIONS if (value := table.optional_text(key))), "")
            return ("git", _plain(git), revision, subdirectory)
        if url := table.optional_text("url"):
            return ("url", _plain(url))
        if path := table.optional_text("path"):
            return ("local", os.path.relpath(os.path.join(self.base, self.folder, path, subdirectory), self.base))
        index = self.indexes.get(table.optional_text("index") or "")
        return ("index", index) if index else SUBTLE


def index_address(text: str, project: str, base: str) -> str:
    """The address of an index of a project, as far as it is compared.

    uv records a path as a URL. A member's path is relative to the folder in which the command runs, which is unknown
    here: for such a path the address is empty.
    """
    if is_url(text):
        return _plain(text)
    return _plain(file_url(Path(base), text)) if text and project == "." else ""


def declared(texts: Iterable[str], sources: Sources, *, extra: NormalizedName | None = None) -> list[UvRequirement]:
    """The requirements of a ``pyproject.toml``. Raises ValueError if a text is no requirement.

    ``extra`` is the extra that they belong to.
    """
    return [_declared(text, sources, extra) for text in texts]


def recorded(tables: Iterable[Table]) -> list[UvRequirement]:
    """The requirements of a lock file. Raises ValueError if one has malformed specifiers."""
    return [
        UvRequirement(
            name=table.name("name"),
            extras=frozenset((*table.names("extras"), *table.names("extra"))),
            specifiers=_specifiers(table.optional_text("specifier") or ""),
            source=_recorded_source(table),
            marker=table.optional_text("marker"),
        )
        for table in tables
    ]


def without_own_extras(requirements: Sequence[UvRequirement], own: NormalizedName | None) -> list[UvRequirement]:
    """Replace each requirement of the project's own extras by the requirements of those extras.

    ``all = ["own[fast]"]`` and ``fast = ["numpy"]`` make ``numpy`` a requirement of ``all`` too, as uv records it.
    ``own`` is the project's name.
    """
    flat = [requirement for requirement in requirements if requirement.name != own]
    waiting = [(extra, r.marker) for r in requirements if r.name == own for extra in r.extras]
    seen: set[tuple[NormalizedName, str | None]] = set()
    while waiting:
        extra, marker = waiting.pop()
        if (extra, marker) in seen or len(seen) > _MOST_FLAT:
            continue
        seen.add((extra, marker))
        for requirement in requirements:
            if requirement.extra != extra:
                continue
            both = _joined(marker, requirement.own_marker)
            if requirement.name == own:
                waiting += [(further, both) for further in requirement.extras]
            else:
                flat.append(replace(requirement, marker=both))
    return flat


def _joined(first: str | None, second: str | None) -> str | None:
    return f"({first}) and ({second})" if first and second else first or second


def differing(first: Sequence[UvRequirement], second: Sequence[UvRequirement]) -> NormalizedName | None:
    """The first name whose requirements differ in meaning; None if there is none."""
    ours, theirs = by_name(first), by_name(second)
    names = sorted({*ours, *theirs})
    return next((name for name in names if _say_another(ours.get(name, []), theirs.get(name, []))), None)


def worded_otherwise(first: Sequence[UvRequirement], second: Sequence[UvRequirement]) -> NormalizedName | None:
    """The first name whose requirements differ when compared one by one, even if together they mean the same."""
    ours, theirs = by_name(first), by_name(second)
    names = sorted({*ours, *theirs})
    return next((name for name in names if not _same_words(ours.get(name, []), theirs.get(name, []))), None)


def by_name(requirements: Iterable[UvRequirement]) -> dict[NormalizedName, list[UvRequirement]]:
    """The requirements of each project, in their order: name -> requirements."""
    found: dict[NormalizedName, list[UvRequirement]] = defaultdict(list)
    for requirement in requirements:
        found[requirement.name].append(requirement)
    return dict(found)


def _say_another(first: Sequence[UvRequirement], second: Sequence[UvRequirement]) -> bool:
    """Whether the requirements of one project differ: in source, in markers for it or for an extra, or in versions."""
    sources = {requirement.source for requirement in (*first, *second)}
    if SUBTLE in sources or _same_words(first, second):
        return False
    if len(sources) > 1 or not (first and second):
        return True
    extras = {extra for requirement in (*first, *second) for extra in requirement.extras}
    if not all(mean_the_same(_markers(first, extra), _markers(second, extra)) for extra in (None, *sorted(extras))):
        return True
    ours, theirs = ([(each.marker, each.specifiers) for each in side] for side in (first, second))
    return not allow_the_same(ours, theirs)


def _same_words(first: Sequence[UvRequirement], second: Sequence[UvRequirement]) -> bool:
    """Whether both say the same one by one. Nearly all do, and to find out takes a hundredth of the time."""
    ours, theirs = _by_meaning(first), _by_meaning(second)
    return ours.keys() == theirs.keys() and all(mean_the_same(ours[key], theirs[key]) for key in ours)


def _markers(requirements: Iterable[UvRequirement], extra: NormalizedName | None) -> list[str | None]:
    """The markers under which the project, or an extra of it, is required."""
    return [each.marker for each in requirements if extra is None or extra in each.extras]


_Meaning = tuple[frozenset[NormalizedName], Specifiers, Source | None]


def _by_meaning(requirements: Iterable[UvRequirement]) -> dict[_Meaning, list[str | None]]:
    markers: dict[_Meaning, list[str | None]] = defaultdict(list)
    for requirement in requirements:
        markers[requirement.extras, requirement.specifiers, requirement.source].append(requirement.marker)
    return dict(markers)


class _Written(NamedTuple):
    """A requirement by itself, as a ``pyproject.toml`` says it."""

    name: NormalizedName
    specifiers: Specifiers
    extras: frozenset[NormalizedName] = frozenset()
    url: str | None = None
    marker: str | None = None


def _declared(text: str, sources: Sources, extra: NormalizedName | None) -> UvRequirement:
    written = _written(text)
    source = sources.of_name(written.name) if written.url is None else _source_of_url(written.url)
    return UvRequirement(
        name=written.name,
        extras=written.extras,
        specifiers=_unless_placed(written.specifiers, source),
        source=source,
        marker=written.marker if extra is None else _joined(written.marker, f"extra == '{extra}'"),
        extra=extra,
        own_marker=written.marker,
    )


def _written(text: str) -> _Written:
    if simple := _SIMPLE.fullmatch(text):  # as nearly all are; the full parser takes ten times as long
        return _Written(name=canonicalize_name(simple[1]), specifiers=_specifiers(simple[2]))
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"{text[:80]!r} is no requirement") from error
    return _Written(
        name=canonicalize_name(requirement.name),
        extras=frozenset(map(canonicalize_name, requirement.extras)),
        specifiers=_compared(requirement.specifier),
        url=requirement.url,
        marker=str(requirement.marker) if requirement.marker else None,
    )


def _unless_placed(specifiers: Specifiers, source: Source | None) -> Specifiers:
    """The specifiers to compare.

    A requirement with a path or address has the version found there: uv records none for it.
    """
    return specifiers if source is None or source[:1] == ("index",) else frozenset()


def _recorded_source(table: Table) -> Source | None:
    if table.values.keys().isdisjoint(_PLACES):  # as nearly all are
        return None
    subdirectory = table.optional_text("subdirectory") or ""
    for kind in _LOCAL:
        if path := table.optional_text(kind):
            return ("local", os.path.normpath(os.path.join(path, subdirectory)))
    if git := table.optional_text("git"):
        return _source_of_git(git)
    if url := table.optional_text("url"):
        return ("url", _plain(url))
    index = table.optional_text("index")
    return ("index", _plain(index)) if index else None


def _source_of_url(url: str) -> Source:
    """The source of ``name @ url``, in the words of a lock file."""
    if url.startswith("git+"):
        parts = urlsplit(url.removeprefix("git+"))
        path, _, revision = parts.path.rpartition("@") if "@" in parts.path else (parts.path, "", "")
        subdirectory = dict(parse_qsl(parts.fragment)).get("subdirectory", "")
        return ("git", _plain(parts._replace(path=path, query="", fragment="").geturl()), revision, subdirectory)
    if url.startswith("file:"):
        return SUBTLE
    return ("url", _plain(url))


def _source_of_git(location: str) -> Source:
    address, _, query = location.partition("#")[0].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    revision = next((options[key] for key in _REVISIONS if options.get(key)), "")
    return ("git", _plain(address), revision, options.get("subdirectory") or options.get("path") or "")


def _plain(url: str) -> str:
    """An address as far as it is compared: without a login, a fragment or a final slash."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl().rstrip("/")


@lru_cache(maxsize=1024)  # both sides say the same, as a rule
def _specifiers(text: str) -> Specifiers:
    try:
        return _compared(SpecifierSet(text))
    except InvalidSpecifier as error:
        raise ValueError(f"{text[:80]!r} is no list of specifiers") from error


def _compared(specifiers: SpecifierSet) -> Specifiers:
    """The specifiers as ``Specifier.__eq__`` compares them, worked out once and not at each comparison."""
    return frozenset((each.operator, _compared_version(each.operator, each.version)) for each in specifiers)


def _compared_version(operator: str, version: str) -> str:
    return version if operator == "===" else canonicalize_version(version, strip_trailing_zero=operator != "~=")
