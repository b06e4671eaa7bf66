"""A lock file with the marks of a merge conflict selects nothing, whoever wrote it."""

import subprocess
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import serve_index
from support.project import git, write_project
from support.targets import make_target
from support.wheels import make_wheel

KINDS = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_a_conflict_is_an_error_at_its_line(tmp_path: Path, kind: str, style: str) -> None:
    def lock(version: str) -> None:
        write_project(tmp_path, index, [make_wheel("alpha", "1.0"), make_wheel("beta", version)], kind)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", version)

    with serve_index() as index:
        git(tmp_path, "init", "-q")
        git(tmp_path, "config", "merge.conflictStyle", style)
        lock("1.0")
        git(tmp_path, "checkout", "-qb", "other")
        lock("2.0")
        git(tmp_path, "checkout", "-q", "main")
        lock("3.0")
    with pytest.raises(subprocess.CalledProcessError):
        git(tmp_path, "merge", "-q", "other")
    content = (tmp_path / kind).read_text()
    line = content[: content.index("<<<<<<<")].count("\n") + 1
    with pytest.raises(LockFileError, match=f"{kind}:{line}:"):
        select(read_lock_file(tmp_path / kind), make_target())
