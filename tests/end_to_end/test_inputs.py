"""Whatever an environment was made from may change, daemon or no daemon: the next command sees it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.daemon import until
from support.index import LoopbackIndex
from support.machine import DEADLINE, STORECTL, Machine, base_python, pyenv_python
from support.project import git
from support.wheels import make_wheel

TELL = "import importlib.metadata as m; print(m.version('{name}'), *sorted(e.name for e in m.distribution('{name}').entry_points))"
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def put(folder: Path, name: str, text: str, *, age_s: float = 3600) -> None:
    """A file as old as a file usually is: a young one has no fast path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment = path.stat().st_mtime - age_s
    os.utime(path, (moment, moment))


def static(name: str, version: str, script: str, more: str = "") -> str:
    head = f'[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.9"\n'
    return f'{head}{more}[project.scripts]\n{script} = "{name}:main"\n{HATCHLING}'


def lock(machine: Machine, folder: Path) -> None:
    """Lock the project with uv, which needs nothing for it but its own files."""
    command = [find_uv_bin(), "lock", "-q", "--offline", "--python", base_python()]
    subprocess.run(command, cwd=folder, env=machine.environ, check=True, capture_output=True)
    put(folder, "uv.lock", (folder / "uv.lock").read_text())


def wait_for_fast_path(machine: Machine, folder: Path) -> None:
    until((machine.record(folder) / "fast.default/environment").exists)


class Workspace:
    """A project with a member and a path dependency beside it, warmed, with a record for the launcher."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.home / "work"
        self.member, self.beside = self.folder / "packages" / "lib", machine.home / "beside it"
        sources = '[tool.uv.sources]\nlib = { workspace = true }\nbeside = { path = "../beside it", editable = true }\n'
        members = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
        needs = 'dependencies = ["lib", "beside"]\n'
        put(self.folder, "pyproject.toml", static("work", "1", "work", needs) + sources + members)
        for folder, name in ((self.folder, "work"), (self.member, "lib"), (self.beside, "beside")):
            put(folder, f"{name}.py", "def main(): print('main')\n")
        put(self.member, "pyproject.toml", static("lib", "1", "old-lib"))
        put(self.beside, "pyproject.toml", static("beside", "1", "old-beside"))
        lock(machine, self.folder)

    def warm(self) -> None:
        self.machine.ok("run", "-c", "pass", cwd=self.folder)
        wait_for_fast_path(self.machine, self.folder)

    def tell(self, name: str) -> str:
        return self.machine.ok("run", "-c", TELL.format(name=name), cwd=self.folder).strip()

    def kill_daemon(self) -> None:
        os.kill(self.machine.daemon_pid(), signal.SIGKILL)
        until(lambda: not self.machine.daemon_processes())


@pytest.fixture
def workspace(machine: Machine) -> Workspace:
    return Workspace(machine)


@pytest.mark.parametrize("daemon", ["off", "just started"])
@pytest.mark.parametrize("name", ["lib", "beside"])
def test_an_entry_point_and_a_version_that_change_in_a_member_or_beside_it_are_there_at_once(
    workspace: Workspace, daemon: str, name: str
) -> None:
    workspace.warm()
    assert workspace.tell(name) == f"1 old-{name}"
    workspace.kill_daemon()
    folder = workspace.member if name == "lib" else workspace.beside
    put(folder, "pyproject.toml", static(name, "2", f"new-{name}"), age_s=1800)
    if daemon == "just started":
        workspace.machine.start_daemon()
    assert workspace.tell(name) == f"2 new-{name}"
    assert workspace.machine.ok("run", f"new-{name}", cwd=workspace.folder) == "main\n"


def test_a_file_that_makes_another_project_of_it_is_there_at_once(workspace: Workspace, index: LoopbackIndex) -> None:
    """With a hook of hatchling's it is no project any more that needs no build, and this index has no hatchling."""
    put(workspace.machine.home / ".config/pip", "pip.conf", f"[global]\nindex-url = {index.url}\n")
    workspace.warm()
    workspace.kill_daemon()
    put(workspace.member, "hatch_build.py", "")
    done = workspace.machine.run("run", "-c", "pass", cwd=workspace.folder)
    assert done.returncode != 0
    assert "E_BUILD: lib" in done.stderr


def test_a_readme_is_an_input_of_the_metadata_that_storectl_writes(workspace: Workspace) -> None:
    put(workspace.member, "pyproject.toml", static("lib", "1", "lib", 'readme = "README.md"\n'))
    put(workspace.member, "README.md", "first\n")
    workspace.warm()
    workspace.kill_daemon()
    put(workspace.member, "README.md", "second\n", age_s=1800)
    code = "import importlib.metadata as m; print(m.metadata('lib').get_payload())"
    assert workspace.machine.ok("run", "-c", code, cwd=workspace.folder).strip() == "second"


def test_a_requirements_file_that_another_includes_is_an_input(machine: Machine, index: LoopbackIndex) -> None:
    folder = machine.home / "work"
    wheels = [make_wheel("alpha", version) for version in ("1.0", "2.0")]
    index.add(*wheels)
    put(machine.home / ".config/pip", "pip.conf", f"[global]\nindex-url = {index.url}\n")
    lines = [f"alpha=={wheel.version} --hash=sha256:{wheel.hexdigest}\n" for wheel in wheels]
    put(folder, "requirements.txt", "# --hash: all of them are in the other file\n-r more/base.txt\n")
    put(folder, "more/base.txt", lines[0])
    tell = ("run", "-c", "import alpha; print(alpha.__version__)")
    assert machine.ok(*tell, cwd=folder) == "1.0\n"
    wait_for_fast_path(machine, folder)
    put(folder, "more/base.txt", lines[1], age_s=1800)
    os.kill(machine.daemon_pid(), signal.SIGKILL)
    assert machine.ok(*tell, cwd=folder) == "2.0\n"


