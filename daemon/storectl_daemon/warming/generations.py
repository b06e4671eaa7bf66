"""The generations of a project as a person sees them, and the way back to one of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_daemon.errors import UnknownGenerationError
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.projects.histories import Histories
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.warming.grants import Grants
from storectl_daemon.warming.settling import MadeEnvironment
from storectl_store.collecting.holds import Holds
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layers import Layers
from storectl_store.environments.difference import Change, Member, difference
from storectl_store.errors import LockFileError, StoreFormatError
from storectl_store.projects.history import Generation
from storectl_store.projects.kept_inputs import KeptInputs, KeptWheel
from storectl_store.selection.tables.snapshot import content_at

if TYPE_CHECKING:
    from storectl_daemon.warming.make import EnvironmentMaker


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGeneration:
    """A generation with what can be told of it.

    ``kept`` is what is kept of it, without the files; None if that is lost. ``changes`` are those since the generation
    before it; None if that cannot be told. ``is_published``: its environment is there. ``missing`` are the wheels, by
    name and version, that the store does not have.
    """

    generation: Generation
    kept: KeptInputs | None
    changes: tuple[Change, ...] | None
    is_published: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The generations of a job, the oldest first.

    ``current`` is the number of the one that its inputs give, ``rolled_back`` of the one that it has instead.
    """

    generations: tuple[ToldGeneration, ...]
    current: int | None
    rolled_back: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLockFile:
    """A lock file as it was. ``differing`` are the other inputs that are not now what they were then."""

    path: Path
    content: bytes
    differing: tuple[Path, ...]


class Generations:
    """Tells of generations, and makes them available again."""

    def __init__(
        self,
        *,
        store: Layers,
        environments: PublishedEnvironments,
        histories: Histories,
        grants: Grants,
        holds: Holds,
        maker: Callable[[], Awaitable["EnvironmentMaker"]],
    ) -> None:
        self._store = store
        self._environments = environments
        self._histories = histories
        self._grants = grants
        self._holds = holds
        self._maker = maker

    def of(self, job: Job) -> Sequence[Generation]:
        """The generations of the job, the oldest first. May block."""
        return self._histories.of(job)

    def listing(self, job: Job) -> Listing:
        """All generations of the job. May block."""
        generations = self._histories.of(job)
        heads = [self._head(job, generation) for generation in generations]
        changes = [None, *(_changes(before, after) for before, after in pairwise(heads))]
        there: dict[Digest, bool] = {}
        return Listing(
            generations=tuple(
                ToldGeneration(
                    generation=generation,
                    kept=kept,
                    changes=changed,
                    is_published=self._environments.is_whole(generation.environment),
                    missing=tuple(self._missing(kept.wheels, there)) if kept else (),
                )
                for generation, kept, changed in zip(generations, heads, changes, strict=False)
            ),
            current=generations[-1].number if generations else None,
            rolled_back=self._grants.recorded(job).rolled_back,
        )

    def find(self, job: Job, number: int) -> Generation:
        """The generation with this number. Raises UnknownGenerationError if the history has none. May block."""
        return numbered(self.of(job), number, job.project)

    def environment(self, job: Job) -> EnvironmentId | None:
        """The environment that the job has now."""
        return self._grants.recorded(job).environment

    def present(self, job: Job) -> int:
        """The number of the generation that the job has now. Raises UnknownGenerationError. May block."""
        generations = self._histories.of(job)
        if not generations:
            raise _unknown(f"{job.project} has no history yet", generations)
        return self._grants.recorded(job).rolled_back or generations[-1].number

    def one_before(self, job: Job) -> int:
        """The last generation before the present one with another environment. May block.

        Raises UnknownGenerationError if there is none.
        """
        generations, present = self._histories.of(job), self.find(job, self.present(job))
        before = (each for each in reversed(generations) if each.number < present.number)
        found = next((each for each in before if each.environment != present.environment), None)
        if found is None:
            raise _unknown(f"{job.project} had no other environment before this one", generations)
        return found.number

    def is_given_by(self, job: Job, number: int, inputs: str) -> bool:
        """Whether inputs with this digest give the environment of this generation, so that nothing is rolled back."""
        given = self._histories.before(job, inputs)
        return given is not None and given.environment == self.find(job, number).environment

    def lock_file(self, job: Job, number: int) -> KeptLockFile:
        """The lock file of this generation. May block. Raises a ProblemError if it is not kept."""
        kept = self._histories.kept(job, self.find(job, number))
        content = kept.read(kept.lock_file)
        if content is None or kept.lock_file in kept.without_logins:
            raise UnknownGenerationError(
                f"the lock file of generation {number} held a login, so there is no copy of it",
                hint="without --lock programs run in that generation; git may have the file",
            )
        others = (path for path in kept.files if path != kept.lock_file and path not in kept.without_logins)
        differing = tuple(path for path in others if _content(path) != kept.files[path])
        return KeptLockFile(path=kept.lock_file, content=content, differing=differing)

    async def make(self, job: Job, number: int, progress: Progress) -> MadeEnvironment:
        """The environment of this generation, for a job that is rolled back to it.

        If it is gone, it is made again. Raises a ProblemError if it cannot be.
        """
        generation = await asyncio.to_thread(self.find, job, number)
        made = await self.made(job, generation, progress)
        return replace(made, notices=(_notice(job, generation, self._grants),), rolled_back=number)

    async def made(self, job: Job, generation: Generation, progress: Progress) -> MadeEnvironment:
        """The environment of the generation, held. If it is gone, it is made again; a ProblemError if it cannot be."""
        return await self._published(job, generation) or await self._again(job, generation, progress)

    async def _published(self, job: Job, generation: Generation) -> MadeEnvironment | None:
        """The environment of the generation, held; None if it is gone."""
        hold = self._holds.keep([generation.environment])  # first held, then looked for
        try:
            if await asyncio.to_thread(self._environments.is_whole, generation.environment):
                lock_file = self._grants.recorded(job).lock_file
                info = self._environments.info(generation.environment, project=str(job.project), lock_file=lock_file)
                if info is not None:
                    return MadeEnvironment(environment=info, hold=hold)
        except BaseException:
            hold.close()
            raise
        hold.close()
        return None

    async def _again(self, job: Job, generation: Generation, progress: Progress) -> MadeEnvironment:
        kept = await asyncio.to_thread(self._histories.kept, job, generation)
        return await (await self._maker()).again(job, kept, progress)

    def _head(self, job: Job, generation: Generation) -> KeptInputs | None:
        try:
            return self._histories.kept(job, generation, files=False)
        except StoreFormatError:
            return None

    def _missing(self, wheels: Iterable[KeptWheel], there: dict[Digest, bool]) -> Iterable[str]:
        for wheel in wheels:
            if wheel.digest not in there:
                there[wheel.digest] = self._store.seems_whole(wheel.name, wheel.digest)
            if not there[wheel.digest]:
                yield f"{wheel.name} {wheel.version}"


