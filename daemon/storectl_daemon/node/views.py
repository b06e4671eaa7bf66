"""Views of a node store: environments, bytecode and packs of its entries, made for all who have these entries.

Only listed interpreters are run. What a user says decides which of the store's own files are shown, compiled or
repeated; none of the user's bytes gets into a view.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.errors import UnknownEntryError, UnknownEnvironmentError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import WarmEvent
from storectl_daemon.node.interpreters import ListedInterpreters
from storectl_daemon.node.kept import Kept
from storectl_daemon.node.quota import Quotas
from storectl_daemon.node.roles import RoleError
from storectl_daemon.process.lifecycle import Background
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.warming.publishing import Publishing
from storectl_store.collecting.holds import Holds
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.store import Store
from storectl_store.environments.identity import environment_id
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.environments.pack import packed_modules, parse_imports, write_pack
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter

logger = logging.getLogger(__name__)

LARGEST_PACK = 64 << 20
"""Bytes of a pack: users say what is in it, and it is another copy of bytecode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Makes environments and what belongs to them. ``session`` is a folder of this process alone."""

    store: Store
    publishing: Publishing
    environments: PublishedEnvironments
    outlines: Outlines
    interpreters: ListedInterpreters
    compiler: Compiler
    kept: Kept
    quotas: Quotas
    holds: Holds
    session: Path
    background: Background = field(default_factory=Background)

    async def publish(self, uid: int, digests: Sequence[Digest], executable: str) -> Path:
        """The folder of the environment of these entries, made now if it is missing; then its bytecode is made.

        Raises UnknownEntryError if an entry is missing, TargetError if the interpreter may not be run.
        """
        with self.holds.keep(digests) as hold:  # first held, then looked for
            await asyncio.to_thread(self._check_entries, digests)
            interpreter = await asyncio.to_thread(self.interpreters.inspect, executable)
            if not await asyncio.to_thread(self.environments.is_whole, environment_id(digests, interpreter)):
                self.quotas.publish(uid)
            folder = await self.publishing.publish(digests, interpreter, {}, Progress(_unheard), hold)
        self._compile(digests, interpreter)
        return folder

    async def compile(self, digests: Sequence[Digest], cache_tag: str) -> None:
        """Begin to make bytecode of these entries. Raises TargetError if no listed interpreter has this cache tag."""
        await asyncio.to_thread(self._check_entries, digests)
        self._compile(digests, await asyncio.to_thread(self.interpreters.with_tag, cache_tag))

    async def note_imports(self, uid: int, environment: EnvironmentId, record: bytes) -> int:
        """Take a program's record of its imports into the environment's pack. Returns how many modules are in it.

        Raises RoleError unless the account keeps the environment, UnknownEnvironmentError if it is not there.
        """
        if not self.kept.holds(uid, environment):
            raise RoleError(
                f"account {uid} does not keep the environment {environment}", hint="keep it first: PUT roots"
            )
        return await asyncio.to_thread(self._pack, environment, record)

    def _pack(self, environment: EnvironmentId, record: bytes) -> int:
        known = self.environments.record(environment)
        if known is None:
            raise UnknownEnvironmentError(f"there is no environment {environment}", id=environment)
        modules, present = parse_imports(record), packed_modules(self.store.layout, environment)
        if set(modules) <= set(present):
            return len(present)
        wanted = tuple(dict.fromkeys(modules + present))
        with disk_errors(f"pack {environment}"):
            return len(write_pack(self.store.layout, known, wanted, tmp=self.session, largest=LARGEST_PACK))

    def _check_entries(self, digests: Sequence[Digest]) -> None:
        missing = next((digest for digest in digests if not self.store.has(digest)), None)
        if missing is not None:
            raise UnknownEntryError(f"the entry {missing} is not here", hint="ensure it first", digest=missing)

    def _compile(self, digests: Sequence[Digest], interpreter: Interpreter) -> None:
        missing = [digest for digest in digests if not self.compiler.has(digest, interpreter)]
        if missing:
            self.background.start("compiling", self._compile_all(missing, interpreter))

    async def _compile_all(self, digests: Sequence[Digest], interpreter: Interpreter) -> None:
        outlines = await asyncio.to_thread(partial(self.outlines.get, digests, interpreter.extension_suffixes))
        try:
            for outline in outlines:
                await self.compiler.ensure(outline.digest, interpreter, source_size=outline.source_size)
        except ProblemError as error:
            logger.warning("not compiled: %s", error)


def _unheard(_event: WarmEvent) -> None:
    """Tell nobody: the answer says all."""
