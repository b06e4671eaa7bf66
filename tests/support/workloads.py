"""The pinned real projects that are part of the tests. Others can be named with ``--workloads DIR``."""

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "workloads"


def own_workloads() -> list[Path]:
    """Folders that hold a ``pyproject.toml`` with pinned dependencies; no lock file, since that holds addresses."""
    return sorted(path.parent for path in _FOLDER.glob("*/pyproject.toml"))
