"""Forgetting: what the book and the records say of projects whose environments go."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.collecting.ended import Ended
from storectl_daemon.service import Service
from storectl_store.digest import EnvironmentId
from storectl_store.errors import StoreFullError
from storectl_store.projects.project_record import forget_ready

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """Forgets in the book and in the records, before anything is taken away."""

    service: Service

    async def forget(self, ended: Ended, stale: Mapping[Path, Sequence[str]], going: Collection[EnvironmentId]) -> None:
        """Forget what has ended, and the ``stale`` keys of records. ``going`` are the environments that go.

        What was warmed meanwhile stays. Raises StoreError if the store cannot be changed.
        """
        book = self.service.book
        for path, keys in stale.items():
            await self._forget_ready(path, keys)
        for path, options in ended.wishes:
            project = book.get(path)
            wish = project.environment(options) if project else None
            if wish is not None and wish.environment in going:
                book.drop(path, options)
                await self._forget_ready(path, [options.key])
        for path in ended.projects:
            if not self.service.busy:  # it may be what is being warmed
                await self.service.forget(path)
        await book.written()

    async def _forget_ready(self, project: Path, keys: Sequence[str]) -> None:
        """Forget these keys of a record. If the disk is full that is left half done, and room is made all the same."""
        async with self.service.warmer.records:
            try:
                await asyncio.to_thread(forget_ready, self.service.store.layout, project, keys)
            except StoreFullError as error:
                logger.warning("%s", error)
