"""Records of projects: what the launcher and the command line may trust."""

import hashlib
import os
from pathlib import Path

import pytest

from storectl_shim.project_record import options_key, read_ready
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.project_record import (
    InputState,
    forget_record,
    project_of,
    record_folders,
    record_problem,
    write_record,
)
from storectl_store.errors import EnvironmentBuildError

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


class Project:
    """A project with a lock file, an environment, and the record of both."""

    def __init__(self, folder: Path) -> None:
        self.layout = StoreLayout(folder / "store")
        self.folder = folder / "project"
        self.folder.mkdir()
        self.lock_file = self.folder / "uv.lock"
        self.environment = self.layout.environment("0" * 32)
        (self.environment / "bin").mkdir(parents=True)
        (self.environment / "bin" / "python").write_text("")
        (self.environment / "bin" / "python").chmod(0o755)
        self.change("one", NOW - 10 * SECOND)

    @property
    def record(self) -> Path:
        return self.layout.project_record(self.folder)

    def change(self, text: str, mtime_ns: int) -> None:
        self.lock_file.write_text(text)
        os.utime(self.lock_file, ns=(mtime_ns, mtime_ns))

    def state(self) -> InputState:
        data, status = self.lock_file.read_bytes(), self.lock_file.stat()
        return InputState(sha256=hashlib.sha256(data).hexdigest(), mtime_ns=status.st_mtime_ns, size=status.st_size)

    def write(self, key: str = "default", environment: Path | None = None) -> bool:
        return write_record(
            self.layout,
            self.folder,
            key=key,
            environment=environment or self.environment,
            lock_file=self.lock_file,
            inputs={self.lock_file: self.state(), self.folder / "pyproject.toml": None},
            now_ns=NOW,
        )

    def read(self, key: str = "default") -> str | None:
        return read_ready(str(self.layout.root), str(self.folder), key)

    def names(self) -> set[str]:
        """All but what is for ``verify`` alone."""
        return set(os.listdir(self.record)) - {"sums"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve())


def test_the_launchers_files_are_an_environment_and_stamps_as_old_as_the_inputs(project: Project) -> None:
    assert project.write()
    assert project.names() == {"environment", "stamp.uv.lock", "ready.default"}
    assert (project.record / "environment").read_text() == f"{project.environment}\n"
    stamp = (project.record / "stamp.uv.lock").stat()
    assert (stamp.st_mtime_ns, stamp.st_size) == (NOW - 10 * SECOND, 0)


def test_the_ready_file_has_this_form(project: Project) -> None:
    project.write()
    state = project.state()
    assert (project.record / "ready.default").read_text().splitlines() == [
        "storectl-record 1",
        f"environment {project.environment}",
        f"lock {project.lock_file}",
        f"written {NOW}",
        f"absent {project.folder / 'pyproject.toml'}",
        f"input {state.sha256} {state.mtime_ns} {state.size} {project.lock_file}",
    ]


def test_the_command_line_reads_what_was_written(project: Project) -> None:
    project.write()
    assert project.read() == str(project.environment)


@pytest.mark.parametrize("age", [0, 1, 2 * SECOND, -5 * SECOND])
def test_a_young_input_gives_a_ready_file_only(project: Project, age: int) -> None:
    project.change("two", NOW - age)
    assert not project.write()
    assert project.names() == {"ready.default"}
    assert project.read() == str(project.environment)


def test_a_young_input_takes_the_fast_path_away(project: Project) -> None:
    project.write()
    project.change("two", NOW)
    project.write()
    assert project.names() == {"ready.default"}


def test_a_changed_input_is_noticed(project: Project) -> None:
    project.write()
    project.change("two", NOW - 5 * SECOND)
    assert project.read() is None
    project.change("one", NOW - 5 * SECOND)
    assert project.read() == str(project.environment)


def test_an_input_that_appears_is_noticed(project: Project) -> None:
    project.write()
    (project.folder / "pyproject.toml").touch()
    assert project.read() is None


