"""The histories of projects: what a grant adds to them, and which environment some inputs had before."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from storectl_daemon.jobs.options import Job
from storectl_store.digest import EnvironmentId
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.store import Store
from storectl_store.projects.git_refs import Head
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

    def is_news(self, job: Job, granted: Granted) -> bool:
        """Whether the history of the job does not end with this grant. A job with an overlay has none.

        Its packages are for one command.
        """
        if job.options.overlay is not None:
            return False
        try:
            return not is_told(self._lines(job), _generation(job, granted, Head()))
        except OSError as error:
            logger.warning("the history of %s: %s", job.project, error)
            return False

    def granted(self, job: Job, granted: Granted, head: Head) -> None:
        """Write the grant down. Failures go to the log: the environment is ready all the same."""
        try:
            snapshot = self._snapshot(job, granted)
            generation = replace(_generation(job, granted, head), snapshot=snapshot)
            append_generation(self._layout, job.project, generation)
        except Exception as error:  # noqa: BLE001 - as the docstring says
            logger.warning("the history of %s: %s", job.project, error)

    def before(self, job: Job, inputs: str) -> Generation | None:
        """The generation that inputs with this digest gave last; None if there is none, or if it cannot be read."""
        try:
            return latest_of_inputs(self._layout, job.project, job.options.key, inputs)
        except OSError as error:
            logger.warning("the history of %s: %s", job.project, error)
            return None

    def of(self, job: Job) -> tuple[Generation, ...]:
        """The generations of the job's options, the oldest first. Raises StoreError if they cannot be read."""
        with disk_errors(f"read the history of {job.project}"):
            return read_history(self._layout, job.project, job.options.key)

    def kept(self, job: Job, generation: Generation, *, files: bool = True) -> KeptInputs:
        """What is kept of the inputs of a generation, without the ``files`` in a hundredth of the time.

        Raises StoreFormatError if it is lost.
        """
        read = read_kept if files else read_kept_head
        return read(self._layout, job.project, generation.snapshot)

    def _lines(self, job: Job) -> list[Generation]:
        return known_lines(self._layout, job.project, job.options.key)

    def _snapshot(self, job: Job, granted: Granted) -> str:
        if granted.kept is not None:
            return write_kept(self._layout, job.project, self._with_sizes(granted.kept))
        lines = reversed(self._lines(job))
        return next((line.snapshot for line in lines if line.environment == granted.environment), "")

    def _with_sizes(self, kept: KeptInputs) -> KeptInputs:
        sizes = self._store.catalogue.sizes(wheel.digest for wheel in kept.wheels)
        return replace(kept, wheels=tuple(replace(wheel, size=sizes.get(wheel.digest)) for wheel in kept.wheels))


def _generation(job: Job, granted: Granted, head: Head) -> Generation:
    """The grant as the history has it; number and snapshot are still to come."""
    return Generation(
        number=0,
        at_ns=time.time_ns(),
        key=job.options.key,
        environment=granted.environment,
        inputs=granted.inputs,
        branch=head.branch,
        commit=head.commit,
        snapshot="",
        notices=granted.notices,
        variables=granted.variables,
    )
