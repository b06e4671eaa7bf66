"""Bisection: which generation of a project made a program fail, and which of the wheels that changed with it.

Nothing is remembered from step to step. Each request brings what every environment has shown so far; the answer is the
next environment to try, or the result. So a client that goes away leaves nothing behind, and generations with the same
environment are tried once.

    generations, from a good one to a bad one    halved, until two neighbours are left, one good, one bad
    the wheels that differ between these two     halved, by environments that are mixtures of both
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_daemon.errors import BisectionError
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.warming.generations import Generations, numbered
from storectl_daemon.warming.mixtures import Mixtures, Sides
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.digest import EnvironmentId
from storectl_store.environments.halving import Found, Outcome, Try, Undecided, next_step
from storectl_store.environments.mixture import Change
from storectl_store.errors import ProblemError
from storectl_store.projects.history import Generation

Outcomes = Mapping[EnvironmentId, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client wants to know. Without ``good`` the oldest generation counts, without ``bad`` the last one."""

    job: Job
    good: int | None = None
    bad: int | None = None
    outcomes: Outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What is to be tried: a generation, or a mixture that takes these changes of all ``left`` ones.

    ``outcome_of`` is the environment that the outcome is to be told of. ``made`` is the environment to run the program
    in, or the reason why there is none: then it counts as skipped.
    """

    outcome_of: EnvironmentId
    made: EnvironmentInfo | ProblemError
    left: int
    generation: Generation | None = None
    taken: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """A good and a bad generation. Those ``between`` them were skipped."""

    good: Generation
    bad: Generation
    between: tuple[Generation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The change to blame, with those that are inseparable from it.

    There are several ``suspects`` if they were not told apart, and none if no wheel changed. ``needs`` are the changes
    that had to be taken with the only suspect; they do no harm without it. ``alone`` is what suspect and needs do
    without all other changes, ``rest`` what the others do without them. With ``pythons``, the versions of two
    interpreters, wheels were not looked at one by one: each fits only one of the two.
    """

    neighbours: Neighbours
    changes: tuple[Change, ...]
    suspects: tuple[tuple[Change, ...], ...]
    needs: tuple[Change, ...] = ()
    alone: Outcome | None = None
    rest: Outcome | None = None
    pythons: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """Answers what to try next. What a step makes is held until its end; then the client takes a lease of it."""

    generations: Generations
    mixtures: Mixtures
    holds: Holds

    async def step(self, asked: Asked, progress: Progress) -> Next | Result:
        """The next step. Raises BisectionError if there is nothing to find, and other ProblemErrors."""
        generations = await asyncio.to_thread(self.generations.of, asked.job)
        found = next_generation(generations, asked)
        with self.holds.keep() as hold:
            if isinstance(found, Neighbours):
                return await self._among_wheels(asked, found, progress, hold)
            generation, left = found
            made = await _tried(self._made(asked.job, generation, progress, hold))
            return Next(outcome_of=generation.environment, made=made, left=left, generation=generation)

    async def _among_wheels(
        self, asked: Asked, neighbours: Neighbours, progress: Progress, hold: Hold
    ) -> Next | Result:
        good = await self._made(asked.job, neighbours.good, progress, hold)
        bad = await self._made(asked.job, neighbours.bad, progress, hold)
        sides = await asyncio.to_thread(self.mixtures.sides, good.id, bad.id)
        every = tuple(sides.mixing.changes.values())
        if sides.pythons is not None or not every:
            suspects = (every,) if every else ()
            return Result(neighbours=neighbours, changes=every, suspects=suspects, pythons=sides.pythons)
        known = {**asked.outcomes, good.id: Outcome.GOOD, bad.id: Outcome.BAD}
        step = await asyncio.to_thread(next_step, sides.mixing.needs, lambda taken: _shown(sides, taken, known))
        if isinstance(step, Try):
            made = await _tried(self.mixtures.make(sides, step.taken, progress, hold))
            taken = _changes(sides, step.taken)
            return Next(outcome_of=sides.identity(step.taken), made=made, left=step.left, taken=taken)
        return _result(neighbours, sides, step)

    async def _made(self, job: Job, generation: Generation, progress: Progress, hold: Hold) -> EnvironmentInfo:
        made = await self.generations.made(job, generation, progress)
        with made.hold:
            hold.add([made.environment.id])
        return made.environment


async def _tried(making: Awaitable[EnvironmentInfo]) -> EnvironmentInfo | ProblemError:
    try:
        return await making
    except ProblemError as error:
        return error


