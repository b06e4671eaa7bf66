"""Environments: planned again from what they name, compared with that plan, and made anew in place if they differ."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.repair.examined import Examined, Found, LostError, Order
from storectl_daemon.repair.users import Users
from storectl_daemon.warming.publishing import Planned, Publishing
from storectl_store.digest import Digest
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.replace import entry_folders
from storectl_store.entries.store import Store
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.layers_record import LAYERS_NAME, LinkedEntry, read_layers
from storectl_store.environments.made_by import Maker, environment_folders, maker_of
from storectl_store.environments.view_check import differences
from storectl_store.errors import LayerError, ProblemError, StoreError
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPart:
    """All environments: those that exist, and those that a project was given and that are gone."""

    store: Store
    publishing: Publishing
    interpreters: InterpreterBook
    users: Users

    async def look(self, order: Order) -> AsyncIterator[Examined]:
        """Every environment, all of its bytes."""
        folders = await asyncio.to_thread(environment_folders, self.store.layout)
        wanted = await asyncio.to_thread(self._wanted)
        async for examined in self.look_at(sorted({*folders, *wanted}), order):
            yield examined

    def _wanted(self) -> set[Path]:
        """The folders of all environments that projects were given, but for those that are used from a layer."""
        folders = {self.publishing.environments.folder(identity) for identity in self.users.environments()}
        return {folder for folder in folders if folder.parent == self.store.layout.environments}

    async def look_at(self, folders: Iterable[Path], order: Order, *, contents: bool = True) -> AsyncIterator[Examined]:
        """These environments. Without ``contents`` no file is read."""
        for folder in folders:
            planned, found = await self._examine(folder, contents=contents)
            yield Examined(
                kind="environment",
                name=folder.name,
                found=tuple(found),
                mend=partial(self._mend, folder, planned, found, order),
            )

    async def _examine(self, folder: Path, *, contents: bool) -> tuple[Planned | None, list[Found]]:
        """The plan of the environment (None if only a warm can make it), and what differs from it."""
        if not await asyncio.to_thread(_is_real_folder, folder):
            return None, [Found(path=".", message="its folder is gone")]
        try:
            record = await asyncio.to_thread(read_environment, folder)
        except StoreError as error:
            return None, [Found(path="environment.json", message=error.message)]
        maker = await asyncio.to_thread(maker_of, folder, record)
        if maker is Maker.UNKNOWN:
            return None, [
                Found(path="environment.json", message="it does not name what the environment's id is made of")
            ]
        try:
            linked = await asyncio.to_thread(read_layers, folder)
            self.publishing.store.check_reachable(entry.root for entry in linked)
        except LayerError:
            return None, []  # what it leads to cannot be looked at now
        except StoreError as error:
            return None, [Found(path=LAYERS_NAME, message=error.message)]
        gone = await asyncio.to_thread(self._gone, record, linked)
        if gone:
            return None, [Found(path="environment.json", message=f"the entry {digest} is gone") for digest in gone]
        if maker is Maker.ANOTHER:
            return None, []
        roots = {entry.digest: entry.root for entry in linked}
        return await self._compare(folder, record, roots, contents=contents)

    async def _compare(
        self, folder: Path, record: EnvironmentRecord, roots: Mapping[Digest, Path], *, contents: bool
    ) -> tuple[Planned | None, list[Found]]:
        interpreter = await asyncio.to_thread(self._interpreter, record)
        if interpreter is None:
            return None, await asyncio.to_thread(_other_interpreter, folder, record)
        try:
            planned = await self.publishing.planned(record.digests, interpreter, record.direct_urls, roots)
            return planned, await asyncio.to_thread(_different, planned, contents=contents)
        except StoreError:
            return None, []  # a manifest is damaged or lost, which the part of entries finds and mends
        except (ProblemError, OSError) as error:
            return None, [Found(path=".", message=f"it cannot be looked at: {error}")]

    def _gone(self, record: EnvironmentRecord, linked: Sequence[LinkedEntry]) -> list[Digest]:
        """The entries that are gone completely from the stores that the environment leads to.

        If only the manifest of an own entry is lost, the entry is still shown.
        """
        elsewhere = {entry.digest for entry in linked}
        absent = [digest for digest in record.digests if digest not in elsewhere and not self.store.has(digest)]
        gone = [digest for digest in absent if not entry_folders(self.store.layout, digest)]
        stores = {root: self.publishing.store.at(root) for root in {entry.root for entry in linked}}
        for entry in linked:
            store = stores[entry.root]
            if store is None or not store.seems_whole(entry.name, entry.digest):
                gone.append(entry.digest)
        return gone

    def _interpreter(self, record: EnvironmentRecord) -> Interpreter | None:
        """The interpreter that the environment was made for; None if it is gone, or is another one now."""
        try:
            interpreter = self.interpreters.inspect(record.executable)
        except ProblemError:
            return None
        return interpreter if interpreter.identity == record.interpreter_identity else None

    async def _mend(self, folder: Path, planned: Planned | None, found: Sequence[Found], order: Order) -> str:
        why = [f"{each.path}: {each.message}" for each in found]
        reason = Reason(what=f"environment {folder.name}", why=why)
        if planned is not None:
            await asyncio.to_thread(self.publishing.replace, planned, reason)
            return "made again from its entries"
        await asyncio.to_thread(self._set_aside, folder, reason)
        jobs = self.users.jobs_of([folder.name], order)
        if not jobs:
            return "set aside: no project uses it"
        try:
            return await self.users.warm(jobs)
        except ProblemError as problem:
            raise LostError(
                f"the environment {folder.name} cannot be made again: {problem.message}",
                hint=f"`storectl warm {jobs[0].project}` tries again",
            ) from problem

    def _set_aside(self, folder: Path, reason: Reason) -> None:
        with disk_errors(f"set {reason.what} aside"):
            set_aside(self.store.layout, {folder.name: folder}, reason)


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _different(planned: Planned, *, contents: bool) -> list[Found]:
    found = differences(planned.plan, planned.extra_files, contents=contents)
    return [Found(path=each.path, message=each.message) for each in found]


def _other_interpreter(folder: Path, record: EnvironmentRecord) -> list[Found]:
    """What the environment's own link tells, if its interpreter is gone or changed: then it cannot be planned."""
    try:
        leads_to = str((folder / "bin" / "python").readlink())
    except OSError as error:
        return [Found(path="bin/python", message=f"it cannot be read: {error.strerror}")]
    if leads_to != record.executable:
        return [Found(path="bin/python", message=f"it does not lead to {record.executable}")]
    return []
