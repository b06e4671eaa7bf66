"""Where the tests of a suite come from: what is taken of a repository, and what is left out of a source."""

import subprocess
from pathlib import Path

import pytest

from fidelity.suite_source import SuiteError, source_of, unpack
from fidelity.suites import Suite


def suite(*, repository: Path | str = "", remove: tuple[str, ...] = (), files: dict[str, str] | None = None) -> Suite:
    return Suite(
        name="thing", requirements=(), arguments=("tests",), remove=remove, program=(), files=files or {},
        repository=str(repository), installed=False, ci=False,
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a tag of version 1, and a commit after it."""
    folder = tmp_path / "repository"
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    (folder / "tests").mkdir(parents=True)
    (folder / "thing").mkdir()
    for name in ("tests/test_thing.py", "thing/__init__.py", "thing/tests.py"):
        (folder / name).write_text("first\n")
    commit = ["-c", "commit.gpgsign=false", "commit", "-q", "-m", "change"]
    for command in (["init", "-q"], ["add", "."], commit, ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    (folder / "tests/test_thing.py").write_text("second\n")
    subprocess.run([*git, *commit, "-a"], check=True)
    return folder


def test_the_tests_of_a_repository_are_those_of_the_version_s_tag(repository: Path, tmp_path: Path) -> None:
    source = source_of(suite(repository=repository), {"version": "1"}, {})
    (tmp_path / "work").mkdir()
    work = unpack(source, suite(), tmp_path / "work")
    assert (work / "tests/test_thing.py").read_text() == "first\n"


def test_a_copy_of_the_repository_may_be_named(repository: Path, tmp_path: Path) -> None:
    elsewhere = suite(repository=tmp_path / "nowhere")
    assert source_of(elsewhere, {"version": "1"}, {"thing": str(repository), "other": "nowhere"})


def test_a_version_without_a_tag_is_told(repository: Path) -> None:
    with pytest.raises(SuiteError, match="has no tag v2"):
        source_of(suite(repository=repository), {"version": "2"}, {})


def test_what_hides_the_installed_project_is_left_out(repository: Path, tmp_path: Path) -> None:
    source = source_of(suite(repository=repository), {"version": "1"}, {})
    (tmp_path / "work").mkdir()
    chosen = suite(remove=("thing/[!t]*", "nothing"), files={"more.py": "more"})
    work = unpack(source, chosen, tmp_path / "work")
    found = {str(path.relative_to(work)) for path in work.rglob("*.py")}
    assert found == {"tests/test_thing.py", "thing/tests.py", "more.py"}
