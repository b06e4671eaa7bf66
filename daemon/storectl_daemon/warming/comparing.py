"""Comparing two environments of a project: of generations, of a ref of git, of a lock file. Nothing is fetched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.errors import GitRefError
from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.git_tree import GitTree
from storectl_daemon.projects.histories import Histories
from storectl_daemon.projects.inputs import locate
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.warming.generations import Generations, members_of
from storectl_shim.project_record import LOCK_FILES
from storectl_store.digest import Digest
from storectl_store.entries.store import Store
from storectl_store.environments.difference import Change, Member, difference
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.projects.history import Generation
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two. Exactly one of ``generation``, ``ref`` and ``lock_file`` is not None."""

    generation: int | None = None
    ref: str | None = None
    lock_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """One of the two, and what is in it. ``label`` is for a person; ``commit`` is that of a ref."""

    label: str
    generation: Generation | None
    commit: str | None = None
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed from one to the other."""

    before: ComparedSide
    after: ComparedSide
    changes: tuple[Change, ...]


class Comparing:
    """Compares. ``home`` is the home folder of the daemon's user."""

    def __init__(
        self,
        *,
        store: Store,
        environments: PublishedEnvironments,
        histories: Histories,
        generations: Generations,
        interpreters: InterpreterBook,
        home: str | None,
    ) -> None:
        self._store = store
        self._environments = environments
        self._histories = histories
        self._generations = generations
        self._interpreters = interpreters
        self._home = home

    def compare(self, job: Job, before: Side | None, after: Side | None) -> Comparison:
        """Compare these two: without ``after`` with what the job has now, without ``before`` with what it had last.

        Raises a ProblemError if there is no such thing, or if it selects nothing. May block.
        """
        later = self._side(job, after or Side(generation=self._generations.present(job)))
        earlier = self._side(job, before or Side(generation=self._generations.one_before(job)))
        return Comparison(before=earlier, after=later, changes=difference(earlier.members, later.members))

    def _side(self, job: Job, side: Side) -> ComparedSide:
        if side.generation is not None:
            return self._generation(job, side.generation)
        look = self._in_lock_file if side.lock_file is not None else self._at_ref
        return look(job, side, self._interpreter(job))

    def _generation(self, job: Job, number: int) -> ComparedSide:
        generation = self._generations.find(job, number)
        kept = self._histories.kept(job, generation, files=False)
        return ComparedSide(label=f"generation {number}", generation=generation, members=tuple(members_of(kept.wheels)))

    def _in_lock_file(self, job: Job, side: Side, interpreter: Interpreter) -> ComparedSide:
        """What this lock file selects, as it is now."""
        lock_file = side.lock_file or Path()
        members = self._selected(job, read_lock_file(lock_file, variables=job.environ), interpreter)
        return ComparedSide(label=str(lock_file), generation=None, members=members)

    def _at_ref(self, job: Job, side: Side, interpreter: Interpreter) -> ComparedSide:
        """What the lock file of the project selects at this ref: the same one as now, or another if it had none yet."""
        ref = side.ref or "HEAD"
        tree = GitTree.of_ref(job.project, ref, job.environ)
        now = locate(job.project, job.options.lock_file, home=self._home, environ=job.environ).lock_file
        others = () if job.options.lock_file else (job.project / name for name in LOCK_FILES)
        path = next((path for path in (now, *others) if tree.read(path) is not None), None)
        if path is None:
            raise GitRefError(f"{ref} has no lock file in {job.project}", hint="choose a ref that has one")
        further = map(Path, job.options.further_lock_files)
        lock_file = read_lock_file(path, further, variables=job.environ, read=tree.read, matching=tree.matching)
        members = self._selected(job, lock_file, interpreter)
        return ComparedSide(label=ref, generation=None, commit=tree.commit, members=members)

    def _selected(self, job: Job, lock_file: LockFile, interpreter: Interpreter) -> tuple[Member, ...]:
        """What the lock file selects with the options of the job."""
        selection = select(lock_file, job.options.target(interpreter))
        sizes = self._store.catalogue.sizes(pin.wheel.digest for pin in selection.pins)
        return tuple(_selected_members(selection, sizes))

    def _interpreter(self, job: Job) -> Interpreter:
        """The interpreter of the environment that the job has; without one, that which its options ask for."""
        recorded = self._environments.record(self._generations.environment(job) or "")
        if recorded is not None:
            return self._interpreters.inspect(recorded.executable)
        return self._interpreters.choose(job.options.python, requires_python=None, pinned=None, environ=job.environ)


def _selected_members(selection: Selection, sizes: Mapping[Digest, int]) -> Iterator[Member]:
    for pin in selection.pins:
        digest = pin.wheel.digest
        yield Member(name=pin.name, version=pin.version, digest=digest, size=sizes.get(digest))
    yield from (Member(name=pin.name, version=pin.version) for pin in selection.index_pins)
    yield from (Member(name=pin.name, version=pin.version) for pin in selection.source_pins)
    yield from (Member(name=project.name) for project in selection.local_projects if project.packaged)
