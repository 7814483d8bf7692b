"""Behind a proxy: whose address and scheme a request has, as far as the proxies on the way are believed."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from portico.bounded import BoundedCache
from portico.hub.client_address import read_address
from portico.types import Headers

_FORWARDED_FOR = b"x-forwarded-for"
_FORWARDED_PROTO = b"x-forwarded-proto"
_MOST_HOPS = 32
"""Addresses of X-Forwarded-For that are read, from the last on: more proxies stand in no row."""


class TrustedProxies:
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def __init__(self, allowed: str) -> None:
        """*allowed* is addresses and networks with commas between, or ``*`` (`RelayConfig.forwarded_allow_ips`)."""
        items = [item.strip() for item in allowed.split(",") if item.strip()]
        self._all = "*" in items
        self._networks: list[IPv4Network | IPv6Network] = []
        if not self._all:
            self._networks = [ip_network(item, strict=False) for item in items]
        self._known: BoundedCache[str, bool] = BoundedCache(4096)

    def is_trusted(self, address: str) -> bool:
        """Whether an address is one of theirs."""
        known = self._known.get(address)
        return self._known.keep(address, self._look_up(address), len(address)) if known is None else known

    def _look_up(self, address: str) -> bool:
        if self._all:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:  # a Unix domain socket has none: only a proxy on this machine speaks there
            return not address
        return any(parsed.version == network.version and parsed in network for network in self._networks)

    def visitor(
        self, client: tuple[str, int] | None, scheme: str, headers: Headers
    ) -> tuple[tuple[str, int] | None, str]:
        """The visitor's address and port, and the scheme (``http`` or ``https``) that they use.

        Of X-Forwarded-For counts the last address that is no trusted proxy's: what stands before it, anyone may write.
        So it is with what stands before something that is not an address, which is not believed itself.
        """
        if not self.is_trusted(client[0] if client else ""):
            return client, scheme
        chain: list[bytes] = []
        for name, value in headers:
            if name == _FORWARDED_FOR:
                chain += value.rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:]
            elif name == _FORWARDED_PROTO:
                given = value.strip().lower()
                if given in (b"http", b"https", b"ws", b"wss"):
                    scheme = "https" if given in (b"https", b"wss") else "http"
        if not chain:
            return client, scheme
        for item in reversed(chain[-_MOST_HOPS:]):
            text = item.decode("latin-1").strip()
            if not text:
                continue  # an empty item of a list (RFC 9110 §5.6.1)
            address = read_address(text)
            if not address:
                break
            client = (address, 0)
            if not self.is_trusted(address):
                break
        return client, scheme
