"""`storectl run` with options of uv: what is selected, what comes on top, what the program sees. uv is the oracle."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine
from support.mistakes import run_uv
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

ROOT = """\
[project]
name = "root"
version = "0"
requires-python = ">=3.11"
dependencies = ["alpha"]
[project.optional-dependencies]
x = ["beta"]
y = ["gamma"]
[dependency-groups]
dev = ["delta"]
docs = ["epsilon"]
[tool.uv]
package = false
[tool.uv.workspace]
members = ["packages/*"]
[[tool.uv.index]]
url = "INDEX"
default = true
"""
MEMBER = """\
[project]
name = "My.Member"
version = "0"
requires-python = ">=3.11"
dependencies = ["zeta"]
[tool.uv]
package = false
"""
SHOW = "import importlib.metadata as m; print(*sorted(f'{d.name}' for d in m.distributions()))"
CHOICES = (
    "",
    "--all-extras",
    "--all-extras --no-extra x",
    "--extra x --no-extra x",
    "--all-groups",
    "--all-groups --no-group docs",
    "--group docs --no-dev",
    "--no-dev",
    "--no-group dev --dev",
    "--only-dev",
    "--only-group docs",
    "--all-packages",
    "--package my-member",
    "--package My_Member --no-dev",
    "--package root",
)


@pytest.fixture(scope="module")
def served() -> Iterator[LoopbackIndex]:
    with serve_index() as index:
        index.add(
            *(make_wheel(name, "1.0") for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "extra"))
        )
        yield index


@pytest.fixture(scope="module")
def workspace(host: Machine, served: LoopbackIndex) -> Path:
    """A workspace that uv has locked. uv's own environment is beside it."""
    folder = host.root / "workspace"
    (folder / "packages" / "member").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(ROOT.replace("INDEX", served.url))
    (folder / "packages" / "member" / "pyproject.toml").write_text(MEMBER)
    assert run_uv(folder, host.environ, "lock").returncode == 0
    return folder


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.replace(" ", "_") or "nothing")
def test_what_is_selected_is_what_uv_selects(machine: Machine, workspace: Path, choice: str, tmp_path: Path) -> None:
    own = {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv"), "UV_OFFLINE": "0"}
    theirs = run_uv(workspace, machine.environ | own, "run", "--frozen", *choice.split(), "python", "-c", SHOW)
    ours = machine.run("run", *choice.split(), "-c", SHOW, cwd=workspace)
    assert (ours.returncode, ours.stdout) == (0, theirs.stdout), (ours.stderr, theirs.stderr)


def test_a_group_dev_that_is_not_there_may_be_left_out(
    machine: Machine, workspace: Path, served: LoopbackIndex
) -> None:
    folder = machine.home / "without"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(MEMBER)
    run_uv(folder, machine.environ | {"UV_DEFAULT_INDEX": served.url}, "lock")
    for option in ("--no-dev", "--all-groups"):
        assert machine.ok("run", option, "-c", SHOW, cwd=folder) == "zeta\n"
    asked = run_uv(folder, machine.environ, "run", "--frozen", "--dev", "python", "-c", SHOW)
    done = machine.run("run", "--dev", "-c", SHOW, cwd=folder)
    assert (done.returncode == 0, done.stdout) == (asked.returncode == 0, asked.stdout), (asked.stderr, done.stderr)


def test_warm_takes_them_too(machine: Machine, workspace: Path) -> None:
    machine.ok("warm", "--project", workspace, "--no-dev", "--all-packages", "--isolated", "--no-progress", "-q")
    machine.ok("daemon", "status")
    done = machine.run("run", "--offline", "--no-dev", "--all-packages", "-c", SHOW, cwd=workspace)
    assert done.stdout == "alpha zeta\n", done.stderr


def test_requirements_of_a_file_come_on_top(machine: Machine, workspace: Path) -> None:
    (machine.home / "more.txt").write_text("-r others.txt\n")
    (machine.home / "others.txt").write_text("extra\n")
    done = machine.run(
        "run", "--project", workspace, "--no-dev", "--with-requirements", "more.txt", "-c", SHOW, cwd=machine.home
    )
    assert done.stdout == "alpha extra\n", done.stderr
    (machine.home / "others.txt").write_text("gamma\nextra\n")
    changed = machine.run(
        "run", "--project", workspace, "--no-dev", "--with-requirements", "more.txt", "-c", SHOW, cwd=machine.home
    )
    assert changed.stdout == "alpha extra gamma\n", changed.stderr


def test_another_folder_is_the_current_one(machine: Machine, workspace: Path) -> None:
    code = "import os; print(os.getcwd())"
    assert machine.ok("run", "--directory", workspace, "--no-dev", "-c", code) == f"{workspace}\n"
    assert machine.ok("run", "--no-dev", "-c", code, env={"UV_WORKING_DIR": str(workspace)}) == f"{workspace}\n"


def test_without_the_project_there_is_nothing_of_it(machine: Machine, workspace: Path, served: LoopbackIndex) -> None:
    environ = {"UV_DEFAULT_INDEX": served.url}
    done = machine.run("run", "--no-project", "--with", "extra", "-c", SHOW, cwd=workspace, env=environ)
    assert done.stdout == "extra\n", done.stderr
    code = "try:\n import alpha\nexcept ImportError:\n print('none')"
    assert machine.ok("run", "--no-project", "-c", code, cwd=workspace) == "none\n"


def test_no_sync_takes_the_environment_that_was_there_last(machine: Machine, served: LoopbackIndex) -> None:
    folder = machine.home / "changing"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(MEMBER)
    environ = machine.environ | {"UV_DEFAULT_INDEX": served.url}
    run_uv(folder, environ, "lock")
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "zeta\n"
    machine.ok("daemon", "stop")  # it would make the other environment ready before anyone asks
    (folder / "pyproject.toml").write_text(MEMBER.replace("zeta", "beta"))
    run_uv(folder, environ, "lock")
    assert machine.ok("run", "--no-sync", "-c", SHOW, cwd=folder) == "zeta\n"
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "beta\n"


def test_the_program_has_the_variables_of_files_and_not_those_that_options_set(
    machine: Machine, workspace: Path
) -> None:
    (machine.home / "one.env").write_text("A=1\nB=1\n")
    (machine.home / "two.env").write_text("B=2\nPATH=/nowhere\n")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    files = ("--env-file", machine.home / "one.env", "--env-file", machine.home / "two.env")
    seen = json.loads(machine.ok("run", *files, "-q", "--no-index", "--no-dev", "-c", code, cwd=workspace))
    assert (seen["A"], seen["B"]) == ("1", "2")
    assert "/nowhere" not in seen["PATH"].split(os.pathsep)
    assert not {"STORECTL_QUIET", "UV_NO_INDEX"} & set(seen)
    environ = {"UV_ENV_FILE": f"{machine.home}/one.env {machine.home}/two.env"}
    assert json.loads(machine.ok("run", "--no-dev", "-c", code, cwd=workspace, env=environ))["B"] == "2"


@pytest.mark.parametrize(
    ("first_line", "expected"),
    [
        ("#!/bin/sh\necho shell $0 $1\n", "shell ./tool x\n"),
        ("#!/usr/bin/env python3\nimport sys; print(sys.argv)\n", "['./tool', 'x']\n"),
    ],
    ids=["shell", "python"],
)
def test_an_executable_by_its_path_runs_as_with_uv(
    machine: Machine, workspace: Path, first_line: str, expected: str
) -> None:
    folder = machine.home / "tools"
    folder.mkdir()
    (folder / "tool").write_text(first_line)
    (folder / "tool").chmod(0o755)
    done = machine.run("run", "--project", workspace, "--no-dev", "./tool", "x", cwd=folder)
    assert done.stdout == expected, done.stderr
    own: Mapping[str, str] = machine.environ
    theirs = run_uv(folder, own, "run", "--no-project", "-p", sys.executable, "./tool", "x")
    assert theirs.stdout == expected


def test_a_script_of_any_name_is_one_if_it_is_said(machine: Machine, workspace: Path) -> None:
    (machine.home / "odd.txt").write_text("import sys, alpha; print(sys.argv)\n")
    done = machine.run("run", "--project", workspace, "--no-dev", "-s", "odd.txt", "-s", cwd=machine.home)
    assert done.stdout == "['odd.txt', '-s']\n", done.stderr


def test_quiet_says_nothing_of_a_stale_lock_file_and_verbose_says_what_runs(
    machine: Machine, served: LoopbackIndex
) -> None:
    folder = machine.home / "stale"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(MEMBER)
    run_uv(folder, machine.environ | {"UV_DEFAULT_INDEX": served.url}, "lock")
    (folder / "pyproject.toml").write_text(MEMBER.replace('"zeta"', '"zeta", "beta"'))
    assert "warning" in machine.run("run", "-c", "pass", cwd=folder).stderr
    assert "warning" in machine.run("run", "-c", "pass", cwd=folder).stderr
    assert machine.run("run", "-q", "-c", "pass", cwd=folder).stderr == ""
    assert (
        machine.run("run", "-q", "-p", f"{sys.version_info[0]}.{sys.version_info[1]}", "-c", "pass", cwd=folder).stderr
        == ""
    )
    assert "-c pass (with " in machine.run("run", "-v", "-c", "pass", cwd=folder).stderr


def test_a_tool_takes_them_too(machine: Machine, served: LoopbackIndex) -> None:
    code = f"import os\n\ndef main():\n    exec({SHOW!r})\n    print(os.environ.get('A'), 'UV_INDEX' in os.environ)\n"
    served.add(
        make_wheel("teller", "1.0", files={"teller.py": code}, entry_points="[console_scripts]\nteller = teller:main\n")
    )
    (machine.home / "more.txt").write_text("extra\n")
    (machine.home / "a.env").write_text("A=1\n")
    own = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_ENV_FILE": "a.env"}
    options = (
        "--default-index",
        served.url,
        "-q",
        "--with-requirements",
        "more.txt",
        "--index",
        served.url,
        "--isolated",
    )
    done = machine.run("tool", "run", *options, "teller", env=own)
    assert (done.stdout, done.stderr) == ("extra teller\n1 False\n", "")
    assert (
        machine.run("tool", "run", *options, "--no-env-file", "teller", env=own).stdout == "extra teller\nNone False\n"
    )


def test_lock_passes_the_tool_s_own_options_on(machine: Machine, workspace: Path, served: LoopbackIndex) -> None:
    done = machine.run(
        "lock", "--project", workspace, "--check", "--offline", env={"UV_CACHE_DIR": str(workspace.parent / "uv-cache")}
    )
    assert "uv lock --check (" in done.stderr
    assert done.returncode == 0