class Native:
    """A project that its backend has to build, which counts its builds beside itself; cache keys say what matters."""

    def __init__(self, machine: Machine, index: LoopbackIndex, keys: str) -> None:
        self.machine = machine
        self.folder = machine.home / "native"
        put(machine.home / ".config/pip", "pip.conf", f"[global]\nindex-url = {index.url}\n")
        wheel = make_wheel("native", "1")
        (machine.home / wheel.filename).write_bytes(wheel.data)
        put(self.folder, "be.py", BACKEND)
        put(
            self.folder,
            "pyproject.toml",
            '[project]\nname = "native"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "be"\n'
            f'backend-path = ["."]\n[tool.uv]\ncache-keys = [{keys}]\n',
        )
        put(self.folder, "src/native.c", "one")
        lock(machine, self.folder)

    def builds(self) -> int:
        self.machine.ok("run", "-c", "pass", cwd=self.folder)
        return len((self.folder.parent / "builds").read_text())


BACKEND = """
import os, shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    with open("../builds", "a") as file:
        file.write("x")
    return os.path.basename(shutil.copy("../native-1-py3-none-any.whl", folder))
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise NotImplementedError
"""


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "more")


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ('{ file = "src/*.c" }', lambda folder: put(folder, "src/native.c", "two", age_s=1800)),
        ('{ file = "src/**/*.c" }', lambda folder: put(folder, "src/deep/new.c", "two")),
        ("{ git = { commit = true } }", commit),
    ],
)
def test_what_cache_keys_name_builds_the_project_again(
    machine: Machine, index: LoopbackIndex, keys: str, change: Callable[[Path], None]
) -> None:
    native = Native(machine, index, keys)
    git(native.folder, "init", "-q")
    commit(native.folder)
    assert native.builds() == native.builds() == 1
    wait_for_fast_path(machine, native.folder)
    os.kill(machine.daemon_pid(), signal.SIGKILL)
    change(native.folder)
    assert native.builds() == native.builds() == 2


def test_a_project_that_is_missing_during_a_switch_is_waited_for_and_built_from_nothing_never(
    machine: Machine, index: LoopbackIndex
) -> None:
    native = Native(machine, index, "")
    git(native.folder, "init", "-q")
    commit(native.folder)
    lock, file = native.folder / ".git" / "index.lock", native.folder / "pyproject.toml"
    aside = machine.home / "aside"
    lock.touch()
    file.rename(aside)
    running = subprocess.Popen([STORECTL, "run", "-c", "pass"], cwd=native.folder, env=machine.environ)
    machine.wait_for_state(native.folder, lambda state: state["state"] == "warming")
    aside.rename(file)
    lock.unlink()
    assert running.wait(DEADLINE) == 0
    assert native.builds() == 1


def test_a_project_that_stays_missing_is_said(machine: Machine, index: LoopbackIndex) -> None:
    native = Native(machine, index, "")
    (native.folder / "pyproject.toml").unlink()
    done = machine.run("run", "-c", "pass", cwd=native.folder)
    assert "neither a pyproject.toml nor a setup.py" in done.stderr
    assert not (machine.home / "builds").exists()


def test_commands_in_the_middle_of_real_switches_never_fail(machine: Machine, index: LoopbackIndex) -> None:
    native = Native(machine, index, "")
    git(native.folder, "init", "-q")
    for branch, version in (("one", "3.9"), ("two", "3.8")):
        git(native.folder, "checkout", "-qB", branch)
        for name in ("pyproject.toml", "uv.lock"):
            text = (native.folder / name).read_text()
            (native.folder / name).write_text(f"{text}# {branch}\n")
        for number in range(400):
            put(native.folder, f"m/{number}", f"{branch} {version}")
        commit(native.folder)
    assert native.builds() == 1
    switching = subprocess.Popen(
        ["sh", "-c", "for i in 1 2 3 4 5 6; do git checkout -q one && git checkout -q two || exit 1; done"],
        cwd=native.folder,
        env=machine.environ,
    )
    failed = []
    while switching.poll() is None:
        done = machine.run("warm", cwd=native.folder)
        failed += [done.stderr] if done.returncode else []
    assert switching.returncode == 0
    assert failed == []


@pytest.mark.skipif(pyenv_python("3.12") is None, reason="another Python than that of the tests is needed")
def test_a_lock_file_in_a_folder_of_the_project_has_the_project_s_python(
    machine: Machine, index: LoopbackIndex
) -> None:
    wheel = make_wheel("alpha", "1.0")
    index.add(wheel)
    folder = machine.home / "work"
    put(machine.home / ".config/pip", "pip.conf", f"[global]\nindex-url = {index.url}\n")
    put(folder, "requirements/dev.txt", f"alpha==1.0 --hash=sha256:{wheel.hexdigest}\n")
    tell = ("run", "--lock", "requirements/dev.txt", "-c", "import sys; print(sys.version_info[:2])")
    both = {"PATH": f"{Path(base_python()).parent}:{Path(pyenv_python('3.12') or '').parent}:{machine.environ['PATH']}"}
    assert machine.ok(*tell, cwd=folder, env=both) == f"{sys.version_info[:2]}\n"
    put(folder, "pyproject.toml", '[project]\nname = "work"\nversion = "1"\nrequires-python = ">=3.12"\n')
    assert machine.ok(*tell, cwd=folder, env=both) == "(3, 12)\n"
    (folder / "pyproject.toml").unlink()
    put(folder, ".python-version", "3.12\n")
    assert machine.ok(*tell, cwd=folder, env=both) == "(3, 12)\n"
