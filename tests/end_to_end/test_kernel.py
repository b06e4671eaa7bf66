"""The kernel: a project's Python and packages, with ipykernel beside them where the project has none.

ipykernel itself is a stand-in here, which runs one cell; test_notebooks.py has the real one.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from storectl_shim.kernel import Changes
from support.index import LoopbackIndex
from support.machine import STORECTL, Machine, pyenv_python
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

KERNELAPP = """
import os, sys
class Events:
    def __init__(self): self.shown = []
    def register(self, name, function): self.shown.append(function)
    def unregister(self, name, function): self.shown.remove(function)
class Shell:
    def __init__(self): self.events, self.user_ns, self.magics = Events(), {}, {"pip": lambda line: "asked " + line}
    def system(self, command): return "ran " + command
    getoutput = system
    def find_line_magic(self, name): return self.magics.get(name)
    def register_magic_function(self, function, kind, name): self.magics[name] = function
class IPKernelApp:
    @classmethod
    def launch_instance(cls):
        app = cls()
        app.shell = Shell()
        app.init_code()
    def init_code(self):
        import traits
        for function in list(self.shell.events.shown): function()
        exec(os.environ["CELL"], {"shell": self.shell, "traits": traits})
"""
ALPHA = make_wheel("alpha")


def ipykernel(version: str, *requires: str) -> WheelBytes:
    files = {"ipykernel/__init__.py": f"version = {version!r}\n", "ipykernel/kernelapp.py": KERNELAPP}
    return make_wheel("ipykernel", version, files=files, requires_dist=requires)


@pytest.fixture
def kernels(index: LoopbackIndex) -> LoopbackIndex:
    """An index that has ipykernel 6.30 and 7.1, of which only the first can live with traits 1.0."""
    index.add(make_wheel("traits", "3.0"), make_wheel("traits", "1.0"), make_wheel("traits", "0.5"))
    index.add(ipykernel("6.30", "traits>=1"), ipykernel("7.1", "traits>=2"))
    return index


class Notebook:
    """A folder with a notebook's kernel: each cell is a process of its own."""

    def __init__(self, machine: Machine, index: LoopbackIndex, folder: Path) -> None:
        self._machine, self._index, self._folder = machine, index, folder
        self.log = ""

    def run(self, cell: str, **variables: str) -> Any:
        """What the cell ``show``s."""
        code = f"import json, sys, os\nshow = lambda value: print(json.dumps(value))\n{cell}"
        environ = {"UV_DEFAULT_INDEX": self._index.url, "UV_PYTHON_DOWNLOADS": "never", "CELL": code, **variables}
        done = self._machine.run("kernel", "start", "-f", "connection.json", cwd=self._folder, env=environ)
        self.log = done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


VERSIONS = "import ipykernel; show([ipykernel.version, traits.__version__, traits.__file__.startswith(sys.prefix)])"


def test_the_projects_packages_come_first_and_ipykernel_from_beside(machine: Machine, kernels: LoopbackIndex) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA, make_wheel("traits", "2.5")])
    (project / "notebooks").mkdir()
    notebook = Notebook(machine, kernels, project / "notebooks")
    assert notebook.run(VERSIONS) == ["7.1", "2.5", True]
    cell = "import alpha, ipykernel; show([alpha.__file__, ipykernel.__file__, sys.prefix, sys.argv, sys.path])"
    alpha, kernel, prefix, argv, path = notebook.run(cell)
    assert alpha.startswith(prefix)
    assert not kernel.startswith(prefix)
    assert argv == ["ipykernel_launcher", "-f", "connection.json"]
    assert [p for p in path if "storectl_shim" in p or "client" in p] == []
    assert [p.startswith(prefix) for p in path if p.endswith("site-packages")] == [True, False]
    child = "import subprocess; show(subprocess.call([sys.executable, '-c', 'import alpha, ipykernel'], stderr=-3))"
    assert notebook.run(child) == 1
    assert machine.ok("tool", "list") == "ipykernel (ipykernel)\n"


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_the_kernel_is_of_the_projects_python(machine: Machine, kernels: LoopbackIndex, version: str) -> None:
    python = pyenv_python(version)
    if python is None:
        pytest.skip(f"no Python {version}")
    project = write_project(machine.home / "project", kernels, [ALPHA, make_wheel("traits", "0.5")])
    notebook = Notebook(machine, kernels, project)
    cell = "import alpha, ipykernel; show(['{}.{}'.format(*sys.version_info), ipykernel.version, traits.__version__])"
    assert notebook.run(cell, STORECTL_PYTHON=python) == [version, "7.1", "3.0"]


