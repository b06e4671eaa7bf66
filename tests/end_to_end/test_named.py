"""Named environments: they belong to no folder, are run from anywhere, and one may count outside of projects."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, base_python, pyenv_python
from support.project import write_project
from support.tools import new_venv
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"


@pytest.fixture
def environ(machine: Machine, index: LoopbackIndex) -> dict[str, str]:
    index.add(make_wheel("alpha", "1.0"), make_wheel("beta", "1.0", requires_dist=("alpha",)))
    return {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}


def in_it(machine: Machine, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    return machine.ok("run", *arguments, "-c", SHOW, cwd=cwd, env=env)


def test_it_is_made_once_and_runs_from_everywhere_without_a_daemon(
    machine: Machine, index: LoopbackIndex, environ: dict[str, str]
) -> None:
    made = machine.ok("env", "create", "data", "beta", env=environ)
    assert made.startswith("data: 2 wheels for Python ")
    project = write_project(machine.home / "project", index, [make_wheel("gamma", "1.0")])
    machine.ok("daemon", "stop")
    for arguments in (("-e", "data"), ("--env", "data"), ("--env=data",)):
        assert in_it(machine, *arguments, cwd=project) == "alpha==1.0 beta==1.0\n"
    assert in_it(machine, env={"STORECTL_ENV": "data"}) == "alpha==1.0 beta==1.0\n"
    assert machine.ok("run", "-e", "data", "python", "-c", SHOW) == "alpha==1.0 beta==1.0\n"
    assert machine.ok("env", "path", "-e", "data").strip() == made.split(" in ")[1].strip()
    assert machine.run("daemon", "status").returncode == 3
    assert in_it(machine, "--project", str(project), env={"STORECTL_ENV": "data"}) == "gamma==1.0\n"


def test_what_is_added_leaves_the_versions_as_they_are(
    machine: Machine, index: LoopbackIndex, environ: dict[str, str]
) -> None:
    machine.ok("env", "create", "data", "alpha", env=environ)
    index.add(make_wheel("alpha", "2.0"))
    machine.ok("env", "add", "data", "beta", env=environ)
    assert in_it(machine, "-e", "data") == "alpha==1.0 beta==1.0\n"
    machine.ok("env", "add", "data", "alpha>=2", env=environ)
    assert in_it(machine, "-e", "data") == "alpha==2.0 beta==1.0\n"
    index.add(make_wheel("beta", "2.0"))
    machine.ok("env", "add", "data", "--refresh", env=environ)
    assert in_it(machine, "-e", "data") == "alpha==2.0 beta==2.0\n"


def test_what_two_commands_add_at_once_is_there(
    machine: Machine, index: LoopbackIndex, environ: dict[str, str]
) -> None:
    index.add(make_wheel("gamma", "1.0"))
    (machine.home / "more.txt").write_text("gamma\n")
    machine.ok("env", "create", "data", env=environ)
    added = [["alpha"], ["beta"], ["-r", "more.txt"]]
    with ThreadPoolExecutor() as threads:
        done = list(threads.map(lambda what: machine.run("env", "add", "data", *what, env=environ), added))
    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    assert in_it(machine, "-e", "data") == "alpha==1.0 beta==1.0 gamma==1.0\n"


def test_a_change_that_fails_leaves_it_as_it_was(machine: Machine, environ: dict[str, str]) -> None:
    machine.ok("env", "create", "data", "alpha", env=environ)
    folder = machine.home / ".local/state/storectl/named/data"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for wanted in ("nowhere", "not a requirement", "./nowhere", "alpha>5"):
        done = machine.run("env", "add", "data", wanted, env=environ)
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert machine.run("env", "create", "other", "nowhere", env=environ).returncode == 1
    assert not folder.with_name("other").exists()
    assert in_it(machine, "-e", "data") == "alpha==1.0\n"


def test_a_name_is_taken_once_and_free_again_when_it_is_removed(machine: Machine, environ: dict[str, str]) -> None:
    machine.ok("env", "create", "data", "alpha", env=environ)
    done = machine.run("env", "create", "data", "beta", env=environ)
    assert done.stderr.startswith("storectl: E_NAME_TAKEN: there is an environment data already\nhint: ")
    assert machine.ok("env", "remove", "data") == "removed data\n"
    done = machine.run("run", "-e", "data", "-c", "pass")
    assert done.returncode == 125
    assert done.stderr.startswith("storectl: E_NO_ENVIRONMENT: no environment is named data\nhint: ")
    machine.ok("env", "create", "data", "beta", env=environ)
    assert in_it(machine, "-e", "data") == "alpha==1.0 beta==1.0\n"
    assert "there is data; " in machine.run("run", "-e", "dta", "-c", "pass").stderr


@pytest.mark.parametrize("name", ["", "default", "../up", "a/b", ".hidden", "a b", "-x", "x" * 65])
def test_a_name_that_could_be_something_else_is_refused(machine: Machine, name: str) -> None:
    done = machine.run("env", "create", "--", name)
    assert done.returncode == 2
    assert done.stderr.startswith("storectl: E_USAGE: ")


def test_what_contradicts_itself_is_refused(machine: Machine, environ: dict[str, str]) -> None:
    for arguments in (("run", "-e", "a", "--project", ".", "x"), ("run", "-e", "a", "-e", "b", "x")):
        done = machine.run(*arguments)
        assert (done.returncode, done.stderr.split(": ")[1]) == (2, "E_USAGE")
    assert machine.run("env", "create", "a", "alpha", "--lock", "x.lock").returncode == 2
    assert machine.run("env", "create", "a", "--lock", "uv.lock").stderr.startswith("storectl: E_NO_LOCK: ")


def test_it_can_follow_the_lock_file_of_a_project(
    machine: Machine, index: LoopbackIndex, environ: dict[str, str]
) -> None:
    """A change of the lock file changes it; without the lock file it stays what it was."""
    project = write_project(machine.home / "project", index, [make_wheel("gamma", "1.0")])
    machine.ok("env", "create", "follower", "--lock", project / "uv.lock")
    assert in_it(machine, "-e", "follower") == "gamma==1.0\n"
    write_project(project, index, [make_wheel("gamma", "2.0")])
    assert in_it(machine, "-e", "follower") == "gamma==2.0\n"
    assert machine.run("env", "add", "follower", "alpha", env=environ).returncode == 2
    shutil.rmtree(project)
    done = machine.run("run", "-e", "follower", "-c", SHOW)
    assert (done.returncode, done.stdout) == (0, "gamma==2.0\n"), done.stderr
    assert done.stderr.startswith("storectl: warning: E_NO_LOCK: ")


def test_the_default_one_counts_outside_of_projects(
    machine: Machine, index: LoopbackIndex, environ: dict[str, str]
) -> None:
    machine.ok("env", "create", "mine", "alpha", "--default", env=environ)
    assert machine.ok("env", "default") == "mine\n"
    (machine.home / "loose.py").write_text(SHOW)
    assert machine.ok("run", "loose.py") == "alpha==1.0\n"
    assert machine.ok("run", "-e", "default", "loose.py") == "alpha==1.0\n"
    project = write_project(machine.home / "project", index, [make_wheel("gamma", "1.0")])
    assert machine.ok("run", "../loose.py", cwd=project) == "gamma==1.0\n"
    (project / "uv.lock").unlink()
    (project / "pyproject.toml").write_text("[tool.poetry]\n")
    assert "alpha" not in machine.run("run", "-c", SHOW, cwd=project).stdout  # it is to be locked, not outside
    machine.ok("env", "create", "other", "beta", env=environ)
    assert machine.ok("env", "default", "other") == "other\n"
    assert machine.ok("run", "loose.py") == "alpha==1.0 beta==1.0\n"
    machine.ok("env", "remove", "other")
    assert machine.ok("env", "default") == "none\n"
    assert "alpha" not in machine.ok("run", "-c", SHOW)


def test_what_is_active_or_asked_for_comes_before_the_default_one(machine: Machine, environ: dict[str, str]) -> None:
    """And a program outside of projects never runs under a name that `storectl shim` made."""
    prefix = "import sys; print(sys.prefix)"
    made = machine.ok("env", "create", "mine", "alpha", "--default", env=environ).split()[-1]
    venv = new_venv(machine.home / "venv", base_python())
    assert machine.ok("run", "-c", prefix) == f"{made}\n"
    assert machine.ok("run", "-c", prefix, env={"VIRTUAL_ENV": str(venv)}) == f"{venv}\n"
    machine.ok("shim", "install")
    path = {"PATH": f"{machine.home}/.local/bin:{os.path.dirname(base_python())}:/usr/bin:/bin"}
    for arguments in (("--no-project",), ("-p", base_python())):
        assert machine.ok("run", *arguments, "-c", prefix, env=path) == f"{sys.base_prefix}\n"


def test_more_can_come_on_top_of_it(machine: Machine, index: LoopbackIndex, environ: dict[str, str]) -> None:
    machine.ok("env", "create", "data", "alpha", env=environ)
    index.add(make_wheel("alpha", "2.0"))
    done = machine.run("run", "-e", "data", "--with", "beta", "-c", SHOW, env=environ)
    assert done.stdout == "alpha==1.0 beta==1.0\n", done.stderr


def test_env_list_has_the_names(machine: Machine, environ: dict[str, str]) -> None:
    made = machine.ok("env", "create", "data", "alpha", env=environ).split("/")[-1].strip()
    named = {environment["id"]: environment["name"] for environment in machine.json("env", "list", "--json")}
    assert named[made] == "data"
    assert [made, "data"] in [[line.split()[0], line.split()[-1]] for line in machine.ok("env", "list").splitlines()]
    assert f"{machine.home}/.local" not in machine.ok("watch", "list")


PYTHONS = [pyenv_python(version) for version in ("3.10", "3.12")]


@pytest.mark.skipif(None in PYTHONS, reason="needs Python 3.10 and 3.12")
def test_it_has_the_python_that_was_asked_for_and_is_locked_anew_if_that_goes(
    machine: Machine, environ: dict[str, str]
) -> None:
    older, newer = (Path(str(python)) for python in PYTHONS)
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    pyenv = machine.home / "pyenv"
    (pyenv / "versions/3.10.1").mkdir(parents=True)
    (pyenv / "versions/3.10.1/bin").symlink_to(older.parent)
    environ |= {"PATH": f"{newer.parent}:/usr/bin:/bin", "PYENV_ROOT": str(pyenv)}
    machine.ok("env", "create", "old", "alpha", "-p", "3.10", env=environ)
    machine.ok("env", "create", "new", "alpha", env=environ)
    assert machine.ok("run", "-e", "old", "-c", version, env=environ) == "3.10\n"
    assert machine.ok("run", "-e", "new", "-c", version, env=environ) == "3.12\n"
    folder = machine.home / ".local/state/storectl/named/old"
    (folder / ".python-version").write_text("/gone/python3.10\n")
    done = machine.run("run", "-e", "old", "-c", version, env=environ)
    assert done.stdout == "3.10\n", done.stderr
