"""Records of projects: what the launcher and the command line may trust."""

import hashlib
import os
from pathlib import Path

import pytest

from storectl_shim.project_record import (
    INPUTS,
    TELLING_NS,
    VARIABLES_KEY_BYTES,
    first_told,
    options_key,
    read_notices,
    read_ready,
    read_rollback,
    variable_digest,
)
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.input_state import InputState
from storectl_store.projects.launcher_checks import MOST_CHECKED
from storectl_store.projects.project_record import (
    forget_ready,
    forget_record,
    project_of,
    record_folders,
    record_problem,
    recorded_inputs,
    write_record,
)

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


class Project:
    """A project with a lock file, an environment, and the record of both."""

    def __init__(self, folder: Path) -> None:
        self.layout = StoreLayout(folder / "store")
        self.folder = folder / "project"
        self.folder.mkdir()
        self.lock_file = self.folder / "uv.lock"
        self.environment = self.layout.environment(EnvironmentId("0" * 32))
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

    def write(self, key: str = "default", environment: Path | None = None, tell: str | None = None) -> bool:
        return write_record(
            self.layout,
            self.folder,
            key=key,
            environment=environment or self.environment,
            lock_file=self.lock_file,
            inputs={self.lock_file: self.state(), self.folder / "pyproject.toml": None},
            now_ns=NOW,
            tell=tell,
        )

    def first_told(self) -> str | None:
        return first_told(str(self.layout.root), str(self.folder))

    def read(self, key: str = "default") -> str | None:
        return read_ready(str(self.layout.root), str(self.folder), key)

    def names(self) -> set[str]:
        """All but what is for ``verify`` alone."""
        return set(os.listdir(self.record)) - {"sums"}

    def fast_names(self, key: str = "default") -> set[str]:
        """What the launcher finds for these options."""
        fast = self.record / f"fast.{key}"
        return set(os.listdir(fast)) if fast.exists() else set()

    def fast_environment(self, key: str = "default") -> str:
        """The environment that the launcher takes for these options, if all is as it was."""
        last = (self.record / f"fast.{key}" / "environment").read_text().splitlines()[-1]
        return last.removeprefix("_storectl_environment='").removesuffix("'")

    @property
    def fast(self) -> Path:
        return self.record / "fast.default"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve())


def test_the_launchers_files_are_an_environment_and_stamps_as_old_as_the_inputs(project: Project) -> None:
    assert project.write()
    assert project.names() == {"fast.default", "ready.default"}
    assert project.fast_names() == {"environment", "stamp.uv.lock"}
    assert project.fast_environment() == str(project.environment)
    stamp = (project.fast / "stamp.uv.lock").stat()
    assert (stamp.st_mtime_ns, stamp.st_size) == (NOW - 10 * SECOND, 0)


