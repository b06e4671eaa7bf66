"""The editable wheel of a local project as a commit has it, made without running anything.

A small copy of the project's folder is written: what decides which backend it has, where its code is, and the texts of
its metadata. The wheel that is made of it is the one that the checkout will have, byte for byte. If only the project's
backend could make it, there is none: nothing of a commit that nobody has checked out is ever run.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_daemon.entries.pipeline import ByteProgress
from storectl_daemon.prefetching.commit_files import CommitFiles
from storectl_store.digest import Digest
from storectl_store.projects.editable_wheel import EditableWheel, editable_wheel
from storectl_store.projects.import_roots import root_candidates
from storectl_store.projects.pyproject import read_pyproject, table_at
from storectl_store.projects.static_metadata import backend_inputs, static_project
from storectl_store.selection.origins import folder_origin
from storectl_store.selection.pin import LocalProject, Pin, WheelFile

_CODE = tuple(f"{'*/' * depth}*{suffix}" for depth in range(4) for suffix in (".py", ".pyi", ".so"))
"""What makes a folder one of code, as deep as ``import_roots`` looks for it."""

_MOST_TEXTS = 50
_LARGEST_TEXT = 1 << 20


def editable_of(files: CommitFiles, project: LocalProject, copy: Path) -> EditableWheel | None:
    """The editable wheel; None if only a backend can make it. ``copy`` is an empty folder to write into.

    Raises EnvironmentBuildError or LockFileError if it cannot be made of this commit at all, GitError if git does not
    give what it is made of.
    """
    folder = Path(project.path)
    content = files.read(folder / "pyproject.toml")
    if content is None:
        return None
    (copy / "pyproject.toml").write_bytes(content)
    document = read_pyproject(copy)
    for name in backend_inputs(document):
        if name != "pyproject.toml" and files.read(folder / name) is not None:
            (copy / name).touch()
    if static_project(copy) is None:
        return None
    roots, texts = root_candidates(document), list(_texts(document))
    if not all(map(_is_inside, (*roots, *texts))):
        return None
    for root in roots:
        if files.is_folder(folder / root):
            (copy / root).mkdir(parents=True, exist_ok=True)
            _write_code(files, folder / root, copy / root)
    return editable_wheel(project, seen=copy) if _write_texts(files, folder, texts, copy) else None


def _texts(document: dict[str, Any]) -> Iterator[str]:
    """The files, or patterns of files, from which the metadata is read."""
    project = table_at(document, "project")
    readme, licence, patterns = project.get("readme"), project.get("license"), project.get("license-files")
    for value in (readme if isinstance(readme, str) else None, *_of_table(readme), *_of_table(licence)):
        if isinstance(value, str):
            yield value
    yield from (pattern for pattern in (patterns if isinstance(patterns, list) else []) if isinstance(pattern, str))


def _of_table(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield value.get("file")


def _is_inside(path: str) -> bool:
    """Whether a path, or a pattern, leads to nothing outside of the project's folder."""
    return not os.path.isabs(path) and ".." not in path.split("/") and "\0" not in path


def _write_code(files: CommitFiles, folder: Path, copy: Path) -> None:
    """One empty module, if the folder holds code, and another one if it is a package itself."""
    names = [files.first(folder, pattern) for pattern in ("__init__.py", *_CODE)]
    for name in [name for name in names if name is not None and _can_be_imported(name)][:2]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()


def _can_be_imported(path: str) -> bool:
    return all(part.isidentifier() for part in path.split("/")[:-1])


def _write_texts(files: CommitFiles, folder: Path, texts: list[str], copy: Path) -> bool:
    """The files from which metadata is read. False if they are more, or larger, than those of any real project."""
    found = {path for text in texts for path in (text, *files.matching(os.fspath(folder), text))}
    if len(found) > _MOST_TEXTS:
        return False
    for path in sorted(found):
        content = files.read(folder / path)
        if content is not None and len(content) > _LARGEST_TEXT:
            return False
        if content is not None:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(content)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemory:
    """A wheel that is in memory, as a ``pipeline.Fetch``: fetching it means to write it."""

    pin: Pin
    content: bytes

    @classmethod
    def of(cls, project: LocalProject, wheel: EditableWheel) -> "InMemory":
        """The editable wheel of this project."""
        file = WheelFile(
            filename=wheel.filename,
            digest=wheel.digest,
            url=f"file:///{wheel.filename}",
            size=len(wheel.content),
        )
        origin = folder_origin(project.path, editable=project.editable)
        return cls(
            pin=Pin(name=project.name, version=wheel.version, wheel=file, direct_url=origin), content=wheel.content
        )

    @property
    def digest(self) -> Digest:
        """The sha256 of the wheel."""
        return self.pin.wheel.digest

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> "InMemory":
        """Write the wheel."""
        assert wheel == self.pin.wheel
        await asyncio.to_thread(destination.write_bytes, self.content)
        progress(len(self.content))
        return self