def test_a_project_that_locks_ipykernel_has_its_own(machine: Machine, kernels: LoopbackIndex) -> None:
    wheels = [ipykernel("5.0"), make_wheel("traits", "0.5")]
    notebook = Notebook(machine, kernels, write_project(machine.home / "project", kernels, wheels))
    assert notebook.run(VERSIONS) == ["5.0", "0.5", True]
    assert "warning" not in notebook.log
    assert machine.ok("tool", "list") == ""


def test_an_older_package_of_the_project_gets_an_ipykernel_that_can_live_with_it(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [make_wheel("traits", "1.0")])
    notebook = Notebook(machine, kernels, project)
    assert notebook.run(VERSIONS) == ["6.30", "1.0", True]
    assert "warning" not in notebook.log


def test_a_package_too_old_for_any_kernel_is_the_kernels_and_both_versions_are_named(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA, make_wheel("traits", "0.5")])
    notebook = Notebook(machine, kernels, project)
    assert notebook.run(VERSIONS) == ["7.1", "3.0", False]
    warning = "storectl: warning: traits 3.0 is loaded, the lock file has 0.5: ipykernel 7.1 needs >=2\n"
    assert notebook.log.count(warning) == 2  # in the log, and in the first cell
    assert notebook.run("import alpha; show(alpha.__file__.startswith(sys.prefix))") is True


def test_without_a_project_an_empty_kernel_says_why(machine: Machine, kernels: LoopbackIndex, tmp_path: Path) -> None:
    folder = machine.home / "empty"
    folder.mkdir()
    notebook = Notebook(machine, kernels, folder)
    assert notebook.run(VERSIONS) == ["7.1", "3.0", True]
    assert notebook.log.count("storectl: warning: E_NO_LOCK: no lock file") == 2
    assert f"at or above {folder}; this kernel has none of a project's packages\n" in notebook.log


def test_a_lock_file_that_cannot_be_used_leaves_an_empty_kernel_that_says_why(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA])
    (project / "uv.lock").write_text("version = [")
    notebook = Notebook(machine, kernels, project)
    assert notebook.run(VERSIONS) == ["7.1", "3.0", True]
    assert "storectl: warning: E_LOCK" in notebook.log
    assert "uv.lock" in notebook.log


def test_the_notebooks_path_tells_the_project_where_the_server_gives_it(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA])
    (project / "a.ipynb").touch()
    notebook = Notebook(machine, kernels, machine.home)
    cell = "import alpha; show(alpha.__version__)"
    assert notebook.run(cell, JPY_SESSION_NAME=str(project / "a.ipynb")) == "1.0"
    other = Notebook(machine, kernels, project)
    assert other.run(cell, JPY_SESSION_NAME="console-1") == "1.0"