def test_the_ready_file_has_this_form(project: Project) -> None:
    project.write()
    state = project.state()
    assert (project.record / "ready.default").read_text().splitlines() == [
        "storectl-record 2",
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
    assert project.fast_names() == {"environment"}


def test_every_set_of_options_has_its_own_part_and_leaves_the_others_alone(project: Project, tmp_path: Path) -> None:
    project.write()
    key = options_key(extras=["plot"])
    other = tmp_path.resolve() / "other"
    assert project.write(key, other)
    assert project.fast_environment() == str(project.environment)
    assert project.fast_environment(key) == str(other)
    assert project.fast_names() == project.fast_names(key) == {"environment", "stamp.uv.lock"}
    assert project.names() == {"fast.default", f"fast.{key}", "ready.default", f"ready.{key}"}
    forget_ready(project.layout, project.folder, [key])
    assert project.names() == {"fast.default", "ready.default"}
    assert record_problem(project.record) is None


def test_what_older_versions_wrote_for_their_launcher_goes_with_the_next_record(project: Project) -> None:
    project.record.mkdir(parents=True)
    for name in ("environment", ".environment", "further", "stamp.uv.lock", "stamp.1"):
        (project.record / name).touch()
    project.write()
    assert project.names() == {"fast.default", "ready.default"}
    assert record_problem(project.record) is None


def test_a_rollback_is_told_at_each_run_so_the_launcher_has_no_part_in_it(project: Project) -> None:
    assert write_record(
        project.layout,
        project.folder,
        key="default",
        environment=project.environment,
        lock_file=project.lock_file,
        inputs={project.lock_file: project.state()},
        now_ns=NOW,
        notices=("in generation 3",),
        rolled_back=True,
    )
    asked = str(project.layout.root), str(project.folder), "default"
    assert read_rollback(*asked) == "in generation 3"
    assert read_notices(*asked) == []  # these are of a lock file that is old
    assert project.read() == str(project.environment)
    assert project.names() == {"ready.default"}
    assert project.write()
    assert read_rollback(*asked) is None


def write_further(
    project: Project, inputs: dict[Path, InputState | None], variables: dict[str, str] | None = None
) -> bool:
    return write_record(
        project.layout,
        project.folder,
        key="default",
        environment=project.environment,
        lock_file=project.lock_file,
        inputs={project.lock_file: project.state(), **inputs},
        now_ns=NOW,
        variables=variables or {},
    )


OLD = InputState(sha256="00", mtime_ns=NOW - 10 * SECOND, size=1)


def test_the_launcher_has_no_part_in_it_until_a_run_has_told_what_is_to_be_told_once(project: Project) -> None:
    project.write(tell="made ahead: schön")
    assert "environment" not in project.fast_names()
    assert project.read() == str(project.environment)
    assert project.first_told() == "made ahead: schön"
    assert project.fast_environment() == str(project.environment)
    assert project.first_told() is None


def test_a_record_has_the_same_sums_before_and_after_it_is_told(project: Project) -> None:
    project.write(tell="made ahead")
    assert record_problem(project.record) is None
    project.first_told()
    assert record_problem(project.record) is None
    (project.fast / "environment").write_text("/another\n")
    assert record_problem(project.record) is not None


def test_what_no_run_has_told_yet_stays_when_the_record_is_written_again(project: Project) -> None:
    project.write(tell="made ahead")
    project.write()
    assert project.first_told() == "made ahead"
    project.write()
    assert project.first_told() is None


def test_what_was_to_be_told_goes_with_the_environment_that_it_was_about(project: Project, tmp_path: Path) -> None:
    project.write(tell="made ahead")
    project.write(environment=tmp_path / "other")
    assert project.first_told() is None
    assert not {".tell", ".told"} & project.names()
    assert project.fast_names() == {"environment", "stamp.uv.lock"}


def test_a_young_input_does_not_keep_it_from_being_told(project: Project) -> None:
    project.change("two", NOW - SECOND)
    project.write(tell="made ahead")
    assert project.first_told() == "made ahead"
    project.change("two", NOW - 10 * SECOND)
    project.write()
    assert project.first_told() is None
    assert "environment" in project.fast_names()


def test_what_no_run_has_told_while_an_input_was_young_is_told_later(project: Project) -> None:
    project.change("two", NOW - SECOND)
    project.write(tell="made ahead")
    project.change("two", NOW - 10 * SECOND)
    project.write()
    assert "environment" not in project.fast_names()
    assert project.first_told() == "made ahead"
    assert "environment" in project.fast_names()


def test_a_record_of_other_options_tells_nothing(project: Project) -> None:
    project.write(key="0123456789abcdef", tell="made ahead")
    assert project.first_told() is None
    assert "environment" in project.fast_names("0123456789abcdef")


def test_what_is_held_back_with_nothing_to_tell_is_let_go_by_the_next_run(project: Project) -> None:
    """A run may have told it in the moment before the daemon wrote the file."""
    project.write(tell="made ahead")
    (project.record / ".tell").unlink()
    assert project.first_told() is None
    assert "environment" in project.fast_names()


def test_what_must_be_as_it_was_is_what_the_launcher_executes(project: Project) -> None:
    write_further(
        project,
        {
            Path("/else where/it's.toml"): OLD,
            Path("/a/src"): InputState(kind="place"),
            Path("/a/native"): InputState(sha256="00", mtime_ns=NOW - 20 * SECOND, kind="names"),
            Path("/a/setup.py"): None,
            Path("/a/setup.cfg"): None,
            Path("/usr/bin/python3.12"): InputState(sha256="00", mtime_ns=NOW - 30 * SECOND, size=9, kind="program"),
        },
        {"CFLAGS": "-", "LDFLAGS": "-"},
    )
    assert (project.fast / "environment").read_text().splitlines() == [
        "[ -O uv.lock ] &&",
        "_storectl_same uv.lock uv.lock &&",
        f"[ {' -a '.join(f'! -e {name}' for name in INPUTS if name != 'uv.lock')} ] &&",
        "_storectl_same 1 '/a/native' &&",
        "_storectl_same 2 '/else where/it'\\''s.toml' &&",
        "_storectl_same 3 '/usr/bin/python3.12' &&",
        "[ -e '/a/src' ] &&",
        "[ ! -e '/a/setup.cfg' -a ! -e '/a/setup.py' ] &&",
        '[ -z "${CFLAGS+x}${LDFLAGS+x}" ] &&',
        f"_storectl_environment='{project.environment}'",
    ]
    times = [(project.fast / f"stamp.{number}").stat().st_mtime_ns for number in (1, 2, 3)]
    assert times == [NOW - 20 * SECOND, NOW - 10 * SECOND, NOW - 30 * SECOND]
    assert [
        line for line in (project.record / "ready.default").read_text().splitlines()[4:] if "uv.lock" not in line
    ] == [
        f"names 00 {NOW - 20 * SECOND} /a/native",
        "absent /a/setup.cfg",
        "absent /a/setup.py",
        "place /a/src",
        f"input 00 {NOW - 10 * SECOND} 1 /else where/it's.toml",
        f"program {NOW - 30 * SECOND} 9 /usr/bin/python3.12",
        "variable CFLAGS -",
        "variable LDFLAGS -",
    ]


def test_what_was_recorded_can_be_read_back_with_what_of_it_counts(project: Project) -> None:
    inputs = {Path("/a b/x"): OLD, Path("/src"): InputState(kind="place"), Path("/n"): InputState(kind="names")}
    inputs[Path("/a python")] = InputState(kind="program")
    write_further(project, {**inputs, Path("/none"): None})
    assert recorded_inputs(project.layout, project.folder, "default") == {
        project.lock_file: "file",
        Path("/a b/x"): "file",
        Path("/src"): "place",
        Path("/n"): "names",
        Path("/a python"): "program",
        Path("/none"): "file",
    }
    assert recorded_inputs(project.layout, project.folder, "other") == {}


@pytest.mark.parametrize(
    ("inputs", "variables"),
    [
        ({Path("/new\nline"): OLD}, {}),
        ({Path("/bell\a"): OLD}, {}),
        ({Path("/of an archive"): InputState(sha256="00", mtime_ns=TELLING_NS, size=1)}, {}),
        ({Path("/not-utf-8-\udcff"): OLD}, {}),
        ({Path(f"/many/{number}"): None for number in range(MOST_CHECKED + 1)}, {}),
        ({}, {"SET": "0" * 64}),
        ({}, {"not a name": "-"}),
    ],
)
def test_what_the_launcher_cannot_check_is_left_to_the_command_line(
    project: Project, inputs: dict[Path, InputState | None], variables: dict[str, str]
) -> None:
    assert write_further(project, inputs, variables)
    assert project.names() == {"ready.default"}


def test_an_input_that_no_line_can_hold_never_counts_as_unchanged(project: Project) -> None:
    write_further(project, {project.folder / "new\nline": None})
    assert project.read() is None


def test_a_young_input_elsewhere_gives_a_ready_file_only(project: Project) -> None:
    assert not write_further(project, {Path("/else"): InputState(sha256="00", mtime_ns=NOW - SECOND, size=1)})
    assert project.names() == {"ready.default"}


def test_what_the_launcher_was_to_call_goes_with_the_inputs(project: Project) -> None:
    write_further(project, {Path("/else"): OLD})
    assert "stamp.1" in project.fast_names()
    project.write()
    assert project.fast_names() == {"environment", "stamp.uv.lock"}


def with_variables(project: Project, **values: str | None) -> None:
    key = bytes(range(VARIABLES_KEY_BYTES))
    (project.layout.root / "variables.key").write_bytes(key)
    write_further(project, {}, {name: variable_digest(key, name, value) for name, value in values.items()})


def read_with(project: Project, environ: dict[str, str]) -> str | None:
    return read_ready(str(project.layout.root), str(project.folder), "default", environ)


def test_a_record_holds_as_long_as_the_variables_that_a_build_looked_at_are_the_same(project: Project) -> None:
    with_variables(project, DEMO_PURE="1", CFLAGS=None)
    assert read_with(project, {"DEMO_PURE": "1", "OTHER": "x"}) == str(project.environment)
    for environ in ({"DEMO_PURE": "2"}, {}, {"DEMO_PURE": "1", "CFLAGS": ""}):
        assert read_with(project, environ) is None


def test_a_record_of_a_variable_s_value_does_not_hold_without_the_key(project: Project) -> None:
    with_variables(project, DEMO_PURE="1")
    (project.layout.root / "variables.key").write_bytes(b"torn")
    assert read_with(project, {"DEMO_PURE": "1"}) is None


def test_the_value_of_a_variable_is_not_written_down(project: Project) -> None:
    with_variables(project, TOKEN="password")
    assert "password" not in (project.record / "ready.default").read_text()


def test_the_fast_path_is_gone_while_the_record_changes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write()
    seen = []
    rename = Path.rename

    def watching(source: Path, target: Path) -> Path:
        seen.append((target.name, (project.fast / "environment").exists()))
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
    assert (project.layout.project_record(inner) / "fast.default/environment").is_file()


def test_a_record_that_is_as_it_was_written_has_no_problem(project: Project) -> None:
    project.write()
    project.write("0123456789abcdef")
    assert list(record_folders(project.layout)) == [project.record]
    assert project_of(project.layout, project.record) == project.folder
    assert record_problem(project.record) is None


@pytest.mark.parametrize("name", ["fast.default/environment", "ready.default", "fast.default/stamp.uv.lock", "sums"])
def test_a_file_of_the_record_that_changes_or_goes_is_noticed(project: Project, name: str) -> None:
    project.write()
    content = (project.record / name).read_bytes()
    (project.record / name).write_bytes(content + b"x")
    assert record_problem(project.record)
    (project.record / name).unlink()
    assert record_problem(project.record)


def test_a_stamp_of_another_time_is_noticed(project: Project) -> None:
    project.write()
    os.utime(project.fast / "stamp.uv.lock", ns=(NOW, NOW))
    assert record_problem(project.record)
