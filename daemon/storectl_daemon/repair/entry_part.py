"""Entries: fetched again by digest; if that fails, withdrawn and made again by warming the projects that use them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.jobs.options import Job
from storectl_daemon.network.address import Address
from storectl_daemon.repair.addresses import Addresses
from storectl_daemon.repair.examined import Examined, Found, LostError, Order
from storectl_daemon.repair.users import Users
from storectl_store.digest import Digest, prefix_of
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.bytecode_files import side_manifests
from storectl_store.entries.catalogue import Summary
from storectl_store.entries.mend import discard_bytecode, mend_in_place
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.recovery import lone_entries
from storectl_store.entries.replace import entry_folders, replace_entry, withdraw_entry
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.entries.verify import THOROUGH, Depth, Finding, Kind, verify
from storectl_store.environments.made_by import environment_records, shown_digests
from storectl_store.errors import ProblemError
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.pin import Pin

_IN_PLACE = frozenset({Kind.MODE, Kind.UNLISTED})


StagedOf = Callable[[Job, Pin], Awaitable[StagedEntry]]
"""Fetches a wheel on behalf of the job, and unpacks it into a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPart:
    """All entries: those that are visible, and those that an environment names. ``session`` is the writer's folder."""

    store: Store
    session: Path
    staged_of: StagedOf
    compiler: Compiler
    interpreters: InterpreterBook
    users: Users
    addresses: Addresses

    async def look(self, order: Order) -> AsyncIterator[Examined]:
        """Every entry, all of its bytes."""
        digests = await asyncio.to_thread(lambda: {*self.store.digests(), *shown_digests(self.store.layout)})
        depth = Depth(unlisted_bytecode=order.repair)
        async for examined in self.look_at(digests, order, depth):
            yield examined
        shown = partial(shown_digests, self.store.layout)
        lone = await asyncio.to_thread(lone_entries, self.store, shown) if self.users.idle else []
        for address in lone:
            name, _, prefix = address.partition("/")
            found = (Found(path=".", message="it has no manifest, and no environment shows it"),)
            yield Examined(
                kind="entry", name=name, version="?", prefix=prefix, found=found, mend=partial(self._drop, address)
            )

    async def look_at(
        self, digests: Iterable[Digest], order: Order, depth: Depth = THOROUGH
    ) -> AsyncIterator[Examined]:
        """These entries, looked at in this depth."""
        known = {summary.digest: summary for summary in await asyncio.to_thread(self.store.summaries)}
        steps = verify(self.store, sorted(digests), depth=depth)
        found: list[Finding] = []
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            if isinstance(step, Finding):
                found.append(step)
            else:
                yield self._examined(step.digest, known.get(step.digest), found, order)
                found = []

    def _examined(self, digest: Digest, known: Summary | None, findings: Sequence[Finding], order: Order) -> Examined:
        folders = entry_folders(self.store.layout, digest) if findings else []
        names = (known.name,) if known else tuple(folder.parent.name for folder in folders)
        damage = _Damage(
            digest=digest,
            names=names,
            what=f"entry {names[0]} {known.version}" if known else f"entry {names[0] if names else digest}",
            findings=tuple(findings),
        )
        return Examined(
            kind="entry",
            name=names[0] if names else "?",
            version=known.version if known else "?",
            prefix=prefix_of(digest),
            found=tuple(Found(path=finding.path, message=finding.message) for finding in findings),
            mend=partial(self._mend, damage, order),
        )

    async def _mend(self, damage: "_Damage", order: Order) -> str:
        bytecode = await asyncio.to_thread(damage.cache_tags, self.store)
        if damage.needs_wheel(self.store):
            return await self._make_anew(damage, order)
        in_place = [finding for finding in damage.findings if finding.kind in _IN_PLACE]
        await asyncio.to_thread(mend_in_place, self.store, damage.digest, in_place, damage.reason, self.session)
        if bytecode:
            await asyncio.to_thread(discard_bytecode, self.store, damage.digest, bytecode, self.session)
            await self._compile(damage.digest, bytecode)
        return "compiled again" if bytecode else "mended in place"

    async def _make_anew(self, damage: "_Damage", order: Order) -> str:
        tags = set(side_manifests(self.store.layout, damage.digest))
        problems = []
        for address in await self.addresses.of(damage.digest, damage.names):
            try:
                staged = await self.staged_of(address.job, address.pin)
                await asyncio.to_thread(replace_entry, self.store, staged, damage.reason)
            except ProblemError as problem:
                problems.append(problem)
            else:
                await self._compile(damage.digest, tags)
                return f"fetched again from {Address(address.pin.wheel.url)}"
        return await self._withdraw(damage, problems, order)

    async def _withdraw(self, damage: "_Damage", problems: Sequence[ProblemError], order: Order) -> str:
        """Take a damaged entry out of service, and every environment that shows it. Returns what was done, in words."""
        reason = f": {problems[0].message}" if problems else ": no address of its wheel is known"
        folders = await asyncio.to_thread(self.users.showing, damage.digest)
        jobs = self.users.jobs_of([folder.name for folder in folders], order)
        keep = bool(jobs) and damage.is_about_manifest_only(self.store)
        if keep:  # no program reads the manifest, and the files that programs read may be right
            await asyncio.to_thread(self._set_manifest_aside, damage)
        else:
            await asyncio.to_thread(self._set_aside, damage, folders)
        if not jobs:
            return f"set aside: no project uses it, and it cannot be fetched again{reason}"
        try:
            how = await self.users.warm(jobs)
        except ProblemError as problem:
            raise LostError(
                f"{damage.what} was damaged and cannot be made again: {problem.message}",
                hint=f"with the network, `storectl warm {jobs[0].project}` brings it back",
            ) from problem
        if keep and not self.store.has(damage.digest):  # it was built again, with another digest
            await asyncio.to_thread(self._set_aside, damage, folders)
        return how

    async def _drop(self, address: str) -> str:
        path = self.store.layout.entry_at(address)
        reason = Reason(what=f"entry {address}", why=["it has no manifest, and no environment shows it"])
        with disk_errors(f"set {reason.what} aside"):
            sides = {side.name: side for side in self.store.layout.meta.glob(f"{path.name}*.pyc.json")}
            await asyncio.to_thread(set_aside, self.store.layout, {path.name: path, **sides}, reason)
        with suppress(OSError):
            os.rmdir(path.parent)  # the folder of the name, with its last entry
        return "set aside: no project uses it"

    def _set_manifest_aside(self, damage: "_Damage") -> None:
        manifest = self.store.layout.manifest(damage.digest)
        with disk_errors(f"set {damage.what} aside"):
            set_aside(self.store.layout, {manifest.name: manifest}, damage.reason)

    def _set_aside(self, damage: "_Damage", folders: Sequence[Path]) -> None:
        with disk_errors(f"set {damage.what} aside"):
            set_aside(self.store.layout, {folder.name: folder for folder in folders}, damage.reason)
        withdraw_entry(self.store, damage.digest, damage.reason)

    async def _compile(self, digest: Digest, tags: Iterable[str]) -> None:
        """Compile the entry for these cache tags, as far as an environment has an interpreter with such a tag."""
        manifest = await asyncio.to_thread(self.store.usable_manifest, digest)
        size = sum(file.size for file in manifest.files if file.path.endswith(".py")) if manifest else 0
        executables = await asyncio.to_thread(self._executables, digest)
        for tag in sorted(tags):
            if tag in executables:
                try:
                    interpreter = await asyncio.to_thread(self.interpreters.inspect, executables[tag])
                    await self.compiler.ensure(digest, interpreter, source_size=size)
                except ProblemError:
                    continue  # the interpreter is gone, and nothing can use its bytecode

    def _executables(self, digest: Digest) -> dict[str, str]:
        """An interpreter for each cache tag, of the environments that show the entry; if none does, of any."""
        records = list(environment_records(self.store.layout))
        any_of = {record.cache_tag: record.executable for record in records}
        return any_of | {record.cache_tag: record.executable for record in records if digest in record.digests}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Damage:
    """The findings about one entry."""

    digest: Digest
    names: tuple[str, ...]
    what: str
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> Reason:
        return Reason(what=self.what, why=[f"{finding.path}: {finding.message}" for finding in self.findings])

    def needs_wheel(self, store: Store) -> bool:
        """Whether something is wrong that neither a change of mode nor compiling can mend."""
        return any(
            finding.kind not in _IN_PLACE and not self._is_about_bytecode(finding, store) for finding in self.findings
        )

    def is_about_manifest_only(self, store: Store) -> bool:
        """Whether the entry's folder is there, and only its manifest is damaged or gone."""
        name = store.layout.manifest(self.digest).name
        lost = all(finding.path == name for finding in self.findings)
        return lost and bool(entry_folders(store.layout, self.digest))

    def cache_tags(self, store: Store) -> set[str]:
        """The cache tags of bytecode that is damaged."""
        found = [finding.path for finding in self.findings if self._is_about_bytecode(finding, store)]
        listed = {path.name: tag for tag, path in side_manifests(store.layout, self.digest).items()}
        return {listed.get(path) or os.path.basename(path).split(".")[-2] for path in found}

    def _is_about_bytecode(self, finding: Finding, store: Store) -> bool:
        if finding.kind is Kind.MANIFEST:
            return finding.path != store.layout.manifest(self.digest).name
        return finding.kind is Kind.BYTECODE
