"""What stands on disk for a project: its inputs, its record in the store, its link to the environment."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from storectl_daemon.environments import Environments
from storectl_daemon.errors import DaemonError
from storectl_daemon.inputs import Inputs, locate, read_inputs
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.options import Job
from storectl_daemon.projects import Wish
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.project_record import forget_record, write_record
from storectl_store.errors import NoLockFileError


class LinkError(DaemonError):
    """The link in a project cannot follow its environment; ``facts['path']``."""

    default_code = "E_LINK"


class DiskProjectFiles:
    """The real files. Every method may block; none needs the event loop."""

    def __init__(self, layout: StoreLayout, environments: Environments, *, home: str | None) -> None:
        self._layout = layout
        self._environments = environments
        self._home = home

    def read(self, job: Job, extra: Iterable[Path]) -> Inputs:
        """Find and read the inputs; NoLockFileError where the project has no lock file of its own any more."""
        located = locate(job.project, job.options.lock_file, home=self._home, environ=job.environ)
        if located.project != job.project:
            raise NoLockFileError(
                f"there is no lock file in {job.project}",
                hint="Make one, for example with `uv lock`.",
                path=str(job.project),
            )
        return read_inputs(located, extra)

    def write_record(self, job: Job, inputs: Inputs, environment: Path, notices: Sequence[str]) -> bool:
        """Write the record; False where an input is too young for it to be complete."""
        return write_record(
            self._layout,
            job.project,
            key=job.options.key,
            environment=environment,
            lock_file=inputs.located.lock_file,
            inputs=inputs.files,
            now_ns=inputs.read_at_ns,
            notices=notices,
        )

    def forget(self, project: Path) -> None:
        """Delete the record: the launcher no longer knows the project."""
        forget_record(self._layout, project)

    def environment(self, wish: Wish, project: Path) -> EnvironmentInfo | None:
        """The environment a wish was granted, None where it is gone."""
        if wish.environment is None:
            return None
        return self._environments.info(wish.environment, project=str(project), lock_file=wish.lock_file)

    def point_link(self, project: Path, name: str, environment: Path) -> None:
        """Let ``<project>/<name>`` be a symlink to the environment; it is never anything but a symlink that is replaced.

        LinkError where something else is in the way, or the folder cannot be written.
        """
        link = project / name
        if not link.is_symlink() and link.exists():
            raise LinkError(
                f"{link} is in the way: it is not a symlink", hint="Move it away, then warm again.", path=str(link)
            )
        if link.is_symlink() and os.readlink(link) == str(environment):
            return
        temporary = project / f".{name}.{secrets.token_hex(6)}"
        try:
            os.symlink(environment, temporary)
            os.rename(temporary, link)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise LinkError(f"{link} cannot be made: {error.strerror}", path=str(link)) from error
