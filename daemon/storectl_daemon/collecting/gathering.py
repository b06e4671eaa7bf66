"""Gathering: from what is known of projects to the roots. Pure: values go in, roots come out.

A root has a time at which it ends if anything but a person's doing ends it. One that has ended is told all the same: it
says what an environment was for.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.collecting.facts import Facts, ProjectFacts
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects.book import RecordedEnvironment
from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.node_roots import KEPT_UNSEEN, NO_PROJECT, NodeRoot
from storectl_store.collecting.roots import Root, RootKind
from storectl_store.digest import EnvironmentId
from storectl_store.projects.history import Generation

DAY = 24 * 3600.0
GONE_DAYS = 14.0
"""How long what a project had is kept after its folder was first missed, or after a program last ran in it since."""

UNMOUNTED_DAYS = 90.0
"""The same for a project whose disk is missing with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long that is kept which is not current: for so many days, and so many environments of each project.

    ``unknown``: also environments of nobody that is known are kept for the days, after they were made or used last.
    That is for a store that others read, who say nothing of it.
    """

    days: float = 30.0
    generations: int = 10
    unknown: bool = False

    @property
    def seconds(self) -> float:
        """The days, in seconds."""
        return self.days * DAY


def gather(facts: Facts, inventory: Inventory, keep: Keep) -> list[Root]:
    """The roots, but for those of programs that run and of work that is under way."""
    roots = [root for project in facts.projects for root in _ProjectRoots(project, inventory, keep)]
    roots += [
        Root(kind="pin", environment=pin.environment, project=pin.project, detail=f'pin "{pin.name}"')
        for pin in facts.pins
    ]
    roots += [root for user in facts.users for root in _of_user(user, inventory)]
    if keep.unknown:
        return [*roots, *_used_lately(inventory, keep)]
    known = {root.environment for root in roots if root.environment is not None}
    return [*roots, *_used_by_somebody(inventory, known, keep)]


def stale_records(facts: Facts, inventory: Inventory, keep: Keep, *, now: float) -> dict[Path, list[str]]:
    """By project, the keys of records whose options nobody asks for any more, and that were not used for the days."""
    stale = {project.path: list(_stale_keys(project, inventory, keep, now)) for project in facts.projects}
    return {path: keys for path, keys in stale.items() if keys}


def day(at: float) -> str:
    """The day of a time of the system clock, such as ``21 Nov 2026``."""
    return time.strftime("%d %b %Y", time.localtime(at)).removeprefix("0")


def option_words(options: Options) -> Iterator[str]:
    """The options as they are given to `storectl run`, for a person."""
    if options.python is not None:
        yield f"-p {options.python}"
    yield from (f"--extra {extra}" for extra in sorted(options.extras))
    yield from (f"--group {group}" for group in sorted(options.groups))
    named = {
        "--all-extras": options.all_extras,
        "--all-groups": options.all_groups,
        "--dev": options.dev,
        "--only-group": options.only_groups,
        "--all-packages": options.all_packages,
        "--with": options.overlay is not None,
    }
    yield from (word for word, is_set in named.items() if is_set)
    if options.member is not None:
        yield f"member {Path(options.member).name}"


def _used_by_somebody(inventory: Inventory, known: Collection[EnvironmentId], keep: Keep) -> Iterator[Root]:
    """Environments that no project is known to have, in which a program was started since they were published.

    The project may have been moved, or forgotten while it had a linked ``.venv``.
    """
    for environment in inventory.environments.values():
        if environment.id not in known and environment.last_used > environment.published:
            detail = f"of no known project, and used on {day(environment.last_used)}"
            until = environment.last_used + min(GONE_DAYS * DAY, keep.seconds)
            yield Root(kind="front", environment=environment.id, detail=detail, until=until)


def _used_lately(inventory: Inventory, keep: Keep) -> Iterator[Root]:
    """All environments, for the days after they were made or used last."""
    for environment in inventory.environments.values():
        detail = f"made or used on {day(environment.last_used)}"
        yield Root(kind="front", environment=environment.id, detail=detail, until=environment.last_used + keep.seconds)


def _of_user(user: NodeRoot, inventory: Inventory) -> Iterator[Root]:
    """What a user's root keeps: the environment, if this store has it, and the entries that it does not name."""
    until = user.seen + KEPT_UNSEEN
    detail = _words(f"uid {user.uid}", f"project {user.project}" if user.project != NO_PROJECT else "")
    known = inventory.environments.get(user.environment)
    if known is not None:
        yield Root(kind="user", environment=known.id, detail=detail, until=until)
    for digest in user.digests - ((known.digests if known is not None else None) or frozenset()):
        yield Root(kind="user", digest=digest, detail=detail, until=until)


def _stale_keys(project: ProjectFacts, inventory: Inventory, keep: Keep, now: float) -> Iterator[str]:
    asked = {wish.options.key for wish in project.wishes} | {DEFAULT_OPTIONS.key}
    for recorded in project.recorded:
        used = max(recorded.at, _last_used(inventory, recorded.environment))
        if recorded.key not in asked and used + keep.seconds <= now:
            yield recorded.key


