"""A machine and an index for each end-to-end test."""

from collections.abc import Iterator

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    with new_machine() as made:
        yield made


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index() as served:
        yield served
