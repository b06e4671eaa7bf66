"""Named environments are made, changed and removed here; one command at a time does so.

A change that fails leaves the files of the environment as they were.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from storectl.daemon.answers import EnvironmentInfo
from storectl.daemon.chosen_python import chosen_python, pinned_in
from storectl.daemon.warming import warm
from storectl.errors import NameTakenError, UsageError
from storectl.frozen import check_not_frozen
from storectl.locks.named import ASKED, DEFAULT, Named, default_named, named_folder, read_named
from storectl.locks.remembered import has_its_python, versions_in
from storectl.locks.requirements import Wanted, lock_requirements
from storectl.options import Options
from storectl_shim.locations import store_folder
from storectl_shim.project_record import last_environment


def create_named(named: Named, environ: Mapping[str, str], *, offline: bool) -> EnvironmentInfo:
    """Make a new environment; NameTakenError if there is one of its name."""
    with _alone(environ):
        if os.path.exists(os.path.join(named.folder, ASKED)):
            raise NameTakenError(
                f"there is an environment {named.name} already",
                hint=f"storectl env add {named.name} adds packages to it, storectl env remove {named.name} removes it",
            )
        return _made(named, environ, offline=offline)


def add_to_named(
    name: str, requirements: Sequence[str], environ: Mapping[str, str], *, refresh: bool, offline: bool
) -> EnvironmentInfo:
    """Make an environment again, of more requirements. With ``refresh`` no version of the last time is preferred.

    UnknownNameError if there is none, UsageError if it follows a lock file.
    """
    with _alone(environ):
        named = read_named(name, environ)
        if named.lock_file is not None:
            raise UsageError(f"{name} follows {named.lock_file}", hint="add them to the project of that lock file")
        return _made(named.with_requirements(requirements), environ, keep=not refresh, offline=offline)


def relock_named(named: Named, environ: Mapping[str, str], *, offline: bool) -> None:
    """Lock the requirements again, because the interpreter that they were locked for is gone."""
    with _alone(environ), _restored(Path(named.folder)):
        _lock(named, environ, keep=True, offline=offline)


def remove_named(named: Named, environ: Mapping[str, str]) -> None:
    """Remove an environment; its wheels stay in the store."""
    with _alone(environ):
        default = default_named(environ)
        if default is not None and default.folder == named.folder:
            set_default(None, environ)
        shutil.rmtree(named.folder)


def set_default(named: Named | None, environ: Mapping[str, str]) -> None:
    """Have this environment count outside of projects, or none."""
    check_not_frozen("choose another default environment", environ)
    link = Path(named_folder(environ), DEFAULT)
    link.unlink(missing_ok=True)
    if named is not None:
        link.symlink_to(named.name)


def _made(named: Named, environ: Mapping[str, str], *, keep: bool = False, offline: bool) -> EnvironmentInfo:
    folder = Path(named.folder)
    with _restored(folder):
        if named.lock_file is None:
            _lock(named, environ, keep=keep, offline=offline)
        else:
            folder.mkdir()
            (folder / ASKED).write_bytes(named.text().encode("utf-8", "surrogateescape"))
        project, options = named.project(Options(offline=offline))
        return warm(project, options, environ, bytecode=True)


def _lock(named: Named, environ: Mapping[str, str], *, keep: bool, offline: bool) -> None:
    """Lock for the interpreter that it was locked for before, if that is there; else for the one that was asked for."""
    last = last_environment(store_folder(environ), named.folder, Options().key)
    pinned = pinned_in(named.folder) if has_its_python(named.folder) else None
    python = chosen_python(None if pinned else named.python, environ, pinned=pinned, offline=offline)
    wanted = Wanted(
        requirements=named.requirements,
        python=python,
        notes={ASKED: named.text(), **python.pin},
        kept=tuple(versions_in(last)) if keep and last is not None else (),
    )
    lock_requirements(named.folder, wanted, environ, offline=offline)


@contextmanager
def _alone(environ: Mapping[str, str]) -> Iterator[None]:
    """Let no other command change named environments meanwhile."""
    check_not_frozen("change a named environment", environ)
    folder = Path(named_folder(environ))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _restored(folder: Path) -> Iterator[None]:
    """Put the files of the folder back if the block fails."""
    before = {path: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else None
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if before is not None:
            folder.mkdir()
            for path, data in before.items():
                path.write_bytes(data)
        raise
