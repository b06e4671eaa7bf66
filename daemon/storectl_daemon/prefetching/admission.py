"""What may be fetched for a commit that nobody has checked out: only from where the project's files come already.

Known are the servers, each with scheme and port, from which files of the checkout's own lock file come, and the indexes
that this lock file and the configuration name. A request to any other server is refused, also one that a redirect leads
to. An index is known by its whole address: its login, or a ``${NAME}`` in it, goes nowhere else.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from storectl_daemon.errors import FetchError
from storectl_daemon.network.address import Address, Origin
from storectl_store.errors import WheelError
from storectl_store.selection.pin import GitCommit, IndexPin, Pin, Selection, SourcePin, WheelFile
from storectl_store.wheel.archive import read_archive

MOST_BYTES = 1 << 30
"""Most bytes that are fetched after one ``git fetch`` of a repository."""

FREE_BYTES = 2 << 30
"""What has to be free on the disk after everything is unpacked."""

MOST_WHEELS = 1000
"""Most wheels that are asked for after one ``git fetch``."""

UNPACKED = 5
"""A wheel takes at most so many times its size, with bytecode, as nearly all do. What it says itself counts later."""

_SHORTEST_SECRET = 3
"""The length of the shortest value that is looked for in addresses; shorter ones are in every address."""


class NotAdmittedError(FetchError):
    """Something is not fetched ahead, now or later. It is for the log; whoever checks the commit out gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The servers, indexes and files that the checkout uses. ``values`` are those of variables in its lock file."""

    origins: frozenset[Origin]
    indexes: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()

    def server(self, address: Address) -> bool:
        """Whether this is an address on a known server."""
        try:
            return address.is_web and address.origin in self.origins
        except FetchError:
            return False

    def wheel(self, wheel: WheelFile) -> bool:
        """Whether the wheel may be fetched from where the commit says: no value of a variable is in its address."""
        carries = wheel.url not in self.files and any(value in wheel.url for value in self.values)
        return self.server(Address(wheel.url)) and not carries

    def index_pin(self, pin: IndexPin) -> bool:
        """Whether every place that the commit names for this pin is one that the checkout uses."""
        return self.indexes.issuperset((*pin.indexes, *pin.find_links))


NOTHING_KNOWN = Known(origins=frozenset())


def known_to(
    selection: Selection, pins: Iterable[Pin], addresses: Iterable[Address], values: Iterable[str] = ()
) -> Known:
    """What the checkout uses: its selection, its pins as they were looked up, and the configured ``addresses``."""
    named = {place for pin in selection.index_pins for place in (*pin.indexes, *pin.find_links)}
    configured = [*addresses, *map(Address, named)]
    files = [pin.wheel.url for pin in (*selection.pins, *pins)]
    files += [pin.source.url for pin in selection.source_pins if not isinstance(pin.source, GitCommit)]
    origins = {origin for address in (*configured, *map(Address, files)) if (origin := _origin(address)) is not None}
    indexes = {address.with_login() for address in configured}
    carried = (value for value in values if len(value) >= _SHORTEST_SECRET)
    return Known(
        origins=frozenset(origins), indexes=frozenset(indexes), files=frozenset(files), values=frozenset(carried)
    )


def _origin(address: Address) -> Origin | None:
    try:
        return address.origin if address.is_web else None
    except FetchError:
        return None


@dataclass(slots=True, kw_only=True)
class Allowance:
    """What may still be fetched after one ``git fetch``: ``left`` in bytes. ``free`` tells how many the disk has."""

    free: Callable[[], int]
    left: int = MOST_BYTES
    wheels: int = MOST_WHEELS


@dataclass(slots=True, kw_only=True)
class Budget:
    """The ``Bounds`` of the network for one commit: every wheel passes here before it is fetched, and while it comes.

    Nothing is admitted before ``known`` is set.
    """

    allowance: Allowance
    known: Known | None = None

    def admit(self, address: Address) -> None:
        """Raise NotAdmittedError if this address is not to be asked, be it by a redirect."""
        if self.known is None or not self.known.server(address):
            raise NotAdmittedError(f"{address} is on a server that the checkout does not use")

    def counted(self, wheel: WheelFile, progress: Callable[[int], None]) -> Callable[[int], None]:
        """``progress``, which raises NotAdmittedError once the wheel takes more than may be fetched.

        Raises NotAdmittedError if the wheel may not be fetched at all.
        """
        allowance = self.allowance
        if self.known is None or not self.known.wheel(wheel):
            raise NotAdmittedError(f"{wheel.filename} is on a server that the checkout does not use")
        if wheel.size is not None and wheel.size > allowance.left:
            raise NotAdmittedError(f"{wheel.filename} has {wheel.size} bytes, more than may be fetched ahead")
        if allowance.wheels <= 0:
            raise NotAdmittedError(f"{wheel.filename} is one more wheel than may be fetched ahead")
        allowance.wheels -= 1
        if allowance.free() - UNPACKED * (wheel.size or 0) < FREE_BYTES:
            raise NotAdmittedError(f"{wheel.filename} would leave too little of the disk free")
        before = 0

        def count(received: int) -> None:
            nonlocal before
            added, before = max(0, received - before), received  # what is fetched anew counts anew
            allowance.left -= added
            progress(received)
            if allowance.left < 0:
                raise NotAdmittedError(f"{wheel.filename} takes more than may be fetched ahead")

        return count

    def check(self, wheel: WheelFile, path: Path) -> None:
        """Raise NotAdmittedError if the disk would not have enough left once this wheel is unpacked and compiled."""
        size = _unpacked_size(path)
        if self.allowance.free() - 2 * size < FREE_BYTES:
            raise NotAdmittedError(
                f"{wheel.filename} unpacks to {size} bytes, and would leave too little of the disk free"
            )


def _unpacked_size(path: Path) -> int:
    """The size of all files in the wheel, by its directory; 0 for what the check of wheels will refuse."""
    with suppress(WheelError, ValueError), path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return sum(record.size for record in read_archive(data))
    return 0


def is_local(pin: Pin | SourcePin) -> bool:
    """Whether the file of this pin is one of this machine."""
    source = pin.wheel if isinstance(pin, Pin) else pin.source
    return not isinstance(source, GitCommit) and source.url.lower().startswith("file:")
