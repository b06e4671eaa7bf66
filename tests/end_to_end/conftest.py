"""A machine and an index for each end-to-end test."""

from collections.abc import Iterator

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    with new_machine() as made:
        yield made


@pytest.fixture
def guest(host: Machine) -> Machine:
    """A home of its own on the machine of the module: the store has what earlier tests have fetched."""
    return host.guest()


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine for this test alone, or a ``guest`` in a module with ``GUESTS``."""
    if getattr(request.module, "GUESTS", False):
        yield request.getfixturevalue("guest")
    else:
        with new_machine() as made:
            yield made


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index() as served:
        yield served
