"""A daemon of its own for each test."""

from collections.abc import Iterator

import pytest

from support.daemon import Daemon, new_daemon


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """One that is not started. Where one serves all tests of a module, the module says so."""
    with new_daemon() as daemon:
        yield daemon
