"""uv and pip change a linked project as they change one with a venv of their own, as a user and as root.

Each command is given to both. Its exit code and what is installed then must be equal, the store as it should be, and
nothing may have changed in another linked project with the same lock file.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.accounts import Account, installed, new_account, reason_to_skip, root_account
from support.index import LoopbackIndex
from support.machine import Machine
from support.tools import install_tool
from support.wheels import make_wheel

COMMANDS = [
    "uv sync",
    "uv add beta",
    "uv remove beta",
    "uv sync --extra fast",
    "uv sync",
    "uv pip install space-two",  # it writes into a folder of another one
    "uv pip uninstall space-two",
    "uv pip install alpha==2.0",
    "uv add space-two",
    "uv sync --reinstall",
    "uv add no-such-project",
    "pip install beta",
    "pip uninstall -y beta",
    "pip install --upgrade alpha==2.0",
    "pip uninstall -y alpha",
    "uv sync",
]
"""In this order, each from what the one before has left."""


@pytest.fixture(params=["user", "root"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with installed() as made:
        shutil.copy2(find_uv_bin(), made.root / "uv")
        kind = new_account(made) if request.param == "user" else root_account(made)
        with kind as account:
            yield account


class Project:
    """A project that uv locks; its commands run as its owner."""

    def __init__(self, folder: Path, account: Account, index: LoopbackIndex) -> None:
        self.folder, self.account, self.index = folder, account, index
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "demo"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
            'dependencies = ["alpha==1.0", "space-one"]\n[project.optional-dependencies]\nfast = ["gamma"]\n'
            f'[tool.uv]\nindex-url = "{index.url}"\n'
        )
        account.give(folder)
        assert self.run("uv lock").returncode == 0

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        tool, *arguments = command.split()
        words: list[str | Path] = [self.account.installed.root / "uv"]
        if tool == "pip":
            words = [self.account.installed.bin / "python", "-m", "pip", "--python", self.folder / ".venv/bin/python"]
        own = {"UV_CACHE_DIR": str(self.account.home / "uv-cache"), "PIP_INDEX_URL": self.index.url}
        own |= {"UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
        return self.account.run([*words, *arguments], cwd=self.folder, env=own)

    def freeze(self) -> list[str]:
        done = self.run("uv pip freeze")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def modules(self) -> list[str]:
        """What can be imported, with its version, by the interpreter itself."""
        code = (
            "import importlib\nfor name in ('alpha', 'beta', 'gamma', 'space.one', 'space.two'):\n try:\n"
            "  print(name, importlib.import_module(name).__version__)\n except ImportError:\n  pass"
        )
        done = self.account.run([self.folder / ".venv/bin/python", "-c", code], cwd=self.account.home)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def tree(self) -> dict[str, str | int]:
        paths = [path for path in (self.folder / ".venv").rglob("*") if path.parent.name != "__pycache__"]
        return {str(path): os.readlink(path) if path.is_symlink() else path.stat().st_mtime_ns for path in paths}


@pytest.mark.system
@pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or "")
def test_tools_do_what_they_do_beside_a_venv_and_nothing_that_is_shared_changes(
    account: Account, index: LoopbackIndex
) -> None:
    for version in ("1.0", "2.0"):
        index.add(make_wheel("alpha", version))
    index.add(make_wheel("beta", "1.0"), make_wheel("gamma", "1.0"))
    for name in ("one", "two"):
        index.add(make_wheel(f"space-{name}", "1.0", files={f"space/{name}.py": "__version__ = '1.0'\n"}))
    linked, twin, other = (Project(account.home / name, account, index) for name in ("linked", "twin", "other"))
    for project in (linked, other):
        account.ok("link", cwd=project.folder)
    assert twin.run("uv venv -q").returncode == 0
    before = other.tree()
    for command in COMMANDS:
        codes = [project.run(command) for project in (linked, twin)]
        assert codes[0].returncode == codes[1].returncode, (command, codes[0].stderr)
        assert (linked.freeze(), linked.modules()) == (twin.freeze(), twin.modules()), command
        if account.uid == 0 or command == COMMANDS[-1]:  # others may not write into the store
            verified = account.storectl("store", "verify")
            assert verified.returncode == 0, (command, verified.stdout)
    account.ok("link", cwd=linked.folder)
    assert (linked.freeze(), linked.modules()) == (twin.freeze(), twin.modules())
    assert other.tree() == before


@pytest.mark.network
@pytest.mark.whole
@pytest.mark.parametrize("tool", ["poetry", "pdm[locked]"])
def test_poetry_and_pdm_add_and_remove_in_a_linked_project(
    machine: Machine, index: LoopbackIndex, run_folder: Path, tool: str
) -> None:
    index.add(make_wheel("alpha"), make_wheel("beta"))
    program = install_tool(run_folder, tool) / tool.partition("[")[0]
    source = (
        f'[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "own"\nurl = "{index.url}"\n'
        f'[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{index.url}"\nverify_ssl = false\n'
    )
    folder = machine.home / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "demo"\nversion = "1.0"\nrequires-python = ">=3.11,<4"\ndependencies = ["alpha"]\n{source}'
    )

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], cwd=folder, env=machine.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("lock")
    shutil.rmtree(folder / ".venv", ignore_errors=True)  # PDM makes one
    machine.ok("link", cwd=folder)
    run("add", "beta")
    assert run("run", "python", "-c", "import beta, sys; print(sys.prefix)").strip() == str(folder / ".venv")
    machine.ok("warm", cwd=folder)
    (link,) = machine.json("env", "show", folder, "--json")["links"]
    assert (link["added"], link["removed"], link["changed"]) == ([], [], [])
    run("remove", "beta")
    assert not list((folder / ".venv").glob("lib/*/site-packages/beta*"))
    machine.ok("store", "verify")
