"""`storectl run` in Python: what runs, what is told, how it ends."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from storectl.errors import NoLockFileError
from storectl.options import Options
from storectl.project import locate_project
from support.client_project import DEFAULT_PATH, ClientHome, client_home, make_environment, write_program
from support.fake_daemon import environment_info, problem, progress, serve_daemon, silent_socket

SHOW = "import json, sys; print(json.dumps([sys.argv, sys.prefix, sys.flags.optimize, sys.flags.isolated]))"

HEAVY = {"click", "enum", "h11", "json", "re", "signal", "typing", "dataclasses", "importlib.metadata", "pathlib"}


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        (home.project / "show.py").write_text(SHOW)
        yield home


def ready(home: ClientHome, environment: Path) -> dict[str, object]:
    return {"event": "ready", "environment": environment_info(environment, project=home.project)}


def failed(code: str) -> dict[str, object]:
    return {"event": "failed", "problem": problem(code, "uv.lock: line 3: not TOML", "lock again")}


def first_words(text: str) -> list[str]:
    return [line.partition(": ")[0] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show.py", "-p", "--extra"), [["show.py", "-p", "--extra"], 0, 0]),
        (("./show.py",), [["./show.py"], 0, 0]),
        (("-O", "show.py"), [["show.py"], 1, 0]),
        (("-OI", "show.py"), [["show.py"], 1, 1]),
        (("-Ic", SHOW, "-p"), [["-c", "-p"], 0, 1]),
        (("-c", SHOW, "--", "x"), [["-c", "--", "x"], 0, 0]),
    ],
)
def test_a_ready_environment_runs_the_program(
    home: ClientHome, arguments: tuple[str, ...], expected: list[object]
) -> None:
    done = home.storectl("run", *arguments)
    argv, prefix, *flags = json.loads(done.stdout)
    assert [argv, *flags] == expected
    assert (prefix, done.stderr, done.returncode) == (str(home.environment), "", 0)


def test_the_standard_input_can_be_the_program_or_its_input(home: ClientHome) -> None:
    assert home.storectl("run", "-", "a", stdin="import sys; print(sys.argv)").stdout == "['-', 'a']\n"
    assert home.storectl("run", "-c", "print(input())", stdin="read me\n").stdout == "read me\n"
    assert home.storectl("run", stdin="print(6 * 7)").stdout == "42\n"


def test_a_script_runs_where_the_current_folder_is_gone(home: ClientHome) -> None:
    absolute = str(home.project / "show.py")
    assert (_in_a_folder_that_is_gone(home, absolute).returncode, _in_a_folder_that_is_gone(home, absolute).stderr) == (
        0,
        "",
    )
    elsewhere = _in_a_folder_that_is_gone(home, "--project", str(home.project), "-c", "print(6 * 7)")
    assert elsewhere.stdout == "42\n"


@pytest.mark.parametrize("arguments", [("-c", "pass"), ("--lock", "uv.lock", "-c", "pass"), ("greet",)], ids=" ".join)
def test_what_needs_the_current_folder_says_that_it_is_gone(home: ClientHome, arguments: tuple[str, ...]) -> None:
    done = _in_a_folder_that_is_gone(home, *arguments)
    assert done.returncode == 125
    assert done.stderr.startswith("storectl: E_NO_FOLDER: the current folder is gone\nhint: ")


def _in_a_folder_that_is_gone(home: ClientHome, *arguments: str) -> subprocess.CompletedProcess[str]:
    gone = home.root / "gone"
    gone.mkdir()
    program = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return subprocess.run(
        [sys.executable, "-c", program, "-m", "storectl", "run", *arguments],
        cwd=gone, env=home.environ(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_ready_environment_needs_no_heavy_module(home: ClientHome) -> None:
    home.write_record(Options(python="3.12").key)
    code = (
        "import os, sys\n"
        "os.execve = lambda command, *_: (print(command, *sorted(sys.modules)), sys.exit(0))\n"
        "sys.argv = ['storectl', 'run', '-p', '3.12', 'show.py']\n"
        "from storectl.command_line import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=home.project,
        env=home.environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    command, *modules = done.stdout.split()
    assert command == f"{home.environment}/bin/python"
    assert HEAVY & set(modules) == set()


def test_the_program_s_variables_are_those_the_launcher_sets(home: ClientHome) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    before = home.environ(PYTHONHOME="", STORECTL_SOCKET="/tmp/stale.sock")
    after = json.loads(home.storectl("run", "-c", code, PYTHONHOME="", STORECTL_SOCKET="/tmp/stale.sock").stdout)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)} - {"LC_CTYPE"}
    assert changed == {"PATH", "VIRTUAL_ENV", "STORECTL_SOCKET", "STORECTL_LEASE"}
    assert after["PATH"] == f"{home.environment}/bin:{before['PATH']}"
    assert "STORECTL_SOCKET" not in after
    with serve_daemon(home.socket):
        assert "STORECTL_SOCKET" not in json.loads(home.storectl("run", "-c", code).stdout)
        home.write_daemon_file()
        assert json.loads(home.storectl("run", "-c", code).stdout)["STORECTL_SOCKET"] == str(home.socket)


def test_signals_are_as_python_finds_them(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "show-signals", "#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc")
    ignored = int(home.storectl("run", "show-signals").stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


@pytest.mark.parametrize("code", [0, 1, 3, 126])
def test_the_exit_code_is_the_program_s(home: ClientHome, code: int) -> None:
    assert home.storectl("run", "-c", f"raise SystemExit({code})").returncode == code


def test_death_by_a_signal_is_the_program_s(home: ClientHome) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert home.storectl("run", "-c", code).returncode == -signal.SIGKILL


def test_a_linked_script_has_the_project_of_the_file_it_leads_to(home: ClientHome) -> None:
    outside = home.home / "outside"
    outside.mkdir()
    (outside / "link.py").symlink_to(home.project / "show.py")
    assert json.loads(home.storectl("run", "link.py", cwd=outside).stdout)[1] == str(home.environment)


def test_names_are_looked_for_in_the_environment_the_folder_and_on_path(home: ClientHome) -> None:
    folder = home.root / "tools"
    folder.mkdir()
    for name in ("greet", "local", "tool"):
        write_program(folder / name, f"#!/bin/sh\necho path-{name} $1\n")
    for name in ("greet", "local"):
        (home.project / name).write_text(f"print('file-{name}')")
    path = f"{folder}:/usr/bin:/bin"
    assert home.storectl("run", "greet", PATH=path).stdout == "greet \n"
    assert home.storectl("run", "local", PATH=path).stdout == "file-local\n"
    assert home.storectl("run", "tool", "-h", PATH=path).stdout == "path-tool -h\n"


def test_a_command_without_an_interpreter_line_is_a_shell_script(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "bare", "echo bare $1\n")
    assert home.storectl("run", "bare", "x").stdout == "bare x\n"


def test_a_missing_command_is_127_with_names_like_it(home: ClientHome) -> None:
    done = home.storectl("run", "gret")
    assert done.returncode == 127
    assert first_words(done.stderr) == ["storectl", "hint"]
    assert "E_NOT_FOUND: no such script or command: gret" in done.stderr
    assert "greet" in done.stderr.splitlines()[1]


def test_a_missing_script_is_127_with_names_like_it(home: ClientHome) -> None:
    done = home.storectl("run", "shwo.py")
    assert (done.returncode, "show.py" in done.stderr) == (127, True)


def test_a_command_whose_interpreter_is_missing_is_127(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "stale", "#!/nowhere/python\n")
    done = home.storectl("run", "stale")
    assert (done.returncode, "E_NOT_FOUND" in done.stderr) == (127, True)


def test_a_command_that_is_not_executable_is_126(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "plain", "#!/bin/sh\n", mode=0o644)
    done = home.storectl("run", "plain")
    assert (done.returncode, "E_NOT_EXECUTABLE" in done.stderr) == (126, True)


def test_interpreter_options_for_a_command_are_a_usage_error(home: ClientHome) -> None:
    done = home.storectl("run", "-O", "greet")
    assert (done.returncode, "-O -m greet" in done.stderr) == (2, True)


def test_no_lock_file_is_125(home: ClientHome) -> None:
    done = home.storectl("run", "--extra", "x", "-c", "pass", cwd=home.home)
    assert (done.returncode, "E_NO_LOCK" in done.stderr) == (125, True)
    missing = home.storectl("run", "--lock", "nowhere.lock", "show.py")
    assert (missing.returncode, "E_NO_LOCK" in missing.stderr) == (125, True)


def test_an_environment_that_is_not_ready_is_made_by_the_daemon(home: ClientHome) -> None:
    other = make_environment(home.root / "other")
    with serve_daemon(home.socket) as daemon:
        daemon.warm_events = [progress(), {"event": "warning", "message": "two\x1b[2J names"}, ready(home, other)]
        done = home.storectl("run", "-p", "3.12", "--extra", "e", "--group", "g", "--no-default-groups", "show.py")
    assert json.loads(done.stdout)[1] == str(other)
    assert done.stderr == "storectl: warning: two\\x1b[2J names\n"
    (body,) = daemon.asked("POST", "/v1/warm")
    assert body is not None
    assert body.pop("environ").items() >= {"HOME": str(home.home), "PATH": home.environ()["PATH"]}.items()
    assert [body] == [
        {
            "start": str(home.project),
            "lock_file": None,
            "overlay": None,
            "member": None,
            "python": "3.12",
            "extras": ["e"],
            "all_extras": False,
            "groups": ["g"],
            "default_groups": False,
            "only_groups": False,
            "offline": False,
            "bytecode": False,
            "thorough": False,
        }
    ]


def test_a_lock_file_by_name_makes_its_folder_the_project(home: ClientHome) -> None:
    with serve_daemon(home.socket) as daemon:
        daemon.warm_events = [ready(home, home.environment)]
        home.storectl("run", "--lock", "project/uv.lock", "-c", "pass", cwd=home.home)
    (body,) = daemon.asked("POST", "/v1/warm")
    assert body is not None
    assert (body["start"], body["lock_file"]) == (str(home.project), str(home.project / "uv.lock"))


def test_a_ready_environment_asks_no_daemon_though_one_is_stuck(home: ClientHome) -> None:
    with silent_socket(home.socket):
        assert home.storectl("run", "-c", "print('ran')").stdout == "ran\n"


def test_a_broken_lock_file_leaves_the_last_good_environment_in_service(home: ClientHome) -> None:
    home.write_input("uv.lock", "<<<<<<< HEAD\n")
    with serve_daemon(home.socket) as daemon:
        daemon.warm_events = [failed("E_LOCK")]
        done = home.storectl("run", "-c", "import sys; print(sys.prefix); sys.exit(5)")
    assert (done.stdout, done.returncode) == (f"{home.environment}\n", 5)
    assert done.stderr.startswith("storectl: warning: E_LOCK: uv.lock: line 3: not TOML")
    assert done.stderr.count("\n") == 1


def test_a_broken_lock_file_that_never_worked_is_125(home: ClientHome) -> None:
    home.write_input("uv.lock", "<<<<<<< HEAD\n")
    with serve_daemon(home.socket) as daemon:
        daemon.warm_events = [failed("E_LOCK")]
        done = home.storectl("run", "--extra", "never-made", "-c", "print('ran')")
    assert (done.stdout, done.returncode) == ("", 125)
    assert done.stderr == "storectl: E_LOCK: uv.lock: line 3: not TOML\nhint: lock again\n"


@pytest.mark.parametrize("code", ["E_HASH", "E_NO_WHEEL", "E_NO_LOCK"])
def test_any_other_failure_runs_nothing(home: ClientHome, code: str) -> None:
    home.write_input("uv.lock", "changed\n")
    with serve_daemon(home.socket) as daemon:
        daemon.warm_events = [failed(code)]
        done = home.storectl("run", "-c", "print('ran')")
    assert (done.stdout, done.returncode) == ("", 125)
    assert f"storectl: {code}: " in done.stderr


def test_ctrl_c_reaches_the_program_once_and_the_terminal_is_its_own(home: ClientHome) -> None:
    script = home.project / "interrupted.py"
    script.write_text(
        "import os, signal, sys\n"
        "count = 0\n"
        "def note(*_):\n"
        "    global count; count += 1; os.write(1, b'noted')\n"
        "signal.signal(signal.SIGINT, note)\n"
        "print('ready', sys.stdin.isatty(), flush=True)\n"
        "line = sys.stdin.readline().strip()\n"
        "print('total', count, line, flush=True)\n"
        "raise SystemExit(9)\n"
    )
    with Terminal(home, "run", "interrupted.py") as terminal:
        terminal.read_until("ready True")
        terminal.write(b"\x03")
        terminal.read_until("noted")
        terminal.write(b"end\n")
        terminal.read_until("total 1 end")
        assert terminal.wait() == 9


def test_the_interactive_interpreter_is_interactive(home: ClientHome) -> None:
    with Terminal(home, "run") as terminal:
        terminal.read_until(">>> ")
        terminal.write(b"import sys; print('in', sys.prefix)\n")
        terminal.read_until(f"in {home.environment}")
        terminal.write(b"raise SystemExit(4)\n")
        assert terminal.wait() == 4


class Terminal:
    """`storectl-python` with these arguments on a pseudo-terminal of its own."""

    def __init__(self, home: ClientHome, *arguments: str) -> None:
        self.seen = b""
        self.status: int | None = None
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home.project)
            command = [sys.executable, "-m", "storectl", *arguments]
            os.execve(command[0], command, home.environ(TERM="dumb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.terminal)
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def write(self, data: bytes) -> None:
        os.write(self.terminal, data)

    def read_until(self, text: str) -> None:
        while text.encode() not in self.seen:
            assert select.select([self.terminal], [], [], 30)[0], f"waited for {text!r}, saw {self.seen!r}"
            try:
                self.seen += os.read(self.terminal, 4096)
            except OSError as error:
                raise AssertionError(f"waited for {text!r}, saw {self.seen!r}") from error
        self.seen = self.seen.partition(text.encode())[2]

    def read_to_end(self) -> None:
        """Until nobody has the terminal any more, which Linux tells as an error and others as an end."""
        with contextlib.suppress(OSError):
            while select.select([self.terminal], [], [], 30)[0] and os.read(self.terminal, 4096):
                pass

    def wait(self) -> int:
        self.read_to_end()
        self.status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self.status)


def test_a_script_or_command_whose_name_begins_with_a_dash_runs_after_a_double_dash(home: ClientHome) -> None:
    (home.project / "-dash.py").write_text(SHOW)
    write_program(home.environment / "bin" / "-dash", '#!/bin/sh\necho "command $1"\n')
    assert json.loads(home.storectl("run", "--", "-dash.py", "-c").stdout)[0] == ["-dash.py", "-c"]
    assert json.loads(home.storectl("run", "-O", "--", "-dash.py").stdout)[2] == 1
    assert home.storectl("run", "--", "-dash", "-x").stdout == "command -x\n"
    done = home.storectl("run", "--", "-c", "pass")
    assert (done.returncode, "E_NOT_FOUND: no such script or command: -c" in done.stderr) == (127, True)


def test_a_command_may_have_the_suffix_of_scripts(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "rst2html.py", '#!/bin/sh\necho "command $1"\n')
    on_path = home.root / "elsewhere"
    on_path.mkdir()
    write_program(on_path / "other.py", '#!/bin/sh\necho "other $1"\n')
    assert home.storectl("run", "rst2html.py", "-x").stdout == "command -x\n"
    path = f"{on_path}:{DEFAULT_PATH}"
    assert home.storectl("run", "other.py", "-x", PATH=path).stdout == "other -x\n"
    (home.project / "rst2html.py").write_text(SHOW)
    assert json.loads(home.storectl("run", "rst2html.py").stdout)[0] == ["rst2html.py"]


def test_a_script_that_is_not_there_is_said_with_and_without_a_project(home: ClientHome) -> None:
    for folder in (home.project, home.home):
        (folder / "show.py").write_text(SHOW)
        done = home.storectl("run", "shwo.py", cwd=folder)
        assert (done.returncode, "E_NOT_FOUND: no such script" in done.stderr) == (127, True)
        assert "hint: there is show.py\n" in done.stderr


def test_a_lock_file_that_git_is_about_to_replace_is_waited_for(
    home: ClientHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file, aside = home.project / "uv.lock", home.root / "aside"
    (home.project / ".git").mkdir()
    (home.project / ".git" / "index.lock").touch()
    lock_file.rename(aside)
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            aside.rename(lock_file)

    monkeypatch.setattr(time, "sleep", sleep)
    start = str(home.project)
    assert locate_project([start], Options(), {"HOME": str(home.home)}) == (start, str(lock_file))
    lock_file.unlink()
    with pytest.raises(NoLockFileError):
        locate_project([start], Options(), {"HOME": str(home.home)})
    (home.project / ".git" / "index.lock").unlink()
    before = len(waited)
    with pytest.raises(NoLockFileError):
        locate_project([start], Options(), {"HOME": str(home.home)})
    assert len(waited) == before
