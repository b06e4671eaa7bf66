"""Side things: what the daemon keeps beside entries and environments, to be quicker the next time. It goes by age."""

from contextlib import suppress
from pathlib import Path

from storectl_daemon.building.mirror_sums import drop_old_mirrors
from storectl_daemon.indexes.page_store import PageStore
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.interpreters.book import drop_old_answers


def drop_side_things(layout: StoreLayout, *, logs: Path, before: float) -> int:
    """Delete what was not used since this time, in seconds. ``logs`` is the folder of logs of builds.

    It is pages of indexes, mirrors of repositories, answers of interpreters and logs of builds; what an interpreter
    answered that is gone goes at any age. Returns how many things. Raises StoreError if the disk refuses.
    """
    with disk_errors(f"clear what was not used for long in {layout.root}"):
        return (
            PageStore(layout.index_pages).drop_old(before)
            + drop_old_mirrors(layout, before)
            + drop_old_answers(layout.interpreters, before)
            + _drop_old_logs(logs, before)
        )


def _drop_old_logs(logs: Path, before: float) -> int:
    dropped = 0
    for log in logs.glob("build-*.log"):
        with suppress(FileNotFoundError):
            if log.stat().st_mtime < before:
                log.unlink()
                dropped += 1
    return dropped
