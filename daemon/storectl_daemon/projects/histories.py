"""The histories of projects: what a grant adds to them, and which environment some inputs had before."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.git_folder import head_of
from storectl_store.digest import EnvironmentId
from storectl_store.entries.store import Store
from storectl_store.projects.history import (
    Generation,
    append_generation,
    is_told,
    known_lines,
    latest_of_inputs,
    read_history,
)
from storectl_store.projects.kept_inputs import KeptInputs, read_kept, read_kept_head, write_kept

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """An environment that a job was given for inputs with this digest.

    ``kept`` is what it was made from, None if it was not made for this grant.
    """

    environment: EnvironmentId
    inputs: str
    notices: tuple[str, ...] = ()
    variables: Mapping[str, str]
    kept: KeptInputs | None = None


class Histories:
    """The histories, in the record folders of a store. Every method may block; none needs the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._layout = store.layout

    def granted(self, job: Job, granted: Granted) -> None:
        """Write the grant down, if it is another one than the last. Failures go to the log: no grant waits for this.

        A job with an overlay has no history: its packages are for one command.
        """
        if job.options.overlay is not None:
            return
        try:
            self._write(job, granted)
        except Exception as error:  # noqa: BLE001 - whatever it is, the environment is ready
            logger.warning("the history of %s: %s", job.project, error)

    def before(self, job: Job, inputs: str) -> Generation | None:
        """The generation that inputs with this digest gave last; None if there is none, or if it cannot be read."""
        try:
            return latest_of_inputs(self._layout, job.project, job.options.key, inputs)
        except OSError as error:
            logger.warning("the history of %s: %s", job.project, error)
            return None

    def of(self, job: Job) -> tuple[Generation, ...]:
        """The generations of the job's options, the oldest first. Raises OSError or StoreFormatError."""
        return read_history(self._layout, job.project, job.options.key)

    def kept(self, job: Job, generation: Generation, *, files: bool = True) -> KeptInputs:
        """What is kept of the inputs of a generation, without the ``files`` in a hundredth of the time.

        Raises StoreFormatError if it is lost.
        """
        read = read_kept if files else read_kept_head
        return read(self._layout, job.project, generation.snapshot)

    def _write(self, job: Job, granted: Granted) -> None:
        lines = known_lines(self._layout, job.project, job.options.key)
        generation = Generation(
            number=0,
            at_ns=time.time_ns(),
            key=job.options.key,
            environment=granted.environment,
            inputs=granted.inputs,
            branch=None,
            commit=None,
            snapshot="",
            notices=granted.notices,
            variables=granted.variables,
        )
        if is_told(lines, generation):
            return
        head, snapshot = head_of(job.project, environ=job.environ), self._snapshot(job, granted, lines)
        generation = replace(generation, branch=head.branch, commit=head.commit, snapshot=snapshot)
        append_generation(self._layout, job.project, generation)

    def _snapshot(self, job: Job, granted: Granted, lines: Sequence[Generation]) -> str:
        if granted.kept is not None:
            return write_kept(self._layout, job.project, self._with_sizes(granted.kept))
        same = (line.snapshot for line in reversed(lines) if line.environment == granted.environment)
        return next(same, "")

    def _with_sizes(self, kept: KeptInputs) -> KeptInputs:
        sizes = self._store.catalogue.sizes(wheel.digest for wheel in kept.wheels)
        return replace(kept, wheels=tuple(replace(wheel, size=sizes.get(wheel.digest)) for wheel in kept.wheels))
