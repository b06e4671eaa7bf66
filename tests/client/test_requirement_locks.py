"""Who locks requirements that no project has written down, and how it is told."""

from pathlib import Path

import pytest

from storectl.daemon.chosen_python import ChosenPython
from storectl.locks import requirements as requirement_locks
from storectl.locks.requirements import RequirementsError, Wanted, lock_requirements

PYTHON = ChosenPython(version="3.12.1", executable="/somewhere/python")
RECORD = """#!/bin/sh
printf '%s\\n' "$0" "$@" >"$OUT"
env >>"$OUT"
touch uv.lock pylock.toml
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are found in."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def find(name: str, _environ: object) -> str | None:
        return str(folder / name) if (folder / name).exists() else None

    monkeypatch.setattr(requirement_locks, "find_program", find)
    return folder


def add(programs: Path, name: str) -> None:
    (programs / name).write_text(RECORD)
    (programs / name).chmod(0o755)


def told(tmp_path: Path, *requirements: str, **environ: str) -> list[str]:
    out = tmp_path / "told"
    wanted = Wanted(requirements=requirements, python=PYTHON, constraints=("six==1",))
    lock_requirements(str(tmp_path / "folder"), wanted, {"OUT": str(out), "PATH": "/usr/bin:/bin", **environ})
    return out.read_text().splitlines()


def test_uv_is_told_the_interpreter_by_its_path(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    add(programs, "pip")
    assert told(tmp_path, "black")[:5] == [str(programs / "uv"), "lock", "--quiet", "--python", "/somewhere/python"]
    pyproject = (tmp_path / "folder" / "pyproject.toml").read_text()
    assert 'requires-python = "==3.12.*"' in pyproject
    assert 'dependencies = ["black"]' in pyproject


def test_paths_and_addresses_are_for_uv_to_name(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    command = told(tmp_path, "black", "git+https://host/x")
    assert command[1:7] == ["add", "--no-sync", "--quiet", "--python", "/somewhere/python", "git+https://host/x"]
    assert 'dependencies = ["black"]' in (tmp_path / "folder" / "pyproject.toml").read_text()


def test_pip_locks_if_there_is_no_uv(programs: Path, tmp_path: Path) -> None:
    add(programs, "pip")
    assert told(tmp_path, "black")[1:5] == ["--python", "/somewhere/python", "lock", "--quiet"]


def test_a_folder_is_not_for_pip(programs: Path, tmp_path: Path) -> None:
    add(programs, "pip")
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").touch()
    with pytest.raises(RequirementsError, match="only uv can lock a folder") as caught:
        told(tmp_path, str(project))
    assert caught.value.hint == "install uv"


def test_nobody_there_is_said(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match="neither uv nor pip is there"):
        told(tmp_path, "black")


def test_variables_that_would_have_uv_lock_something_else_do_not_reach_it(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    left_out = {"VIRTUAL_ENV": "/a", "UV_PROJECT": "/b", "UV_PYTHON": "3.9", "UV_FROZEN": "1", "UV_LOCKED": "1"}
    lines = told(tmp_path, "black", **left_out, UV_DEFAULT_INDEX="/index")
    assert "UV_DEFAULT_INDEX=/index" in lines
    assert not [line for line in lines if line.partition("=")[0] in left_out]
