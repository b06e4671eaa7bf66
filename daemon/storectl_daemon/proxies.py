"""Proxies: one for everything, as pip's ``proxy`` has it, or those of the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Which proxy is used: ``proxy`` where it is given, else the variables' where ``trust_env`` is true, else none."""

    proxy: str | None = None
    trust_env: bool = True

    def to(self, host: str) -> str | None:
        """The proxy on the way to this host (or host and port) over https."""
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        if proxy_bypass(host):
            return None
        found = getproxies()
        proxy = found.get("https") or found.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy
