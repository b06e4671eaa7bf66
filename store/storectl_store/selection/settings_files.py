"""The places of the settings of a project's own tool: files beside the lock file, files of the user, and variables.

    uv       `uv.toml` beside the lock file; `uv/uv.toml` of the user, unless UV_NO_CONFIG is set
    poetry   `poetry.toml` beside the lock file; `config.toml` in POETRY_CONFIG_DIR, else in `pypoetry` of the user

What a `pyproject.toml` says comes between both: it is an input of its own.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_PIP_VARIABLES = ("PIP_NO_BINARY", "PIP_ONLY_BINARY")

SETTING_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "uv": ("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD", "UV_NO_BUILD_PACKAGE"),
        "poetry": ("POETRY_INSTALLER_NO_BINARY", "POETRY_INSTALLER_ONLY_BINARY"),
        "pdm": ("PDM_NO_BINARY", "PDM_ONLY_BINARY"),
        "pipfile": _PIP_VARIABLES,
        "requirements": _PIP_VARIABLES,
    }
)
"""For each kind of lock file, the variables that decide which files of a package are taken."""


def settings_files(kind: str, project: Path, variables: Mapping[str, str]) -> tuple[Path, ...]:
    """The settings files that may exist for a lock file of this kind in this folder, the nearest first."""
    if kind == "uv":
        user = None if is_true(variables.get("UV_NO_CONFIG", "")) else _configuration(variables, "uv")
        return (project / "uv.toml", *((user / "uv.toml",) if user else ()))
    if kind == "poetry":
        given = variables.get("POETRY_CONFIG_DIR")
        folder = Path(given) if given else _configuration(variables, "pypoetry")
        return (project / "poetry.toml", *((folder / "config.toml",) if folder else ()))
    return ()


def is_true(text: str | None) -> bool:
    """Whether a variable or a setting with this text is switched on, as uv, pip and Poetry read it."""
    return (text or "").strip().lower() in _TRUE


def _configuration(variables: Mapping[str, str], tool: str) -> Path | None:
    """The user's configuration folder of a tool; None if no absolute one is known."""
    home = variables.get("HOME")
    base = variables.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    return Path(base) / tool if os.path.isabs(base) else None
