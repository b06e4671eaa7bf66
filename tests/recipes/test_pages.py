"""The pages of recipes are followed as they are written."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine
from support.recipes import BASE, Page, Reader, pages, stand_ins

FOLLOWED = [given for given in pages() if given.path != BASE]


def _marked(given: Page) -> object:
    marks = [pytest.mark.network] if given.registry or given.tools else []
    marks += [pytest.mark.whole] if given.registry else []
    return pytest.param(given, id=given.path.stem, marks=marks)


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*stand_ins()) as served:
        yield served


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    with new_machine() as made:
        yield made


@pytest.mark.parametrize("given", [_marked(given) for given in FOLLOWED])
def test_a_page_does_what_it_says(given: Page, host: Machine, index: LoopbackIndex, run_folder: Path) -> None:
    with new_machine() if given.own else nullcontext(host.guest()) as machine:
        Reader(machine, None if given.registry else index, run_folder).follow(given)


def test_each_block_is_run_or_says_why_not() -> None:
    for given in pages():
        for block in given.blocks:
            done = "file" in block.options or block.language == "console" or block.options.get("unrun")
            assert done, f"{given.path.name}:{block.line}"


def test_each_page_is_in_the_table() -> None:
    table = BASE.read_text()
    for given in FOLLOWED:
        assert f"({given.path.name})" in table or given.path.parent != BASE.parent, given.path.name
