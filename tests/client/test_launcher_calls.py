"""What each shape of a start costs before its program: system calls, and no process. `-s` prints the numbers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_shim.project_record import options_key
from storectl_shim.shortcuts import TOOLS, quoted, shortcut_content, shortcut_path, stamp_path
from support.client_project import LAUNCHER, ClientHome, age, client_home, write_program

pytestmark = pytest.mark.skipif(not shutil.which("strace") or not shutil.which("dash"), reason="strace counts dash's")
KEY = options_key(extras=["a"])
SHELL_ALONE = 60
"""Most calls of dash itself, before it reads the first line."""


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        home.write_record(KEY)
        home.write_daemon_file()
        for name in ("hello.py", "own.py", "sub/hello.py", "one/hello.py"):
            (home.project / name).parent.mkdir(exist_ok=True)
            (home.project / name).write_text("print('hello')\n")
        (home.project / "own.py").write_text("# /// script\n# ///\n")
        (home.project / "one/pyproject.toml").touch()
        age(home.project / "own.py")
        shortcut(home, home.project, "extras=a")
        shortcut(home, home.project / "own.py", "plain", as_before=home.project / "own.py")
        shortcut(home, home.project / "one", "plain")
        shortcut(home, f"{TOOLS}/greet", "plain")
        named = home.home / ".local/state/storectl/named/data"
        named.mkdir(parents=True)
        shortcut(home, named, "plain")
        yield home


def shortcut(home: ClientHome, start: Path | str, spelling: str, as_before: Path | None = None) -> None:
    path = Path(shortcut_path(str(home.store), str(start), spelling))
    path.parent.mkdir(parents=True)
    calls = [f"_storectl_to {quoted(str(home.project))} {KEY}"]
    if as_before is not None:
        at = as_before.stat().st_mtime_ns
        stamp = Path(stamp_path(str(path), at))
        stamp.touch()
        os.utime(stamp, ns=(at, at))
        calls.insert(0, f"_storectl_as_before {quoted(str(as_before))} +{at}")
    path.write_bytes(shortcut_content(calls))


@pytest.mark.parametrize(
    ("row", "arguments", "most"),
    [
        ("hello", ["run", "hello.py"], 90),
        ("command", ["run", "greet"], 70),
        ("folder below", ["run", "sub/hello.py"], 120),
        ("options", ["run", "--extra", "a", "--offline", "hello.py"], 120),
        ("script", ["run", "own.py"], 130),
        ("member", ["run", "one/hello.py"], 140),
        ("named environment", ["run", "-e", "data", "hello.py"], 100),
        ("tool", ["tool", "run", "greet"], 90),
    ],
)
def test_a_start_costs_few_system_calls_and_no_process(
    home: ClientHome, row: str, arguments: list[str], most: int
) -> None:
    trace = home.root / "trace"
    done = subprocess.run(
        ["strace", "-qq", "-f", "-e", "signal=none", "-o", trace, "dash", home.bin / "storectl", *arguments],
        cwd=home.project, env=home.program_environ(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert (done.stderr, done.returncode) == ("", 0)
    calls = [line.split(None, 1)[1].partition("(")[0] for line in trace.read_text().splitlines()]
    program = [number for number, call in enumerate(calls) if call == "execve"][1]
    print(f"{row}: {program} system calls before the program")
    assert not {"fork", "vfork", "clone", "clone3"} & set(calls[:program])
    assert program <= SHELL_ALONE + most
