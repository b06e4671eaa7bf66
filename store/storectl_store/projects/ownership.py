"""Whose files decide what runs in an environment: ``storectl_shim.trust``, for everything that a lock file leads to.

A wheel is checked by its hash, so its owner does not matter. Local code has no hash. Nor does a file that a
requirements file includes, nor a wheel in a folder that a lock file knows by its name alone.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from storectl_shim.trust import ForeignFileError, check_inputs, check_owner
from storectl_store.errors import NoLockFileError, ProjectOwnerError
from storectl_store.selection.pin import LocalProject

_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@contextmanager
def owner_errors() -> Iterator[None]:
    """Raise a ForeignFileError of the block as a ProjectOwnerError.

    If the file only made a search pass by a project, a NoLockFileError is raised.
    """
    try:
        yield
    except ForeignFileError as error:
        kind = NoLockFileError if error.passed_by else ProjectOwnerError
        raise kind(str(error), code=error.code, hint=error.hint, path=error.path, uid=error.uid) from error


def check_local(included: Iterable[str], projects: Iterable[LocalProject], environ: Mapping[str, str]) -> None:
    """Check the owners of included files, and of the folder and the build files of local code.

    Raises ProjectOwnerError if one of them is an untrusted user's.
    """
    with owner_errors():
        for project in projects:
            check_inputs(project.path, _BUILD_FILES, os.path.join(project.path, _BUILD_FILES[0]), environ)
        for path in included:
            check_owner(path, environ)
