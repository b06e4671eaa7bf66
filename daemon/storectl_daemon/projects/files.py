"""The files of a project on disk: its inputs, its record in the store, its link to the environment."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from storectl_daemon.errors import DaemonError
from storectl_daemon.jobs.options import Job
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.projects.book import RecordedEnvironment
from storectl_daemon.projects.inputs import Inputs, locate, read_inputs
from storectl_daemon.published import PublishedEnvironments
from storectl_shim.project_record import same_variables
from storectl_store.disk.durability import exchange
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import NoLockFileError
from storectl_store.projects.input_state import InputKind
from storectl_store.projects.project_record import forget_record, recorded_inputs, write_record


class LinkError(DaemonError):
    """The link in a project cannot be pointed at its environment; ``facts['path']``."""

    default_code = "E_LINK"


class ProjectFiles:
    """The files of projects on disk. Every method may block; none needs the event loop."""

    def __init__(self, layout: StoreLayout, environments: PublishedEnvironments, *, home: str | None) -> None:
        self._layout = layout
        self._environments = environments
        self._home = home

    def read(self, job: Job, extra: Mapping[Path, InputKind] | None) -> Inputs:
        """Find and read the inputs. Raises NoLockFileError if the project no longer has a lock file of its own.

        ``extra`` are the inputs beyond the usual ones. None stands for those that the project's record names.
        """
        located = locate(job.project, job.options.lock_file, home=self._home, environ=job.environ)
        if located.project != job.project:
            raise NoLockFileError(
                f"there is no lock file in {job.project}",
                hint="Make one, for example with `uv lock`.",
                path=str(job.project),
            )
        if extra is None:
            extra = recorded_inputs(self._layout, job.project, job.options.key)
        return read_inputs(located, extra)

    def write_record(
        self, job: Job, inputs: Inputs, environment: Path, *, notices: Sequence[str], variables: Mapping[str, str]
    ) -> bool:
        """Write the record. Returns False if an input is so young that the record is not complete yet."""
        return write_record(
            self._layout,
            job.project,
            key=job.options.key,
            environment=environment,
            lock_file=inputs.located.lock_file,
            inputs=inputs.files,
            now_ns=inputs.read_at_ns,
            notices=notices,
            variables=variables,
        )

    def forget(self, project: Path) -> None:
        """Delete the record, so that the launcher no longer knows the project."""
        forget_record(self._layout, project)

    def environment(self, recorded: RecordedEnvironment, project: Path) -> EnvironmentInfo | None:
        """The environment of the record; None if there was none, or if it is gone."""
        if recorded.environment is None:
            return None
        return self._environments.info(recorded.environment, project=str(project), lock_file=recorded.lock_file)

    def has_variables(self, digests: Mapping[str, str], environ: Mapping[str, str]) -> bool:
        """Whether the variables have the values that ``digests`` were made of. The digests are by name."""
        return not digests or same_variables(str(self._layout.root), digests, environ)

    def point_link(self, project: Path, name: str, environment: Path, lock_file: Path) -> None:
        """Point the symlink ``<project>/<name>`` at the environment, if the symlink and the lock file exist.

        The link is replaced, never created: if the user deletes the project or the link meanwhile, nothing new appears
        in the folder. Raises LinkError if something else than a symlink is there, or if the folder cannot be written.
        """
        link = project / name
        if not lock_file.exists():
            return
        try:
            if not stat.S_ISLNK(link.lstat().st_mode):
                raise _in_the_way(link)
            if os.readlink(link) != str(environment):
                self._exchange_link(link, environment)
        except FileNotFoundError:
            return  # removed while we looked
        except OSError as error:
            raise LinkError(f"{link} cannot be made: {error.strerror}", path=str(link)) from error

    def _exchange_link(self, link: Path, environment: Path) -> None:
        """Swap the link for a new one, made in the store, or beside the link if the store is on another disk."""
        self._layout.tmp.mkdir(parents=True, exist_ok=True)
        for folder in (self._layout.tmp, link.parent):
            spare = folder / f".{link.name}.{secrets.token_hex(6)}"
            os.symlink(environment, spare)
            try:
                exchange(spare, link)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                self._give_back(spare, link)
                return
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(spare)

    def _give_back(self, taken: Path, link: Path) -> None:
        """Undo the swap if something that is no link took the link's place after it was looked at."""
        if os.path.lexists(taken) and not taken.is_symlink():
            exchange(taken, link)
            raise _in_the_way(link)


def _in_the_way(link: Path) -> LinkError:
    return LinkError(
        f"{link} is in the way: it is not a symlink", hint="Move it away, then warm again.", path=str(link)
    )