def test_a_stamp_of_an_input_that_went_away_goes_too(project: Project) -> None:
    project.write()
    inputs = {project.lock_file: None}
    write_record(
        project.layout,
        project.folder,
        key="default",
        environment=project.environment,
        lock_file=project.lock_file,
        inputs=inputs,
        now_ns=NOW,
    )
    assert project.names() == {"environment", "ready.default"}


def test_other_options_have_their_own_file_and_leave_the_launchers_alone(project: Project, tmp_path: Path) -> None:
    project.write()
    key = options_key(extras=["plot"])
    other = tmp_path.resolve() / "other"
    assert project.write(key, other)
    assert (project.record / "environment").read_text() == f"{project.environment}\n"
    assert project.names() == {"environment", "stamp.uv.lock", "ready.default", f"ready.{key}"}


def test_inputs_elsewhere_get_no_stamp(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path.resolve() / "uv.lock"
    write_record(
        project.layout,
        project.folder,
        key="default",
        environment=project.environment,
        lock_file=elsewhere,
        inputs={elsewhere: project.state(), project.folder / "notes.txt": project.state()},
        now_ns=NOW,
    )
    assert project.names() == {"environment", "ready.default"}


def test_the_fast_path_is_gone_while_the_record_changes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write()
    seen = []
    rename = Path.rename

    def watching(source: Path, target: Path) -> Path:
        seen.append((target.name, (project.record / "environment").exists()))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", watching)
    project.write()
    assert seen == [("ready.default", False), ("stamp.uv.lock", False), ("environment", False), ("sums", True)]


def test_a_failed_write_leaves_no_scrap_and_no_fast_path(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write()

    def refuse(_source: Path, target: Path) -> Path:
        raise OSError(28, os.strerror(28), str(target))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(Exception, match="E_DISK"):
        project.write()
    assert project.names() == {"ready.default"}


@pytest.mark.parametrize("environment", [Path("/with\nnewline"), Path("relative")])
def test_a_path_that_no_line_can_hold_is_refused(project: Project, environment: Path) -> None:
    with pytest.raises(EnvironmentBuildError):
        project.write(environment=environment)
    assert not project.record.exists()


def test_forgetting_removes_the_record_and_the_way_to_it(project: Project) -> None:
    project.write()
    forget_record(project.layout, project.folder)
    assert not project.layout.projects.exists() or os.listdir(project.layout.projects) == []
    forget_record(project.layout, project.folder)


def test_forgetting_leaves_the_projects_inside_and_beside(project: Project) -> None:
    project.write()
    inner = project.folder / "inner"
    write_record(
        project.layout,
        inner,
        key="default",
        environment=project.environment,
        lock_file=inner / "uv.lock",
        inputs={},
        now_ns=NOW,
    )
    forget_record(project.layout, project.folder)
    assert not project.record.exists()
    assert (project.layout.project_record(inner) / "environment").is_file()


def test_a_record_that_is_as_it_was_written_has_no_problem(project: Project) -> None:
    project.write()
    project.write("0123456789abcdef")
    assert list(record_folders(project.layout)) == [project.record]
    assert project_of(project.layout, project.record) == project.folder
    assert record_problem(project.record) is None


@pytest.mark.parametrize("name", ["environment", "ready.default", "stamp.uv.lock", "sums"])
def test_a_file_of_the_record_that_changes_or_goes_is_noticed(project: Project, name: str) -> None:
    project.write()
    content = (project.record / name).read_bytes()
    (project.record / name).write_bytes(content + b"x")
    assert record_problem(project.record)
    (project.record / name).unlink()
    assert record_problem(project.record)


def test_a_stamp_of_another_time_is_noticed(project: Project) -> None:
    project.write()
    os.utime(project.record / "stamp.uv.lock", ns=(NOW, NOW))
    assert record_problem(project.record)
