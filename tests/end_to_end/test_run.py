"""`storectl run`: what reaches the program, and what comes back."""

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import write_project
from support.wheels import WheelBytes, fresh_wheel, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all


def alpha() -> WheelBytes:
    return fresh_wheel(
        "alpha",
        "1.2",
        files={
            "alpha/__init__.py": "from alpha.core import value\n",
            "alpha/core.py": "value = 42\n",
            "alpha/__main__.py": "import sys; print('main', *sys.argv[1:])\n",
            "alpha/cli.py": "import sys\ndef main():\n    print('cli', *sys.argv[1:])\n    return 3\n",
            "alpha/data.txt": "data",
        },
        entry_points="[console_scripts]\nalpha-cli = alpha.cli:main\n",
    )


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    folder = write_project(machine.home / "project", index, [alpha(), make_wheel("beta", "2.0")])
    (folder / "hello.py").write_text("import sys, alpha\nprint(alpha.value, alpha.__file__)\nprint(sys.argv[1:])\n")
    return folder


@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml", "requirements.txt"])
def test_a_script_runs_with_the_locked_wheels_of_each_kind_of_lock_file(
    machine: Machine, index: LoopbackIndex, kind: str
) -> None:
    folder = write_project(machine.home / "project", index, [alpha()], kind)
    (folder / "hello.py").write_text("import alpha; print(alpha.value)\n")
    assert machine.ok("run", folder / "hello.py") == "42\n"
    fetched = index.file_requests
    assert machine.ok("run", folder / "hello.py") == "42\n"
    assert index.file_requests == fetched == 1


def test_modules_code_commands_and_standard_input_run_in_the_environment(machine: Machine, project: Path) -> None:
    assert machine.ok("run", "-m", "alpha", "x", "-p", "3", cwd=project) == "main x -p 3\n"
    assert machine.ok("run", "-c", "import alpha, sys; print(alpha.value, sys.argv)", "--json", cwd=project) == (
        "42 ['-c', '--json']\n"
    )
    assert machine.ok("run", "-", "a", cwd=project, stdin="import alpha, sys; print(sys.argv)") == "['-', 'a']\n"
    done = machine.run("run", "alpha-cli", "--lock", "x", cwd=project)
    assert (done.returncode, done.stdout) == (3, "cli --lock x\n")


def test_arguments_that_look_like_ours_reach_the_program(machine: Machine, project: Path) -> None:
    output = machine.ok("run", "hello.py", "-p", "3.9", "--extra", "x", "--", "--help", cwd=project)
    assert output.splitlines()[1] == "['-p', '3.9', '--extra', 'x', '--', '--help']"


def test_exit_codes_are_the_programs_own(machine: Machine, project: Path) -> None:
    assert machine.run("run", "-c", "raise SystemExit(7)", cwd=project).returncode == 7
    assert machine.run("run", "-c", "1/0", cwd=project).returncode == 1
    killed = machine.run("run", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", cwd=project)
    assert killed.returncode == -signal.SIGTERM


def test_what_cannot_be_found_is_said_in_one_line_with_its_exit_code(machine: Machine, project: Path) -> None:
    missing = machine.run("run", "alpha-clj", cwd=project)
    assert missing.returncode == 127
    assert "alpha-cli" in missing.stderr
    assert "Traceback" not in missing.stderr
    nowhere = machine.run("run", "--group", "x", "-c", "pass", cwd=machine.root)
    assert nowhere.returncode == 125
    assert "E_NO_LOCK" in nowhere.stderr


def test_a_program_may_lie_elsewhere_and_run_anywhere(machine: Machine, project: Path) -> None:
    elsewhere = machine.home / "data"
    elsewhere.mkdir()
    assert machine.ok("run", project / "hello.py", cwd=elsewhere).startswith("42 ")
    loose = elsewhere / "loose.py"
    loose.write_text("import alpha, os; print(alpha.value, os.getcwd())\n")
    assert machine.ok("run", loose, cwd=project) == f"42 {project}\n"


CHILDREN = """
import multiprocessing, os, subprocess, sys

def report(queue=None):
    import alpha
    line = f"{alpha.value} {alpha.__file__} {sys.prefix}"
    return line if queue is None else queue.put(line)

if __name__ == "__main__":
    mine = report()
    child = "import alpha, sys; print(alpha.value, alpha.__file__, sys.prefix)"
    lines = [subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout.strip()]
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=report, args=(queue,))
        process.start()
        lines.append(queue.get(timeout=60))
        process.join()
    assert all(line == mine for line in lines), (mine, lines)
    by_name = subprocess.run(["alpha-cli", "by name"], capture_output=True, text=True, check=False)
    assert (by_name.returncode, by_name.stdout) == (3, "cli by name\\n"), by_name
    again = subprocess.run(["python", "-c", child], capture_output=True, text=True, check=True).stdout.strip()
    assert again == mine
    print("same everywhere")
"""


def test_children_of_every_kind_see_the_same_environment(machine: Machine, project: Path) -> None:
    (project / "children.py").write_text(CHILDREN)
    assert machine.ok("run", "children.py", cwd=project) == "same everywhere\n"


def test_ctrl_c_reaches_the_program_once(machine: Machine, project: Path) -> None:
    machine.ok("run", "-c", "pass", cwd=project)
    code = (
        "import signal, time\nseen = []\nsignal.signal(signal.SIGINT, lambda *a: seen.append(1))\n"
        "print('ready', flush=True)\nend = time.monotonic() + 0.5\n"
        "while time.monotonic() < end or not seen: time.sleep(0.02)\nprint(len(seen))\n"
    )
    process = subprocess.Popen(
        [STORECTL, "run", "-c", code],
        cwd=project,
        env=machine.environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "1\n")


def test_a_repl_runs_under_a_terminal(machine: Machine, project: Path) -> None:
    machine.ok("run", "-c", "pass", cwd=project)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [STORECTL, "run"],
        cwd=project,
        env=machine.environ,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    read_until(leader, b">>> ")
    os.write(leader, b"import alpha; print('value', alpha.value * 2)\n")
    assert b"value 84" in read_until(leader, b"value 84")
    os.write(leader, b"raise SystemExit(5)\n")
    assert process.wait(timeout=60) == 5
    os.close(leader)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    end = time.monotonic() + 60
    while wanted not in seen:
        assert time.monotonic() < end, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 4096)
    return seen


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_first_run_starts_the_daemon_whatever_streams_are_closed(
    machine: Machine, project: Path, closed: str
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{STORECTL}' run -c 'import os; os.mkdir(\"was-here\")' {closed}"],
        cwd=project,
        env=machine.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (project / "was-here").is_dir()
    assert machine.run("daemon", "status").returncode == 0
