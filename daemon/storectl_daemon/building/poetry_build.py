"""Poetry's configuration of builds: variables, the project's ``poetry.toml``, then the user's ``config.toml``.

    [installer]
    build-config-settings = { numpy = { key = "value" } }

and in ``pyproject.toml``: ``[tool.poetry.build-constraints] numpy = { setuptools = "<75" }``.
"""

import json
from collections.abc import Mapping
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.building.build_options import BuildOptions, BuildOptionsError
from storectl_daemon.building.recipe import ConfigSettings
from storectl_store.projects.pyproject import table_at
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.poetry.constraints import Constraint
from storectl_store.selection.tables.toml_table import parse_toml

_SETTINGS = "POETRY_INSTALLER_BUILD_CONFIG_SETTINGS_"


def poetry_build_options(lock_file: LockFile, environ: Mapping[str, str]) -> BuildOptions:
    """The build options that Poetry would obey.

    Raises BuildOptionsError for a value that Poetry would not accept either, LockFileError for a file that is no TOML.
    """
    files = [(str(path), lock_file.included[str(path)]) for path in lock_file.settings]
    tables = [table_at(dict(parse_toml(content, path).values), "installer") for path, content in files]
    return BuildOptions(
        constraints_of=_constraints(lock_file),
        config_settings_of=_config_settings(environ, tables),
        default_backend="poetry",
    )


def _config_settings(environ: Mapping[str, str], tables: list[dict[str, Any]]) -> dict[NormalizedName, ConfigSettings]:
    found: dict[NormalizedName, ConfigSettings] = {}
    for table in reversed(tables):
        for name, settings in table_at(table, "build-config-settings").items():
            found[canonicalize_name(name)] = settings
    for variable, text in environ.items():
        if variable.startswith(_SETTINGS):
            try:
                found[canonicalize_name(variable.removeprefix(_SETTINGS))] = json.loads(text)
            except ValueError:
                raise BuildOptionsError(f"{variable} is no JSON", hint='write it as {"key": "value"}') from None
    for name, settings in found.items():
        if not isinstance(settings, dict):
            raise BuildOptionsError(
                f"Poetry's `installer.build-config-settings.{name}` is no table",
                hint="it is a table of texts",
                name=name,
            )
    return found


def _constraints(lock_file: LockFile) -> dict[NormalizedName, tuple[str, ...]]:
    top = parse_toml(lock_file.pyproject or b"", str(lock_file.project / "pyproject.toml"))
    tables = table_at(dict(top.values), "tool", "poetry", "build-constraints")
    return {
        canonicalize_name(name): tuple(f"{of}{_specifier(of, text)}" for of, text in constraints.items())
        for name, constraints in tables.items()
        if isinstance(constraints, dict)
    }


def _specifier(name: str, value: Any) -> str:
    text = value.get("version") if isinstance(value, dict) and set(value) == {"version"} else value
    try:
        specifier = Constraint(text if isinstance(text, str) else "?").specifier
    except ValueError:
        specifier = None
    if specifier is None:
        raise BuildOptionsError(
            f"`[tool.poetry.build-constraints]`: {value!r} for `{name}` cannot be taken as one range of versions",
            hint="write it as one range, such as `>=1,<2`",
            name=name,
        )
    return specifier
