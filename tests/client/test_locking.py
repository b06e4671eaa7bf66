"""Which tool locks a project, by what its folder holds; and that it is really run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storectl.errors import UsageError
from storectl.locks.handover import LockerError, hand_over
from storectl.locks.lock import Locking, NoLockerError, locking_of

TOOLS = ("uv", "poetry", "pdm", "pipenv", "pip", "pip-compile")
PYLOCK = 'lock-version = "1.0"\ncreated-by = "{}"\npackages = []\n'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with every tool: each says its name and its arguments, and ends with 7."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).write_text(f'#!/bin/sh\necho "{tool} $*" in "$PWD"\nexit 7\n')
        (folder / tool).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere/python"))
    return folder


def locking(folder: Path, programs: Path, *, tool: str | None = None) -> Locking:
    return locking_of(folder, tool=tool, arguments=["--extra"], environ={"PATH": str(programs)})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"uv.lock": "", "poetry.lock": ""}, "uv lock"),
        ({"poetry.lock": "", "requirements.txt": ""}, "poetry lock"),
        ({"uv.lock": "", "poetry.lock": "[[package]]"}, "poetry lock"),
        ({"uv.lock": "[[package]]", "pdm.lock": "[[package]]", "pyproject.toml": "[tool.pdm]"}, "pdm lock"),
        ({"pdm.lock": "", "pyproject.toml": "[tool.poetry]"}, "pdm lock"),
        ({"pylock.toml": PYLOCK.format("pipenv"), "pyproject.toml": ""}, "pipenv lock"),
        ({"pylock.toml": PYLOCK.format("Pipenv 2026.1"), "Pipfile": ""}, "pipenv lock"),
        ({"pylock.toml": PYLOCK.format("pip 26.1"), "pyproject.toml": ""}, "pip lock -e ."),
        ({"pylock.toml": PYLOCK.format("piplike")}, "uv export --quiet --format pylock.toml -o pylock.toml"),
        (
            {"pylock.toml": PYLOCK.format("poetry-plugin-export"), "pyproject.toml": ""},
            "poetry export --format pylock.toml --output pylock.toml",
        ),
        ({"Pipfile.lock": ""}, "pipenv lock"),
        ({"Pipfile": ""}, "pipenv lock"),
        ({"pylock.toml": PYLOCK.format("pip"), "pyproject.toml": ""}, "pip lock -e ."),
        ({"pylock.toml": PYLOCK.format("PDM/2.29"), "pyproject.toml": ""}, "pdm lock"),
        (
            {"pylock.toml": PYLOCK.format("uv"), "pyproject.toml": ""},
            "uv export --quiet --format pylock.toml -o pylock.toml",
        ),
        (
            {"requirements.in": "", "requirements.txt": ""},
            "uv pip compile --generate-hashes --universal requirements.in -o requirements.txt",
        ),
        ({"pyproject.toml": "[tool.poetry]"}, "poetry lock"),
        ({"pyproject.toml": "[tool.pdm]"}, "pdm lock"),
        ({"pyproject.toml": "\ufeff[tool.pdm]"}, "pdm lock"),
        ({"pyproject.toml": "[project]\nname = 'x'"}, "uv lock"),
    ],
)
def test_what_the_folder_holds_says_which_tool(
    tmp_path: Path, programs: Path, files: dict[str, str], expected: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = locking(tmp_path, programs)
    assert " ".join([os.path.basename(found.command[0]), *found.command[1:]]) == f"{expected} --extra"
    assert found.folder == tmp_path
    assert found.why


def test_the_next_best_tool_is_taken_where_the_best_is_not_installed(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "requirements.in").touch()
    (programs / "uv").unlink()
    assert os.path.basename(locking(tmp_path, programs).command[0]) == "pip-compile"
    (tmp_path / "pyproject.toml").touch()
    assert os.path.basename(locking(tmp_path, programs).command[0]) == "pip"


def test_a_tool_can_be_named(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "uv.lock").touch()
    assert os.path.basename(locking(tmp_path, programs, tool="pdm").command[0]) == "pdm"
    with pytest.raises(UsageError, match="--with conda"):
        locking(tmp_path, programs, tool="conda")


def test_nothing_to_lock_and_no_tool_are_told(tmp_path: Path, programs: Path) -> None:
    with pytest.raises(NoLockerError, match="nothing to lock"):
        locking(tmp_path, programs)
    (tmp_path / "poetry.lock").touch()
    (programs / "poetry").unlink()
    with pytest.raises(NoLockerError, match="locked by poetry, which is not installed") as caught:
        locking(tmp_path, programs)
    assert caught.value.exit_code == 127
    with pytest.raises(UsageError, match="is no folder"):
        locking(tmp_path / "gone", programs)


def test_a_script_with_a_block_is_uvs(tmp_path: Path, programs: Path) -> None:
    script = tmp_path / "tool.py"
    script.write_text("# /// script\n# dependencies = ['x']\n# ///\n")
    assert locking(script, programs).command[1:] == ("lock", "--script", str(script), "--extra")
    script.write_text("print()\n")
    with pytest.raises(UsageError, match="no script block"):
        locking(script, programs)


def test_the_tool_runs_in_the_projects_folder_and_its_exit_code_is_ours(tmp_path: Path, programs: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "poetry.lock").touch()
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}
    python = Path(os.__file__).parent / "nowhere"
    assert not python.exists()
    start = f"import sys; sys.path[:0] = {sys.path}; from storectl.command_line import main; sys.exit(main())"
    command = [sys._base_executable, "-P", "-c", start, "lock", "project", "--", "--no-cache"]  # type: ignore[attr-defined]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, f"poetry lock --no-cache in {project}\n"), done.stderr
    assert done.stderr == "storectl: poetry lock --no-cache (there is a poetry.lock)\n"


@pytest.mark.parametrize(("tool", "has_one"), [("poetry", True), ("pdm", True), ("pipenv", True), ("uv", False)])
def test_only_a_tool_that_would_make_an_environment_is_given_an_empty_one(
    tmp_path: Path, programs: Path, tool: str, capfd: pytest.CaptureFixture[str], *, has_one: bool
) -> None:
    (programs / tool).write_text(
        '#!/bin/sh\necho "$VIRTUAL_ENV"; ls "$VIRTUAL_ENV/bin/python" "$VIRTUAL_ENV"/lib/*/*\n'
    )
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "CONDA_PREFIX": "/conda"}
    hand_over((str(programs / tool), "lock"), tmp_path, "it is asked for", environ)
    shown = capfd.readouterr().out.splitlines()
    if has_one:
        assert shown[1] == f"{shown[0]}/bin/python"
        assert not [name for name in shown[2:] if name.startswith("pip")]
        assert not Path(shown[0]).exists()
    else:
        assert shown[0] == ""


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path, programs: Path) -> None:
    (programs / "python3").write_text("#!/bin/sh\necho no module named venv >&2; exit 1\n")
    (programs / "python3").chmod(0o755)
    environ = {"PATH": str(programs), "HOME": str(tmp_path)}
    with pytest.raises(
        LockerError, match="cannot make the empty environment in which poetry is run: no module named venv"
    ):
        hand_over((str(programs / "poetry"), "lock"), tmp_path, "", environ)
