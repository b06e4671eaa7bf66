"""The files of a project on disk: its inputs, and its record in the store."""

from collections.abc import Mapping
from pathlib import Path

from storectl_daemon.entries.layering import Layering
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Job
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.projects.ahead import Ahead
from storectl_daemon.projects.book import RecordedEnvironment
from storectl_daemon.projects.inputs import Inputs, locate, read_inputs
from storectl_daemon.published import PublishedEnvironments
from storectl_shim.project_record import read_ready, same_variables
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import NoLockFileError
from storectl_store.projects.input_state import InputKind, layer_inputs, read_states
from storectl_store.projects.project_record import forget_record, recorded_inputs, write_record
from storectl_store.projects.shortcuts import forget_shortcuts


class ProjectFiles:
    """The files of projects on disk. Every method may block; none needs the event loop."""

    def __init__(
        self,
        layout: StoreLayout,
        environments: PublishedEnvironments,
        *,
        home: str | None,
        ahead: Ahead,
        layering: Layering,
    ) -> None:
        self._layering = layering
        self._ahead = ahead
        self._layout = layout
        self._environments = environments
        self._home = home

    def read(self, job: Job, extra: Mapping[Path, InputKind] | None) -> Inputs:
        """Find and read the inputs. Raises NoLockFileError if the project no longer has a lock file of its own.

        ``extra`` are the inputs beyond the usual ones. None stands for those that the project's record names. Raises
        LayerError if one of them is in a layer that does not answer.
        """
        self._layering.renew(job.environ)
        located = locate(job.project, job.options.lock_file, home=self._home, environ=job.environ)
        if located.project != job.project:
            raise NoLockFileError(
                f"there is no lock file in {job.project}",
                hint="Make one, for example with `uv lock`.",
                path=str(job.project),
            )
        if extra is None:
            extra = recorded_inputs(self._layout, job.project, job.options.key)
        layers = self._layering.layers
        layers.check_reachable(root for root in layers.silent if not extra.keys().isdisjoint(layer_inputs(root)))
        return read_inputs(located, extra)

    def write_record(self, job: Job, inputs: Inputs, environment: Path, recorded: RecordedEnvironment) -> bool:
        """Write the record. Returns False if an input is so young that the record is not complete yet.

        What the environment depends on in layers is always among the inputs.
        """
        roots = self._environments.layers_of(environment)
        of_layers = {path: kind for root in roots for path, kind in layer_inputs(root).items()}
        further = read_states({path: kind for path, kind in of_layers.items() if path not in inputs.files})
        is_complete = write_record(
            self._layout,
            job.project,
            key=job.options.key,
            environment=environment,
            lock_file=inputs.located.lock_file,
            inputs={**inputs.files, **further},
            now_ns=inputs.read_at_ns,
            notices=recorded.notices,
            rolled_back=recorded.rolled_back is not None,
            variables=recorded.variables,
            tell=self._ahead.told_by(job.project),
        )
        if job.options == DEFAULT_OPTIONS:
            self._ahead.is_told(job.project)  # the record has it now
        return is_complete

    def ready(self, job: Job) -> str | None:
        """The environment that the record has for the job, if the record still holds; None otherwise."""
        return read_ready(str(self._layout.root), str(job.project), job.options.key, job.environ)

    def forget(self, project: Path) -> None:
        """Delete record and shortcuts, so that the launcher no longer knows the project."""
        forget_record(self._layout, project)
        forget_shortcuts(self._layout, project)

    def environment(self, recorded: RecordedEnvironment, project: Path) -> EnvironmentInfo | None:
        """The environment of the record; None if there was none, or if it is gone."""
        if recorded.environment is None:
            return None
        return self._environments.info(recorded.environment, project=str(project), lock_file=recorded.lock_file)

    def has_variables(self, digests: Mapping[str, str], environ: Mapping[str, str]) -> bool:
        """Whether the variables have the values that ``digests`` were made of. The digests are by name."""
        return not digests or same_variables(str(self._layout.root), digests, environ)
