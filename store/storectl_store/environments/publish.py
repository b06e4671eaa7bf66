"""Publish an environment: build the planned tree beside its final path, then rename it. No reader ever sees half of it.

    environments/.tmp-<random>/    being built; left behind by a crash, swept by ``recovery``
    environments/<id>/             published, read-only, never changed again

The paths inside (first lines of scripts, ``pyvenv.cfg``) are those of the final path. A damaged environment is built
once more, and the two change places in one step; the damaged one then goes to the quarantine.
"""

import dataclasses
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from storectl_store.disk.descriptors import opened_folder
from storectl_store.disk.durability import barrier, disk_errors, exchange, rename_noreplace
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.import_map import encode_import_map, index_paths
from storectl_store.environments.planning.plan import IMPORT_MAP, EnvironmentPlan
from storectl_store.environments.planning.scripts import PYTHON_SHEBANG, with_own_shebang
from storectl_store.environments.planning.tree import Link, SameFile, SmallFile, StoreScript
from storectl_store.environments.shared_links import SharedLinks, shared_links
from storectl_store.errors import EnvironmentBuildError

_FOLDER_MODE = 0o555
_FILE_MODE = 0o444
_EXECUTABLE_MODE = 0o555
_PIECE = 1 << 20  # bytes


class HasLayout(Protocol):
    """Anything that has the paths of a store, such as the store itself."""

    @property
    def layout(self) -> StoreLayout:
        """The paths of the store."""
        ...


def publish_environment(
    store: HasLayout, plan: EnvironmentPlan, *, extra_files: Mapping[str, bytes] | None = None
) -> Path:
    """Publish the planned environment, unless it is there already. Returns its folder.

    ``extra_files`` maps paths relative to the environment to contents that only the interpreter itself can make, such
    as the shim's bytecode. Raises StoreFullError or StoreError if the disk refuses, EnvironmentBuildError if an extra
    file would be outside of the environment.
    """
    if not plan.path.is_dir():
        _publish(store.layout, plan, extra_files or {}, _rename)
    return plan.path


def republish_environment(
    store: HasLayout, plan: EnvironmentPlan, reason: Reason, *, extra_files: Mapping[str, bytes]
) -> None:
    """Make the environment anew in the place of a damaged one, which is set aside.

    Raises StoreFullError or StoreError if the disk refuses, EnvironmentBuildError if an extra file would be outside.
    """

    def replace(stage: Path, final: Path) -> None:
        if os.path.lexists(final):
            if not final.is_symlink() and final.is_dir():
                final.chmod(0o700)  # a folder that moves has to be writable
            exchange(stage, final)
            set_aside(store.layout, {final.name: stage}, dataclasses.replace(reason, was=(final,)))
        else:
            rename_noreplace(stage, final)
        final.chmod(_FOLDER_MODE)

    _publish(store.layout, plan, extra_files, replace, share_copies=False)


def _publish(
    layout: StoreLayout,
    plan: EnvironmentPlan,
    extra_files: Mapping[str, bytes],
    place: Callable[[Path, Path], None],
    *,
    share_copies: bool = True,
) -> None:
    """Build the environment beside its final path. Then ``place`` moves the finished folder there.

    Copies of files are those that other views have, or new ones if ``share_copies`` is false.
    """
    with disk_errors(f"publish the environment {plan.id}"), shared_links(layout.links) as links:
        layout.environments.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=UNPUBLISHED, dir=layout.environments))
        try:
            with opened_folder(stage) as view:
                builder = _Builder(view, plan, extra_files, links, share_copies=share_copies)
                builder.build()
                # Without a barrier a power cut could show the folder with empty files in it, or without the names of entries
                # that were committed just now.
                barrier(stage)
                place(stage, plan.path)
                builder.keep_links()
        except BaseException:
            delete_tree(stage)
            raise


def _rename(stage: Path, final: Path) -> None:
    """Publish the folder; if another process was faster, delete it.

    Until here its top is writable, as macOS requires.
    """
    try:
        rename_noreplace(stage, final)
    except FileExistsError:
        delete_tree(stage)
        return
    final.chmod(_FOLDER_MODE)


class _Builder:
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

    def build(self) -> None:
        for folder in self._plan.folders:
            os.mkdir(folder, 0o700, dir_fd=self._view)
        for link in self._plan.links:
            self._link(link)
        for shared in self._plan.same_files:
            self._share(shared)
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
            os.chmod(folder, _FOLDER_MODE, dir_fd=self._view)

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
    paths = (path for name in plan.names.values() if name.owners and not name.section for path in name.paths)
    sections = {folder: name.section for folder, name in plan.names.items() if name.section}
    return encode_import_map(plan.id, index_paths(paths, plan.interpreter.extension_suffixes), sections)
