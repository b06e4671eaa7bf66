"""An old lock file: --locked, --frozen, and ``[tool.storectl] relock = true``, with the real uv."""

import os
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import Machine
from support.tools import install_tool
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
PYPROJECT = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'
RELOCK = "[tool.storectl]\nrelock = true\n"
OLD = "storectl: warning: uv.lock was made before pyproject.toml changed (dependency `beta`): run `uv lock`\n"


@pytest.fixture
def folder(machine: Machine, index: LoopbackIndex) -> Path:
    """A project whose lock file has alpha, and whose ``pyproject.toml`` now asks for beta too."""
    index.add(make_wheel("alpha", "1.0"), make_wheel("beta", "1.0"))
    machine.environ |= {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    made = machine.home / "demo"
    made.mkdir()
    (made / "pyproject.toml").write_text(PYPROJECT)
    machine.ok("lock", cwd=made)
    assert machine.run("run", "--locked", "-c", SHOW, cwd=made).stdout == "alpha\n"
    (made / "pyproject.toml").write_text(PYPROJECT.replace('"alpha"', '"alpha", "beta"'))
    return made


def want_relock(folder: Path) -> None:
    with (folder / "pyproject.toml").open("a") as file:
        file.write(RELOCK)


def uv_check(machine: Machine, folder: Path) -> int:
    return subprocess.run(
        [find_uv_bin(), "lock", "--check", "-q"], cwd=folder, env=machine.environ, check=False
    ).returncode


def test_an_old_lock_file_is_said_at_each_run_and_used(machine: Machine, folder: Path) -> None:
    for _ in range(2):
        done = machine.run("run", "-c", SHOW, cwd=folder)
        assert (done.returncode, done.stdout, done.stderr) == (0, "alpha\n", OLD)
    assert machine.run("warm", cwd=folder).stderr == OLD


def test_a_frozen_start_says_it_too(machine: Machine, folder: Path) -> None:
    frozen = {"STORECTL_FROZEN": "1"}
    done = machine.run("run", "-c", SHOW, cwd=folder, env=frozen)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alpha\n", OLD)
    assert machine.run("warm", cwd=folder, env=frozen).stderr == OLD
    assert machine.run("run", "--frozen", "-c", SHOW, cwd=folder, env=frozen).stderr == ""
    refused = machine.run("run", "--locked", "-c", SHOW, cwd=folder, env=frozen)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert refused.stderr.startswith("storectl: E_LOCK_OLD: uv.lock was made before")


@pytest.mark.parametrize("asked", [("--locked",), ()])
def test_locked_fails_where_uv_would(machine: Machine, folder: Path, asked: tuple[str, ...]) -> None:
    variables = {} if asked else {"UV_LOCKED": "1"}
    for command, code in ((("run", *asked, "-c", SHOW), 125), (("warm", *asked), 1)):
        done = machine.run(*command, cwd=folder, env=variables)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("storectl: E_LOCK_OLD: uv.lock was made before"), done.stderr
    machine.ok("lock", cwd=folder)
    assert machine.run("run", *asked, "-c", SHOW, cwd=folder, env=variables).stdout == "alpha beta\n"


def test_frozen_does_not_look(machine: Machine, folder: Path) -> None:
    for arguments, variables in ((("--frozen",), {}), ((), {"UV_FROZEN": "1"})):
        done = machine.run("run", *arguments, "-c", SHOW, cwd=folder, env=variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, "alpha\n", "")
    assert machine.run("warm", "--frozen", cwd=folder).stderr == ""
    assert machine.run("warm", "--frozen", "--locked", cwd=folder).returncode == 2
    assert machine.run("run", "--frozen", "--locked", "-c", SHOW, cwd=folder).returncode == 2


def test_relock_makes_a_new_lock_file_before_the_run(machine: Machine, folder: Path) -> None:
    want_relock(folder)
    done = machine.run("run", "-c", "print(input()); " + SHOW, cwd=folder, stdin="what I say\n")
    assert (done.returncode, done.stdout) == (0, "what I say\nalpha beta\n"), done.stderr
    assert uv_check(machine, folder) == 0
    assert machine.run("run", "-c", SHOW, cwd=folder).stderr == ""


@pytest.mark.parametrize("option", ["--offline", "--locked", "--frozen", "--lock=uv.lock"])
def test_relock_changes_nothing_if_it_must_not(machine: Machine, folder: Path, option: str) -> None:
    want_relock(folder)
    before = (folder / "uv.lock").read_bytes()
    machine.run("run", option, "-c", SHOW, cwd=folder)
    assert (folder / "uv.lock").read_bytes() == before


def test_a_relock_that_fails_leaves_the_old_lock_file_in_use(machine: Machine, folder: Path) -> None:
    text = (folder / "pyproject.toml").read_text().replace('"beta"', '"unknown"')
    (folder / "pyproject.toml").write_text(text + RELOCK)
    before = (folder / "uv.lock").read_bytes()
    done = machine.run("run", "-c", SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "alpha\n")
    assert "storectl: warning: uv lock failed: the old lock file is used\n" in done.stderr
    assert (folder / "uv.lock").read_bytes() == before


def test_relock_brings_a_group_that_the_lock_file_does_not_know(machine: Machine, folder: Path) -> None:
    with (folder / "pyproject.toml").open("a") as file:
        file.write(f'[dependency-groups]\ndocs = ["beta"]\n{RELOCK}')
    assert machine.run("run", "--group", "docs", "-c", SHOW, cwd=folder).stdout == "alpha beta\n"


SOURCES = {
    "poetry": '[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "own"\nurl = "{}"\npriority = "primary"\n',
    "pdm": '[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{}"\nverify_ssl = false\n',
}


@pytest.mark.network
@pytest.mark.whole
@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_other_tools_lock_anew_too_and_keep_versions(
    machine: Machine, index: LoopbackIndex, run_folder: Path, tool: str
) -> None:
    index.add(make_wheel("alpha", "1.0"), make_wheel("beta", "1.0"))
    requirement = "pdm[locked]" if tool == "pdm" else tool
    machine.environ["PATH"] = f"{install_tool(run_folder, requirement)}:{machine.environ['PATH']}"
    machine.environ |= {"PDM_CHECK_UPDATE": "0", "LANG": "C.UTF-8"}
    folder = machine.home / tool
    folder.mkdir()
    text = PYPROJECT.replace(">=3.9", ">=3.11") + SOURCES[tool].format(index.url) + RELOCK
    (folder / "pyproject.toml").write_text(text)
    machine.ok("lock", cwd=folder)
    assert machine.ok("run", "--locked", "-c", SHOW, cwd=folder) == "alpha\n"
    index.add(make_wheel("alpha", "2.0"))
    (folder / "pyproject.toml").write_text(text.replace('"alpha"', '"alpha", "beta"'))
    assert machine.run("run", "--locked", "-c", SHOW, cwd=folder).returncode == 125
    shown = "import alpha, beta; print(alpha.__version__)"
    assert machine.ok("run", "-c", shown, cwd=folder) == "1.0\n"
    assert not (folder / ".venv").exists()


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_lock_file_of_another_user_is_never_made_anew(machine: Machine, folder: Path) -> None:
    want_relock(folder)
    before = (folder / "uv.lock").read_bytes()
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534)
    machine.ok("trust", folder)
    done = machine.run("run", "-c", SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "alpha\n"), done.stderr
    assert (folder / "uv.lock").read_bytes() == before
