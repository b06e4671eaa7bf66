"""Standard output that is closed, full, or read by nobody any more; of every kind of command."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.client_project import ClientHome
from support.fake_daemon import FakeDaemon, environment_info, project_state, serve_daemon

FULL = "/dev/full"

COMMANDS = [
    ("--version",),
    ("--help",),
    ("run", "--help"),
    ("watch", "list"),
    ("watch", "list", "--json"),
    ("env", "list"),
    ("store", "list"),
    ("daemon", "status"),
    ("daemon", "install", "--print"),
    ("env", "api"),
]


@pytest.fixture
def daemon(home: ClientHome) -> Iterator[FakeDaemon]:
    with serve_daemon(home.socket) as daemon:
        # More than a pipe and every buffer on the way to it hold.
        daemon.known = {f"/{n}": project_state(f"/{'project' * 20}/{n}") for n in range(2000)}
        daemon.environments = [environment_info("/environments/abc")]
        daemon.entries = [{"name": "six", "version": "1.0", "prefix": "b" * 32, "size": 1}]
        yield daemon


def redirected(home: ClientHome, arguments: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    command = shlex.join([sys.executable, "-m", "storectl", *arguments])
    return subprocess.run(
        ["/bin/sh", "-c", f"{command} {redirection}"],
        cwd=home.project,
        env=home.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        (">&-", "Bad file descriptor"),
        pytest.param(
            f">{FULL}",
            "No space left on device",
            marks=pytest.mark.skipif(not os.path.exists(FULL), reason="no device that is always full here"),
        ),
    ],
)
def test_output_that_cannot_be_written_is_told_in_a_line_and_a_hint(
    home: ClientHome, daemon: FakeDaemon, arguments: tuple[str, ...], redirection: str, reason: str
) -> None:
    done = redirected(home, arguments, redirection)
    assert done.returncode == (125 if arguments[0] == "run" else 1)
    line, hint, *rest = done.stderr.splitlines()
    assert line == f"storectl: E_OUTPUT: cannot write to standard output: {reason}"
    assert (hint.startswith("hint: "), rest) == (True, [])


@pytest.mark.parametrize("arguments", [("watch", "list"), ("watch", "list", "--json")])
def test_a_pipe_that_nobody_reads_ends_a_command_as_it_ends_cat(
    home: ClientHome, daemon: FakeDaemon, arguments: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    command = [sys.executable, "-m", "storectl", *arguments]
    with subprocess.Popen(
        command, cwd=home.project, env=home.environ(), stdout=write, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(write)
        os.read(read, 1)  # It writes; the rest is more than fits.
        os.close(read)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_be_told_is_the_exit_code_alone(home: ClientHome, redirection: str) -> None:
    done = redirected(home, ("frobnicate",), redirection)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_a_program_has_its_output_closed_as_it_was_given(home: ClientHome) -> None:
    code = "import sys; sys.stderr.write(f'{sys.stdout} {sys.stdin.read()}')"
    done = redirected(home, ("run", "-c", code), ">&- <&0")
    assert done.stderr == "None "


@pytest.mark.skipif(shutil.which("localedef") is None, reason="needs localedef")
def test_characters_that_the_output_does_not_have_are_escaped(home: ClientHome, daemon: FakeDaemon) -> None:
    subprocess.run(["localedef", "-i", "POSIX", "-f", "ISO-8859-5", "-c", str(home.root / "xx_XX")], check=False)
    variables = {"LOCPATH": str(home.root), "LC_ALL": "xx_XX", "PYTHONIOENCODING": "utf-8"}
    if not (home.root / "xx_XX" / "LC_CTYPE").exists():
        pytest.skip("needs the sources of locales")
    daemon.known = {"/ü": project_state("/ü")}
    assert home.storectl("watch", "list", cwd=home.project, stdin="", **variables).stdout.startswith("/\\xfc  ")
    shown = home.storectl("watch", "list", "--json", cwd=home.project, stdin="", **variables).stdout
    assert '"path": "/\\u00fc"' in shown


def test_a_folder_of_kernels_that_may_not_be_looked_at_hides_no_other(home: ClientHome) -> None:
    assert home.storectl("kernel", "install").returncode == 0
    unreadable = f"/{'a' * 300}"
    assert home.storectl("kernel", "list", JUPYTER_PATH=unreadable).stdout.startswith("storectl  ")
