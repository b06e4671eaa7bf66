"""Who locks requirements that no project has written down, and how it is told."""

import os
import sys
import tomllib
from pathlib import Path

import pytest

from storectl.daemon.chosen_python import ChosenPython
from storectl.locks import requirements as requirement_locks
from storectl.locks.requirements import RequirementsError, Wanted, lock_requirements
from support.index import serve_index
from support.sources import source_files, tiny_backend
from support.wheels import make_wheel

PYTHON = ChosenPython(version="3.12.1", executable="/somewhere/python")
RECORD = """#!/bin/sh
printf '%s\\n' "$0" "$@" >"$OUT"
env >>"$OUT"
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
    wanted = Wanted(requirements=requirements, python=PYTHON, constraints=("six==1",), kept=("idna==2",))
    lock_requirements(str(tmp_path / "folder"), wanted, {"OUT": str(out), "PATH": "/usr/bin:/bin", **environ})
    return out.read_text().splitlines()


def test_uv_is_told_the_interpreter_by_its_path(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    add(programs, "pip")
    command = told(tmp_path, "black")
    assert command[:7] == [
        str(programs / "uv"), "pip", "compile", "--quiet", "--no-header", "--python", "/somewhere/python"
    ]  # fmt: skip
    assert (tmp_path / "folder" / "requirements.in").read_text() == "black\n"
    assert (tmp_path / "folder" / "constraints.txt").read_text() == "six==1\n"


def test_the_lock_file_is_for_its_python_and_uv_prefers_the_versions_in_it(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    told(tmp_path, "black")
    text = (tmp_path / "folder" / "pylock.toml").read_text()
    assert 'requires-python = "==3.12.*"\n' in text
    assert '[[packages]]\nname = "idna"\nversion = "2"\n' in text


def test_paths_are_addresses_in_what_is_locked(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    project = tmp_path / "a project"
    project.mkdir()
    (project / "pyproject.toml").touch()
    told(tmp_path, str(project), "git+https://host/x")
    expected = f"file://{tmp_path}/a%20project\ngit+https://host/x\n"
    assert (tmp_path / "folder" / "requirements.in").read_text() == expected


def test_pip_locks_if_there_is_no_uv(programs: Path, tmp_path: Path) -> None:
    add(programs, "pip")
    command = told(tmp_path, "black")
    assert command[1:6] == ["--python", "/somewhere/python", "lock", "-qq", "-c"]
    assert (tmp_path / "folder" / "constraints.txt").read_text() == "six==1\nidna==2\n"


def test_what_only_uv_can_lock_is_not_for_pip(programs: Path, tmp_path: Path) -> None:
    add(programs, "pip")
    (tmp_path / "project").mkdir()
    (tmp_path / "requirements.txt").write_text("-e ../other[all]\n")
    outside = Wanted(python=PYTHON, files=(str(tmp_path / "requirements.txt"),), folder=str(tmp_path))
    script = Wanted(python=PYTHON, script="tool.py", requirements=("x",), only_uv=True)
    for wanted, said in (
        (outside, f"such as {tmp_path.parent}/other, and"),
        (script, r"tool.py, by \[tool.uv\] in it"),
    ):
        with pytest.raises(RequirementsError, match=f"only uv can lock .*{said}") as caught:
            lock_requirements(str(tmp_path / "folder"), wanted, {})
        assert caught.value.hint == "install uv"


def test_what_pip_locks_has_its_projects_by_absolute_paths(programs: Path, tmp_path: Path) -> None:
    (programs / "pip").symlink_to(Path(sys.executable).with_name("pip"))
    folder = tmp_path / "here"
    for name, text in source_files("library").items():
        (folder / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "lib" / name).write_text(text)
    (folder / "requirements.txt").write_text("alpha<2\n-e ./lib\n")
    python = ChosenPython(version="{}.{}".format(*sys.version_info), executable=sys.executable)
    wanted = Wanted(python=python, files=(str(folder / "requirements.txt"),), folder=str(folder))
    with serve_index(make_wheel("alpha", "1.0"), make_wheel("alpha", "2.0"), tiny_backend()) as index:
        environ = {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull}
        lock_file = tomllib.loads(Path(lock_requirements(str(tmp_path / "folder"), wanted, environ)).read_text())
    alpha, library = sorted(lock_file["packages"], key=lambda package: str(package["name"]))
    assert (alpha["name"], alpha["version"]) == ("alpha", "1.0")
    assert library["directory"] == {"path": str(folder / "lib"), "editable": True}
    assert lock_file["requires-python"] == f"=={python.feature_version}.*"


def test_what_asks_for_nothing_is_locked_without_a_locker(programs: Path, tmp_path: Path) -> None:
    lock_file = lock_requirements(str(tmp_path / "folder"), Wanted(python=PYTHON), {})
    assert Path(lock_file).read_text().endswith("packages = []\n")


def test_nobody_there_is_said(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match="neither uv nor pip is there"):
        told(tmp_path, "black")


def test_variables_that_would_have_uv_lock_something_else_do_not_reach_it(programs: Path, tmp_path: Path) -> None:
    add(programs, "uv")
    left_out = {"VIRTUAL_ENV": "/a", "UV_PROJECT": "/b", "UV_PYTHON": "3.9", "UV_FROZEN": "1", "UV_LOCKED": "1"}
    lines = told(tmp_path, "black", **left_out, UV_DEFAULT_INDEX="/index")
    assert "UV_DEFAULT_INDEX=/index" in lines
    assert not [line for line in lines if line.partition("=")[0] in left_out]
