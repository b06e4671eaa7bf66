"""Making what a plan says, in a folder that is not published yet."""

import os
import posixpath
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from storectl_store.environments.import_map import encode_import_map, index_paths
from storectl_store.environments.planning.plan import IMPORT_MAP, EnvironmentPlan
from storectl_store.environments.planning.scripts import PYTHON_SHEBANG, with_own_shebang
from storectl_store.environments.planning.tree import Link, SameFile, SmallFile, StoreScript
from storectl_store.environments.shared_links import SharedLinks, looks_of
from storectl_store.errors import EnvironmentBuildError

FOLDER_MODE = 0o555
_FILE_MODE = 0o444
_EXECUTABLE_MODE = 0o555
_PIECE = 1 << 20  # bytes

Looks = tuple[int, int, int]
"""Mode, size and time of a file, by which it is told if a program has written into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a view that is not published shows already of what does not depend on its path.

    ``leaves`` are its links and copies, by path; ``looks`` are those of the copies.
    """

    folders: tuple[str, ...] = ()
    leaves: Mapping[str, Link | SameFile]
    looks: Mapping[str, Looks]


NOTHING = Shown(leaves={}, looks={})


class ViewBuilder:
    """Makes what is planned, relative to the descriptor ``view``, so that no call has to look up the path to it."""

    def __init__(
        self,
        view: int,
        plan: EnvironmentPlan,
        extra_files: Mapping[str, bytes],
        links: SharedLinks,
        *,
        share_copies: bool,
    ) -> None:
        self._view = view
        self._plan = plan
        self._extra_files = extra_files
        self._shared = links
        self._folders = list(plan.folders)
        self._share_copies = share_copies
        self._made: list[Link] = []
        self._copied: list[SameFile] = []

    def show(self, there: Shown = NOTHING) -> None:
        """Make the folders, links and copies. What is ``there`` and as it should be stays; the rest of it goes."""
        leaves: list[Link | SameFile] = [*self._plan.links, *self._plan.same_files]
        kept = self._kept(there, leaves)
        for path in there.leaves.keys() - kept:
            os.unlink(path, dir_fd=self._view)
        wanted, folders = set(self._plan.folders), set(there.folders)
        for folder in reversed(there.folders):
            if folder not in wanted:
                os.rmdir(folder, dir_fd=self._view)
        for folder in self._plan.folders:
            if folder not in folders:
                os.mkdir(folder, 0o700, dir_fd=self._view)
        for leaf in leaves:
            if leaf.path not in kept:
                self._link(leaf) if isinstance(leaf, Link) else self._share(leaf)

    def _kept(self, there: Shown, leaves: Sequence[Link | SameFile]) -> set[str]:
        """The paths of those leaves that are there. A copy that a program has written into is not."""
        if not there.leaves:
            return set()
        same = (leaf.path for leaf in leaves if (shown := there.leaves.get(leaf.path)) is leaf or shown == leaf)
        return {path for path in same if path not in there.looks or self._looks(path) == there.looks[path]}

    def shown(self) -> Shown:
        """What is there after ``show``."""
        plan = self._plan
        return Shown(
            folders=plan.folders,
            leaves={**{link.path: link for link in plan.links}, **{file.path: file for file in plan.same_files}},
            looks={file.path: self._looks(file.path) for file in plan.same_files},
        )

    def _looks(self, path: str) -> Looks:
        return looks_of(os.stat(path, dir_fd=self._view, follow_symlinks=False))

    def finish(self) -> None:
        """Make everything else, and close the folders."""
        for file in self._plan.files:
            self._write(file)
        for script in self._plan.scripts:
            self._place_script(script)
        self._write(SmallFile(path=IMPORT_MAP, content=import_map_of(self._plan)))
        for path, content in self._extra_files.items():
            _check_inside(path)
            self._make_parents(path)
            self._write(SmallFile(path=path, content=content))
        for folder in self._folders:
            os.chmod(folder, FOLDER_MODE, dir_fd=self._view)

    def keep_links(self) -> None:
        """Keep the links and copies that were made for this view, which is durable now, for the next view."""
        for link in self._made:
            self._shared.keep(link.target, link.path, view=self._view)
        for copy in self._copied:
            self._shared.keep_copy(copy, view=self._view)

    def _link(self, link: Link) -> None:
        if not self._shared.link_into(link.target, link.path, view=self._view):
            os.symlink(link.target, link.path, dir_fd=self._view)
            self._made.append(link)

    def _write(self, file: SmallFile) -> None:
        mode = _EXECUTABLE_MODE if file.executable else _FILE_MODE
        with self._new_file(file.path) as stream:
            stream.write(file.content)
            os.fchmod(stream.fileno(), mode)

    def _share(self, file: SameFile) -> None:
        if self._share_copies and self._shared.copy_into(file, view=self._view):
            return
        with open(file.target, "rb") as source, self._new_file(file.path) as stream:
            shutil.copyfileobj(source, stream, _PIECE)
            stream.flush()
            status = os.fstat(source.fileno())
            os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
            os.utime(stream.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        self._copied.append(file)

    def _new_file(self, path: str) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return open(os.open(path, flags, 0o600, dir_fd=self._view), "wb")

    def _place_script(self, script: StoreScript) -> None:
        with open(script.source, "rb") as stream:
            content = stream.read(len(PYTHON_SHEBANG))
            if content != PYTHON_SHEBANG:
                # No symbolic link: a program asks the kernel which file it is, and by that it finds files and calls
                # itself.
                self._share(SameFile(path=script.path, target=script.source, sha256=script.sha256))
                return
            content += stream.read()
        self._write(SmallFile(path=script.path, content=with_own_shebang(content, self._plan.python), executable=True))

    def _make_parents(self, path: str) -> None:
        folder = os.path.dirname(path)
        if folder and folder not in self._folders:
            self._make_parents(folder)
            os.mkdir(folder, 0o700, dir_fd=self._view)
            self._folders.append(folder)


def _check_inside(path: str) -> None:
    if path != posixpath.normpath(path) or path.startswith(("/", "..")):
        raise EnvironmentBuildError(f"{path!r} is no place in an environment", path=path)


def import_map_of(plan: EnvironmentPlan) -> bytes:
    """The import map that is published with the plan. It holds what entries bring; the shim finds its own modules."""
    paths = (
        path
        for top, name in plan.names.items()
        if name.owners and not name.section and ("." not in top or top in name.paths)  # metadata cannot be imported
        for path in name.paths
    )
    sections = {folder: name.section for folder, name in plan.names.items() if name.section}
    return encode_import_map(plan.id, index_paths(paths, plan.interpreter.extension_suffixes), sections)
