"""Whose files may decide what runs here: this user's, root's, and those in folders that this user or the system trusts.

    ~/.config/storectl/trusted      `storectl trust` writes it; below $XDG_CONFIG_HOME if that is set
    /etc/storectl/trusted           for every user of the machine

One absolute folder a line, which is trusted with all that is in it; ``*`` is every folder; ``#`` begins a comment. A
list counts if it belongs to this user or root and not everybody may write it. The reasons are in docs/trust.md.
"""

from __future__ import annotations

import os
import stat

from storectl_shim.locations import NoHomeError, config_folder

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SYSTEM_LIST = "/etc/storectl/trusted"

EVERYTHING = "*"


class ForeignFileError(Exception):
    """A file or folder belongs to another user, and is in no trusted folder.

    ``path`` belongs to the user ``uid``; ``folder`` is what would have to be trusted. If ``passed_by``, it is in a
    folder where everybody may put files, and says nothing about the folders below.
    """

    code = "E_PROJECT_OWNER"

    def __init__(self, *, path: str, folder: str, uid: int, passed_by: bool = False) -> None:
        self.path = path
        self.folder = folder
        self.uid = uid
        self.passed_by = passed_by
        super().__init__(
            f"{path} belongs to {user_name(uid)}, whose files decide nothing here: their code would run as you"
        )

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self.passed_by:
            return f"everybody may write in {self.folder}: keep the project in a folder of your own"
        return f"if you trust whoever can write there: storectl trust {self.folder}"


def foreign_owner(path: str, environ: Mapping[str, str]) -> int | None:
    """The user whose file or folder this is, if it must not be believed; None if it is this user's, root's or trusted.

    OSError if nothing is there.
    """
    uid = other_owner(path)
    return None if uid is None or is_trusted(path, environ) else uid


def other_owner(path: str) -> int | None:
    """The user whose file or folder this is, trusted or not; None if it is this user's or root's.

    If it is a symbolic link, both the link and what it leads to count. OSError if nothing is there.
    """
    return next((s.st_uid for s in (os.lstat(path), os.stat(path)) if s.st_uid not in (os.geteuid(), 0)), None)


def check_owner(path: str, environ: Mapping[str, str], *, folder: str | None = None) -> None:
    """ForeignFileError if the path belongs to another user and is not trusted; nothing if it is not there."""
    try:
        uid = foreign_owner(path, environ)
    except OSError:
        return
    if uid is not None:
        raise ForeignFileError(path=path, folder=folder or os.path.realpath(os.path.dirname(path)), uid=uid)


def is_trusted(path: str, environ: Mapping[str, str]) -> bool:
    """Whether the file or folder is in a folder that a list names."""
    real = os.path.realpath(path)
    return any(
        entry in (EVERYTHING, real) or real.startswith(entry.rstrip("/") + "/") for entry in trusted_folders(environ)
    )


def trusted_folders(environ: Mapping[str, str]) -> list[str]:
    """The lines of both lists that count, the user's own first."""
    return [line for path in list_paths(environ) for line in read_list(path)]


def list_paths(environ: Mapping[str, str]) -> list[str]:
    """The absolute paths of both lists, the user's own first; without a home folder only that of the machine's."""
    try:
        return [list_path(environ), SYSTEM_LIST]
    except NoHomeError:
        return [SYSTEM_LIST]


def list_path(environ: Mapping[str, str]) -> str:
    """The absolute path of the user's own list; NoHomeError if there is no home folder."""
    return os.path.join(config_folder(environ), "trusted")


def read_list(path: str) -> list[str]:
    """The folders in one list; empty if it is not there, or if others could have written it."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
                return []
            lines = os.fsdecode(file.read()).splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip() == EVERYTHING or line.strip().startswith("/")]


def check_inputs(folder: str, names: Iterable[str], lock_file: str, environ: Mapping[str, str]) -> None:
    """ForeignFileError if the project's folder, its lock file, or a file of one of these names is another user's."""
    check_owner(folder, environ, folder=folder)
    check_owner(lock_file, environ, folder=folder)
    for name in names:
        check_owner(os.path.join(folder, name), environ, folder=folder)


def everybody_writes(folder: str) -> bool:
    """Whether any user may put files into the folder, as in /tmp."""
    try:
        return bool(os.stat(folder).st_mode & stat.S_IWOTH)
    except OSError:
        return False


def user_name(uid: int) -> str:
    """``user bob (1001)``; only the number if the user database does not know it."""
    import pwd  # only for an error

    try:
        return f"user {pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
