"""Environments that are mixtures of two others: some wheels of the one, some of the other."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from storectl_daemon.errors import BisectionError, UnknownEnvironmentError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.published import PublishedEnvironments, known_environment
from storectl_daemon.warming.publishing import Publishing
from storectl_store.collecting.holds import Hold
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.environments.environment_record import EnvironmentRecord
from storectl_store.environments.identity import environment_id
from storectl_store.environments.mixture import Mixing, Wheel
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.errors import ProblemError
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an environment is made of."""

    digests: tuple[Digest, ...]
    direct_urls: dict[NormalizedName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Two environments, for the same interpreter.

    If they are for two, ``pythons`` are their versions; then there is no mixture of them.
    """

    mixing: Mixing
    interpreter: Interpreter
    pythons: tuple[str, str] | None

    def parts(self, taken: Iterable[NormalizedName]) -> Parts:
        """What the mixture that takes these groups is made of."""
        wheels = self.mixing.wheels(taken)
        urls = {wheel.name: wheel.direct_url for wheel in wheels if wheel.direct_url is not None}
        return Parts(digests=tuple(wheel.digest for wheel in wheels), direct_urls=urls)

    def identity(self, taken: Iterable[NormalizedName]) -> EnvironmentId:
        """The id of the mixture's environment, made or not."""
        parts = self.parts(taken)
        return environment_id(parts.digests, self.interpreter, parts.direct_urls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixtures:
    """Makes them, as any other environment. Everything that they are made of is in the store."""

    environments: PublishedEnvironments
    publishing: Publishing
    outlines: Outlines
    interpreters: InterpreterBook
    kept: dict[tuple[EnvironmentId, EnvironmentId], Sides] = field(default_factory=dict)
    """The two environments that were asked for last: a published one never changes."""

    def sides(self, good: EnvironmentId, bad: EnvironmentId) -> Sides:
        """These two environments. May block.

        Raises UnknownEnvironmentError or StoreError if one is gone, BisectionError if its interpreter is.
        """
        if (good, bad) not in self.kept:
            self.kept.clear()
            self.kept[good, bad] = self._sides(self._record(good), self._record(bad))
        return self.kept[good, bad]

    def _sides(self, good: EnvironmentRecord, bad: EnvironmentRecord) -> Sides:
        before, after = self._interpreter(good), self._interpreter(bad)
        return Sides(
            mixing=Mixing(self._wheels(good, before), self._wheels(bad, after), after.markers),
            interpreter=after,
            pythons=None if before.identity == after.identity else (before.version, after.version),
        )

    async def make(
        self, sides: Sides, taken: Iterable[NormalizedName], progress: Progress, hold: Hold
    ) -> EnvironmentInfo:
        """The environment of the mixture, held. Raises a ProblemError if it cannot be made."""
        parts = sides.parts(taken)
        folder = await self.publishing.publish(parts.digests, sides.interpreter, parts.direct_urls, progress, hold)
        return await asyncio.to_thread(known_environment, self.environments, folder.name)

    def _record(self, identity: EnvironmentId) -> EnvironmentRecord:
        record = self.environments.record(identity)
        if record is None:
            raise UnknownEnvironmentError(
                f"the environment {identity} is gone", hint="Try again: it is made again.", id=identity
            )
        return record

    def _interpreter(self, record: EnvironmentRecord) -> Interpreter:
        try:
            interpreter = self.interpreters.inspect(record.executable)
        except ProblemError as error:
            raise BisectionError(
                f"the wheels of {record.id} cannot be mixed: {error.message}", hint=error.hint
            ) from error
        if interpreter.identity != record.interpreter_identity:
            raise BisectionError(
                f"{record.executable} is another Python than {record.version}, for which {record.id} was made",
                hint="name generations that were made since: storectl env bisect GOOD BAD -- COMMAND",
            )
        return interpreter

    def _wheels(self, record: EnvironmentRecord, interpreter: Interpreter) -> list[Wheel]:
        return [
            Wheel(
                name=outline.name,
                version=outline.version,
                digest=outline.digest,
                requires_dist=outline.requires_dist,
                direct_url=record.direct_urls.get(outline.name),
            )
            for outline in self.outlines.get(record.digests, interpreter.extension_suffixes)
        ]
