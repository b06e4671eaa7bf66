"""What storectl says to people's mistakes: an exit code, a code, a line that names the thing, and a hint.

docs/mistakes.md shows it beside what uv says.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine
from support.mistakes import MISTAKES, Mistake, make, write_demo

GUESTS = True  # the tests do not disturb one another: one daemon serves them all


@pytest.fixture(scope="module")
def served() -> Iterator[LoopbackIndex]:
    with serve_index() as index:
        yield index


@pytest.fixture(scope="module")
def demo(host: Machine, served: LoopbackIndex) -> Path:
    return write_demo(host.root / "demo", served, host.environ)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title.replace(" ", "-"))
def test_a_mistake_is_told_by_a_line_and_a_hint(
    machine: Machine, served: LoopbackIndex, demo: Path, mistake: Mistake
) -> None:
    folder = machine.home / "demo"
    make(mistake, demo, folder, served)
    done = machine.run(*mistake.command, cwd=folder, env=mistake.variables(served))
    own = [line for line in done.stderr.splitlines() if line.startswith(f"storectl: {mistake.code}: ")]
    first = own[0] if mistake.code and own else done.stderr
    assert (done.returncode, mistake.says in first) == (mistake.exit, True), done.stderr
    if mistake.code:
        assert "Traceback" not in done.stderr
        assert own, done.stderr
        hint = done.stderr.splitlines()[-1]
        assert hint.startswith("hint: "), done.stderr
        assert mistake.hint in hint


def test_there_are_sixty_of_them() -> None:
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES) >= 60
