"""Whatever has changed, the launcher starts what the command line in Python would start, or hands over."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storectl.options import Options
from support.client_project import ClientHome, client_home
from support.launched import BLOCK, SAY, UV_LOCK, World, change, command_line

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
STEPS = int(os.environ.get("STORECTL_STEPS", "2"))


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        yield home


@pytest.fixture(params=SHELLS)
def world(request: pytest.FixtureRequest, home: ClientHome) -> World:
    return World(home, [request.param, *(["--posix"] if request.param == "bash" else [])])


@pytest.mark.parametrize("seed", [int(os.environ.get("STORECTL_SEED", "19"))])
def test_after_every_change_the_launcher_starts_what_python_would_start(world: World, seed: int) -> None:
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    changes: list[str] = []
    for _ in range(STEPS):
        lines = [command_line(world, chance) for _ in range(8)]
        for _ in range(6):
            changes.append(change(world, chance))
            for arguments, folder in chance.sample(lines, 4):
                if folder.is_dir():
                    launched, meant = world.launched(arguments, folder), world.run(arguments, folder)
                    counts["slow" if launched == "slow" else "quick"] += 1
                    assert launched in ("slow", meant), (arguments, folder, changes[-5:])
    assert counts["quick"] > 2 * STEPS, counts


def none(_: World) -> None:
    """Nothing comes before the first start."""


def put(path: str, text: str) -> Callable[[World], None]:
    return lambda world: world.put(world.home.home / path, text)


def python_at(path: str) -> Callable[[World], None]:
    return lambda world: world.link(world.home.root / path, world.home.root / "3.12/python3.12")


def variable(name: str, value: str) -> Callable[[World], None]:
    """Give it a value, whose folder is in the world."""
    return lambda world: world.environ.update({name: f"{world.home.root}/{value}"})


def named(world: World, path: str) -> Path:
    return world.home.home / ".local/state/storectl/named" / path


def swap_members(world: World) -> None:
    """The lock file gives the two members each other's folder; the environment of that folder is there already."""
    world.put(world.home.home / "work/uv.lock", UV_LOCK.format("lib", "app"))
    world.run(["run", "--package", "lib", "-c", "pass"], world.home.home / "work")


def pin_above(world: World) -> None:
    world.put(world.home.home / ".python-version", "3.12\n")
    kept = {"STORECTL_STORE": f"{world.home.root}/store", "XDG_STATE_HOME": f"{world.home.root}/state"}
    world.environ.update(kept)