def numbered(generations: Sequence[Generation], number: int, project: Path) -> Generation:
    """The generation with this number. Raises UnknownGenerationError if there is none."""
    found = next((each for each in generations if each.number == number), None)
    if found is None:
        raise _unknown(f"there is no generation {number} of {project}", generations)
    return found


def members_of(wheels: Iterable[KeptWheel]) -> list[Member]:
    """The wheels of a generation, for a comparison."""
    return [Member(name=wheel.name, version=wheel.version, digest=wheel.digest, size=wheel.size) for wheel in wheels]


def _content(path: Path) -> bytes | None:
    try:
        return content_at(path)
    except LockFileError:
        return None


def _changes(before: KeptInputs | None, after: KeptInputs | None) -> tuple[Change, ...] | None:
    return difference(members_of(before.wheels), members_of(after.wheels)) if before and after else None


def _notice(job: Job, generation: Generation, grants: Grants) -> str:
    """What each run says: it is not the lock file's environment, and how that ends."""
    day = time.strftime("%d %b %H:%M", time.localtime(generation.at_ns / 1e9)).removeprefix("0")
    lock_file = (grants.recorded(job).lock_file or "the lock file").rpartition("/")[2]
    return (
        f"in generation {generation.number} of {day}, not in that of {lock_file}: "
        f"`storectl env rollback --off` or a change of {lock_file} ends this"
    )


def _unknown(what: str, generations: Sequence[Generation]) -> UnknownGenerationError:
    numbers = f"{generations[0].number} to {generations[-1].number}" if generations else "none"
    return UnknownGenerationError(f"{what}; its history has {numbers}", hint="storectl env history shows them")
