"""Every command but `run`: its output for people and for scripts, its exit code, its errors."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import storectl
from storectl.cli import root
from storectl.commands.examination import examine
from storectl.commands.parameters import Group
from storectl.daemon.warming import GOES_ON
from support.client_project import LAUNCHER, ClientHome
from support.fake_daemon import (
    FakeDaemon,
    environment_info,
    problem,
    progress,
    project_state,
    serve_daemon,
    silent_socket,
)

COMMANDS = ["run", "warm", "watch", "link", "daemon", "env", "store", "doctor"]


@pytest.fixture
def daemon(home: ClientHome) -> Iterator[FakeDaemon]:
    with serve_daemon(home.socket) as daemon:
        yield daemon


def ready(home: ClientHome, environment: Path | None = None) -> dict[str, Any]:
    return {"event": "ready", "environment": environment_info(environment or home.environment, project=home.project)}


def entry(name: str, prefix: str, size: int = 1_234_567) -> dict[str, Any]:
    facts = {"version": "1.0", "digest": f"sha256:{prefix * 2}", "filename": f"{name}-1.0-py3-none-any.whl"}
    return {"name": name, "prefix": prefix, "size": size, **facts}


def test_the_version_is_the_project_s() -> None:
    pyproject = tomllib.loads((LAUNCHER.parents[2] / "pyproject.toml").read_text())
    assert storectl.__version__ == pyproject["project"]["version"]


def test_version_and_help_are_printed(home: ClientHome) -> None:
    assert home.storectl("--version").stdout == f"storectl {storectl.__version__}\n"
    help_text = home.storectl("--help").stdout
    assert all(re.search(rf"\b{command}\b", help_text) for command in COMMANDS)


def test_lists_of_commands_say_the_first_sentence_of_their_help() -> None:
    context = click.Context(root)
    commands = [root, *(root.get_command(context, name) for name in root.list_commands(context))]
    for group in (command for command in commands if isinstance(command, Group)):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            said = "" if command.hidden else command.get_short_help_str(limit=200)
            assert group.sentence(context, name).rstrip(".") == said.rstrip(".")


@pytest.mark.parametrize(
    "arguments", [("frobnicate",), ("warm", "--frobnicate"), ("store", "show"), ("daemon", "frob")]
)
def test_what_is_not_understood_is_told_in_a_line_and_a_hint(home: ClientHome, arguments: tuple[str, ...]) -> None:
    done = home.storectl(*arguments)
    assert done.returncode == 2
    assert re.fullmatch(r"storectl: E_USAGE: .+\nhint: see storectl.* --help\n", done.stderr)


def test_warm_waits_until_the_environment_is_ready(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [progress(), ready(home)]
    done = home.storectl("warm", "-p", "3.12", "--extra", "a", "--group", "g")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(home.environment) in done.stdout
    (body,) = daemon.asked("POST", "/v1/warm")
    assert body is not None
    assert (body["python"], body["extras"], body["groups"], body["default_groups"]) == ("3.12", ["a"], ["g"], True)
    machine = json.loads(home.storectl("warm", "--json").stdout)
    assert (machine["path"], machine["wheels"]) == (str(home.environment), 7)


def test_warm_that_fails_tells_the_daemon_s_reason(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [
        {"event": "failed", "problem": problem("E_HASH", "six is not what uv.lock says", "lock again")}
    ]
    done = home.storectl("warm")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "storectl: E_HASH: six is not what uv.lock says\nhint: lock again\n"


def test_a_problem_cannot_steer_the_terminal(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [{"event": "failed", "problem": problem("E_LOCK", "line\n\x1b]0;pwned\x07", "\x1b[2J")}]
    done = home.storectl("warm")
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 2


def test_a_separator_of_lines_inside_a_message_is_no_end_of_an_event(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [{"event": "warning", "message": "a\u2028b\x85c"}, ready(home)]
    done = home.storectl("warm")
    assert (done.returncode, done.stderr) == (0, "storectl: warning: a\\u2028b\\x85c\n")


def test_a_stream_that_breaks_off_is_told(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [progress()]
    done = home.storectl("warm")
    assert (done.returncode, "E_DAEMON_GONE: the daemon went away" in done.stderr) == (1, True)


def test_ctrl_c_while_warming_is_130_and_says_that_the_daemon_goes_on(home: ClientHome, daemon: FakeDaemon) -> None:
    def hang(handler: Any) -> bool:
        if handler.path != "/v1/warm":
            return False
        os.kill(process.pid, signal.SIGINT)
        handler.rfile.read(1)  # until the command is gone
        return True

    daemon.respond = hang
    command = [sys.executable, "-m", "storectl", "warm"]
    process = subprocess.Popen(command, cwd=home.project, env=home.environ(), stderr=subprocess.PIPE, text=True)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, GOES_ON)


def test_a_stuck_daemon_hangs_no_command(home: ClientHome) -> None:
    with silent_socket(home.socket):
        done = home.storectl("daemon", "status")
    assert (done.returncode, "E_DAEMON_TIMEOUT" in done.stderr) == (1, True)


def test_a_daemon_of_another_api_is_told(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.api_version = 2
    done = home.storectl("warm")
    assert (done.returncode, "E_DAEMON_VERSION" in done.stderr, "daemon stop" in done.stderr) == (1, True, True)


def test_an_answer_that_is_none_is_told(home: ClientHome, daemon: FakeDaemon) -> None:
    def answer(handler: Any) -> bool:
        handler.send_bytes(200, b"<html>", "text/html")
        return True

    daemon.respond = answer
    done = home.storectl("env", "show")
    assert (done.returncode, "E_DAEMON_VERSION" in done.stderr) == (1, True)


def test_watch_list_tells_of_folders_that_are_gone_and_not_of_our_own(home: ClientHome, daemon: FakeDaemon) -> None:
    gone, state = home.home / "gone", home.home / ".local" / "state" / "storectl"
    for path in (home.project, gone, state / "overlays" / "0123", state / "tools" / "4567"):
        daemon.known[str(path)] = project_state(path)
    listed = home.storectl("watch", "list").stdout.splitlines()
    assert listed == [f"{home.project}  ready", f"{gone}     gone: the folder is not there any more"]
    assert [state["path"] for state in json.loads(home.storectl("watch", "list", "--json").stdout)] == [
        str(home.project),
        str(gone),
    ]


def test_watch_adds_lists_and_removes(home: ClientHome, daemon: FakeDaemon) -> None:
    (home.project / "src").mkdir()
    assert home.storectl("watch", "add", "src").stdout == f"watching {home.project}\n"
    assert home.storectl("watch", "list").stdout == f"{home.project}  warming\n"
    assert json.loads(home.storectl("watch", "list", "--json").stdout)[0]["path"] == str(home.project)
    assert home.storectl("watch", "remove").stdout == f"no longer watching {home.project}\n"
    assert daemon.known == {}


def test_env_show_registers_a_project_that_is_not_known(home: ClientHome, daemon: FakeDaemon) -> None:
    assert json.loads(home.storectl("env", "show", "--json").stdout)["state"] == "warming"
    assert list(daemon.known) == [str(home.project)]


def test_env_show_tells_the_lock_file_before_the_first_warm(home: ClientHome, daemon: FakeDaemon) -> None:
    def answer(handler: Any) -> bool:
        if (handler.command, handler.path) != ("POST", "/v1/projects"):
            return False
        handler.send_json(200, project_state(home.project, "warming", lock_file=None))
        return True

    daemon.respond = answer
    assert f"lock file: {home.project / 'uv.lock'}\nstate: warming\n" in home.storectl("env", "show").stdout


def test_env_show_of_a_project_inside_another_is_about_that_one(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.known[str(home.home)] = project_state(home.home)
    assert f"project: {home.project}\n" in home.storectl("env", "show").stdout


def test_env_show_has_the_daemon_look_if_a_file_has_changed_since(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.known[str(home.project)] = project_state(home.project, environment=environment_info(home.environment))
    assert "state: ready\n" in home.storectl("env", "show").stdout
    home.write_input("uv.lock", "changed\n")
    home.storectl("env", "show")
    assert [body and body["path"] for body in daemon.asked("POST", "/v1/projects")] == [str(home.project)]


@pytest.mark.parametrize("word", ["notice", "rolled-back"])
def test_a_stale_lock_file_or_a_rollback_is_told_by_env_show_and_doctor(
    home: ClientHome, daemon: FakeDaemon, word: str
) -> None:
    notice = "uv.lock was made before pyproject.toml changed: run `uv lock`"
    record = home.record / "ready.default"
    record.write_text(f"{record.read_text()}{word} {notice}\n")
    daemon.known[str(home.project)] = project_state(home.project, environment=environment_info(home.environment))
    assert f"\nwarning: {notice}\n" in home.storectl("env", "show").stdout
    assert json.loads(home.storectl("env", "show", "--json").stdout)["warnings"] == [notice]
    done = home.storectl("doctor")
    assert (done.returncode, f"WRONG  project: {notice}\n" in done.stdout) == (1, True)


def test_env_show_without_a_lock_file_is_a_problem(home: ClientHome, daemon: FakeDaemon) -> None:
    done = home.storectl("env", "show", cwd=home.home)
    assert (done.returncode, "E_NO_LOCK" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "facts", "text"),
    [
        ("env", {"state": "ready"}, "ready"),
        ("env show", {"state": "warming", "progress": progress(done=2)}, "warming: fetching 2 of 4 (50 %): numpy"),
        ("env show .", {"state": "failed", "problem": problem("E_LOCK", "broken", "mend")}, "failed: E_LOCK: broken"),
    ],
)
def test_env_tells_the_state(
    home: ClientHome, daemon: FakeDaemon, arguments: str, facts: dict[str, Any], text: str
) -> None:
    environment = environment_info(home.environment)
    daemon.known[str(home.project)] = project_state(home.project, environment=environment, **facts)
    done = home.storectl(*arguments.split())
    assert done.returncode == 0
    assert f"state: {text}" in done.stdout
    assert f"environment: {home.environment}" in done.stdout
    shown = json.loads(home.storectl("env", "show", "--json").stdout)
    assert shown["state"] == facts["state"]
    assert shown["environment"]["path"] == str(home.environment)


def test_env_path_needs_no_daemon_where_the_record_holds(home: ClientHome) -> None:
    assert home.storectl("env", "path").stdout == f"{home.environment}\n"


def test_env_path_fails_where_the_environment_is_not_ready(home: ClientHome, daemon: FakeDaemon) -> None:
    home.write_input("uv.lock", "changed\n")
    done = home.storectl("env", "path")
    assert (done.returncode, done.stdout, "E_NOT_READY" in done.stderr) == (1, "", True)


def test_env_list_prints_every_environment_those_that_no_project_uses_too(home: ClientHome, daemon: FakeDaemon) -> None:
    unused = {**environment_info("/store/environments/def"), "project": None, "lock_file": None}
    daemon.environments = [environment_info("/store/environments/abc"), unused]
    assert home.storectl("env", "list").stdout == "abc  3.12.1  7  /project\ndef  3.12.1  7  -\n"
    listed = json.loads(home.storectl("env", "list", "--json").stdout)
    assert [(environment["id"], environment["project"]) for environment in listed] == [
        ("abc", "/project"),
        ("def", None),
    ]


def test_one_wheel_is_no_wheels(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.warm_events = [{"event": "ready", "environment": {**environment_info(home.environment), "wheels": 1}}]
    assert home.storectl("warm").stdout.startswith("ready: 1 wheel for Python 3.12.1 in ")


def test_a_table_on_a_terminal_has_a_heading_and_whole_paths(home: ClientHome, daemon: FakeDaemon) -> None:
    path = f"/{'long' * 40}"
    daemon.known = {path: project_state(path)}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "storectl", "watch", "list"], cwd=home.project, env=home.environ(), stdout=theirs
    ) as process:
        os.close(theirs)
        assert process.wait(timeout=60) == 0
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert re.fullmatch(rf"project +state\r\n{path}  gone: .*\r\n", shown)


def test_help_says_what_options_take_and_cuts_nothing_off(home: ClientHome) -> None:
    for arguments in ((), ("watch",), ("warm",), ("daemon",), ("tool",), ("kernel", "install")):
        shown = home.storectl(*arguments, "--help").stdout
        assert "<bool>" not in shown
        assert "…" not in shown
        assert not re.search(r"\w\.\.\.$", shown, re.MULTILINE), shown


def test_store_list_prints_project_version_prefix_and_size(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.entries = [entry("numpy", "a" * 32), entry("six", "b" * 32, 950)]
    lines = home.storectl("store", "list").stdout.splitlines()
    assert lines == [f"numpy  1.0  {'a' * 32}  1.2 MB", f"six    1.0  {'b' * 32}  950 B"]
    assert json.loads(home.storectl("store", "list", "--json").stdout) == daemon.entries


def test_store_show_finds_by_name_and_by_prefix(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.entries = [entry("ruamel-yaml", "a" * 32), entry("six", "b" * 32)]
    for name in ("ruamel.yaml", "aaaa"):
        assert "name: ruamel-yaml\n" in home.storectl("store", "show", name).stdout
    assert json.loads(home.storectl("store", "show", "six", "--json").stdout)[0]["files"] == 3
    done = home.storectl("store", "show", "missing")
    assert (done.returncode, "E_NO_ENTRY" in done.stderr) == (1, True)


def test_store_verify_is_0_where_all_is_as_unpacked(home: ClientHome, daemon: FakeDaemon) -> None:
    checked = {"event": "checked", "kind": "entry", "name": "six", "prefix": "b" * 32}
    other = {"event": "checked", "kind": "environment", "name": "0" * 32, "prefix": ""}
    daemon.verify_events = [checked, {"event": "working"}, other, {"event": "done", "entries": 1, "findings": 0}]
    done = home.storectl("store", "verify")
    said = "1 entry and all that is made of them: as they should be\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_store_verify_is_1_where_something_is_not(home: ClientHome, daemon: FakeDaemon) -> None:
    found = {
        "kind": "entry",
        "name": "six",
        "version": "1.0",
        "prefix": "b" * 32,
        "path": "six.py",
        "what": "sha256 differs",
    }
    daemon.verify_events = [{"event": "finding", **found}, {"event": "done", "entries": 1, "findings": 1}]
    done = home.storectl("store", "verify")
    assert (done.returncode, "six.py: sha256 differs" in done.stdout) == (1, True)
    machine = home.storectl("store", "verify", "--json")
    assert (machine.returncode, json.loads(machine.stdout)) == (1, {"entries": 0, "findings": [found]})


FOUND = {"kind": "entry", "name": "six", "version": "1.0", "prefix": "b" * 32, "path": "six.py", "what": "it is gone"}
MENDED = {"kind": "entry", "name": "six", "prefix": "b" * 32, "how": "fetched again"}
PROBLEM = {"code": "E_LOST", "detail": "six is gone", "hint": "warm it"}
LEFT = {"kind": "entry", "name": "six", "prefix": "b" * 32, "problem": PROBLEM}


@pytest.mark.parametrize(
    ("event", "exit_code", "line"),
    [
        ({"event": "mended", **MENDED}, 0, "mended: entry six: fetched again"),
        ({"event": "left", **LEFT}, 1, "not mended: entry six: E_LOST: six is gone"),
    ],
)
def test_a_repair_is_0_where_all_that_was_found_is_mended(
    home: ClientHome, daemon: FakeDaemon, event: dict[str, object], exit_code: int, line: str
) -> None:
    daemon.features.append("repair")
    daemon.verify_events = [{"event": "finding", **FOUND}, event, {"event": "done"}]
    done = home.storectl("store", "verify", "--repair", "--offline")
    assert (done.returncode, line in done.stdout.splitlines()) == (exit_code, True)
    value = json.loads(home.storectl("store", "verify", "--repair", "--json").stdout)
    what = {key: value for key, value in event.items() if key != "event"}
    assert [value["findings"], value["mended"] + value["left"]] == [[FOUND], [what]]


def test_a_daemon_that_cannot_repair_is_not_taken_for_one_that_did(home: ClientHome, daemon: FakeDaemon) -> None:
    daemon.verify_events = [{"event": "done"}]
    done = home.storectl("store", "verify", "--repair")
    assert (done.returncode, "E_DAEMON_VERSION" in done.stderr, "daemon stop" in done.stderr) == (1, True, True)


def test_link_waits_for_the_environment_and_has_the_daemon_make_the_folder(
    home: ClientHome, daemon: FakeDaemon
) -> None:
    daemon.features.append("fronts")
    daemon.warm_events = [ready(home)]
    done = home.storectl("link", "--extra", "fast", "--name", "env", "--force")
    assert (done.returncode, done.stderr) == (0, "storectl: moved aside\n")
    ((warm,), (body,)) = daemon.asked("POST", "/v1/warm"), daemon.asked("POST", "/v1/links")
    assert warm is not None
    assert body is not None
    assert (body["path"], body["environment"], body["force"]) == (
        str(home.project / "env"),
        home.environment.name,
        True,
    )
    assert body["extras"] == warm["extras"] == ["fast"]


@pytest.mark.parametrize("command", ["link", "unlink"])
def test_a_daemon_that_knows_no_fronts_is_told_of(home: ClientHome, daemon: FakeDaemon, command: str) -> None:
    daemon.warm_events = [ready(home)]
    done = home.storectl(command)
    assert (done.returncode, "older storectl" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", ["link", "unlink"])
def test_a_link_has_a_name_but_no_path(home: ClientHome, daemon: FakeDaemon, command: str) -> None:
    daemon.features.append("fronts")
    assert home.storectl(command, "--name", "../env").returncode == 1
    assert daemon.requests == []


def test_doctor_finds_nothing_wrong_with_a_fresh_home(home: ClientHome) -> None:
    findings = {f["check"]: f for f in json.loads(home.storectl("doctor", "--json", PATH=os.environ["PATH"]).stdout)}
    assert findings["daemon"]["detail"].startswith("not running")
    assert findings["project"]["detail"].endswith(f"ready in {home.environment}")


def test_doctor_says_how_much_is_still_to_be_deleted(home: ClientHome) -> None:
    assert "trash:" not in home.storectl("doctor").stdout
    for name in ("entry.one.0", "entry.two.0"):
        (home.store / "trash" / name).mkdir(parents=True)
    assert "ok     trash: 2 things still to be deleted;" in home.storectl("doctor").stdout


def test_doctor_names_what_is_wrong(home: ClientHome, daemon: FakeDaemon) -> None:
    (home.store / "VERSION").write_text("storectl store 99\n")
    os.chmod(home.socket, 0o666)
    done = home.storectl("doctor")
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert [line.split()[1] for line in wrong if "watches" not in line and "interpreters" not in line] == [
        "store",
        "socket:",
    ]


UNREADABLE = f"/{'a' * 300}"  # longer than any name may be: not even root can look at it


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"PYENV_ROOT": UNREADABLE}, None),
        ({"HOME": UNREADABLE}, "store"),
        ({"STORECTL_STORE": UNREADABLE}, "store"),
        ({"XDG_DATA_HOME": UNREADABLE}, "store"),
        ({"PATH": UNREADABLE}, "interpreters"),
    ],
)
def test_doctor_goes_on_if_a_folder_cannot_be_looked_at(
    home: ClientHome, variables: dict[str, str], wrong: str | None
) -> None:
    done = home.storectl("doctor", "--json", cwd=home.project, stdin="", **variables)
    assert done.stderr == ""
    findings = {f["check"]: f for f in json.loads(done.stdout)}
    assert {"store", "daemon", "interpreters", "project"} <= set(findings) | {"store"}
    assert wrong is None or not findings[wrong]["ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_doctor_tells_of_a_store_and_a_pyenv_of_somebody_else(tmp_path: Path) -> None:
    for name in ("store", "pyenv/versions/3.12.1/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "store" / "VERSION").write_text("storectl store 1\n")
    (tmp_path / "store").chmod(0o700)
    (tmp_path / "pyenv").chmod(0o700)
    tmp_path.chmod(0o755)
    environ = {"HOME": "/nonexistent", "STORECTL_STORE": f"{tmp_path}/store", "PYENV_ROOT": f"{tmp_path}/pyenv"}
    os.seteuid(65534)
    try:
        findings = examine(environ, "/")
    finally:
        os.seteuid(0)
    wrong = {finding.check: finding.detail for finding in findings if not finding.ok}
    assert wrong["store"].endswith("Permission denied")


def test_a_file_that_the_system_refuses_is_no_defect(home: ClientHome) -> None:
    state = home.home / ".local" / "state" / "storectl"
    state.mkdir(parents=True)
    (state / "tools").write_text("")
    (state / "daemon.log").mkdir()
    done = home.storectl("lock", UNREADABLE)
    assert done.returncode in (1, 2)
    assert "E_DEFECT" not in done.stderr
    done = home.storectl("tool", "run", "black", XDG_STATE_HOME=UNREADABLE)
    assert done.returncode == 1
    assert re.match(r"storectl: E_DAEMON_START: cannot make /a+/.*: File name too long\nhint: ", done.stderr)


SLOW = {"asyncio", "difflib", "h11", "http", "pathlib", "socket", "subprocess", "tempfile", "urllib.parse"}
"""What a quick command does without: together it takes longer to load than such a command may."""


@pytest.mark.parametrize(
    "command", ["--help", "env path", "env show", "env list", "daemon status", "store list", "watch list", "warm"]
)
def test_a_command_loads_nothing_that_it_can_do_without(home: ClientHome, daemon: FakeDaemon, command: str) -> None:
    daemon.warm_events = [ready(home)]
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        f"sys.argv = ['storectl', *{command.split()}]\n"
        "from storectl.command_line import main\n"
        "code = main()\nprint(*(set(sys.modules) - before), file=sys.stderr)\nsys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home.project, env=home.environ(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert loaded & SLOW == set()
    assert {name for name in loaded if name.startswith("storectl.commands.")} <= {
        f"storectl.commands.{name}"
        for name in ("output", "parameters", "env", "verification", command.partition(" ")[0])
    }


def test_a_defect_shows_no_traceback_unless_asked_for(home: ClientHome) -> None:
    code = (
        "import sys; import storectl.cli\n"
        "def defect(*_): raise ZeroDivisionError('odd')\n"
        "storectl.cli.main = defect; sys.argv = ['storectl', 'doctor']\n"
        "from storectl.command_line import main; sys.exit(main())\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=home.environ(), capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("storectl: E_DEFECT: ZeroDivisionError: odd\nhint: ")
    debug = subprocess.run(command, env=home.environ(STORECTL_DEBUG="1"), capture_output=True, text=True, check=False)
    assert "Traceback" in debug.stderr
