"""Golden files: the bytes that one version of a format is, written from fixed inputs and never changed again.

The name of a golden file tells the version. A format that changes gets a new version, and so a new file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True, kw_only=True)
class GoldenFormat:
    """A format in one version. ``write`` makes the bytes in an empty folder; ``read`` finds ``value`` in them.

    No writer: a version that is read, but no longer written.
    """

    name: str
    write: Callable[[Path], bytes] | None
    read: Callable[[Path, bytes], object]
    value: object

    @property
    def data(self) -> bytes:
        return (GOLDEN / self.name).read_bytes()


def check_golden(name: str, data: bytes) -> None:
    """Fail unless these are the golden bytes."""
    golden = (GOLDEN / name).read_bytes()
    assert data == golden, f"{name} is another now: give the format a new version, and the version a golden file"
