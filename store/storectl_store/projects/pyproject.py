"""The ``pyproject.toml`` of a local project, read for what may be of use.

Reporting its faults is left to other tools.
"""

import tomllib
from pathlib import Path
from typing import Any


def read_pyproject(project: Path) -> dict[str, Any]:
    """The top table of the file in this folder, read without its byte order mark; empty if it cannot be read."""
    try:
        return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def table_at(value: Any, *keys: str) -> dict[str, Any]:
    """The table below the value at these keys; empty if there is none, or something else."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
