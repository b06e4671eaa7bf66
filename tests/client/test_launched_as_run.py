"""Whatever has changed, the launcher starts what the command line in Python would start, or hands over."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from support.client_project import ClientHome, client_home
from support.launched import World, change, command_line

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
STEPS = int(os.environ.get("STORECTL_STEPS", "4"))


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
