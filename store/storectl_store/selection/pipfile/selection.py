"""Selection from ``Pipfile.lock`` (JSON, pipfile-spec 6).

    _meta     hash.sha256 of the Pipfile, requires.python_version, sources: [{name, url, verify_ssl}]
    default   project -> {version: "==1.0", hashes: ["sha256:…"], markers, extras, index}
                       | {git, ref, subdirectory} | {file} | {path, editable}
    develop   as default, and so any further category of the Pipfile under its name

The file is flat: every project that is needed is listed, with its marker. Files are known by their digests only, so an
index has to say which they are.

``pipenv sync`` takes ``default``; storectl calls the other sections groups. Pipenv installs section by section, so if
two of them lock a project differently the later one counts. Newer versions write ``'dev' in dependency_groups`` into
the marker of an entry that is not in ``default``; such a marker is true as soon as the section is asked for.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_strong_digest
from storectl_store.errors import LockFileError, UnsupportedSourceError
from storectl_store.selection.addresses import absolute_path, checked_url, file_url, is_url
from storectl_store.selection.direct_sources import ARCHIVES, addressed_archive, commit_of_table, project_in
from storectl_store.selection.limits import check_count
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.locked_digests import STRONG_HINT
from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.options import asked_extras, canonical_names, check_known
from storectl_store.selection.pin import (
    FileFormat,
    IndexPin,
    Pin,
    Selected,
    Selection,
)
from storectl_store.selection.pipfile.python import pipfile_requires_python
from storectl_store.selection.policy_settings import build_policy_of
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.requirements.lines import with_variables
from storectl_store.selection.staleness import sha256_of_json
from storectl_store.selection.tables.json_table import parse_json
from storectl_store.selection.tables.toml_table import Table, parse_toml
from storectl_store.selection.target import Interpreter, Target

_META, _DEFAULT, _DEVELOP = "_meta", "default", "develop"
_SPEC = 6
_GROUP = re.compile(r"['\"]([\w.-]+)['\"] in dependency_groups")
_ANEW = "make it anew with `pipenv lock`"
_ALIASES = {"dev": _DEVELOP, "dev-packages": _DEVELOP, "packages": _DEFAULT}
"""The names that Pipenv's options and a Pipfile have for the sections."""


def select_from_pipfile_lock(lock_file: LockFile, target: Target) -> Selection:
    """What a ``Pipfile.lock`` selects for the target. Raises SelectionError if it is malformed or does not fit."""
    top = parse_json(lock_file.content, str(lock_file.path))
    meta = top.table(_META)
    spec = meta.optional_integer("pipfile-spec")
    if spec != _SPEC:
        raise meta.error(f"pipfile-spec {spec} is not supported, only {_SPEC}", key="pipfile-spec")
    check_requires_python(pipfile_requires_python(lock_file), target.interpreter, top.file)
    sections = _sections(top, target)
    check_count([table for section in sections for table in _entries(section)])
    reader = _Reader(lock_file, _sources(meta, lock_file.variables), target.interpreter)
    items, warnings = reader.items(sections)
    return Selection.of(items, warnings=warnings, stale=_stale(meta, lock_file))


def _sections(top: Table, target: Target) -> list[Table]:
    """The sections that are asked for. There are no extras: a Pipfile is no package."""
    asked_extras(target, frozenset(), top.file)
    known = {top.as_name(key, key): key for key in top.values if key not in (_META, _DEFAULT)}
    groups = frozenset(known) if target.all_groups else _section_names(target.groups)
    left_out = _section_names(target.no_groups)
    check_known("group", groups | (left_out - {_DEVELOP}), frozenset(known), top.file)
    groups |= frozenset(known) & {_DEVELOP} if target.dev else frozenset()
    names = ([_DEFAULT] if target.project else []) + [known[group] for group in sorted(groups - left_out)]
    return [top.table(name) for name in names]


def _section_names(groups: Iterable[str]) -> frozenset[NormalizedName]:
    named = (_ALIASES.get(group, group) for group in canonical_names(groups))
    return frozenset(NormalizedName(name) for name in named if name != _DEFAULT)


def _entries(section: Table) -> Iterator[Table]:
    for key in section.values:
        table = section.optional_table(key)
        if table is not None:
            yield table


def _sources(meta: Table, variables: Mapping[str, str]) -> dict[str, str]:
    """The indexes by name, in the order of the lock file."""
    # If a Pipfile names no source, Pipenv writes its default one here.
    return {
        source.optional_text("name") or source.text("url"): with_variables(source.text("url"), variables)
        for source in meta.tables("sources")
    }


