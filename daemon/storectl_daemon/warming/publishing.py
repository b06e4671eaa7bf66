"""Publishing: plans an environment, with the parts that only its interpreter can make, and writes it."""

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.compiling.shim_bytecode import ShimBytecode
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.published import PublishedEnvironments
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layers import Layers
from storectl_store.entries.quarantine import Reason
from storectl_store.environments.identity import environment_id
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.environments.planning.derived import changed_entries, derive_view
from storectl_store.environments.planning.merged_view import MergedView, merge_view
from storectl_store.environments.planning.plan import EnvironmentPlan, plan_environment, plan_of
from storectl_store.environments.publish import publish_environment, republish_environment
from storectl_store.environments.spare_view import Spares
from storectl_store.selection.target import Interpreter

_KNOWN_VIEWS = 2
"""How many views are kept, of 300 wheels 4 MB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An environment as it has to be. ``extra_files`` is the shim's bytecode."""

    plan: EnvironmentPlan
    extra_files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Plans and publishes environments of entries that are in the own store or in layers."""

    store: Layers
    outlines: Outlines
    environments: PublishedEnvironments
    shim: ShimBytecode
    holds: Holds
    spares: Spares
    known: deque[MergedView] = field(default_factory=lambda: deque(maxlen=_KNOWN_VIEWS))

    async def publish(
        self,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        direct_urls: Mapping[NormalizedName, str],
        progress: Progress,
        hold: Hold,
    ) -> Path:
        """The environment's folder. One that exists is used again if it has every part that a start needs.

        The caller's ``hold`` keeps the entries, and keeps the environment from here on.
        """
        identity = environment_id(digests, interpreter, direct_urls)
        hold.add([identity])  # first held, then looked for
        if await asyncio.to_thread(self.environments.is_whole, identity):
            return self.environments.folder(identity)
        await asyncio.to_thread(self.environments.check_reachable, identity)
        folder = self.store.layout.environment(identity)
        progress.begin("publish", 1)
        plan = await asyncio.to_thread(self._plan_derived, digests, interpreter, direct_urls)
        planned = await self._with_shim(plan)
        await self._place_held(planned, folder, [identity, *digests])
        progress.step("publish", identity)
        for warning in planned.plan.warnings:
            progress.warn(warning)
        return folder

    async def planned(
        self,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        direct_urls: Mapping[NormalizedName, str],
        roots: Mapping[Digest, Path],
    ) -> Planned:
        """The environment as it has to be, with these entries from the stores at these roots, and all others the own.

        Raises StoreError if an entry is gone, and EnvironmentBuildError if the environment cannot be made.
        """
        return await self._with_shim(await asyncio.to_thread(self._plan, digests, interpreter, direct_urls, roots))

    async def _with_shim(self, plan: EnvironmentPlan) -> Planned:
        # The environment is read-only. So bytecode of the shim that is not in it now could never be added later.
        shim = await self.shim.of(plan.interpreter)
        extra = {f"lib/{plan.interpreter.library_folder}/{path}": content for path, content in shim.items()}
        return Planned(plan=plan, extra_files=extra)

    def replace(self, planned: Planned, reason: Reason) -> None:
        """Make the environment anew, in the place of a damaged one. Blocking."""
        republish_environment(self.store, planned.plan, reason, extra_files=planned.extra_files)

    def make_ahead(self) -> None:
        """Make most of the view that may come next: it will be nearly the last one. Blocking.

        Raises StoreError if the disk refuses.
        """
        if self.known and self.spares.made_for != self.known[0].id:
            self.spares.make(plan_of(self.known[0]))

    async def _place_held(self, planned: Planned, folder: Path, kept: Sequence[Digest | EnvironmentId]) -> None:
        """Place the environment. A caller that is cancelled lets go of its hold; the thread goes on, with its own."""
        hold = self.holds.keep(kept)
        placing = asyncio.ensure_future(asyncio.to_thread(self._place, planned, folder))
        placing.add_done_callback(lambda _: hold.close())
        await asyncio.shield(placing)

    def _place(self, planned: Planned, folder: Path) -> None:
        if os.path.lexists(folder):
            why = ["a warm found that parts of it are missing"]
            self.replace(planned, Reason(what=f"environment {folder.name}", why=why))
        else:
            publish_environment(self.store, planned.plan, extra_files=planned.extra_files, spares=self.spares)

    def _plan_derived(
        self, digests: Sequence[Digest], interpreter: Interpreter, direct_urls: Mapping[NormalizedName, str]
    ) -> EnvironmentPlan:
        """The plan, derived from the nearest of the views that were planned last if that can be."""
        outlines_of = partial(self.outlines.get, extension_suffixes=interpreter.extension_suffixes)
        nearest = min(self.known, key=lambda known: _distance(known, digests, direct_urls), default=None)
        view = nearest and derive_view(
            nearest,
            digests,
            interpreter,
            direct_urls,
            outlines_of=outlines_of,
            store=self.store,
            layout=self.store.layout,
        )
        if view is None or nearest is None:
            view = merge_view(outlines_of(digests), interpreter, self.store, self.store.layout, direct_urls)
        else:
            with suppress(ValueError):  # another thread has done so
                self.known.remove(nearest)
        self.known.appendleft(view)
        return plan_of(view)

    def _plan(
        self,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        direct_urls: Mapping[NormalizedName, str],
        roots: Mapping[Digest, Path],
    ) -> EnvironmentPlan:
        outlines = self.outlines.get(digests, interpreter.extension_suffixes)
        store = self.store.pinned(roots)
        return plan_environment(outlines, interpreter, store, self.store.layout, direct_urls=direct_urls)


def _distance(known: MergedView, digests: Sequence[Digest], direct_urls: Mapping[NormalizedName, str]) -> int:
    came, gone = changed_entries(known, digests, direct_urls)
    return len(came) + len(gone)
