"""The files that are derived from entries and environments: the catalogue, packs, links that views share."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.repair.examined import Examined, Found, Order
from storectl_store.digest import EnvironmentId
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.store import Store
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.made_by import Maker, maker_of
from storectl_store.environments.outlines.catalogue_check import catalogue_problems
from storectl_store.environments.pack import pack_problem, packed_modules, write_pack
from storectl_store.environments.shared_links import misnamed_links
from storectl_store.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguePart:
    """``index.db``. A repair always builds it again: that costs little, and no check of a database is complete."""

    store: Store

    async def look(self, order: Order) -> AsyncIterator[Examined]:
        """The one file, as one thing."""
        found = [Found(path=self.store.layout.index.name, message=each) for each in await self._problems()]
        if order.repair and not found:
            await self._rebuild()
        yield Examined(kind="catalogue", name="index.db", found=tuple(found), mend=self._rebuild)

    async def _problems(self) -> list[str]:
        return await asyncio.to_thread(catalogue_problems, self.store)

    async def _rebuild(self) -> str:
        with disk_errors("build the catalogue again"):
            await asyncio.to_thread(self.store.catalogue.rebuild)
        return "built again from the manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPart:
    """All packs. ``session`` is a folder of this process on the file system of the store."""

    layout: StoreLayout
    session: Path

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Every pack, compared with the bytecode that it copies."""
        for name in map(EnvironmentId, await asyncio.to_thread(_names, self.layout.packs)):
            record, problem = await asyncio.to_thread(self._examine, name)
            found = (Found(path=name, message=problem),) if problem else ()
            yield Examined(kind="pack", name=name, found=found, mend=partial(self._mend, name, record, problem or ""))

    def _examine(self, name: EnvironmentId) -> tuple[EnvironmentRecord | None, str | None]:
        folder = self.layout.environment(name)
        try:
            record = read_environment(folder)
        except StoreError:
            return None, "its environment is gone"
        if maker_of(folder, record) is Maker.ANOTHER:
            return record, None  # its shim may read another format of packs
        try:
            return record, pack_problem(self.layout, record)
        except (OSError, ValueError) as error:
            return record, f"it cannot be read: {error}"

    async def _mend(self, name: EnvironmentId, record: EnvironmentRecord | None, problem: str) -> str:
        return await asyncio.to_thread(self._mend_now, name, record, problem)

    def _mend_now(self, name: EnvironmentId, record: EnvironmentRecord | None, problem: str) -> str:
        modules = packed_modules(self.layout, name)
        with disk_errors(f"mend the pack {name}"):
            set_aside(self.layout, {name: self.layout.pack(name)}, Reason(what=f"pack {name}", why=[problem]))
            if record is not None and modules:
                write_pack(self.layout, record, modules, tmp=self.session)
                return "packed again"
        return "set aside: the next programs of the environment tell what is to be in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPart:
    """The links and copies that views share."""

    layout: StoreLayout

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Every link and every copy that is not what its name says."""
        for path in await asyncio.to_thread(misnamed_links, self.layout.links):
            found = (Found(path=path.name, message="it is not what its name is made of"),)
            yield Examined(kind="link", name=path.name, found=found, mend=partial(self._mend, path))

    async def _mend(self, path: Path) -> str:
        reason = Reason(what=f"link {path.name}", why=["it is not what its name is made of"])
        with disk_errors("set a link aside"):
            await asyncio.to_thread(set_aside, self.layout, {path.name: path}, reason)
        return "set aside: the next environment makes its own"


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(folder))
    return []