ROWS: dict[str, tuple[str, str, Callable[[World], object], Callable[[World], object]]] = {
    "another block": ("run tool.py", "work", none, put("work/tool.py", BLOCK.format('"idna"'))),
    "no block any more": ("run tool.py", "work", none, put("work/tool.py", "print()\n")),
    "a lock file beside the script": ("run tool.py", "work", none, put("work/tool.py.lock", "#\n")),
    "the other one beside the script": ("run tool.py", "work", none, put("work/pylock.tool.toml", "#\n")),
    "the preferred one beside the script": (
        "run tool.py", "work", put("work/pylock.tool.toml", "#\n"), put("work/tool.py.lock", "# new\n"),
    ),
    "a pin beside the script": ("run own.py", "loose", none, put("loose/.python-version", "3.12\n")),
    "a pin above the script": ("run own.py", "loose", none, put(".python-version", "3.12\n")),
    "another pin": ("run own.py", "loose", put(".python-version", "3.11\n"), put(".python-version", "3.12\n")),
    "a nearer pin": ("run own.py", "loose", put(".python-version", "3.11\n"), put("loose/.python-version", "3.12\n")),
    "a Python before": ("run own.py", "loose", none, python_at("first/python")),
    "another first Python": ("run own.py", "loose", none, python_at("second/python3")),
    "PATH": ("run own.py", "loose", python_at("third/python"), variable("PATH", "third:/usr/bin:/bin")),
    "HOME": ("run own.py", "loose", pin_above, variable("HOME", "home/loose")),
    "XDG_STATE_HOME and a script": ("run own.py", "loose", none, variable("XDG_STATE_HOME", "state")),
    "XDG_STATE_HOME and a tool": ("tool run greet", "loose", none, variable("XDG_STATE_HOME", "state")),
    "STORECTL_PYTHON and a tool": ("tool run greet", "loose", none, lambda w: w.environ.update(STORECTL_PYTHON="3.12")),
    "what was asked for": (
        "run -e follow -c pass", "loose", none,
        lambda w: w.put(named(w, "follow/asked"), f"storectl-named 1\nlock {w.home.home}/work/uv.lock\npython 3.12\n"),
    ),
    "the default": ("run -c pass", "loose", none, lambda w: w.link(named(w, "default"), Path("follow"))),
    "where a member is": ("run --package app -c pass", "work", none, swap_members),
    "a nearer member": ("run -c pass", "work/packages/app/src", none, put("work/packages/app/src/pyproject.toml", "")),
    "a nearer project": ("run --no-dev -c pass", "work/packages/app", none, put("work/packages/app/poetry.lock", "")),
    "no member any more": (
        "run -c pass", "work/packages/app", none,
        lambda w: (w.home.home / "work/packages/app/pyproject.toml").unlink(),
    ),
    "another build of the Python that is asked for": ("run -p 3.11 -c pass", "work", none, lambda w: w.install("3.11")),
    "another build of the Python of a script": ("run own.py", "loose", none, lambda w: w.install("3.11", f"{SAY}#\n")),
    "another build of the Python of a tool": ("tool run greet", "loose", none, lambda w: w.install("3.11")),
    "another build of the Python of a member": ("run -c pass", "work/packages/app", none, lambda w: w.install("3.11")),
    "the environment below --with": ("run --with six go.py", "work", none, put("work/pyproject.toml", "[project]\n")),
    "uv's settings and --with": ("run --with six==1 go.py", "work", none, variable("UV_RESOLUTION", "lowest")),
    "XDG_STATE_HOME and --with": ("run --with six go.py", "work", none, variable("XDG_STATE_HOME", "state")),
    "the lock of --with": (
        "run --with six go.py", "work", none,
        lambda w: shutil.rmtree(w.home.home / ".local/state/storectl/overlays"),
    ),
    "the block of a script with --with": (
        "run --with six tool.py", "work", none, put("work/tool.py", BLOCK.format('"idna"')),
    ),
    "another lock file that counts": ("run --extra x -c pass", "work", none, put("work/uv.lock", "version = 2\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_change_of_the_meaning_is_seen_at_once(home: ClientHome, name: str) -> None:
    world = World(home, ["sh"])
    line, place, before, then = ROWS[name]
    arguments, folder = line.split(), world.home.home / place
    before(world)
    meant = world.run(arguments, folder)
    assert world.launched(arguments, folder) == meant
    then(world)
    assert world.launched(arguments, folder) == "slow"
    changed = world.run(arguments, folder)
    assert changed not in (meant, "nothing")
    assert world.launched(arguments, folder) == changed


def test_nothing_comes_on_top_of_an_environment_that_was_rolled_back(home: ClientHome) -> None:
    world = World(home, ["sh"])
    arguments, folder = ["run", "--with", "six", "go.py"], world.home.home / "work"
    assert world.launched(arguments, folder) == "slow"
    meant = world.run(arguments, folder)
    assert world.launched(arguments, folder) == meant != "nothing"
    world.rolled_back, world.notices = True, ["rolled back"]
    world.make(Options(), str(folder), None, world.environ)
    assert world.launched(arguments, folder) == "slow"
    assert world.run(arguments, folder) == "nothing"
    world.rolled_back, world.notices = False, []
    world.make(Options(), str(folder), None, world.environ)
    assert world.launched(arguments, folder) == "slow"
    meant = world.run(arguments, folder)
    assert world.launched(arguments, folder) == meant != "nothing"


def test_a_path_on_top_is_left_to_python(home: ClientHome) -> None:
    world = World(home, ["sh"])
    for _ in range(2):
        assert world.launched(["run", "--with", ".", "go.py"], world.home.home / "work") == "slow"
        assert world.run(["run", "--with", ".", "go.py"], world.home.home / "work") != "nothing"