def _shown(sides: Sides, taken: frozenset[NormalizedName], known: Outcomes) -> Outcome | None:
    """What the mixture has shown. Wheels that do not fit each other need not be tried."""
    return Outcome.SKIPPED if sides.mixing.conflict(taken) else known.get(sides.identity(taken))


def _changes(sides: Sides, taken: frozenset[NormalizedName]) -> tuple[Change, ...]:
    names = sorted(name for first in taken for name in sides.mixing.groups[first].names)
    return tuple(sides.mixing.changes[name] for name in names)


def _group(sides: Sides, first: NormalizedName) -> tuple[Change, ...]:
    return tuple(sides.mixing.changes[name] for name in sides.mixing.groups[first].names)


def _result(neighbours: Neighbours, sides: Sides, step: Found[NormalizedName] | Undecided[NormalizedName]) -> Result:
    every = tuple(sides.mixing.changes.values())
    if isinstance(step, Undecided):
        suspects = tuple(_group(sides, first) for first in sorted(step.changes))
        return Result(neighbours=neighbours, changes=every, suspects=suspects)
    return Result(
        neighbours=neighbours,
        changes=every,
        suspects=(_group(sides, step.change),),
        needs=_changes(sides, sides.mixing.needs[step.change]),
        alone=step.alone,
        rest=step.rest,
    )


def next_generation(generations: Sequence[Generation], asked: Asked) -> tuple[Generation, int] | Neighbours:
    """The generation to try, and of how many; or two neighbours, the first good, the second bad.

    Both ends are tried before anything else: a command that never fails, or always, would name any wheel. Raises
    BisectionError if one of them is not what it is taken for, UnknownGenerationError if there is none.
    """
    if not generations:
        raise BisectionError(
            f"{asked.job.project} has no history with these options",
            hint="It begins when its environment is made: storectl warm",
        )
    bad = generations[-1] if asked.bad is None else numbered(generations, asked.bad, asked.job.project)
    shown = asked.outcomes.get(bad.environment)
    if shown is None:
        return bad, 0
    if shown is not Outcome.BAD:
        raise _no_end(bad, shown, "bad")
    good = _good_end(generations, asked, bad)
    if good.environment not in asked.outcomes:
        return good, 0
    return _halved(_chain(generations, good, bad), asked.outcomes)


def _good_end(generations: Sequence[Generation], asked: Asked, bad: Generation) -> Generation:
    """The generation to begin with: it is good, or has not been tried."""
    if asked.good is not None:
        good = numbered(generations, asked.good, asked.job.project)
        if good.environment == bad.environment:
            raise BisectionError(
                f"generations {good.number} and {bad.number} have the same environment",
                hint="storectl env history shows them",
            )
        shown = asked.outcomes.get(good.environment, Outcome.GOOD)
        if shown is not Outcome.GOOD:
            raise _no_end(good, shown, "good")
        return good
    for good in generations[: generations.index(bad)]:
        shown = asked.outcomes.get(good.environment, Outcome.GOOD)
        if shown is Outcome.GOOD:
            return good
        if shown is Outcome.BAD and good.environment != bad.environment:
            raise _no_end(good, shown, "good")
    raise BisectionError(
        f"no other environment before generation {bad.number} is left to compare with",
        hint="storectl env history shows what there is",
    )


def _no_end(generation: Generation, shown: Outcome, wanted: str) -> BisectionError:
    judged = "could not be judged" if shown is Outcome.SKIPPED else f"is {shown.value}"
    return BisectionError(
        f"generation {generation.number} {judged}, and a {wanted} one is needed to begin with",
        hint="name the two: storectl env bisect GOOD BAD -- COMMAND; storectl env history shows them",
    )


def _chain(generations: Sequence[Generation], good: Generation, bad: Generation) -> list[Generation]:
    """From the good one to the bad one, in either direction: to find what mended something, too."""
    first, last = generations.index(good), generations.index(bad)
    return list(generations[first : last + 1]) if first < last else list(generations[last : first + 1])[::-1]


def _halved(chain: Sequence[Generation], outcomes: Outcomes) -> tuple[Generation, int] | Neighbours:
    """Each generation counts as a change that needs all the earlier ones."""
    numbers = [str(generation.number) for generation in chain[1:]]
    needs = {number: frozenset(numbers[:place]) for place, number in enumerate(numbers)}
    step = next_step(needs, lambda mix: outcomes.get(chain[len(mix)].environment))
    if isinstance(step, Try):
        return chain[len(step.taken)], step.left
    places = [numbers.index(each) for each in (step.changes if isinstance(step, Undecided) else [step.change])]
    first, last = min(places), max(places)
    return Neighbours(good=chain[first], bad=chain[last + 1], between=tuple(chain[first + 1 : last + 1]))
