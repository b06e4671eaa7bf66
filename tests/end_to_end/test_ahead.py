"""What the daemon makes ready before anybody asks is seen: in `env show`, in `daemon status`, and once at a first run."""

from pathlib import Path
from typing import Any

import pytest

from support.daemon import until
from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import git, lock_file_text, write_project
from support.terminal import on_terminal
from support.wheels import make_wheel

WHEELS = [make_wheel("alpha", version, files={"alpha.py": f"VERSION = '{version}'"}) for version in ("1.0", "2.0")]
SAYS = ("run", "-c", "import alpha; print(alpha.VERSION)")


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    """A project with two branches, ``main`` with the first alpha and ``fix-ci`` with the second; at ``main``, warm."""
    folder = write_project(machine.home / "project", index, WHEELS[:1])
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "switch", "-qc", "fix-ci")
    index.add(WHEELS[1])
    (folder / "uv.lock").write_text(lock_file_text("uv.lock", index, WHEELS[1:]))
    git(folder, "commit", "-qam", "two")
    git(folder, "switch", "-q", "main")
    return folder


def switch_and_wait(machine: Machine, project: Path, before: str, branch: str = "fix-ci") -> None:
    """Switch to the branch, and wait until its environment is ready and the launcher would know."""
    git(project, "switch", "-q", branch)
    machine.wait_for_state(project, lambda state: state["state"] == "ready" and state["environment"]["path"] != before)
    fast = machine.record(project) / "fast.default"
    until(lambda: (fast / "environment").exists() or (fast / ".environment").exists())


def on_a_terminal(machine: Machine, project: Path, **variables: str) -> tuple[str, str]:
    """What a run prints on standard output, and what on standard error if that is a terminal."""
    return on_terminal([STORECTL, *SAYS], cwd=project, env=machine.environ | variables)


def account(machine: Machine, project: Path) -> Any:
    shown, status = machine.json("env", "show", project, "--json"), machine.json("daemon", "status", "--json")
    assert shown["ahead"] == status["ahead"], "there is one project"
    return shown["ahead"]


def test_what_a_switch_of_branches_led_to_is_seen(machine: Machine, project: Path) -> None:
    """It is told by `env show` and `daemon status`, and once by a run on a terminal; it is used by that run."""
    machine.environ["STORECTL_TELL"] = "always"
    main = machine.json("warm", project, "--json")["path"]
    assert account(machine, project) == {"made": 0, "used": 0, "saved_s": 0.0, "last": None}
    assert "made ahead" not in machine.ok("env", "show", project)
    switch_and_wait(machine, project, main)
    told = account(machine, project)
    assert (told["made"], told["used"], told["saved_s"]) == (1, 0, 0.0)
    assert (told["last"]["project"], told["last"]["branch"], told["last"]["why"]) == (str(project), "fix-ci", "change")

    output, line = on_a_terminal(machine, project)
    assert output == "2.0\n"
    assert line.startswith("storectl: this was ready before you asked (branch fix-ci): ")
    assert on_a_terminal(machine, project) == ("2.0\n", "")
    assert machine.ok("store", "verify")

    told = account(machine, project)
    assert told["used"] == 1
    assert told["saved_s"] == told["last"]["seconds"] > 0
    shown = next(line for line in machine.ok("env", "show", project).splitlines() if line.startswith("made ahead: "))
    assert shown.startswith("made ahead: 1 time this week, ")
    assert "; last: branch fix-ci, " in shown
    assert shown in machine.ok("daemon", "status")
    machine.ok("daemon", "stop")
    machine.start_daemon()
    assert account(machine, project) == told
