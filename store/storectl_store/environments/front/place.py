"""Put a front at a path, keep it up to date, take it away again.

.<name>.<8 hex digits>      beside the path: a front that is being made; only a crash leaves it behind
<name>.before-storectl      what was at the path before, if the user said that it may be moved
"""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storectl_store.disk.durability import exchange, rename_noreplace
from storectl_store.environments.front.contents import read_contents, site_packages_of
from storectl_store.environments.front.front_record import OWN_FOLDER, read_front
from storectl_store.environments.front.installed import installed, recorded_paths, remove_paths, take_out
from storectl_store.environments.front.renewal import AskedFront, renew, shim_paths
from storectl_store.errors import EnvironmentBuildError

ASIDE = ".before-storectl"
_LOCK = ".lock"
_POLL_S = 0.02
_STAGE = re.compile(r"\..+\.[0-9a-f]{8}")
_BASE = ("pyvenv.cfg", ".gitignore", "CACHEDIR.TAG", "lib64", "bin/python*", "bin/activate*", "bin/deactivate*")


class FrontBusyError(EnvironmentBuildError):
    """Another program changes the folder and holds its lock."""

    default_code = "E_LINK_BUSY"


class FrontRefusedError(EnvironmentBuildError):
    """Something else than a front is at the path; ``facts['path']``."""

    default_code = "E_LINK"


@contextmanager
def locked(front: Path, patience_s: float) -> Iterator[None]:
    """Hold the lock that uv takes on a virtual environment. FrontBusyError if it is not free within these seconds."""
    descriptor = os.open(front / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise FrontBusyError(
                        f"another program is changing {front}",
                        hint="it follows the lock file once that program is done",
                    ) from None
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def is_front(path: Path) -> bool:
    """Whether the folder at this path is a front."""
    return not path.is_symlink() and read_front(path) is not None


def place(asked: AskedFront, environments: Path, *, force: bool, patience_s: float) -> list[str]:
    """Make the front that is wished for at its path. Returns what was moved out of the way, in words.

    A front, or a link into ``environments``, is replaced. What else is there stays as it is until the front is ready;
    then it is moved aside with ``force``. Without, FrontRefusedError.
    """
    front = asked.at
    _sweep(front)
    if is_front(front):
        with locked(front, patience_s):
            return renew(front, asked)
    aside = _place_for_old(front, environments, force=force)
    stage = front.with_name(f".{front.name}.{secrets.token_hex(4)}")
    stage.mkdir(mode=0o755)
    try:
        with locked(stage, 0):
            renew(stage, asked)
            if not os.path.lexists(front):
                rename_noreplace(stage, front)
                return []
            exchange(stage, front)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    if aside is None:
        stage.unlink()
        return []
    stage.rename(aside)
    return [f"what was at {front} is {aside} now"]


def follow(asked: AskedFront, *, patience_s: float) -> list[str]:
    """Bring the front at the path up to date. Returns what was moved out of the way, in words.

    A front that is of this environment already is left as it is, even if others have changed it.
    """
    if is_settled(asked):
        return []
    with locked(asked.at, patience_s):
        return [] if is_settled(asked) else renew(asked.at, asked)


def is_settled(asked: AskedFront) -> bool:
    """Whether there is nothing to do for what is asked: the front is of its environment, or there is none."""
    record = read_front(asked.at)
    wanted = (str(asked.environment), str(asked.at), True)
    return record is None or (record.environment, record.front, record.whole) == wanted


def _place_for_old(front: Path, environments: Path, *, force: bool) -> Path | None:
    """Where to move what is at the path; None if nothing has to be moved. Raises FrontRefusedError."""
    if not os.path.lexists(front) or leads_into(front, environments):
        return None
    aside = front.with_name(front.name + ASIDE)
    if not force:
        kind = "a link to somewhere else" if front.is_symlink() else "not made by storectl"
        raise FrontRefusedError(
            f"{front} is there and {kind}",
            hint=f"--force moves it to {aside} once the new one is ready",
            path=str(front),
        )
    if os.path.lexists(aside):
        raise FrontRefusedError(
            f"{front} would be moved to {aside}, which is there", hint="move one of them away", path=str(front)
        )
    return aside


def leads_into(path: Path, folder: Path) -> bool:
    """Whether this is a symbolic link to something right below the folder, which need not be there any more."""
    if not path.is_symlink():
        return False
    target = Path(os.path.normpath(path.parent / os.readlink(path)))
    return target.parent in {folder, folder.resolve()}


def is_stage(name: str) -> bool:
    """Whether a folder of this name is a front that is being made."""
    return _STAGE.fullmatch(name) is not None


def _sweep(front: Path) -> None:
    """Remove what a crash left behind of fronts that were being made."""
    for stage in front.parent.iterdir():
        if is_stage(stage.name) and stage.name.startswith(f".{front.name}.") and is_front(stage):
            with suppress(FrontBusyError), locked(stage, 0):
                shutil.rmtree(stage, ignore_errors=True)


def remove(front: Path, environments: Path, *, patience_s: float) -> list[str]:
    """Take away what storectl put there, and the folder if it is empty then. Returns the paths that are left.

    Raises FrontRefusedError if it is neither a front nor a link into ``environments``.
    """
    if leads_into(front, environments):
        front.unlink()
        return []
    record = None if front.is_symlink() else read_front(front)
    if record is None:
        raise FrontRefusedError(f"{front} was not made by storectl", hint="nothing was removed", path=str(front))
    with locked(front, patience_s):
        site_packages = site_packages_of(front)
        there = installed(front, site_packages)
        others = {path for each in there if not each.ours for path in recorded_paths(front, each.metadata)}
        for each in there:
            if each.ours:
                take_out(front, each.metadata, others)
        remove_paths(front, _own_paths(front, Path(record.environment), site_packages), others)
        left = sorted(
            str(path.relative_to(front)) for path in front.rglob("*") if not path.is_dir() or path.is_symlink()
        )
        left = [path for path in left if path != _LOCK and not path.startswith((f"{OWN_FOLDER}/", "replaced/"))]
        shutil.rmtree(front / OWN_FOLDER)
        (front / _LOCK).unlink()
        if not left:
            front.rmdir()
    return left


def _own_paths(front: Path, view: Path, site_packages: str) -> Iterator[str]:
    """What storectl put into the front beside what the RECORDs list, as far as it is still that."""
    with suppress(OSError, EnvironmentBuildError):
        contents = read_contents(view, front)
        yield from contents.files
        for path, target in contents.links.items():
            if (front / path).is_symlink() and os.readlink(front / path) == target:
                yield path
    yield from shim_paths(front, site_packages)
    for pattern in _BASE:
        yield from (str(path.relative_to(front)) for path in front.glob(pattern))