class _Reader:
    """The entries of some sections, read for one interpreter."""

    def __init__(self, lock_file: LockFile, sources: Mapping[str, str], interpreter: Interpreter) -> None:
        self._lock_file = lock_file
        self._sources = sources
        self._interpreter = interpreter
        self._policy = build_policy_of(lock_file)
        groups = frozenset(_GROUP.findall(lock_file.content.decode(errors="replace")))
        self._values = MarkerValues({**interpreter.markers, "extra": ""}, groups=groups)

    def items(self, sections: list[Table]) -> tuple[list[Selected], tuple[str, ...]]:
        """All that is selected, and a warning if two sections lock a project differently."""
        chosen: dict[NormalizedName, Selected] = {}
        twice: set[NormalizedName] = set()
        for section in sections:
            for key in section.values:
                name = section.as_name(key, key)
                entry = section.optional_table(key)
                if entry is None:
                    raise section.error(f"`{key}` must be an object", key=key)
                entry = entry.at(f"`{name}`")
                if not self._holds(entry):
                    continue
                item = self._item(name, entry)
                if _version(chosen.get(name, item)) != _version(item):
                    twice.add(name)
                chosen[name] = item
        return list(chosen.values()), _twice(twice, str(self._lock_file.path))

    def _holds(self, entry: Table) -> bool:
        try:
            return self._values.hold(entry.optional_text("markers"))
        except ValueError as error:
            raise entry.error(str(error), key="markers") from error

    def _item(self, name: NormalizedName, entry: Table) -> Selected:
        try:
            if "git" in entry.values:
                return commit_of_table(entry, name, None, url="git", commit="ref", revision=None, hint=_ANEW)
            if other := next((kind for kind in ("hg", "svn", "bzr") if kind in entry.values), None):
                raise UnsupportedSourceError(
                    f"`{name}` is locked as a {other} repository", hint="lock it from an index or from git", name=name
                )
            if "file" in entry.values or "path" in entry.values:
                return self._addressed(name, entry)
        except ValueError as error:
            raise entry.error(str(error)) from error
        return self._index_pin(name, entry)

    def _index_pin(self, name: NormalizedName, entry: Table) -> IndexPin:
        text = entry.text("version")
        if not text.startswith("=="):
            raise entry.error(f"`version` {text[:80]!r} is not pinned with `==`", key="version")
        version = Table(
            values={"version": text.removeprefix("==").removeprefix("=")},
            file=entry.file, place=entry.place, path=entry.path, document=entry.document,
        ).optional_version("version")  # fmt: skip
        digests = frozenset(self._digest(entry, hash_) for hash_ in entry.texts("hashes"))
        if not digests:
            raise entry.error("has no hash", key="hashes", hint=_ANEW)
        index = entry.optional_text("index")
        if index is not None and index not in self._sources:
            raise entry.error(f"`index` {index[:80]!r} is none of the sources", key="index")
        indexes = (self._sources[index],) if index is not None else tuple(self._sources.values())
        formats: frozenset[FileFormat] = self._policy.formats(name)
        settings = self._policy.settings_against(name) or None
        if entry.optional_boolean("no_binary"):  # what `pipenv install --no-binary` writes
            formats, settings = frozenset({"sdist"}), "`no_binary` of the lock file"
        return IndexPin(
            name=name,
            version=version or "",
            digests=digests,
            indexes=indexes,
            exclusive=bool(indexes),
            formats=formats,
            settings=settings,
        )

    def _digest(self, entry: Table, text: str) -> Digest:
        try:
            return parse_strong_digest(text)
        except ValueError as error:
            raise entry.error(f"`hashes`: {error}", key="hashes", hint=STRONG_HINT) from error

    def _addressed(self, name: NormalizedName, entry: Table) -> Selected:
        """A folder, or an archive by its path or address."""
        folder = self._lock_file.project
        where = entry.optional_text("file") or entry.text("path")
        where = with_variables(where, self._lock_file.variables)
        subdirectory = entry.optional_text("subdirectory")
        if not is_url(where) and not where.lower().endswith(ARCHIVES):
            path = absolute_path(folder, str(Path(where) / (subdirectory or "")))
            return project_in(path, name, folder, editable=entry.optional_boolean("editable") or False)
        return addressed_archive(
            name,
            checked_url(where.partition("#")[0]) if is_url(where) else file_url(folder, where),
            self._interpreter,
            table=entry,
            key="hashes",
            digests={self._digest(entry, text) for text in entry.texts("hashes")},
            version=None,
            subdirectory=subdirectory,
        )


def _version(item: Selected) -> object:
    """The item's version if it is known; otherwise the whole item."""
    return item.version if isinstance(item, Pin | IndexPin) else item


def _twice(names: set[NormalizedName], file: str) -> tuple[str, ...]:
    if not names:
        return ()
    first, *others = sorted(names)
    more = f" and {len(others)} more" if others else ""
    return (
        (
            f"{file}: `{first}`{more} in another version in a later section, which counts as for Pipenv: "
            "lock anew (`pipenv lock`) for the same in all"
        ),
    )


def _stale(meta: Table, lock_file: LockFile) -> str | None:
    """A line if the lock file is older than the Pipfile; None if it is not.

    Pipenv keeps a hash of what the Pipfile says, not of its bytes.
    """
    locked = meta.table("hash").optional_text("sha256")
    if locked is None or lock_file.pipfile is None:
        return None
    try:
        pipfile = parse_toml(lock_file.pipfile, "Pipfile").values
    except LockFileError:
        return f"{lock_file.project / 'Pipfile'} cannot be read: correct it, and run `pipenv lock`"
    data = {
        "_meta": {"sources": pipfile.get("source", meta.array("sources")), "requires": pipfile.get("requires", {})},
        _DEFAULT: pipfile.get("packages", {}),
        _DEVELOP: pipfile.get("dev-packages", {}),
    }
    data |= {key: value for key, value in pipfile.items() if key not in _OTHER_SECTIONS}
    if sha256_of_json(data, separators=(",", ":")) == locked:
        return None
    return f"{lock_file.path} was made before Pipfile changed: run `pipenv lock`"


_OTHER_SECTIONS = frozenset(
    {"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}
)
