"""`storectl.from_git`: a revision of a repository in an interpreter that runs already."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine
from support.notebooks import kernels, run_cells
from support.project import git, write_project
from support.wheels import make_wheel

ALPHA = make_wheel("alpha", "1.0")
NEWER = make_wheel("alpha", "2.0")
ERROR = "try:\n    {}\nexcept storectl.ActivationError as error:\n    show([error.code, error.message])\n"


class Repository:
    """A repository over the index, with a branch `main` and the tag `first`; the code says which revision it is of."""

    def __init__(self, folder: Path, index: LoopbackIndex) -> None:
        self.folder, self.index = folder, index
        write_project(folder, index, [ALPHA])
        (folder / "tool.py").write_text("revision = 1\n")
        git(folder, "init", "-q")
        self.first = self.commit()
        git(folder, "tag", "-m", "the first", "first")

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def commit(self) -> str:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "a commit")
        return git(self.folder, "rev-parse", "HEAD").strip()

    def change(self) -> str:
        write_project(self.folder, self.index, [NEWER])
        (self.folder / "tool.py").write_text("revision = 2\n")
        return self.commit()


@pytest.fixture
def repository(machine: Machine, tmp_path: Path) -> Iterator[Repository]:
    with serve_index() as index:
        yield Repository(tmp_path / "upstream.git", index)


@pytest.mark.parametrize("python", kernels())
def test_the_code_and_its_locked_packages_are_importable(
    machine: Machine, repository: Repository, tmp_path: Path, python: str
) -> None:
    found, place = run_cells(
        machine,
        tmp_path,
        f"made = storectl.from_git({repository.url!r}, 'main')",
        "import tool, alpha; show([tool.revision, alpha.__version__, tool.__file__ == made.project + '/tool.py'])",
        "show(sys.path.index(made.site_packages) - sys.path.index(made.project))",
        python=python,
    )
    assert found == [1, "1.0", True]
    assert place == 1


def test_a_commit_that_is_there_needs_no_repository(machine: Machine, repository: Repository, tmp_path: Path) -> None:
    cell = "show([storectl.from_git({!r}, {!r}, offline={}).project])".format
    online = run_cells(machine, tmp_path, cell(repository.url, repository.first, False))
    shutil.move(repository.folder, tmp_path / "elsewhere")
    assert run_cells(machine, tmp_path, cell(repository.url, repository.first, False)) == online


def test_a_branch_is_looked_up_each_time_but_not_offline(
    machine: Machine, repository: Repository, tmp_path: Path
) -> None:
    cell = (
        "storectl.from_git({!r}, {!r}, offline={}); import tool, alpha; show([tool.revision, alpha.__version__])".format
    )
    assert run_cells(machine, tmp_path, cell(repository.url, "main", False)) == [[1, "1.0"]]
    repository.change()
    assert run_cells(machine, tmp_path, cell(repository.url, "main", True)) == [[1, "1.0"]]
    assert run_cells(machine, tmp_path, cell(repository.url, "main", False)) == [[2, "2.0"]]
    assert run_cells(machine, tmp_path, cell(repository.url, "first", False)) == [[1, "1.0"]]
    assert run_cells(machine, tmp_path, cell(repository.url, repository.first[:10], False)) == [[1, "1.0"]]
    ((code, message),) = run_cells(machine, tmp_path, ERROR.format(cell(repository.url, "other", True)))
    assert code == "E_OFFLINE"
    assert "other" in message


def test_another_revision_takes_the_place_of_the_first(
    machine: Machine, repository: Repository, tmp_path: Path
) -> None:
    second = repository.change()
    found, left = run_cells(
        machine,
        tmp_path,
        f"storectl.from_git({repository.url!r}, 'first')",
        f"made = storectl.from_git({repository.url!r}, {second!r})",
        "import tool, alpha; show([tool.revision, alpha.__version__])",
        "show([path for path in sys.path if 'checkouts' in path] == [made.project])",
    )
    assert found == [2, "2.0"]
    assert left


def test_a_project_in_a_subdirectory(machine: Machine, repository: Repository, tmp_path: Path) -> None:
    write_project(repository.folder / "libs" / "inner", repository.index, [NEWER])
    (repository.folder / "libs" / "inner" / "inner.py").write_text("")
    repository.commit()
    found, missing, outside = run_cells(
        machine,
        tmp_path,
        f"storectl.from_git({repository.url!r}, 'main', subdirectory='libs/inner')",
        "import inner, alpha; show(alpha.__version__)",
        ERROR.format(f"storectl.from_git({repository.url!r}, 'main', subdirectory='libs/none')"),
        ERROR.format(f"storectl.from_git({repository.url!r}, 'main', subdirectory='../..')"),
    )
    assert found == "2.0"
    assert missing[0] == outside[0] == "E_GIT"


def test_packaged_code_is_imported_as_the_environment_has_it(
    machine: Machine, repository: Repository, tmp_path: Path
) -> None:
    folder = repository.folder
    lock = (folder / "uv.lock").read_text().replace('{ virtual = "." }', '{ editable = "." }')
    (folder / "uv.lock").write_text(lock)
    pyproject = (folder / "pyproject.toml").read_text().partition("[tool.uv]")[0]
    (folder / "pyproject.toml").write_text(
        f'{pyproject}\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    (folder / "src" / "project").mkdir(parents=True)
    (folder / "src" / "project" / "__init__.py").write_text("")
    repository.commit()
    ((inside, file, root),) = run_cells(
        machine,
        tmp_path,
        f"made = storectl.from_git({repository.url!r}, 'main'); import project",
        "show([made.project in sys.path, project.__file__, made.project])",
    )
    assert not inside
    assert file == f"{root}/src/project/__init__.py"


def test_what_git_cannot_get_is_told_without_the_login(
    machine: Machine, repository: Repository, tmp_path: Path
) -> None:
    without_lock = tmp_path / "plain"
    without_lock.mkdir()
    (without_lock / "readme").write_text("")
    git(without_lock, "init", "-q")
    git(without_lock, "add", "-A")
    git(without_lock, "commit", "-qm", "one")
    secret = "http://user:hunter2@127.0.0.1:1/nothing.git"
    problems = run_cells(
        machine,
        tmp_path,
        ERROR.format(f"storectl.from_git({secret!r}, 'main')"),
        ERROR.format(f"storectl.from_git({repository.url!r}, 'no-such-branch')"),
        ERROR.format(f"storectl.from_git({repository.url!r}, '--upload-pack=x')"),
        ERROR.format("storectl.from_git('--upload-pack=x', 'main')"),
        ERROR.format(f"storectl.from_git({without_lock.as_uri()!r}, 'main')"),
    )
    assert [code for code, _ in problems] == ["E_GIT", "E_GIT", "E_GIT", "E_GIT", "E_NO_LOCK"]
    assert "hunter2" not in problems[0][1]
    assert "no-such-branch" in problems[1][1]
    checkouts = machine.home / ".local/state/storectl/checkouts"
    assert not [name for name in os.listdir(checkouts) if name.startswith(".")]
