"""The histories of projects. Nothing can make a lost line again; what is damaged is taken out, and the rest stays."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.repair.examined import Examined, Found, Order
from storectl_daemon.warming.warm import Warmer
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.projects.history import HISTORY, SNAPSHOTS, history_problems, mend_history, snapshots_named
from storectl_store.projects.kept_inputs import kept_problem
from storectl_store.projects.project_record import project_of, record_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPart:
    """The history of every project, with what it keeps of inputs."""

    layout: StoreLayout
    warmer: Warmer

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Every history that is there."""
        for folder in await asyncio.to_thread(lambda: sorted(record_folders(self.layout))):
            if not (folder / HISTORY).exists() and not (folder / SNAPSHOTS).exists():
                continue
            async with self.warmer.records:
                damaged = await asyncio.to_thread(_damaged, folder)
            found = tuple(Found(path=name, message=problem) for name, problem in damaged.items())
            project = str(project_of(self.layout, folder))
            yield Examined(
                kind="history", name=project, found=found, mend=partial(self._mend, folder, project, damaged)
            )

    async def _mend(self, folder: Path, project: str, damaged: dict[str, str]) -> str:
        async with self.warmer.records:
            with disk_errors(f"mend the history of {project}"):
                await asyncio.to_thread(self._mend_now, folder, project, damaged)
        return "set aside: what is damaged of it is no longer told"

    def _mend_now(self, folder: Path, project: str, damaged: dict[str, str]) -> None:
        content = (folder / HISTORY).read_bytes() if (folder / HISTORY).exists() else b""
        things = {name.replace("/", "-"): folder / name for name in damaged} | {HISTORY: folder / HISTORY}
        set_aside(self.layout, things, Reason(what=f"history of {project}", why=list(damaged.values())))
        mend_history(folder, content, lost=[Path(name).stem for name in damaged if name != HISTORY])


def _damaged(folder: Path) -> dict[str, str]:
    """What is wrong, by the path in the record folder."""
    try:
        lines = history_problems(folder)
        snapshots = snapshots_named(folder)
    except OSError as error:
        return {HISTORY: f"it cannot be read: {error.strerror}"}
    found = {HISTORY: ", ".join(lines)} if lines else {}
    problems = {f"{SNAPSHOTS}/{name}.gz": kept_problem(folder, name) for name in snapshots}
    return found | {path: problem for path, problem in problems.items() if problem is not None}
