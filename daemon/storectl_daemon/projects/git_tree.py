"""The files of a commit of a project's repository, read by ``git`` from what is there: nothing is fetched or run."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from storectl_daemon.errors import GitRefError
from storectl_daemon.projects.git_folder import ask_git, git_answer
from storectl_store.selection.tables.snapshot import content_at
from storectl_store.selection.uv.workspace import matching_among


@dataclass(frozen=True, slots=True, kw_only=True)
class GitTree:
    """The files in ``top``, the folder of the checkout, as they were at ``commit``. All of this may block."""

    top: Path
    commit: str
    environ: Mapping[str, str]

    @classmethod
    def of_ref(cls, project: Path, ref: str, environ: Mapping[str, str]) -> Self:
        """The files at this ref, which may be all that ``git rev-parse`` knows. Raises GitRefError if it is none."""
        top = ask_git(project, ("rev-parse", "--show-toplevel"), environ)
        may_be_one = top and ref and not ref.startswith("-") and "\0" not in ref
        asked = ("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        commit = ask_git(project, asked, environ) if may_be_one else None
        if not top or not commit:
            where = f"the repository of {project}" if top else f"{project}, which is in no repository that git reads"
            raise GitRefError(
                f"{ref} is no ref in {where}",
                hint="give the number of a generation (storectl env history), a ref of git, or the path of a lock file",
            )
        return cls(top=Path(top), commit=commit, environ=environ)

    def matching(self, folder: str, pattern: str) -> Iterator[str]:
        """The folders with a ``pyproject.toml`` that match, as ``Matching`` has it."""
        names = git_answer(self.top, ("ls-tree", "-r", "-z", "--name-only", self.commit), self.environ) or b""
        files = (self.top / os.fsdecode(name) for name in names.split(b"\0") if name.endswith(b"pyproject.toml"))
        return matching_among(files)(folder, pattern)

    def read(self, path: Path) -> bytes | None:
        """The content that the file had; None if there was none. A file elsewhere is read as it is now.

        Raises GitRefError if git has the name of its content only, as in a partial clone.
        """
        if not path.is_relative_to(self.top):
            return content_at(path)
        named = f"{self.commit}:{path.relative_to(self.top).as_posix()}"
        blob = ask_git(self.top, ("rev-parse", "--verify", "--quiet", named), self.environ)
        if blob is None:
            return None
        content = git_answer(self.top, ("cat-file", "blob", blob), self.environ)
        if content is None:
            raise GitRefError(
                f"git does not show {path.relative_to(self.top)} of {self.commit[:12]}",
                hint="a partial clone has its content only once it was checked out",
            )
        return content
