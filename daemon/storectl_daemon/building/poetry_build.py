"""Poetry's configuration of builds: variables, the project's ``poetry.toml``, then the user's ``config.toml``.

    [installer]
    no-binary = ["numpy"]          only-binary = ":all:"          names, ":all:", ":none:", or a boolean
    build-config-settings = { numpy = { key = "value" } }

and in ``pyproject.toml``: ``[tool.poetry.build-constraints] numpy = { setuptools = "<75" }``.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.building.build_options import BuildOptions, BuildOptionsError
from storectl_daemon.building.recipe import ConfigSettings
from storectl_store.environments.pyproject import read_pyproject, table_at
from storectl_store.selection.formats import Formats, Names
from storectl_store.selection.poetry_constraints import Constraint

_SETTINGS = "POETRY_INSTALLER_BUILD_CONFIG_SETTINGS_"


def poetry_build_options(environ: Mapping[str, str], home: Path, project: Path) -> BuildOptions:
    """What Poetry would obey. BuildOptionsError for a file or value that it would not take either."""
    files = (project / "poetry.toml", _user_file(environ, home))
    tables = [table_at(_read(file), "installer") for file in files]
    return BuildOptions(
        formats=Formats(
            wheels_only=_names(environ, tables, "only-binary"),
            sources_only=_names(environ, tables, "no-binary"),
        ),
        constraints_of=_constraints(project),
        config_settings_of=_config_settings(environ, tables),
        default_backend="poetry",
        files=files,
    )


def _user_file(environ: Mapping[str, str], home: Path) -> Path:
    if folder := environ.get("POETRY_CONFIG_DIR"):
        return Path(folder) / "config.toml"
    mac = home / "Library/Application Support/pypoetry/config.toml"
    return mac if mac.is_file() else Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pypoetry/config.toml"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # A parser quotes the line it fails at, which may hold a password.
        raise BuildOptionsError(
            f"{file} cannot be read as configuration: {type(error).__name__}", hint="correct the file", path=str(file)
        ) from error


def _names(environ: Mapping[str, str], tables: list[dict[str, Any]], option: str) -> Names:
    said: list[Any] = [environ.get(f"POETRY_INSTALLER_{option.upper().replace('-', '_')}")]
    said += [table.get(option) for table in tables]
    value: Any = next((value for value in said if value not in (None, "")), [])
    option = f"installer.{option}"
    if isinstance(value, bool):
        return Names(everything=value, option=option)
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise BuildOptionsError(f"Poetry's `{option}` is {value!r}", hint="it is a list of names, `:all:` or `:none:`")
    words = {str(text).strip().lower() for text in texts}
    everything = bool(words & {":all:", "true", "1"})
    names = frozenset(canonicalize_name(word) for word in words if word and not word.startswith(":"))
    return Names(everything=everything, names=frozenset() if everything else names, option=option)


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


def _constraints(project: Path) -> dict[NormalizedName, tuple[str, ...]]:
    tables = table_at(read_pyproject(project), "tool", "poetry", "build-constraints")
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
