"""`storectl run --with`: packages on top of a project's environment, locked once so that they fit it.

The key of what is remembered is made of the requirements and the environment's id, so that another lock file of the
project means another overlay.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import ChosenPython, chosen_python, first_on_path, pinned_at
from storectl.errors import UsageError
from storectl.locks.remembered import Locking, lock_once, remembered_folder, versions_in
from storectl.locks.requirement_words import absolute_requirements, check_requirements, fingerprints
from storectl_shim.locations import store_folder
from storectl_shim.project_record import read_rollback

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storectl.locks.requirements import Wanted
    from storectl.options import Options

SETTINGS = ("UV_RESOLUTION", "UV_PRERELEASE", "UV_FORK_STRATEGY", "UV_EXCLUDE_NEWER")
"""Variables by which uv chooses other versions."""


def locked_overlay(
    requirements: Sequence[str], environment: str, project: str, environ: Mapping[str, str], how: Locking
) -> str:
    """The absolute path of the lock file for requirements on top of an environment, made now if it is not there.

    It is locked in the project's folder: packages come from where the project's own come from.
    """
    requirements = absolute_requirements(requirements)
    parts = [os.path.basename(environment), *_parts(requirements, environ, how)]

    def wanted() -> Wanted:
        from storectl.locks.requirements import Wanted  # noqa: PLC0415 - for the first run only

        version, executable = _feature_version(environment), os.path.join(environment, "bin", "python")
        return Wanted(
            requirements=requirements,
            python=ChosenPython(version=version, executable=executable),
            constraints=tuple(versions_in(environment)),
            kept=how.kept,
            folder=project,
        )

    return lock_once(remembered_folder("overlays", parts, environ), wanted, environ, how, what=" ".join(requirements))


def check_not_rolled_back(project: str, options: Options, environ: Mapping[str, str]) -> None:
    """UsageError if programs run in an earlier environment than the lock file's, to which requirements are added."""
    if read_rollback(store_folder(environ), project, options.key) is not None:
        raise UsageError(
            f"--with adds to what the lock file says, and {project} is rolled back to an earlier environment",
            hint="storectl env rollback --off ends that",
        )


def locked_alone(requirements: Sequence[str], python: str | None, environ: Mapping[str, str], how: Locking) -> str:
    """The absolute path of the lock file for requirements without a project, made now if it is not there.

    ``python`` is a version or a path; None means a ``.python-version`` here or above, else the first Python on PATH.
    """
    requirements = absolute_requirements(requirements)
    pinned = None if python else pinned_at(os.getcwd(), environ)
    parts = [python or pinned or first_on_path(environ), *_parts(requirements, environ, how)]

    def wanted() -> Wanted:
        from storectl.locks.requirements import Wanted  # noqa: PLC0415 - for the first run only

        check_requirements(requirements)
        chosen = chosen_python(python, environ, pinned=pinned)
        return Wanted(requirements=requirements, python=chosen, kept=how.kept, notes=chosen.pin)

    return lock_once(remembered_folder("overlays", parts, environ), wanted, environ, how, what=" ".join(requirements))


def _parts(requirements: Sequence[str], environ: Mapping[str, str], how: Locking) -> list[str]:
    kept = [f"keep={os.path.basename(how.keep)}"] if how.keep is not None else []
    settings = (f"{name}={environ[name]}" for name in SETTINGS if environ.get(name))
    return sorted([*requirements, *fingerprints(requirements), *settings, *kept])


def _feature_version(environment: str) -> str:
    """``3.12`` of an environment with ``lib/python3.12``, or ``lib/python3.13t``."""
    names = os.listdir(os.path.join(environment, "lib"))
    return next(name for name in names if name.startswith("python"))[len("python") :].rstrip("t")
