"""A home for each test, and a machine for all of a module."""

from collections.abc import Iterator

import pytest

from support.client_project import ClientHome, client_home
from support.machine import Machine, new_machine


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        yield home


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with new_machine() as made:
        yield made