def test_a_restart_takes_the_changed_lock_file_and_a_running_kernel_keeps_its_own(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA, make_wheel("late", "1.0")])
    later = write_project(machine.home / "later", kernels, [make_wheel("alpha", "2.0"), make_wheel("late", "2.0")])
    notebook = Notebook(machine, kernels, project)
    change = (
        "import alpha, shutil, subprocess\n"
        f"shutil.copy({str(later / 'uv.lock')!r}, {str(project / 'uv.lock')!r})\n"
        f"subprocess.check_call(['storectl', 'warm', {str(project)!r}], stdout=-3)\n"
        "import late; show([alpha.__version__, late.__version__])"
    )
    path = f"{STORECTL.parent}:{machine.environ['PATH']}"
    assert notebook.run(change, PATH=path) == ["1.0", "1.0"]
    assert notebook.run("import alpha, late; show([alpha.__version__, late.__version__])") == ["2.0", "2.0"]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("uv.lock", "`uv add -names-`"),
        ("requirements.txt", "add -names- to requirements.in, `storectl lock`"),
        ("pylock.toml", "add -names- to pyproject.toml, `storectl lock`"),
    ],
)
def test_installing_says_what_to_do_instead_in_one_line(
    machine: Machine, kernels: LoopbackIndex, kind: str, line: str
) -> None:
    notebook = Notebook(machine, kernels, write_project(machine.home / "project", kernels, [ALPHA], kind))
    cell = (
        "commands = ['pip install -q a b', 'python3 -m pip install a b', '/x/pip3.11 install a b', 'uv pip install a b']\n"
        "ran = [shell.system(command) for command in commands] + [shell.magics['pip']('install a b')]\n"
        "kept = [shell.system('pip list'), shell.getoutput('echo pip install'), shell.magics['pip']('list')]\n"
        "show([ran, kept, shell.user_ns])"
    )
    ran, kept, names = notebook.run(cell)
    expected = f"storectl: nothing is installed into a running kernel: {line}, then restart the kernel\n"
    assert notebook.log.count(expected.replace("-names-", "a b")) == len(ran) == 5
    assert ran == [None] * 5
    assert kept == ["ran pip list", "ran echo pip install", "asked list"]
    assert names == {"_exit_code": 1}


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("cd /tmp && sudo pip install -U 'a>=1' >log 2>&1; ls", "'a>=1'"),
        ("PIP_NO_INDEX=1 pip install --quiet a | tail", "a"),
        ("%pip install -r more.txt", None),
        ("pip install -r more.txt", "-r more.txt"),
        ("pip install", "NAME"),
        ("grep 'pip install' notes.txt", None),
        ("pip download a", None),
    ],
)
def test_a_command_that_installs_is_known_among_others(command: str, names: str | None) -> None:
    refusal = Changes("`uv add {}`", "").refusal(command)
    assert (refusal and refusal.split("`")[1]) == (names and f"uv add {names}")


def test_removing_says_what_to_do_instead(machine: Machine, kernels: LoopbackIndex) -> None:
    notebook = Notebook(machine, kernels, write_project(machine.home / "project", kernels, [ALPHA]))
    assert notebook.run("show(shell.system('pip uninstall -y a'))") is None
    assert "`uv remove a`, then restart the kernel" in notebook.log


def test_children_do_not_get_a_plotting_backend_that_only_the_kernel_has(
    machine: Machine, kernels: LoopbackIndex
) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA])
    kernels.add(make_wheel("matplotlib-inline", "1.0"), ipykernel("7.2", "traits>=2", "matplotlib-inline"))
    notebook = Notebook(machine, kernels, project)
    backend = "module://matplotlib_inline.backend_inline"
    cell = "import subprocess; show([os.environ['MPLBACKEND'], subprocess.getoutput('echo $MPLBACKEND')])"
    assert notebook.run(cell, MPLBACKEND=backend) == [backend, ""]
    assert notebook.run(cell, MPLBACKEND="agg") == ["agg", "agg"]


def test_the_second_start_needs_neither_daemon_nor_network(machine: Machine, kernels: LoopbackIndex) -> None:
    notebook = Notebook(machine, kernels, write_project(machine.home / "project", kernels, [ALPHA]))
    notebook.run(VERSIONS)
    machine.ok("daemon", "stop")
    before = kernels.requests.total()
    assert notebook.run(VERSIONS)[0] == "7.1"
    assert kernels.requests.total() == before
    assert machine.run("daemon", "status").returncode == 3


def test_without_ipykernel_anywhere_the_reason_is_told(machine: Machine, index: LoopbackIndex) -> None:
    project = write_project(machine.home / "project", index, [ALPHA])
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    done = machine.run("kernel", "start", "-f", "x", cwd=project, env=environ)
    assert done.returncode == 1
    assert "storectl: E_REQUIREMENTS: uv cannot lock ipykernel\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_nobody_is_asked_for_ipykernel(machine: Machine, kernels: LoopbackIndex) -> None:
    project = write_project(machine.home / "project", kernels, [ALPHA])
    machine.ok("warm", cwd=project)
    before = kernels.requests.total()
    environ = {"UV_DEFAULT_INDEX": kernels.url, "UV_PYTHON_DOWNLOADS": "never", "STORECTL_OFFLINE": "1"}
    done = machine.run("kernel", "start", "-f", "x", cwd=project, env=environ)
    assert (done.returncode, "E_REQUIREMENTS" in done.stderr) == (1, True), done.stderr
    assert kernels.requests.total() == before
