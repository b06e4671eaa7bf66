"""`storectl add`, `remove` and `upgrade`: the project's own tool edits and locks, the environment is there afterwards."""

import os
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.tools import install_tool
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
WHEELS = (
    make_wheel("alpha", "1.0", requires_dist=("beta",)),
    make_wheel("alpha", "2.0", requires_dist=("beta",)),
    make_wheel("beta", "1.0"),
    make_wheel("gamma", "1.0"),
)
PYPROJECT = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = []\n'


@pytest.fixture
def folder(machine: Machine, index: LoopbackIndex) -> Path:
    """A project that was never locked. The index has all that it may add, and it counts for the tools."""
    index.add(*WHEELS)
    made = machine.home / "demo"
    made.mkdir()
    (made / "pyproject.toml").write_text(PYPROJECT)
    machine.environ |= {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    return made


def shown(machine: Machine, folder: Path, *options: str) -> str:
    return machine.ok("run", *options, "-c", SHOW, cwd=folder).strip()


def assert_importable(folder: Path, *names: str) -> None:
    """In the linked ``.venv``."""
    command = [str(folder / ".venv/bin/python"), "-c", f"import {', '.join(names)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_added_upgraded_and_removed_is_in_the_environment_at_once(machine: Machine, folder: Path) -> None:
    assert machine.ok("add", "alpha<2", cwd=folder) == "added alpha 1.0, beta 1.0\n"
    assert "alpha<2" in (folder / "pyproject.toml").read_text()
    machine.ok("daemon", "stop")
    assert shown(machine, folder, "--offline") == "alpha==1.0 beta==1.0"
    assert machine.run("daemon", "status").returncode == 3
    assert machine.ok("add", "alpha", "--bounds", "exact", cwd=folder) == "nothing is locked otherwise than before\n"
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace("alpha<2", "alpha"))
    assert machine.ok("upgrade", "beta", cwd=folder) == "nothing is locked otherwise than before\n"
    assert machine.ok("upgrade", cwd=folder) == "alpha 1.0 -> 2.0\n"
    assert machine.ok("remove", "alpha", cwd=folder) == "removed alpha 2.0, beta 1.0\n"
    assert shown(machine, folder) == ""
    assert sorted(os.listdir(folder)) == ["pyproject.toml", "uv.lock"]


def test_groups_extras_files_and_options_of_uv_are_uvs(machine: Machine, folder: Path) -> None:
    (folder / "wanted.txt").write_text("beta\n")
    machine.ok("add", "--group", "docs", "gamma", cwd=folder)
    machine.ok("add", "--optional", "more", "--extra", "all", "alpha", "--quiet", cwd=folder)
    machine.ok("add", "-r", "wanted.txt", "--dev", cwd=folder)
    text = (folder / "pyproject.toml").read_text()
    assert all(part in text for part in ('more = [\n    "alpha[all]', 'docs = [\n    "gamma', 'dev = [\n    "beta'))
    assert shown(machine, folder) == "beta==1.0"
    assert shown(machine, folder, "--group", "docs") == "beta==1.0 gamma==1.0"


def test_frozen_edits_the_project_and_not_the_lock_file(machine: Machine, folder: Path) -> None:
    machine.ok("add", "gamma", cwd=folder)
    before = (folder / "uv.lock").read_bytes()
    for requirement, options, variables in (("beta", ("--frozen",), {}), ("alpha", (), {"UV_FROZEN": "1"})):
        machine.ok("add", requirement, *options, cwd=folder, env=variables)
        assert f'"{requirement}' in (folder / "pyproject.toml").read_text()
    assert (folder / "uv.lock").read_bytes() == before


def test_the_exit_code_is_the_tools_and_the_files_are_as_before(machine: Machine, folder: Path) -> None:
    machine.ok("add", "gamma", cwd=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert machine.run("add", "unknown", cwd=folder).returncode == 1
    assert machine.run("remove", "unknown", cwd=folder).returncode == 2
    assert machine.run("upgrade", "unknown", cwd=folder).returncode == 2
    assert machine.run("add", "--frobnicate", "alpha", cwd=folder).returncode == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_cannot_be_installed_is_not_added(machine: Machine, index: LoopbackIndex, folder: Path) -> None:
    machine.ok("add", "gamma", cwd=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    broken = make_wheel("broken", "1.0")
    index.add(broken)
    index.bodies[broken.filename] = make_wheel("broken", "1.0", files={"broken.py": "other = 1"}).data
    done = machine.run("add", "broken", cwd=folder)
    assert done.returncode == 1
    assert "the files of the project are as they were before\n" in done.stderr, done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert shown(machine, folder) == "gamma==1.0"


def test_from_a_member_of_a_workspace_the_member_is_edited(machine: Machine, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(f"{PYPROJECT}[tool.uv.workspace]\nmembers = ['member']\n")
    (folder / "member").mkdir()
    (folder / "member/pyproject.toml").write_text(PYPROJECT.replace("demo", "member"))
    machine.ok("add", "gamma", cwd=folder / "member")
    assert "gamma" in (folder / "member/pyproject.toml").read_text()
    assert shown(machine, folder / "member") == "gamma==1.0"
    machine.ok("add", "--project", folder, "beta", cwd=machine.home)
    assert "beta" in (folder / "pyproject.toml").read_text()


def test_a_linked_venv_gets_what_is_added_and_the_tool_makes_none(machine: Machine, folder: Path) -> None:
    machine.ok("add", "gamma", cwd=folder)
    machine.ok("link", cwd=folder)
    machine.ok("add", "beta", cwd=folder)
    assert_importable(folder, "beta", "gamma")
    assert machine.ok("store", "verify")


def test_the_block_of_a_script_is_edited(machine: Machine, folder: Path) -> None:
    script = folder / "tool.py"
    script.write_text(SHOW)
    machine.ok("add", "--script", "tool.py", "gamma", cwd=folder)
    assert '"gamma' in script.read_text()
    machine.ok("lock", "tool.py", cwd=folder)
    assert machine.ok("add", "--script", "tool.py", "beta", cwd=folder) == "added beta 1.0\n"
    assert machine.ok("run", "tool.py", cwd=folder) == "beta==1.0 gamma==1.0\n"


def test_a_requirements_in_is_edited_and_compiled(machine: Machine, folder: Path) -> None:
    (folder / "pyproject.toml").unlink()
    (folder / "requirements.in").write_text("# what we need\nAlpha[x]<2  # not yet\n-c limits.txt\n")
    (folder / "limits.txt").write_text("")
    assert machine.ok("add", "gamma==1.0", cwd=folder) == "added alpha 1.0, beta 1.0, gamma 1.0\n"
    assert shown(machine, folder) == "alpha==1.0 beta==1.0 gamma==1.0"
    assert machine.ok("add", "alpha", cwd=folder) == "nothing is locked otherwise than before\n"
    assert (folder / "requirements.in").read_text() == "# what we need\nalpha\n-c limits.txt\ngamma==1.0\n"
    assert machine.ok("upgrade", "alpha", cwd=folder) == "alpha 1.0 -> 2.0\n"
    assert machine.ok("remove", "gamma", cwd=folder) == "removed gamma 1.0\n"
    before = (folder / "requirements.in").read_text()
    assert machine.run("add", "unknown", cwd=folder).returncode == 1
    assert (folder / "requirements.in").read_text() == before


def test_a_plain_requirements_txt_is_edited_and_locked_anew(machine: Machine, folder: Path) -> None:
    (folder / "pyproject.toml").unlink()
    (folder / "requirements.txt").write_text("alpha<2\n")
    assert machine.ok("add", "gamma", cwd=folder).endswith("alpha 1.0, beta 1.0, gamma 1.0\n")
    assert (folder / "requirements.txt").read_text() == "alpha<2\ngamma\n"
    assert shown(machine, folder) == "alpha==1.0 beta==1.0 gamma==1.0"
    assert machine.run("add", "unknown", cwd=folder).returncode == 1
    assert (folder / "requirements.txt").read_text() == "alpha<2\ngamma\n"
    assert machine.ok("remove", "alpha", cwd=folder) == "removed alpha 1.0, beta 1.0\n"
    assert shown(machine, folder) == "gamma==1.0"
    assert machine.run("upgrade", "gamma", cwd=folder).returncode == 2
    machine.ok("upgrade", cwd=folder)


SOURCES = {
    "poetry": '[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "own"\nurl = "{}"\npriority = "primary"\n',
    "pdm": '[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{}"\nverify_ssl = false\n',
}


@pytest.mark.network
@pytest.mark.whole
@pytest.mark.parametrize("tool", ["poetry", "pdm", "pipenv"])
def test_other_tools_make_no_environment(
    machine: Machine, index: LoopbackIndex, folder: Path, tool: str, run_folder: Path
) -> None:
    requirement = "pdm[locked]" if tool == "pdm" else tool
    machine.environ["PATH"] = f"{install_tool(run_folder, requirement)}:{machine.environ['PATH']}"
    machine.environ |= {"PDM_CHECK_UPDATE": "0", "LANG": "C.UTF-8", "PIPENV_NOSPIN": "1"}
    if tool == "pipenv":
        (folder / "pyproject.toml").unlink()
        source = f'[[source]]\nname = "own"\nurl = "{index.url}"\nverify_ssl = false\n'
        (folder / "Pipfile").write_text(f"{source}[packages]\n[dev-packages]\n")
    else:
        (folder / "pyproject.toml").write_text(PYPROJECT.replace(">=3.9", ">=3.11") + SOURCES[tool].format(index.url))
    assert machine.ok("lock", cwd=folder) is not None
    assert machine.ok("add", "alpha==1.0", cwd=folder).endswith("added alpha 1.0, beta 1.0\n")
    machine.ok("add", "--dev", "gamma", cwd=folder)
    assert (
        shown(machine, folder, *(["--group", "dev"] if tool == "pipenv" else [])) == "alpha==1.0 beta==1.0 gamma==1.0"
    )
    names = sorted(os.listdir(folder))
    assert ".venv" not in names
    assert ".pdm-python" not in names
    machine.ok("upgrade", cwd=folder)
    machine.ok("link", cwd=folder)
    index.add(make_wheel("delta", "1.0"))
    machine.ok("add", "delta", cwd=folder)
    assert_importable(folder, "delta")
    machine.ok("remove", "delta", cwd=folder)
    machine.ok("unlink", cwd=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert machine.run("add", "unknown", cwd=folder).returncode != 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    machine.ok("remove", "--dev", "gamma", cwd=folder)
    assert machine.ok("remove", "alpha", cwd=folder).endswith("removed alpha 1.0, beta 1.0\n")
    made = [path for path in (machine.home / ".cache", machine.home / ".local/share") if path.exists()]
    assert not [found for place in made for found in place.rglob("pyvenv.cfg") if machine.store not in found.parents]
