"""The network of the daemon, opened when it is first needed: an idle daemon neither loads TLS nor holds connections."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_daemon.errors import DaemonError
from storectl_daemon.loading import Loaded
from storectl_daemon.memory import for_good
from storectl_store.entries.layout import StoreLayout
from storectl_store.selection.pin import IndexPin, Pin, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.fetch import Fetched, Fetcher
    from storectl_daemon.index import IndexClient
    from storectl_daemon.index_config import IndexSettings
    from storectl_daemon.pipeline import ByteProgress

_log = logging.getLogger(__name__)


class Network:
    """One fetcher and one index client, made together. For one event loop."""

    def __init__(self, layout: StoreLayout, environ: Mapping[str, str], *, home: Path) -> None:
        self._layout = layout
        self._environ = environ
        self._home = home
        self._stack = AsyncExitStack()
        self._unread: set[Path] = set()
        self._learning = asyncio.Lock()
        self._index: IndexClient | None = None
        self._entered = False
        self._made: Loaded[tuple[Fetcher, IndexClient]] = Loaded(partial(for_good, self._make), name="the network")

    def begin(self) -> None:
        """Something will have to be fetched: open it meanwhile."""
        self._made.begin()

    def note(self, project: Path) -> None:
        """A project whose files may be fetched from now on: the logins in its configuration count for that.

        ``resolve`` needs no such note; a lock file that names its own addresses does.
        """
        self._unread.add(project)

    async def fetch(self, wheel: WheelFile, destination: Path, *, progress: "ByteProgress") -> "Fetched":
        """The wheel as a new file; see ``Fetcher.fetch``."""
        fetcher = await self._open()
        await self._learn_noted()
        return await fetcher.fetch(wheel, destination, progress=progress)

    async def resolve(
        self, pin: IndexPin, interpreter: Interpreter, project: Path | None, *, offline: bool
    ) -> Pin | SourcePin:
        """The pin with its file; see ``IndexClient.resolve``."""
        await self._open()
        assert self._index is not None
        return await self._index.resolve(pin, interpreter, project, offline=offline)

    async def settings(self, project: Path | None) -> "IndexSettings":
        """The indexes of a project; see ``IndexClient.learn``."""
        await self._open()
        assert self._index is not None
        return await self._index.learn(project)

    async def _learn_noted(self) -> None:
        assert self._index is not None
        async with self._learning:
            for project in tuple(self._unread):
                try:
                    await self._index.learn(project)
                except DaemonError as error:  # it may need no login, and a lookup would tell
                    _log.warning("%s", error.message)
                self._unread.discard(project)

    async def _open(self) -> "Fetcher":
        fetcher, self._index = await self._made.get()
        if not self._entered:
            self._entered = True
            await self._stack.enter_async_context(fetcher)
        return fetcher

    def _make(self) -> "tuple[Fetcher, IndexClient]":
        # httpx2 and ssl cost more memory than all of the idle daemon beside them.
        from storectl_daemon.credentials import credentials_of  # noqa: PLC0415 - see above
        from storectl_daemon.fetch import Fetcher  # noqa: PLC0415 - see above
        from storectl_daemon.index import IndexClient  # noqa: PLC0415 - see above
        from storectl_daemon.index_config import SettingsReader  # noqa: PLC0415 - see above
        from storectl_daemon.page_store import PageStore  # noqa: PLC0415 - see above
        from storectl_daemon.trust import tls_context  # noqa: PLC0415 - see above
        from storectl_daemon.url_book import UrlBook  # noqa: PLC0415 - see above

        reader = SettingsReader(self._environ, self._home)
        settings = reader.read(None)
        fetcher = Fetcher(
            credentials=credentials_of(self._environ, self._home, ask_keyring=settings.keyring),
            tls=tls_context(self._environ, settings.ca_bundle, settings.client_cert),
            trusted_hosts=settings.trusted_hosts,
            client_cert=settings.client_cert,
            proxy=settings.proxy,
        )
        index = IndexClient(
            fetcher=fetcher,
            book=UrlBook(self._layout.urls),
            settings_for=reader.read,
            pages=PageStore(self._layout.index_pages),
        )
        return fetcher, index

    async def aclose(self) -> None:
        """Close all connections."""
        await self._stack.aclose()
