"""A machine and an index for each end-to-end test; accounts for those marked ``system``."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import Account, Installed, installed, new_account
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


@pytest.fixture(scope="module")
def made() -> Iterator[Installed]:
    with installed() as made:
        yield made


@pytest.fixture
def alice(made: Installed) -> Iterator[Account]:
    with new_account(made) as account:
        yield account


@pytest.fixture
def bob(made: Installed) -> Iterator[Account]:
    with new_account(made) as account:
        yield account


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can enter and only root can write."""
    folder = Path(tempfile.mkdtemp(prefix="stp-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
