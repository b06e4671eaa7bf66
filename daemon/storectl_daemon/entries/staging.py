"""Staging as a job for worker processes, which alone load what checks and unpacks wheels: the daemon stays smaller."""

from pathlib import Path

from storectl_store.digest import Digest
from storectl_store.entries.staged import StagedEntry
from storectl_store.wheel.checked import Expectation

NEEDS = "storectl_store.entries.stage"
"""The module to load before the first job."""


def stage_wheel(wheel: Path, expectation: Expectation, stage: Path, *, verified: Digest) -> StagedEntry:
    """See ``storectl_store.entries.stage.stage_wheel``."""
    from storectl_store.entries import stage as staging  # noqa: PLC0415 - see above

    return staging.stage_wheel(wheel, expectation, stage, verified=verified)
