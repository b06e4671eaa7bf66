"""What a lease costs: the system calls of a start with one, beside those of a start that takes none (A9.6)."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.client_project import LAUNCHER, ClientHome, client_home, write_program
from support.views import SHIM, View, build_front, build_view, pythons
from support.wheels import make_wheel

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace counts the system calls")
BY_LAUNCHER = """
        { [ ! -e /dev/fd/9 ] || [ /dev/fd/9 -ef "${_storectl_lease:-$_storectl_environment/pyvenv.cfg}" ]; } &&
        command exec 9<"$_storectl_environment/pyvenv.cfg" &&"""
BY_SHIM = (
    "    held = hold(root_of(alias), lease)\n    view = real_path(alias, held)\n",
    "    held = 0\n    view = real_path(alias)\n",
)
IN_FRONT = ("hold(root_of(view), lease) is not None", 'os.path.exists(root_of(view) + "/import-map")')


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        (home.project / "hello.py").write_text("print('hello')\n")
        yield home


@pytest.fixture
def view(home: ClientHome) -> View:
    view = build_view(home.root / "view", [make_wheel("alpha", files={"alpha/__init__.py": ""})], pythons()[0])
    (view.site_packages / "_storectl.pth").write_text("import _storectl; _storectl.start_uncustomized()\n")
    home.write_record(environment=view.root)
    return view


def calls(home: ClientHome, command: Sequence[str | Path]) -> tuple[int, int]:
    """How many system calls there are before the last program is executed, and from then on."""
    trace = home.root / "trace"
    subprocess.run(command, cwd=home.project, env=home.program_environ(), stdout=subprocess.DEVNULL, check=True)
    subprocess.run(
        ["strace", "-qq", "-e", "signal=none", "-o", trace, *command],
        cwd=home.project,
        env=home.program_environ(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    lines = trace.read_text().splitlines()
    executed = max(number for number, line in enumerate(lines) if line.startswith("execve("))
    return executed, len(lines) - executed


def put_shim(site_packages: Path, *, without: tuple[str, str] | None = None) -> None:
    """Put the shim there, or one that takes no lease."""
    source = SHIM.read_text()
    if without is not None:
        assert without[0] in source
        source = source.replace(*without)
    (site_packages / "_storectl.py").write_text(source)


@pytest.mark.skipif(not shutil.which("dash"), reason="dash is the shell that is counted")
def test_the_launcher_and_the_program_that_it_starts_make_few_more(home: ClientHome, view: View) -> None:
    text = LAUNCHER.read_text()
    assert BY_LAUNCHER in text
    launcher = write_program(home.bin / "storectl", text)
    plain = write_program(
        home.bin / "plain", text.replace(BY_LAUNCHER, "").replace("export PATH STORECTL_LEASE=9", "export PATH")
    )
    put_shim(view.site_packages)
    launching, running = calls(home, ["dash", launcher, "run", "hello.py"])
    put_shim(view.site_packages, without=BY_SHIM)
    launching_before, running_before = calls(home, ["dash", plain, "run", "hello.py"])
    assert launching - launching_before <= 5  # is it taken; open, look, move, close
    assert running - running_before <= 0  # the kernel tells the path by the lease, and no more has to be asked


def test_a_python_of_an_environment_makes_few_more(home: ClientHome, view: View) -> None:
    put_shim(view.site_packages)
    _, running = calls(home, [view.executable, "hello.py"])
    put_shim(view.site_packages, without=BY_SHIM)
    _, before = calls(home, [view.executable, "hello.py"])
    assert running - before <= 3


def test_a_python_of_a_front_makes_few_more(home: ClientHome, view: View) -> None:
    front = build_front(view, home.project / ".venv")
    _, running = calls(home, [front.executable, "hello.py"])
    put_shim(front.site_packages, without=IN_FRONT)
    os.utime(front.site_packages, (1, 1))
    _, before = calls(home, [front.executable, "hello.py"])
    assert running - before <= 4  # open, look, move, close, read, and one less to see if it is there
