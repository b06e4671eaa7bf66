"""The build policy of a lock file, read from the settings of the tool that it belongs to.

If a setting stands in several places the nearest counts: the variable, then the project's file, then the user's. uv
adds its lists of packages together, and ignores ``[tool.uv]`` beside a ``uv.toml``.
"""

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from storectl_store.selection.build_policy import ALL, ANYTHING, NONE, BuildPolicy, FormatRule, rule_for
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.settings_files import is_true
from storectl_store.selection.tables.toml_table import Table, parse_toml

_OFF = frozenset({"", "0", "false", "no", "off", NONE})
_Places = list[tuple[Table, str]]
"""Tables that may hold a setting, the nearest first, each with its name for a message."""


def build_policy_of(lock_file: LockFile) -> BuildPolicy:
    """The policy that holds for a lock file. Raises LockFileError if a settings file is malformed."""
    match lock_file.kind:
        case "uv":
            return _uv_policy(lock_file)
        case "poetry":
            return _policy(lock_file, list(_poetry_places(lock_file)), "installer.", "POETRY_INSTALLER")
        case "pdm":
            return _policy(lock_file, list(_pdm_places(lock_file)), "", "PDM")
        case "pipfile":
            return _policy(lock_file, [], "", "PIP")
        case "requirements" | "pylock":
            # Options of a requirements file come after pip's variables, so both are read together with the file.
            return ANYTHING


def _uv_policy(lock_file: LockFile) -> BuildPolicy:
    places = list(_uv_places(lock_file))
    return BuildPolicy(
        no_wheel=_uv_rule("no-binary", "UV_NO_BINARY", places, lock_file),
        no_build=_uv_rule("no-build", "UV_NO_BUILD", places, lock_file),
    )


def _uv_places(lock_file: LockFile) -> Iterator[tuple[Table, str]]:
    own = lock_file.project / "uv.toml"
    if own not in lock_file.settings and lock_file.pyproject is not None:
        top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
        yield top.table("tool").table("uv"), "[tool.uv]"
    for path in lock_file.settings:
        yield parse_toml(lock_file.included[str(path)], str(path)), path.name if path == own else str(path)


def _uv_rule(setting: str, variable: str, places: _Places, lock_file: LockFile) -> FormatRule:
    """The rule that a switch and the lists of packages beside it make together."""
    names, said = set[str](), list[str]()
    everything, where = _uv_switch(setting, variable, places, lock_file)
    if everything:
        names.add(ALL)
        said.append(where)
    if listed := lock_file.variables.get(f"{variable}_PACKAGE", "").split():
        names |= {canonicalize_name(name) for name in listed}
        said.append(f"{variable}_PACKAGE")
    for table, place in places:
        if found := table.names(f"{setting}-package"):
            names |= set(found)
            said.append(f"`{setting}-package` of {place}")
    return rule_for(names, " and ".join(said))


def _uv_switch(setting: str, variable: str, places: _Places, lock_file: LockFile) -> tuple[bool, str]:
    if said := lock_file.variables.get(variable):
        return is_true(said), variable
    for table, place in places:
        if (value := table.optional_boolean(setting)) is not None:
            return value, f"`{setting}` of {place}"
    return False, ""


def _poetry_places(lock_file: LockFile) -> Iterator[tuple[Table, str]]:
    for path in lock_file.settings:
        yield parse_toml(lock_file.included[str(path)], str(path)).table("installer"), path.name


def _pdm_places(lock_file: LockFile) -> Iterator[tuple[Table, str]]:
    if lock_file.pyproject is not None:
        top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
        yield top.table("tool").table("pdm").table("resolution"), "[tool.pdm.resolution]"


def _policy(lock_file: LockFile, places: _Places, prefix: str, variables: str) -> BuildPolicy:
    """The policy of a tool that has both settings as pip has them: lists of names, ``:all:`` or ``:none:``."""
    rules = [
        _listed_rule(setting, f"{variables}_{variable}", places, prefix, lock_file)
        for setting, variable in (("no-binary", "NO_BINARY"), ("only-binary", "ONLY_BINARY"))
    ]
    return BuildPolicy(no_wheel=rules[0], no_build=rules[1])


def _listed_rule(setting: str, variable: str, places: _Places, prefix: str, lock_file: LockFile) -> FormatRule:
    if said := lock_file.variables.get(variable):
        return rule_for(_names(said), variable)
    for table, place in places:
        if setting in table.values:
            return rule_for(_names_under(setting, table), f"`{prefix}{setting}` of {place}")
    return FormatRule()


def _names_under(key: str, table: Table) -> list[str]:
    """The names under a key: a boolean, a text with commas, or an array of texts."""
    value = table.values[key]
    if isinstance(value, bool):
        return [ALL] if value else []
    return _names(value) if isinstance(value, str) else [name for text in table.texts(key) for name in _names(text)]


def _names(text: str) -> list[str]:
    """Normalised names, or ``:all:``; empty for a value that switches the setting off."""
    if is_true(text):
        return [ALL]
    words = [word.strip() for word in text.split(",")]
    return [] if _OFF & set(words) else [word if word == ALL else canonicalize_name(word) for word in words]
