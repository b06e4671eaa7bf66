"""Connections: one pool for each combination of proxies and certificates by which commands reach servers."""

import asyncio
import os
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from storectl_daemon.indexes.config_layer import Authority
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.network.fetch import Fetcher
from storectl_daemon.network.proxies import Proxies, proxies_of
from storectl_daemon.network.tls import certificate_places, tls_context, unchecked_context

_MOST_IDLE = 4

Stamp = tuple[int, int, int] | None
"""mtime (ns), size and inode of a file; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a command reaches servers. ``certificates`` are the variables and files that decide which ones it trusts."""

    proxies: Proxies
    certificates: tuple[tuple[str, str, Stamp], ...]
    authorities: tuple[Authority, ...]

    @classmethod
    def of(cls, settings: IndexSettings, environ: Mapping[str, str], authorities: tuple[Authority, ...] = ()) -> Self:
        """The transport that the user's settings and these variables make.

        A project cannot decide which authorities to trust, except by the ``authorities`` of the sources that it names,
        as with Poetry.
        """
        trusted = (
            Authority(host=host, client_cert=settings.client_cert, checked=False)
            for host in sorted(settings.trusted_hosts)
        )
        authorities = (*trusted, *authorities)
        named = certificate_places(environ, settings.ca_bundle, settings.client_cert)
        for authority in authorities:
            own = {"cert": authority.ca_bundle, "client-cert": authority.client_cert}
            named |= {f"{key} of {authority.host}": place for key, place in own.items() if place}
        return cls(
            proxies=proxies_of(environ, settings.proxy),
            certificates=tuple((name, place, _stamp(place)) for name, place in named.items()),
            authorities=authorities,
        )

    def fetcher(self) -> Fetcher:
        """A new pool of connections. Raises FetchError if a certificate cannot be read. Blocking."""
        named = {name: place for name, place, _ in self.certificates}
        return Fetcher(
            tls=tls_context(named, named.get("cert"), named.get("client-cert")),
            contexts={authority.host: _context(authority, named) for authority in self.authorities},
            proxies=self.proxies,
        )


def _context(authority: Authority, named: Mapping[str, str]) -> ssl.SSLContext:
    if authority.checked:
        return tls_context(named, authority.ca_bundle or named.get("cert"), authority.client_cert)
    return unchecked_context(authority.client_cert)


@dataclass(slots=True)
class _Pool:
    fetcher: Fetcher
    users: int = 0


class Connections:
    """Every pool that is in use, and the four others that were used last. For one event loop."""

    def __init__(self) -> None:
        self._pools: OrderedDict[Transport, _Pool] = OrderedDict()
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def pool(self, transport: Transport) -> AsyncIterator[Fetcher]:
        """The pool of this transport, until the block ends. Raises FetchError if a certificate cannot be read."""
        async with self._making:
            if transport not in self._pools:
                fetcher = await asyncio.to_thread(transport.fetcher)
                self._pools[transport] = _Pool(await fetcher.__aenter__())
        pool = self._pools[transport]
        pool.users += 1
        try:
            yield pool.fetcher
        finally:
            pool.users -= 1
            self._pools.move_to_end(transport)
            await self._close(_MOST_IDLE)

    async def aclose(self) -> None:
        """Close the pools that are not in use."""
        await self._close(0)

    async def _close(self, most: int) -> None:
        idle = [transport for transport, pool in self._pools.items() if not pool.users]
        for transport in idle[: max(0, len(idle) - most)]:
            await self._pools.pop(transport).fetcher.__aexit__(None, None, None)


def _stamp(place: str) -> Stamp:
    try:
        found = os.stat(place)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
