"""The network of the daemon for one command: with the command's variables, and the settings of its project.

It is opened when it is first needed: an idle daemon neither loads TLS nor holds connections.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from storectl_daemon.entries.identification import Identification
from storectl_daemon.entries.pipeline import FetchedFile
from storectl_daemon.errors import DaemonError, FetchError
from storectl_daemon.process.loading import Loaded
from storectl_store.entries.store import Store
from storectl_store.selection.pin import IndexPin, Pin, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.entries.pipeline import ByteProgress
    from storectl_daemon.indexes.configuration import IndexSettings
    from storectl_daemon.indexes.connections import Connections
    from storectl_daemon.indexes.look_up import IndexClient
    from storectl_daemon.indexes.shared import SharedIndexes
    from storectl_daemon.network.address import Address
    from storectl_daemon.network.fetch import Fetched, Fetcher

_log = logging.getLogger(__name__)


class Bounds(Protocol):
    """What an access may do less than others: nobody has asked for what it fetches."""

    def admit(self, address: "Address") -> None:
        """Raise FetchError if this address is not to be asked."""
        ...

    def counted(self, wheel: WheelFile, progress: "ByteProgress") -> "ByteProgress":
        """``progress``, which may raise FetchError to end the fetch. Raises FetchError if it must not begin."""
        ...

    def check(self, wheel: WheelFile, path: Path) -> None:
        """Raise FetchError if the wheel, which has its locked digest, is not to be unpacked. May block."""
        ...


class Network:
    """Connections, and what indexes have said: shared by all commands. For one event loop.

    ``home`` is the home folder of the daemon's user. It is used for a command that has none.
    """

    def __init__(self, store: Store, identification: Identification, *, home: Path) -> None:
        self._store = store
        self._identification = identification
        self._home = home
        self._made: Loaded[tuple[Connections, SharedIndexes]] = Loaded(self._make, name="the network")

    def begin(self) -> None:
        """Load in the background what fetching needs: something will have to be fetched."""
        self._made.begin()

    def access(self, project: Path, environ: Mapping[str, str], bounds: Bounds | None = None) -> "Access":
        """The network for one job. With ``bounds`` it does less, and asks no keyring."""
        home = Path(environ.get("HOME") or self._home)
        return Access(self._made, self._identification, project, environ, home=home, bounds=bounds)

    def _make(self) -> "tuple[Connections, SharedIndexes]":
        # httpx2 and ssl cost more memory than all of the idle daemon beside them.
        from storectl_daemon.indexes.connections import Connections  # noqa: PLC0415 - see above
        from storectl_daemon.indexes.page_store import PageStore  # noqa: PLC0415 - see above
        from storectl_daemon.indexes.shared import SharedIndexes  # noqa: PLC0415 - see above
        from storectl_daemon.indexes.url_book import UrlBook  # noqa: PLC0415 - see above

        layout = self._store.layout
        return Connections(), SharedIndexes(
            UrlBook(layout.urls), PageStore(layout.index_pages), present=self._store.has
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._made.begun:
            connections, _ = await self._made.get()
            await connections.aclose()


class Access:
    """The network for one job, an async context manager. Calling it fetches: it is a ``pipeline.Fetch``."""

    def __init__(
        self,
        network: "Loaded[tuple[Connections, SharedIndexes]]",
        identification: Identification,
        project: Path,
        environ: Mapping[str, str],
        *,
        home: Path,
        bounds: Bounds | None = None,
    ) -> None:
        self._bounds = bounds
        self._network = network
        self._identification = identification
        self._project = project
        self._environ = environ
        self._home = home
        self._opened: asyncio.Task[tuple[Fetcher, IndexClient]] | None = None
        self._unusable: DaemonError | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.cancel()
            await asyncio.gather(self._opened, return_exceptions=True)
        await self._stack.aclose()

    def begin(self) -> None:
        """Open the network in the background: something will have to be fetched."""
        if self._opened is None:
            self._opened = asyncio.create_task(self._open(), name="opening the network")

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: "ByteProgress") -> FetchedFile:
        """The wheel as a new file; see ``Fetcher.fetch``. It may have been fetched already when it was identified.

        If an address that an index gave fails, the index is asked for the address again.
        """
        return await self._identification.hand_over(wheel, destination) or await self._fetch(
            wheel, destination, progress
        )

    async def identified(self, pins: Sequence[Pin], *, offline: bool) -> tuple[Pin, ...]:
        """The pins, every wheel with its sha256; see ``Identification.pins``."""
        return await self._identification.pins(pins, self, offline=offline)

    async def identified_sources(self, pins: Sequence[SourcePin], *, offline: bool) -> tuple[SourcePin, ...]:
        """The pins, every archive with its sha256; see ``Identification.source_pins``."""
        return await self._identification.source_pins(pins, self, offline=offline)

    async def _fetch(self, wheel: WheelFile, destination: Path, progress: "ByteProgress") -> "Fetched":
        fetcher, index = await self._ready()
        if self._bounds is not None:
            progress = self._bounds.counted(wheel, progress)
        try:
            fetched = await fetcher.fetch(wheel, destination, progress=progress)
        except FetchError as error:
            moved = await index.moved(wheel, error)
            fetched = await fetcher.fetch(moved, destination, progress=progress)
        if self._bounds is not None:
            await asyncio.to_thread(self._bounds.check, wheel, fetched.path)
        return fetched

    async def resolve(self, pin: IndexPin, interpreter: Interpreter, *, offline: bool) -> Pin | SourcePin:
        """The pin with its file; see ``IndexClient.resolve``."""
        _, index = await self._ready()
        if self._unusable is not None:
            raise self._unusable
        return await index.resolve(pin, interpreter, offline=offline)

    async def settings(self) -> "IndexSettings":
        """The indexes of the project, and how they are reached."""
        _, indexes = await self._network.get()
        return await asyncio.to_thread(indexes.settings, self._environ, self._home, self._project)

    async def _ready(self) -> "tuple[Fetcher, IndexClient]":
        self.begin()
        assert self._opened is not None
        return await asyncio.shield(self._opened)

    async def _open(self) -> "tuple[Fetcher, IndexClient]":
        connections, indexes = await self._network.get()
        from storectl_daemon.indexes.connections import Transport  # noqa: PLC0415 - as in ``Network``

        user = await asyncio.to_thread(indexes.settings, self._environ, self._home, None)
        settings = user
        try:
            settings = await self.settings()
        except DaemonError as error:  # a lock file that names its own addresses may need nothing of it
            _log.warning("%s", error.message)
            self._unusable = error
        transport = await asyncio.to_thread(Transport.of, user, self._environ, settings.authorities)
        pool = await self._stack.enter_async_context(connections.pool(transport))
        fetcher = pool.with_logins(indexes.credentials(settings, self._environ, self._home))
        if self._bounds is not None:
            fetcher.credentials.ask_keyring = False
            fetcher = fetcher.restricted(self._bounds.admit)
        return fetcher, indexes.client(fetcher, settings)
