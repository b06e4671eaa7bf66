"""The line about what was made ahead: which run tells it, to whom, and that the launcher is quick afterwards."""

import sys
from collections.abc import Iterator

import pytest

from storectl.isolation import FLAGS
from storectl_shim.project_record import options_key
from support.client_project import ClientHome, client_home
from support.fake_daemon import environment_info, serve_daemon
from support.terminal import on_terminal

LINE = "this was ready before you asked (branch fix-ci): 4.1 s of waiting saved"
TOLD = f"storectl: {LINE} (storectl env show tells more; STORECTL_TELL=never, nothing)\r\n"


@pytest.fixture
def home() -> Iterator[ClientHome]:
    """A project that is ready, and whose record has something to tell."""
    with client_home() as home:
        (home.project / "hello.py").write_text("print('hello')")
        (home.fast / "environment").rename(home.fast / ".environment")
        (home.record / ".tell").write_text(f"{home.environment}\n{LINE}\n")
        yield home


def on_a_terminal(home: ClientHome, *arguments: str, **variables: str) -> tuple[str, str]:
    """What a command prints on standard output, and what on standard error if that is a terminal."""
    command = [sys.executable, *FLAGS, "-m", "storectl", *arguments]
    return on_terminal(command, cwd=home.project, env=home.environ(**variables))


def test_the_first_run_on_a_terminal_tells_it_and_the_next_does_not(home: ClientHome) -> None:
    assert on_a_terminal(home, "run", "hello.py") == ("hello\n", TOLD)
    assert on_a_terminal(home, "run", "hello.py") == ("hello\n", "")


@pytest.mark.parametrize(
    "variables", [{"STORECTL_TELL": "never"}, {"STORECTL_TELL": "0"}, {"STORECTL_QUIET": "1"}], ids=str
)
def test_one_that_is_to_be_quiet_tells_nothing(home: ClientHome, variables: dict[str, str]) -> None:
    assert on_a_terminal(home, "run", "hello.py", **variables) == ("hello\n", "")
    assert on_a_terminal(home, "run", "hello.py") == ("hello\n", "")


def test_one_without_a_terminal_tells_nothing(home: ClientHome) -> None:
    done = home.storectl("run", "hello.py")
    assert (done.stdout, done.stderr) == ("hello\n", "")
    assert on_a_terminal(home, "run", "hello.py") == ("hello\n", "")


def test_whoever_is_first_the_launcher_is_quick_afterwards(home: ClientHome) -> None:
    home.storectl("run", "hello.py")
    assert str(home.environment) in (home.fast / "environment").read_text()
    assert not (home.fast / ".environment").exists()


def test_a_run_with_other_options_leaves_it_to_the_next_one(home: ClientHome) -> None:
    home.write_record(options_key(extras=["more"]))
    assert on_a_terminal(home, "run", "--extra", "more", "hello.py") == ("hello\n", "")
    assert on_a_terminal(home, "run", "hello.py") == ("hello\n", TOLD)


def test_a_record_that_does_not_hold_any_more_has_nothing_to_tell(home: ClientHome) -> None:
    home.write_input("uv.lock", "another")
    with serve_daemon(home.socket) as daemon:
        home.write_daemon_file()
        daemon.warm_events = [{"event": "ready", "environment": environment_info(home.environment)}]
        assert on_a_terminal(home, "run", "hello.py") == ("hello\n", "")
    assert (home.fast / ".environment").exists()
