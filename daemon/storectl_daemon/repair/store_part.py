"""The parts that make a folder a store: VERSION, the lock of the one writer, the folders."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from storectl_daemon.repair.examined import Examined, Found, Order
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.store import make_folders, missing_folders
from storectl_store.entries.version_file import ensure_version, version_problems
from storectl_store.entries.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePart:
    """The files and folders that make it a store."""

    layout: StoreLayout
    writer: Writer

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """All of them, as one thing."""
        with disk_errors(f"look at the store {self.layout.root}"):
            found = await asyncio.to_thread(self._found)
        yield Examined(kind="store", name=str(self.layout.root), found=tuple(found), mend=self._mend)

    def _found(self) -> list[Found]:
        found = [Found(path="VERSION", message=problem) for problem in version_problems(self.layout)]
        found += [Found(path=folder.name, message="the folder is gone") for folder in missing_folders(self.layout)]
        lock = self.writer.problem(self.layout)
        return [*found, Found(path="lock", message=lock)] if lock else found

    async def _mend(self) -> str:
        await asyncio.to_thread(self._mend_now)
        return "written again"

    def _mend_now(self) -> None:
        with disk_errors(f"mend the store {self.layout.root}"):
            ensure_version(self.layout)
            make_folders(self.layout)
            if self.writer.problem(self.layout):
                self.writer.renew(self.layout)
