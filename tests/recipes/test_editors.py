"""What an editor shows of a linked project follows the lock file, without a restart: real servers, real git."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import until
from support.index import LoopbackIndex, serve_index
from support.language_server import editor_of
from support.machine import Machine, new_machine
from support.project import git, write_project
from support.tools import install_tool
from support.wheels import make_wheel

pytestmark = pytest.mark.network

ALPHA = make_wheel("alpha", files={"alpha/__init__.py": "ONE = 1\n", "alpha/py.typed": ""})
ALPHA_2 = make_wheel("alpha", "2.0", files={"alpha/__init__.py": "ONE = 1\nNEW = 2\n", "alpha/py.typed": ""})
BETA = make_wheel("beta", files={"beta/__init__.py": "TWO = 2\n", "beta/py.typed": ""})
MAIN = "import alpha\nimport beta\n\nprint(alpha.NEW, beta.TWO)\n"


@pytest.fixture(scope="module")
def host() -> Iterator[tuple[Machine, LoopbackIndex]]:
    with new_machine() as machine, serve_index() as index:
        yield machine, index


class Clone:
    """A linked clone of a repository that locks ``alpha``; a pull brings ``beta``, and a newer ``alpha``."""

    def __init__(self, machine: Machine, index: LoopbackIndex) -> None:
        self.machine = machine.guest()
        self.index = index
        self._upstream = write_project(self.machine.home / "upstream", index, [ALPHA])
        (self._upstream / "main.py").write_text(MAIN)
        (self._upstream / ".gitignore").write_text(".venv\n")
        git(self._upstream, "init", "-q")
        self._commit("first")
        self.folder = self.machine.home / "clone"
        git(self.machine.home, "clone", "-q", str(self._upstream), str(self.folder))
        self.main = self.folder / "main.py"
        self.machine.ok("link", cwd=self.folder)

    def _commit(self, message: str) -> None:
        git(self._upstream, "add", "-A")
        git(self._upstream, "commit", "-qm", message)

    def pull(self) -> None:
        """Bring in the newer lock file, and wait until its environment is ready."""
        write_project(self._upstream, self.index, [ALPHA_2, BETA])
        self._commit("second")
        git(self.folder, "pull", "-q")
        self.machine.wait_for_state(
            self.folder, lambda state: state["state"] == "ready" and state["environment"]["wheels"] == 2
        )


@pytest.fixture
def clone(host: tuple[Machine, LoopbackIndex]) -> Clone:
    return Clone(*host)


def wait_and_tell(happened: Callable[[], bool]) -> None:
    """Wait for it, and print how long that took from when the environment was ready (pytest shows it with -rP)."""
    begun = time.monotonic()
    until(happened)
    print(f"{time.monotonic() - begun:.2f} s after the environment was ready")


@pytest.mark.parametrize("told_by", ["the editor", "a file"])
def test_basedpyright_resolves_what_a_pull_brought(clone: Clone, run_folder: Path, told_by: str) -> None:
    server = install_tool(run_folder, "basedpyright") / "basedpyright-langserver"
    settings = {"python": {"pythonPath": str(clone.folder / ".venv/bin/python")}} if told_by == "the editor" else {}
    if told_by == "a file":
        (clone.folder / "pyrightconfig.json").write_text('{"venvPath": ".", "venv": ".venv"}')
    with editor_of([server, "--stdio"], clone.folder, clone.machine.environ, settings) as editor:

        def errors() -> list[str]:
            shown = editor.diagnostics.get(clone.main.as_uri())
            return ["?"] if shown is None else [d["code"] for d in shown if d["severity"] == 1]

        editor.open(clone.main)
        until(lambda: sorted(errors()) == ["reportAttributeAccessIssue", "reportMissingImports"])
        editor.wait_until_it_watches()
        clone.pull()
        wait_and_tell(lambda: not errors())


def test_pylsp_finds_what_a_pull_brought(clone: Clone, run_folder: Path) -> None:
    server = install_tool(run_folder, "python-lsp-server") / "pylsp"
    settings = {"pylsp": {"plugins": {"jedi": {"environment": str(clone.folder / ".venv")}}}}
    with editor_of([server], clone.folder, clone.machine.environ, settings) as editor:
        editor.open(clone.main)
        until(lambda: "alpha/__init__.py" in json.dumps(editor.definition(clone.main, 0, 8)))
        assert not editor.definition(clone.main, 1, 8)
        assert not editor.definition(clone.main, 3, 12)
        clone.pull()
        wait_and_tell(lambda: "beta/__init__.py" in json.dumps(editor.definition(clone.main, 1, 8)))
        wait_and_tell(lambda: bool(editor.definition(clone.main, 3, 12)))


def test_the_daemon_of_mypy_finds_what_a_pull_brought(clone: Clone, run_folder: Path) -> None:
    dmypy = install_tool(run_folder, "mypy") / "dmypy"

    def checked() -> str:
        command: list[str | Path] = [
            dmypy,
            "run",
            "--",
            "--python-executable",
            ".venv/bin/python",
            "--strict",
            "main.py",
        ]
        environ = clone.machine.environ | {"MYPY_CACHE_DIR": os.devnull}
        return subprocess.run(
            command, cwd=clone.folder, env=environ, capture_output=True, text=True, check=False
        ).stdout

    try:
        assert {'"beta"', '"NEW"'} <= set(checked().split())
        process = json.loads((clone.folder / ".dmypy.json").read_text())["pid"]
        clone.pull()
        wait_and_tell(lambda: "Success" in checked())
        assert json.loads((clone.folder / ".dmypy.json").read_text())["pid"] == process
    finally:
        subprocess.run([dmypy, "kill"], cwd=clone.folder, env=clone.machine.environ, check=False, capture_output=True)