def _last_used(inventory: Inventory, environment: EnvironmentId) -> float:
    found: StoredEnvironment | None = inventory.environments.get(environment)
    return found.last_used if found else 0.0


class _ProjectRoots:
    """The roots of one project."""

    def __init__(self, project: ProjectFacts, inventory: Inventory, keep: Keep) -> None:
        self._project = project
        self._inventory = inventory
        self._keep = keep
        self._branches = {each.key: each.branch for each in project.generations}
        lasting = {wish.options.key for wish in project.wishes if self._lasts(wish)}
        self._lasting = lasting if project.remembered else lasting | {DEFAULT_OPTIONS.key}

    def __iter__(self) -> Iterator[Root]:
        told = set()
        for wish in self._project.wishes:
            if wish.environment is not None:
                told.add((wish.options.key, wish.environment))
                yield self._of_wish(wish, wish.environment)
        for recorded in self._project.recorded:
            if (recorded.key, recorded.environment) not in told:
                told.add((recorded.key, recorded.environment))
                used = None if recorded.key in self._lasting else recorded.at
                branch = self._branches.get(recorded.key)
                yield self._root("current", recorded.environment, "recorded", _on(branch), used=used)
        for front in self._project.fronts:
            yield self._root("front", front.environment, front.path.name)
        yield from self._of_generations()
        yield from self._of_prefetched()

    def _lasts(self, wish: RecordedEnvironment) -> bool:
        """Whether it is kept as long as the project is there, and not only as long as it is used."""
        lost = wish.options.lock_file in self._project.lost_lock_files
        return not (self._project.remembered or wish.options.overlay or lost)

    def _of_wish(self, wish: RecordedEnvironment, environment: EnvironmentId) -> Root:
        lock_file = Path(wish.lock_file).name if wish.lock_file else ""
        branch = self._branches.get(wish.options.key)
        words = [lock_file, "current", *option_words(wish.options), _on(branch)]
        return self._root("current", environment, *words, used=None if self._lasts(wish) else wish.last_used)

    def _of_generations(self) -> Iterator[Root]:
        """The last environments of each set of options as long as the project has these; others for some days."""
        seen: dict[str, set[EnvironmentId]] = {}
        for generation in reversed(self._project.generations):
            environments = seen.setdefault(generation.key, set())
            environments.add(generation.environment)
            lasts = generation.key in self._lasting and len(environments) <= self._keep.generations
            used = max(generation.at_ns / 1e9, _last_used(self._inventory, generation.environment))
            until = None if lasts else used + self._keep.seconds
            words = _words(_generation_words(generation), *self._absence_words())
            yield Root(
                kind="generation",
                environment=generation.environment,
                project=self._project.path,
                detail=words,
                until=self._until(generation.environment, until),
            )

    def _of_prefetched(self) -> Iterator[Root]:
        """What was made ready of branches that were fetched: the environment, or the entries if there could be none."""
        for made in self._project.prefetched:
            at = made.at_ns / 1e9
            words = _words(f"{made.ref}, fetched {day(at)}", *self._absence_words())
            until = self._until(made.environment, min(made.until, at + self._keep.seconds))
            root = partial(Root, kind="prefetch", project=self._project.path, detail=words, until=until)
            if made.environment is not None:
                yield root(environment=made.environment)
            yield from (root(digest=digest) for digest in made.digests)

    def _root(self, kind: RootKind, environment: EnvironmentId, *words: str, used: float | None = None) -> Root:
        """A root of this project. If ``used`` is not None, it ends some days after that, or after a later use."""
        last_used = max(used or 0.0, _last_used(self._inventory, environment))
        shown = [f"used {day(last_used)}"] if used is not None else []
        return Root(
            kind=kind,
            environment=environment,
            project=self._project.path,
            detail=_words(*words, *shown, *self._absence_words()),
            until=self._until(environment, None if used is None else last_used + self._keep.seconds),
        )

    def _until(self, environment: EnvironmentId | None, until: float | None) -> float | None:
        """When a root ends that would end at ``until`` in a project that is there."""
        absence = self._project.absence
        if absence is None:
            return until
        # If the project was only moved, its programs still run in the environment.
        seen = max(absence.since, _last_used(self._inventory, environment) if environment else 0.0)
        gone = seen + (UNMOUNTED_DAYS if absence.disk else GONE_DAYS) * DAY
        return gone if until is None else min(gone, until)

    def _absence_words(self) -> list[str]:
        absence = self._project.absence
        if absence is None:
            return []
        missing = "its disk is missing" if absence.disk else "the folder is missing"
        return [f"{missing} since {day(absence.since)}"]


def _words(*words: str) -> str:
    return ", ".join(filter(None, words))


def _on(branch: str | None) -> str:
    return f"branch {branch}" if branch else ""


def _generation_words(generation: Generation) -> str:
    of = f"generation {generation.number} of {day(generation.at_ns / 1e9)}"
    return _words(of, _on(generation.branch))
