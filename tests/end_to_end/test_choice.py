"""What can be chosen: several Pythons, groups alone, every extra, no network."""

import subprocess

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import Machine, pyenv_python
from support.project import write_project
from support.wheels import fresh_wheel, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = (
    "import sys, alpha; print('%d.%d' % sys.version_info[:2], alpha.__version__); sys.exit(sys.version_info[1] == 12)"
)


@pytest.mark.skipif(not (pyenv_python("3.10") and pyenv_python("3.12")), reason="needs Python 3.10 and 3.12")
@pytest.mark.parametrize("parallel", [[], ["--parallel"]])
def test_the_program_runs_under_each_python(machine: Machine, index: LoopbackIndex, parallel: list[str]) -> None:
    folder = write_project(machine.home / "demo", index, [fresh_wheel("alpha")])
    environ = {"PYENV_ROOT": str(pyenv_python("3.10")).partition("/versions/")[0]}
    done = machine.run("run", "-p", "3.10", "-p", "3.12", *parallel, "-c", SHOW, cwd=folder, env=environ)
    assert done.returncode == 1, done.stderr
    shown = sorted(line.rpartition("| ")[2] for line in done.stdout.splitlines())
    assert shown == ["3.10 1.0", "3.12 1.0"]
    assert index.file_requests == 1


@pytest.mark.skipif(not (pyenv_python("3.10") and pyenv_python("3.12")), reason="needs Python 3.10 and 3.12")
def test_a_group_that_needs_a_newer_python_chooses_it(machine: Machine, index: LoopbackIndex) -> None:
    """The first Python on PATH is 3.10, which is all that the project needs without the group."""
    folder = machine.home / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\n[dependency-groups]\nlater = []\n'
        '[tool.uv.dependency-groups]\nlater = { requires-python = ">=3.12" }\n'
    )
    pythons = [str(pyenv_python(version)).rpartition("/")[0] for version in ("3.10", "3.12")]
    environ = machine.environ | {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([find_uv_bin(), "lock", "-q"], env=environ, check=True, cwd=folder)
    environ = {"PATH": ":".join([*pythons, machine.environ["PATH"]])}
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    assert machine.run("run", "-c", show, cwd=folder, env=environ).stdout == "3.10\n"
    assert machine.run("run", "--group", "later", "-c", show, cwd=folder, env=environ).stdout == "3.12\n"
    refused = machine.run("run", "-p", "3.10", "--group", "later", "-c", show, cwd=folder, env=environ)
    assert refused.returncode == 125
    assert ">=3.9,>=3.12" in refused.stderr


def test_a_ready_environment_needs_no_network_and_one_that_is_not_says_what_is_missing(
    machine: Machine, index: LoopbackIndex
) -> None:
    folder = write_project(machine.home / "demo", index, [fresh_wheel("alpha")])
    done = machine.run("run", "--offline", "-c", "import alpha", cwd=folder)
    assert done.returncode == 125
    assert "E_OFFLINE: not in the store, and the network is not to be used: alpha 1.0" in done.stderr
    assert index.requests.total() == 0
    machine.ok("warm", cwd=folder)
    before = index.requests.total()
    machine.ok("run", "--offline", "-c", "import alpha", cwd=folder, env={"STORECTL_OFFLINE": "1"})
    assert index.requests.total() == before


def test_in_the_folder_of_a_workspace_member_its_own_environment_counts(machine: Machine, index: LoopbackIndex) -> None:
    """So do its code and its command; the root's folder has what the root needs."""
    index.add(make_wheel("alpha", "1.0"))
    index.add(make_wheel("beta", "2.0"))
    folder, member = machine.home / "work space", machine.home / "work space" / "one"
    (member / "one").mkdir(parents=True)
    (member / "one" / "__init__.py").write_text("def main():\n    print('one')\n")
    (member / "one" / "__main__.py").write_text("print('the folder')\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'
        '[tool.uv.workspace]\nmembers = ["one"]\n'
    )
    (member / "pyproject.toml").write_text(
        '[project]\nname = "one"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["beta"]\n'
        '[project.scripts]\none = "one:main"\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    environ = machine.environ | {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([find_uv_bin(), "lock", "-q"], env=environ, check=True, cwd=folder)
    show = "import importlib.util as u; print(*(name for name in ('alpha', 'beta', 'one') if u.find_spec(name)))"
    for _ in range(2):
        assert machine.ok("run", "-P", "-c", show, cwd=folder) == "alpha\n"
        assert machine.ok("run", "-P", "-c", show, cwd=member / "one") == "beta one\n"
        assert machine.ok("run", "one", cwd=member) == "one\n"
        assert machine.ok("run", "-P", "-c", show, "--", cwd=folder) == "alpha\n"


def test_a_stray_lock_file_is_passed_over_and_said(machine: Machine, index: LoopbackIndex) -> None:
    """`uv run` leaves a uv.lock that knows nothing in the project of another tool."""
    alpha = make_wheel("alpha", "1.0")
    index.add(alpha)
    folder = machine.home / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = ">=3.9"\nalpha = "*"\n'
    )
    (folder / "poetry.lock").write_text(
        '[[package]]\nname = "alpha"\nversion = "1.0"\ndescription = ""\noptional = false\npython-versions = "*"\n'
        f'groups = ["main"]\nfiles = [{{ file = "{alpha.filename}", hash = "{alpha.digest}" }}]\n'
        f'[package.source]\ntype = "legacy"\nurl = "{index.url}"\nreference = "here"\n'
        '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\n'
    )
    (folder / "uv.lock").write_text('version = 1\nrevision = 3\nrequires-python = ">=3.9"\n')
    done = machine.run("run", "-c", "import alpha; print(alpha.__version__)", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    assert f"{folder} has uv.lock beside poetry.lock, which is taken" in done.stderr


def test_a_script_with_a_lock_file_of_its_own_does_not_see_the_projects(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "demo", index, [make_wheel("alpha", "1.0")])
    beta = make_wheel("beta", "2.0")
    index.add(beta)
    script = folder / "tool.py"
    script.write_text(
        '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["beta"]\n# ///\nimport beta; print(beta.__version__)\ntry:\n    import alpha\nexcept ImportError:\n    print("alone")\n'
    )
    environ = machine.environ | {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([find_uv_bin(), "lock", "-q", "--script", script], env=environ, check=True, cwd=folder)
    assert machine.ok("run", "tool.py", cwd=folder) == "2.0\nalone\n"
    machine.ok("daemon", "stop")
    assert machine.ok("run", "tool.py", cwd=folder, env={"STORECTL_SOCKET": "/nowhere"}) == "2.0\nalone\n"
    assert machine.run("daemon", "status").returncode == 3
    assert machine.ok("run", "-c", "import alpha; print(alpha.__version__)", cwd=folder) == "1.0\n"
