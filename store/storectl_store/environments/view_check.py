"""Compare a published environment with its plan: everything planned is there as planned, and nothing else is there."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_store.disk.whole_files import read_unnoticed
from storectl_store.entries.manifest import folders_above
from storectl_store.environments.planning.plan import IMPORT_MAP, EnvironmentPlan
from storectl_store.environments.planning.scripts import PYTHON_SHEBANG, with_own_shebang
from storectl_store.environments.planning.tree import SameFile, SmallFile, StoreScript
from storectl_store.environments.view_builder import import_map_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path of a view, relative to it, that is not as planned. ``message`` says in what way."""

    path: str
    message: str


def differences(
    plan: EnvironmentPlan, extra_files: Mapping[str, bytes], *, contents: bool = True
) -> Iterator[Difference]:
    """Compare the environment of this plan with it.

    Without ``contents`` no file is read: only sizes and link targets count.

    ``extra_files`` are those that it was published with: path -> content. May raise OSError.
    """
    found = _Found(plan.path)
    expected = _Expected(plan, extra_files)
    for path, target in expected.links.items():
        if found.links.get(path) != target:
            yield Difference(path=path, message=_missing(path, found) or f"it does not lead to {target}")
    for path, content in expected.contents.items():
        if message := _missing(path, found) or _wrong_content(path, content, found, contents=contents):
            yield Difference(path=path, message=message)
    for path, file in expected.same_files.items():
        if message := _missing(path, found) or _wrong_copy(file, found, contents=contents):
            yield Difference(path=path, message=message)
    for path in sorted(expected.folders - found.folders):
        yield Difference(path=path, message="the folder is gone")
    for path in sorted(found.open):
        yield Difference(path=path, message="the folder can be written")
    for path in sorted((found.files.keys() | found.links.keys() | found.folders) - expected.paths):
        yield Difference(path=path, message="nothing in the environment has brought it")


class _Found:
    """Everything below a view.

    ``files`` are all that are neither links nor folders, with their status; ``open`` are folders that can be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, os.stat_result] = {}
        self.links: dict[str, str] = {}
        self.folders: set[str] = set()
        self.open: list[str] = []
        self._walk("")

    def _walk(self, folder: str) -> None:
        if os.stat(self.root / folder).st_mode & 0o222:
            self.open.append(folder or ".")
        with os.scandir(self.root / folder) as found:
            children = list(found)
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if child.is_symlink():
                self.links[path] = os.readlink(child.path)
            elif child.is_dir(follow_symlinks=False):
                self.folders.add(path)
                self._walk(path)
            else:
                self.files[path] = child.stat(follow_symlinks=False)


class _Expected:
    """What a plan wants to be there, sorted by how it is compared."""

    def __init__(self, plan: EnvironmentPlan, extra_files: Mapping[str, bytes]) -> None:
        self.links = {link.path: link.target for link in plan.links}
        self.same_files = {file.path: file for file in plan.same_files}
        self.contents = {file.path: file for file in plan.files}
        made = {IMPORT_MAP: import_map_of(plan), **extra_files}
        self.contents |= {path: SmallFile(path=path, content=content) for path, content in made.items()}
        for script in plan.scripts:
            self._add_script(script, plan.python)
        self.folders = {*plan.folders, *folders_above(extra_files)}
        self.paths = self.folders | self.links.keys() | self.same_files.keys() | self.contents.keys()

    def _add_script(self, script: StoreScript, python: str) -> None:
        """Expect a copy with a first line of its own, or the file of the entry: the script's bytes decide which."""
        try:
            content = Path(script.source).read_bytes()
        except OSError:
            content = b""  # the entry is damaged, which is found there
        if content.startswith(PYTHON_SHEBANG):
            own = with_own_shebang(content, python)
            self.contents[script.path] = SmallFile(path=script.path, content=own, executable=True)
        else:
            self.same_files[script.path] = SameFile(path=script.path, target=script.source, sha256=script.sha256)


def _missing(path: str, found: _Found) -> str | None:
    if path in found.files or path in found.links:
        return None
    return "it is a folder" if path in found.folders else "it is gone"


def _wrong_content(path: str, file: SmallFile, found: _Found, *, contents: bool) -> str | None:
    status = found.files.get(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    mode = 0o555 if file.executable else 0o444
    if stat.S_IMODE(status.st_mode) != mode:
        return f"its mode is {stat.filemode(status.st_mode)}"
    if status.st_size != len(file.content):
        return f"it has {status.st_size} bytes, not {len(file.content)}"
    if not contents:
        return None
    return None if read_unnoticed(found.root / path) == file.content else "its content is another"


def _wrong_copy(file: SameFile, found: _Found, *, contents: bool) -> str | None:
    """What is wrong with a copy of an entry's file; None if nothing is."""
    if file.path in found.links:
        return "it is a link"
    status = found.files[file.path]
    try:
        wanted = os.stat(file.target)
    except OSError:
        return f"{file.target} is gone"
    if os.path.samestat(status, wanted):
        return "it is the entry's own file"
    if status.st_size != wanted.st_size or stat.S_IMODE(status.st_mode) != stat.S_IMODE(wanted.st_mode):
        return "it is not as the entry's file"
    if contents and hashlib.sha256((found.root / file.path).read_bytes()).hexdigest() != file.sha256:
        return "it is not as the entry's file"
    return None
