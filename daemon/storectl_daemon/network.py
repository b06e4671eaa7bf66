"""The network of the daemon, opened when it is first needed: an idle daemon neither loads TLS nor holds connections."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_store.entries.layout import StoreLayout
from storectl_store.selection.pin import IndexPin, Pin, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.fetch import Fetched, Fetcher
    from storectl_daemon.index import IndexClient
    from storectl_daemon.index_config import IndexSettings
    from storectl_daemon.pipeline import ByteProgress


class Network:
    """One fetcher and one index client, made together. For one event loop."""

    def __init__(self, layout: StoreLayout, environ: Mapping[str, str], *, home: Path) -> None:
        self._layout = layout
        self._environ = environ
        self._home = home
        self._stack = AsyncExitStack()
        self._fetcher: Fetcher | None = None
        self._index: IndexClient | None = None

    async def fetch(self, wheel: WheelFile, destination: Path, *, progress: "ByteProgress") -> "Fetched":
        """The wheel as a new file; see ``Fetcher.fetch``."""
        return await (await self._open()).fetch(wheel, destination, progress=progress)

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

    async def _open(self) -> "Fetcher":
        if self._fetcher is None:
            # httpx2 and ssl cost more memory than all of the idle daemon beside them.
            from storectl_daemon.credentials import credentials_of  # noqa: PLC0415 - see above
            from storectl_daemon.fetch import Fetcher  # noqa: PLC0415 - see above
            from storectl_daemon.index import IndexClient  # noqa: PLC0415 - see above
            from storectl_daemon.index_config import SettingsReader  # noqa: PLC0415 - see above
            from storectl_daemon.trust import tls_context  # noqa: PLC0415 - see above
            from storectl_daemon.url_book import UrlBook  # noqa: PLC0415 - see above

            reader = SettingsReader(self._environ, self._home)
            settings = reader.read(None)
            fetcher = Fetcher(
                credentials=credentials_of(self._environ, self._home),
                tls=tls_context(self._environ, settings.ca_bundle),
                trusted_hosts=settings.trusted_hosts,
            )
            self._index = IndexClient(fetcher=fetcher, book=UrlBook(self._layout.urls), settings_for=reader.read)
            self._fetcher = fetcher
            await self._stack.enter_async_context(fetcher)
        return self._fetcher

    async def aclose(self) -> None:
        """Close all connections."""
        await self._stack.aclose()
