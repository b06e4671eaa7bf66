"""A store of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stores import WrittenStore, written_store


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenStore]:
    with written_store(tmp_path / "store") as written:
        yield written
