"""Proxies: one for everything, as pip's ``proxy`` has it, or those of a command's HTTPS_PROXY, ALL_PROXY and NO_PROXY.

Names in lower case go before those in upper case, as with curl, pip and uv.
"""

import ipaddress
import re
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from storectl_daemon.network.address import Address

_SCHEMES = ("http", "https", "all")
_HOST = re.compile(r"(\*?\.)?[\w-]+(\.[\w-]+)*\.?(:\d{1,5})?")
_PORT = re.compile(r"[^:]:\d+$|\]:\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Which proxy is used: ``proxy`` for everything if it is given, else the one of the scheme.

    ``bypassed`` hosts are reached without a proxy. ``by_scheme`` holds pairs of a scheme (http, https or all) and its
    proxy.
    """

    proxy: Address | None = None
    by_scheme: tuple[tuple[str, Address], ...] = ()
    bypassed: tuple[str, ...] = ()

    def to(self, host: str) -> Address | None:
        """The proxy on the way to this host (or host and port) over https; None for none."""
        if self.proxy is not None:
            return self.proxy
        if any(_concerns(entry, host) for entry in self.bypassed):
            return None
        found = dict(self.by_scheme)
        return found.get("https") or found.get("all")

    def routes(self) -> dict[str, Address | None]:
        """The proxy of each pattern of addresses in httpx2's form (``https://``, ``all://*.example``), or None."""
        if self.proxy is not None:
            return {"all://": self.proxy}
        routes: dict[str, Address | None] = {f"{scheme}://": address for scheme, address in self.by_scheme}
        patterns = filter(None, map(_pattern, self.bypassed))
        return routes | dict.fromkeys(patterns) if routes else {}


def proxies_of(environ: Mapping[str, str], proxy: Address | None = None) -> Proxies:
    """The proxies that these variables name, unless ``proxy`` is given. On macOS, without any, those of the system."""
    if proxy is not None:
        return Proxies(proxy=proxy)
    found = {scheme: _value(environ, scheme) for scheme in (*_SCHEMES, "no")}
    if sys.platform == "darwin" and not any(found[scheme] for scheme in _SCHEMES):
        found |= urllib.request.getproxies()
    bypassed = tuple(filter(None, (host.strip() for host in found.get("no", "").split(","))))
    if "*" in bypassed:
        return Proxies()
    addresses = {scheme: found[scheme] for scheme in _SCHEMES if found.get(scheme)}
    by_scheme = ((scheme, Address(text if "://" in text else f"http://{text}")) for scheme, text in addresses.items())
    return Proxies(by_scheme=tuple(by_scheme), bypassed=bypassed)


def _value(environ: Mapping[str, str], scheme: str) -> str:
    return environ.get(f"{scheme}_proxy", environ.get(f"{scheme}_proxy".upper(), ""))


def _concerns(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY means this host, or this host with its port."""
    plain = host.rpartition(":")[0] if _PORT.search(host) else host
    network = _network(entry)
    if network is not None:
        return _network(plain) is not None and ipaddress.ip_address(plain.strip("[]")) in network
    name = entry.removeprefix("*").removeprefix(".").lower()
    return any(text == name or text.endswith(f".{name}") for text in (host.lower(), plain.lower()))


def _pattern(host: str) -> str | None:
    """The pattern for an entry of NO_PROXY.

    A name stands for itself and all names below it; with a dot in front, only for the names below it.
    """
    network = _network(host)
    if network is not None:
        address = f"[{network.network_address}]" if network.version == 6 else f"{network.network_address}"
        return f"all://{address}" if network.num_addresses == 1 else f"all://{address}/{network.prefixlen}"
    if not _HOST.fullmatch(host):
        return None
    return f"all://{host}" if host.lower() == "localhost" or host.startswith("*.") else f"all://*{host}"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address, in brackets or not, or a network in CIDR notation."""
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
