"""Whose environment counts: that of each command, whichever shell or service manager started the daemon."""

import os
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.lock_files import requirements_text
from support.machine import Machine, pyenv_python
from support.private_index import answer, basic, require_login
from support.project import write_project
from support.wheels import WheelBytes, fresh_wheel

BARE = {"PATH": os.defpath, "HTTP_PROXY": "http://daemon.invalid:9", "UV_DEFAULT_INDEX": "http://daemon.invalid/simple"}
"""What the shell had in which the daemon was started, and no later command has."""


@pytest.fixture
def running(guest: Machine) -> Machine:
    """A home on a machine whose daemon was started by a command with other variables."""
    guest.ok("daemon", "start", env=BARE)
    return guest


@pytest.fixture
def alpha() -> WheelBytes:
    """A wheel that the store has from no other test."""
    return fresh_wheel("alpha", files={"alpha.py": "VALUE = 'one'\n"})


def unaddressed(folder: Path, *wheels: WheelBytes, head: str = "") -> Path:
    """A project that says what it needs, and not where it comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text(head + requirements_text(wheels))
    return folder


def test_an_index_is_that_of_the_command_s_variables(running: Machine, index: LoopbackIndex, alpha: WheelBytes) -> None:
    project = unaddressed(running.home / "project", alpha)
    with serve_index(alpha) as mirror:
        index.add(alpha)
        running.ok("run", "-c", "import alpha", cwd=project, env={"UV_DEFAULT_INDEX": mirror.url})
        assert mirror.file_requests == 1
    beta = fresh_wheel("beta")
    other = unaddressed(running.home / "other", beta)
    index.add(beta)
    running.ok("run", "-c", "import beta", cwd=other, env={"PIP_INDEX_URL": index.url})
    assert index.requests.total() == 2


def test_a_warm_that_no_command_asked_for_has_the_variables_of_the_last_one(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    project = unaddressed(running.home / "project", alpha)
    beta = fresh_wheel("beta")
    index.add(alpha, beta)
    running.ok("run", "-c", "import alpha", cwd=project, env={"UV_DEFAULT_INDEX": index.url})
    unaddressed(project, alpha, beta)
    state = running.wait_for_state(
        project, lambda state: state["state"] == "ready" and state["environment"]["wheels"] == 2
    )
    assert Path(state["environment"]["path"], "bin/python").exists()


def test_a_token_of_the_command_fills_the_requirements_file(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    index.add(alpha)
    require_login(index, basic("ann", "t0ken-of-this-shell"))
    address = index.url.replace("//", "//ann:${ALPHA_TOKEN}@")
    project = unaddressed(running.home / "project", alpha, head=f"--index-url {address}\n")
    wrong = running.run("run", "-c", "import alpha", cwd=project, env={"ALPHA_TOKEN": "t0ken-of-another"})
    assert wrong.returncode == 125
    assert "t0ken" not in wrong.stderr
    running.ok("run", "-c", "import alpha", cwd=project, env={"ALPHA_TOKEN": "t0ken-of-this-shell"})


def test_a_proxy_is_that_of_the_command(running: Machine, index: LoopbackIndex, alpha: WheelBytes) -> None:
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        asked.append(handler.path)
        if handler.path.endswith(".whl"):
            answer(handler, 200, alpha.data)
        else:
            answer(handler, 200, index.project_html("alpha").encode(), Content_Type="text/html")
        return True

    index.add(alpha)
    index.respond = respond
    project = unaddressed(running.home / "project", alpha)
    env = {"PIP_INDEX_URL": "http://index.invalid/simple", "HTTP_PROXY": index.root}
    running.ok("run", "-c", "import alpha", cwd=project, env=env)
    assert asked[0] == "http://index.invalid/simple/alpha/"


@pytest.mark.skipif(pyenv_python("3.12") is None, reason="needs a second Python")
def test_an_interpreter_is_looked_for_on_the_command_s_path(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    project = write_project(running.home / "project", index, [alpha])
    path = f"{Path(pyenv_python('3.12') or '').parent}:{os.defpath}"
    program = "import sys; print(sys.version_info[:2])"
    assert running.ok("run", "-p", "3.12", "-c", program, cwd=project, env={"PATH": path}) == "(3, 12)\n"


def test_a_login_that_is_added_to_netrc_counts_for_the_next_command(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    project = write_project(running.home / "project", index, [alpha])
    require_login(index, basic("ann", "s3cret"))
    assert running.run("run", "-c", "import alpha", cwd=project).returncode == 125
    (running.home / ".netrc").write_text("machine 127.0.0.1 login ann password wr0ng\n")
    assert running.run("run", "-c", "import alpha", cwd=project).returncode == 125
    (running.home / ".netrc").write_text("machine 127.0.0.1 login ann password s3cret\n")
    running.ok("run", "-c", "import alpha", cwd=project)


def test_a_file_that_its_index_has_moved_is_found_again(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    """The book of addresses knows it from a lookup whose download failed."""
    index.add(alpha)
    broken = True

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path.startswith("/files/"):
            answer(handler, 404)
            return True
        if handler.path == f"/moved/{alpha.filename}":
            answer(handler, 200, alpha.data)
            return True
        if not broken:
            moved = index.project_html("alpha").replace("/files/", "/moved/")
            answer(handler, 200, moved.encode(), Content_Type="text/html")
            return True
        return False

    index.respond = respond
    project = unaddressed(running.home / "project", alpha)
    env = {"UV_DEFAULT_INDEX": index.url}
    assert running.run("run", "-c", "import alpha", cwd=project, env=env).returncode == 125
    broken = False
    running.ok("run", "-c", "import alpha", cwd=project, env=env)
    assert index.requests[f"/moved/{alpha.filename}"] == 1


def poison(folder: Path, *names: str) -> Path:
    """Modules of these names that cannot be imported."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('the wrong {name} was imported')\n")
    return folder


