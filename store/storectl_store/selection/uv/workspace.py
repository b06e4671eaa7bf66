"""The projects that a ``uv.lock`` covers: the one in its folder, the members of its workspace, and path dependencies.

    [tool.uv.workspace]  members = ["packages/*"], exclude = ["packages/old"]
    [tool.uv.sources]    lib = { path = "../lib" }

These files are found when the lock file is read, so that what is selected from it depends on bytes only.
"""

import fnmatch
import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.errors import LockFileError
from storectl_store.selection.tables.toml_table import Table, parse_toml

MAX_MEMBERS = 500
"""Most folders that a pattern of members may match; further ones are not looked at."""

Matching = Callable[[str, str], Iterator[str]]
"""The paths in the folder (absolute) that match the pattern, relative to that folder."""


def matching_on_disk(folder: str, pattern: str) -> Iterator[str]:
    """The paths that exist now."""
    return glob.iglob(pattern, root_dir=folder, recursive=True)


def matching_among(files: Iterable[Path]) -> Matching:
    """Finds the folders that have a ``pyproject.toml`` among these files, which need not be on disk."""
    folders = [os.fspath(file.parent) for file in files if file.name == "pyproject.toml"]

    def matching(folder: str, pattern: str) -> Iterator[str]:
        relative = (os.path.relpath(each, folder) for each in folders)
        return (each for each in relative if each != "." and _matches(each.split("/"), pattern))

    return matching


@dataclass(frozen=True, slots=True, kw_only=True)
class UvProject:
    """A ``pyproject.toml``. ``folder`` is its folder, relative to ``base``; ``.`` is the one beside the lock file.

    ``base`` is the absolute folder of the lock file.
    """

    base: str
    folder: str
    table: Table

    @property
    def file(self) -> str:
        """The file, relative to the lock file."""
        return os.path.normpath(os.path.join(self.folder, "pyproject.toml"))

    @property
    def project(self) -> Table | None:
        """The table ``[project]``; None if there is none."""
        return self.table.optional_table("project")

    @property
    def name(self) -> NormalizedName | None:
        """The project's name; None if there is no project."""
        return self.project.name("name") if self.project else None

    @property
    def uv(self) -> Table:
        """The table ``[tool.uv]``; empty if there is none."""
        return self.table.table("tool").table("uv")

    def is_member(self, folder: str) -> bool:
        """Whether the folder, relative to the lock file, belongs to the workspace of which this project is the root."""
        workspace = self.uv.table("workspace")
        parts = folder.split("/")
        return folder == "." or (
            any(_matches(parts, pattern) for pattern in workspace.texts("members"))
            and not any(_matches(parts, pattern) for pattern in workspace.texts("exclude"))
        )


def projects_of(folder: Path, pyproject: bytes, included: Mapping[str, bytes]) -> list[UvProject]:
    """The project beside the lock file, which comes first, and all others.

    Raises LockFileError if the first or a member of its workspace is malformed. Any other malformed one is left out.
    """
    root = UvProject(base=str(folder), folder=".", table=parse_toml(pyproject, str(folder / "pyproject.toml")))
    others = (_other(root, file, content) for file, content in included.items() if file.endswith("/pyproject.toml"))
    return [root, *(project for project in others if project is not None)]


def members_of(projects: Sequence[UvProject]) -> list[UvProject]:
    """Those of the projects that belong to the workspace, the root among them."""
    return [project for project in projects if projects[0].is_member(project.folder)]


def _other(root: UvProject, file: str, content: bytes) -> UvProject | None:
    folder = os.path.relpath(os.path.dirname(file), root.base)
    try:
        return UvProject(base=root.base, folder=folder, table=parse_toml(content, file))
    except LockFileError:
        if root.is_member(folder):
            raise
        return None


def other_projects(file: str, content: bytes, matching: Matching = matching_on_disk) -> Iterator[str]:
    """The ``pyproject.toml`` files that this one names, as members or by their path; none if it is malformed.

    ``matching`` looks for the folders. The files need not exist.
    """
    if b"workspace" not in content and b"path" not in content:
        return
    folder = os.path.dirname(file)
    try:
        uv = parse_toml(content, file).table("tool").table("uv")
        found = [*_member_folders(uv.table("workspace"), folder, matching), *_source_folders(uv.table("sources"))]
    except LockFileError:
        return
    for other in found:
        yield os.path.normpath(os.path.join(folder, other, "pyproject.toml"))


def _member_folders(workspace: Table, folder: str, matching: Matching) -> Iterator[str]:
    excluded = workspace.texts("exclude")
    for pattern in workspace.texts("members"):
        if "\0" in pattern:
            continue
        for found in itertools.islice(matching(folder, pattern), MAX_MEMBERS):
            if not any(_matches(os.path.normpath(found).split("/"), other) for other in excluded):
                yield found


def _source_folders(sources: Table) -> Iterator[str]:
    for name in sources.values:
        single = isinstance(sources.values[name], dict)
        for table in (sources.table(name),) if single else sources.tables(name):
            path = table.optional_text("path")
            if path and "\0" not in path and not path.endswith((".whl", ".gz", ".zip")):
                yield os.path.join(path, table.optional_text("subdirectory") or "")


def _matches(parts: list[str], pattern: str) -> bool:
    """Whether a folder matches a pattern part by part; ``**`` stands for any number of parts."""
    return _match_parts(parts, os.path.normpath(pattern).split("/"))


def _match_parts(parts: list[str], patterns: list[str]) -> bool:
    """Whether they match, in a time that grows with the product of both lengths: anybody may have written them."""
    reached = _passing(patterns, {0})
    for part in parts:
        stayed = {place for place in reached if patterns[place : place + 1] == ["**"]}
        passed = {
            place + 1
            for place in reached - stayed
            if place < len(patterns) and fnmatch.fnmatchcase(part, patterns[place])
        }
        reached = _passing(patterns, stayed | passed)
    return len(patterns) in reached


def _passing(patterns: list[str], places: set[int]) -> set[int]:
    """These places in the patterns, and those behind each ``**``, which may stand for nothing."""
    found = set(places)
    for place in sorted(places):
        while patterns[place : place + 1] == ["**"]:
            place += 1  # noqa: PLW2901  # on to what is behind it
            found.add(place)
    return found
