"""The network of a node daemon: the origins of its policy, with its own logins, and nothing of any client's.

Each address is checked before it is asked, also one that a redirect leads to. Names are looked up here, and what is not
a public address is connected to only for an origin of which the policy says so: whoever controls a name must not lead
the daemon to what only this machine can reach.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Self

import httpcore2
import httpx2

from storectl_daemon.entries.pipeline import Fetch
from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.page_store import PageStore
from storectl_daemon.indexes.pages import IndexPages
from storectl_daemon.network.address import Address
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher
from storectl_daemon.network.proxies import Proxies
from storectl_daemon.node.policy import NodeOrigin, NodePolicy
from storectl_store.digest import Digest
from storectl_store.entries.layout import StoreLayout
from storectl_store.wheel.filename import parse_filename

_AT_ONCE = 64
"""Downloads of all accounts at once. What keeps one account from taking all of them are its turns."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OriginError(FetchError):
    """The address is not one that this daemon fetches from; ``facts['url']`` (redacted)."""

    default_code = "E_ORIGIN"
    default_hint = "your own daemon fetches it into your own store"


def is_public(text: str) -> bool:
    """Whether this is an address of the public internet, also if it is an IPv4 address within an IPv6 one."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo[1] if address.teredo else None
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        inner = address.ipv4_mapped or address.sixtofour or teredo or nat64
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


class PublicOnly(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses, and to all addresses of the ``private`` hosts (each with its port)."""

    def __init__(self, private: frozenset[tuple[str, int]]) -> None:
        self._private = private
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's own interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the host. Raises httpcore2.ConnectError if it has no address that may be connected to."""
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            raise httpcore2.ConnectError(f"{host} has no address") from error
        addresses = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
        allowed = [each for each in addresses if (host, port) in self._private or is_public(each)]
        if not allowed:
            raise httpcore2.ConnectError(f"{host} has a private address, which the policy does not allow")
        for address in allowed[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue  # the next address may answer
        return await self._backend.connect_tcp(allowed[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's transport with a network backend of its own, for which httpx2 has no argument."""

    def __init__(self, tls: ssl.SSLContext, limits: httpx2.Limits, backend: httpcore2.AsyncNetworkBackend) -> None:
        super().__init__(verify=tls, limits=limits)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=backend,
        )


class NodeNetwork:
    """An async context manager, for one event loop."""

    def __init__(self, policy: NodePolicy, layout: StoreLayout) -> None:
        self._origins = policy.origins
        limits = FetchLimits(concurrency=_AT_ONCE, connections=_AT_ONCE + 8, largest_wheel=policy.limits.largest_wheel)
        credentials = Credentials()
        for origin in policy.origins:
            login = origin.login
            credentials.learn(origin.address.logged_in(login.user, login.password) if login else origin.address)
        private = {(each.address.origin.host, each.address.origin.port or 0) for each in policy.origins if each.private}
        tls = httpx2.create_ssl_context(trust_env=False)
        pool = httpx2.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections)
        fetcher = Fetcher(
            credentials=credentials,
            limits=limits,
            tls=tls,
            proxies=Proxies(proxy=policy.proxy),
            direct=_Transport(tls, pool, PublicOnly(frozenset(private))),
        )
        self._opened = fetcher
        self._fetcher = fetcher.restricted(self.admit)
        self._fetchers: dict[int, Fetcher] = {}
        self._pages = IndexPages(PageStore(layout.index_pages))

    async def __aenter__(self) -> Self:
        await self._opened.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.__aexit__(*_)

    def admit(self, address: Address) -> None:
        """Raise OriginError unless the address is below one of the origins."""
        if not any(_holds(origin, address) for origin in self._origins):
            raise OriginError(f"{address} is not below an origin of this store", url=str(address))

    def check_client_address(self, text: str, filename: str) -> None:
        """Raise OriginError unless this is the plain address of this file, below one of the origins.

        An address of a client must carry nothing of the client's: no login, no query. It ends with the name of the
        file, because that name becomes the entry's, for everybody.
        """
        address = Address(text)
        self.admit(address)
        if address.login is not None or "?" in text or "#" in text:
            raise OriginError(f"{address} holds more than the place of a file", url=str(address))
        if not text.endswith(f"/{filename.replace('+', '%2B')}") and not text.endswith(f"/{filename}"):
            raise OriginError(f"{address} is not the address of {filename}", url=str(address))

    def fetch(self, uid: int) -> Fetch:
        """Access to wheels for this account, as the pipeline wants it. Its large wheels wait for no other account's."""
        if uid not in self._fetchers:
            self._fetchers[uid] = self._opened.restricted(self.admit)
        return self._fetchers[uid].fetch

    async def attests(self, filename: str, digest: Digest) -> bool:
        """Whether an index of the policy lists a file of this name with this sha256.

        Raises WheelError for a name that no wheel can have, FetchError if an index could not be asked.
        """
        wheel = parse_filename(filename)
        for origin in self._origins:
            if origin.index:
                source = Source(address=origin.address)
                answer = await self._pages.ask(self._fetcher, source, wheel.name, str(wheel.version))
                if any(file.filename == filename and digest in (file.digest, *file.others) for file in answer.files):
                    return True
        return False


def _holds(origin: NodeOrigin, address: Address) -> bool:
    try:
        return origin.holds(address)
    except FetchError:
        return False