@pytest.mark.parametrize("launched", [True, False])
def test_what_is_on_pythonpath_is_the_program_s_alone(
    machine: Machine, index: LoopbackIndex, alpha: WheelBytes, *, launched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name is of something that storectl imports; ``storectl`` itself is on the path of `python -m storectl`."""
    names: tuple[str, ...] = (
        "storectl_shim",
        "storectl_daemon",
        "httpx2",
        "h11",
        "pydantic",
        "packaging",
        "logging",
        "asyncio",
    )
    if launched:
        names += ("storectl",)
    else:
        monkeypatch.setattr("support.machine.STORECTL", Path(sys.executable).with_name("storectl-python"))
    folder = poison(machine.home / "old", *names)
    (folder / "mine.py").write_text("VALUE = 'mine'\n")
    project = write_project(machine.home / "project", index, [alpha])
    env = {"PYTHONPATH": str(folder), "PYTHONOPTIMIZE": "2"}
    program = (
        "import alpha, mine, os, sys; print(alpha.VALUE, mine.VALUE, os.environ['PYTHONPATH'], sys.flags.optimize)"
    )
    for _ in range(2):  # the second time without the daemon
        shown = machine.ok("run", "-c", program, cwd=project, env=env)
        assert shown == f"one mine {folder} 2\n"
    machine.ok("doctor", cwd=project, env=env)


def test_pythonhome_is_the_program_s_alone(machine: Machine, index: LoopbackIndex, alpha: WheelBytes) -> None:
    project = write_project(machine.home / "project", index, [alpha])
    env = {"PYTHONHOME": "/nowhere"}
    for _ in range(2):
        machine.ok("warm", cwd=project, env=env)
        broken = machine.run("run", "-c", "pass", cwd=project, env=env)
        assert "PYTHONHOME = '/nowhere'" in broken.stderr  # as the Python of a venv says
    assert machine.ok("run", "-c", "import alpha", cwd=project) == ""


def environ_of(pid: int) -> Mapping[bytes, bytes]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(pair.partition(b"=")[::2] for pair in pairs if pair)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_daemon_has_none_of_the_variables_of_the_command_that_started_it(machine: Machine) -> None:
    machine.ok("daemon", "start", env={"SECRET_TOKEN": "s3cret", "LC_ALL": "C", "NOTIFY_SOCKET": "/nowhere"})
    own = environ_of(
        machine.daemon_pid()
    )  # with LC_CTYPE=C.UTF-8, which a Python without a locale sets for itself (PEP 538)
    assert own[b"HOME"] == os.fsencode(machine.home)
    assert {name for name in own if not name.startswith((b"XDG_", b"STORECTL_"))} <= {b"HOME", b"LC_CTYPE"}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.ISO-8859-1"])
def test_a_path_that_is_not_utf_8_is_a_path(
    machine: Machine, index: LoopbackIndex, alpha: WheelBytes, locale: str
) -> None:
    machine.ok("daemon", "start", env={"LC_ALL": locale})
    project = Path(os.fsdecode(os.fsencode(machine.home) + b"/caf\xe9 \xc3\xa9"))
    write_project(project, index, [alpha])
    env = {"PYTHONUTF8": "0", "LC_ALL": locale, "ODD": os.fsdecode(b"\xff")}
    program = "import alpha, os; print(alpha.VALUE, os.fsencode(os.getcwd()) == os.environb[b'WANTED'])"
    for _ in range(2):
        shown = machine.ok("run", "-c", program, cwd=project, env=env | {"WANTED": str(project)})
        assert shown == "one True\n"
    assert machine.json("env", "show", "--json", cwd=project, env=env)["state"] == "ready"
    machine.ok("link", cwd=project, env=env)
    assert (project / ".venv/bin/python").exists()
    machine.ok("watch", "list", cwd=project, env=env)
    machine.ok("watch", "remove", ".", cwd=project, env=env)


def test_variables_that_are_too_large_are_said_in_one_line(
    running: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    project = write_project(running.home / "project", index, [alpha])
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(8)} | {"LARGEST": "x" * 120_000}
    done = running.run("run", "-c", "import alpha", cwd=project, env=large)
    assert done.returncode == 125
    assert done.stderr.startswith("storectl: E_ENVIRON: the environment variables take ")
    assert "env -u LARGEST" in done.stderr
    assert len(done.stderr.splitlines()) == 2
