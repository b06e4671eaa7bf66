"""uv's configuration of builds: ``[tool.uv]`` of the workspace root or its ``uv.toml``, then the user's ``uv.toml``.

Of a switch the nearest value counts. Lists and tables of all files are merged, as uv does it. Build constraints are
only those of the root's ``pyproject.toml``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.building.build_options import BuildOptions, BuildOptionsError, ExtraRequirement, Names, merged
from storectl_daemon.building.recipe import ConfigSettings
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.settings_files import is_true
from storectl_store.selection.tables.toml_table import parse_toml

Tables = list[dict[str, Any]]


def uv_build_options(lock_file: LockFile, environ: Mapping[str, str]) -> BuildOptions:
    """The build options that uv would obey.

    Raises BuildOptionsError for a value that its option cannot have, LockFileError for a file that is no TOML.
    """
    root = _root(lock_file)
    settings = [(str(path), lock_file.included[str(path)]) for path in lock_file.settings]
    tables = [dict(parse_toml(content, path).values) for path, content in settings]
    if lock_file.project / "uv.toml" not in lock_file.settings:  # if there is one, uv ignores [tool.uv]
        tables.insert(0, root)
    try:
        return BuildOptions(
            constraints=tuple(_texts(root.get("build-constraint-dependencies"))),
            requires=_requires(tables),
            variables=_by_project(tables, "extra-build-variables", _variables),
            config_settings=_settings(table.get("config-settings") for table in tables),
            config_settings_of=_by_project(tables, "config-settings-package", _settings),
            unisolated=_names(environ, tables, "no-build-isolation"),
            uv_sources=not is_true(environ.get("UV_NO_SOURCES")),
        )
    except _OddValueError as error:
        raise BuildOptionsError(
            f"{lock_file.project}: uv's {error}",
            hint="see uv's documentation of its settings",
            path=str(lock_file.project),
        ) from error


def _root(lock_file: LockFile) -> dict[str, Any]:
    if lock_file.pyproject is None:
        return {}
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    return dict(top.table("tool").table("uv").values)


class _OddValueError(ValueError):
    """A value whose type does not suit its option."""


def _names(environ: Mapping[str, str], tables: Tables, option: str) -> Names:
    """``no-build-isolation`` with ``no-build-isolation-package``; the variable comes first."""
    variable = f"UV_{option.upper().replace('-', '_')}"
    said = [environ[variable]] if environ.get(variable) else []
    switches = [is_true(text) for text in said] + [table[option] for table in tables if option in table]
    everything = bool(switches) and switches[0] is True
    texts = [text for table in tables for text in _texts(table.get(f"{option}-package"))]
    names = frozenset(canonicalize_name(text) for text in texts)
    return Names(everything=everything, names=names)


def _requires(tables: Tables) -> dict[NormalizedName, tuple[ExtraRequirement, ...]]:
    """``extra-build-dependencies``: requirements, or tables ``{ requirement, match-runtime }``."""
    found: dict[NormalizedName, tuple[ExtraRequirement, ...]] = {}
    for table in tables:
        for name, entries in _table(table.get("extra-build-dependencies")).items():
            key = canonicalize_name(name)
            found[key] = (*found.get(key, ()), *(_extra(entry, key) for entry in _list(entries)))
    return found


def _extra(entry: object, of: NormalizedName) -> ExtraRequirement:
    text = entry.get("requirement") if isinstance(entry, dict) else entry
    of_runtime = isinstance(entry, dict) and entry.get("match-runtime") is True
    try:
        requirement = Requirement(text if isinstance(text, str) else "")
    except InvalidRequirement:
        raise _OddValueError(f"`extra-build-dependencies` of `{of}`: {str(text)[:80]!r} is no requirement") from None
    if of_runtime and (requirement.specifier or requirement.url):
        raise _OddValueError(f"`extra-build-dependencies` of `{of}`: `match-runtime` takes a name without a version")
    return ExtraRequirement(
        text=canonicalize_name(requirement.name) if of_runtime else str(text), of_runtime=of_runtime
    )


def _by_project(tables: Tables, option: str, read: Any) -> dict[NormalizedName, Any]:
    """An option that is a table by project: for each project the values of all files, the nearest first."""
    said: dict[NormalizedName, list[Any]] = {}
    for table in tables:
        for name, value in _table(table.get(option)).items():
            said.setdefault(canonicalize_name(name), []).append(value)
    return {name: read(values) for name, values in said.items()}


def _variables(values: Iterable[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        for name, text in _table(value).items():
            if not isinstance(text, str):
                raise _OddValueError(f"`extra-build-variables`: the value of `{name}` is no text")
            found.setdefault(name, text)
    return found


def _settings(values: Iterable[object]) -> ConfigSettings:
    """``config-settings``: the texts, or lists of texts, of all files."""
    found: ConfigSettings = {}
    for value in values:
        found = merged(found, {key: _setting(key, item) for key, item in _table(value).items()})
    return found


def _setting(key: str, value: object) -> str | list[str]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise _OddValueError(f"`config-settings`: the value of `{key}` is neither a text nor a list of texts")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> Iterator[str]:
    return (text for text in _list(value) if isinstance(text, str))
