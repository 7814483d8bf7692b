"""Behind a proxy: whose address and scheme a request has, as far as the proxies on the way are believed."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from portico.types import Headers

_FORWARDED_FOR = b"x-forwarded-for"
_FORWARDED_PROTO = b"x-forwarded-proto"


class TrustedProxies:
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def __init__(self, allowed: str) -> None:
        """*allowed* is addresses and networks with commas between, or ``*`` (`RelayConfig.forwarded_allow_ips`)."""
        items = [item.strip() for item in allowed.split(",") if item.strip()]
        self._all = "*" in items
        self._networks: list[IPv4Network | IPv6Network] = []
        if not self._all:
            self._networks = [ip_network(item, strict=False) for item in items]
        self.is_trusted = lru_cache(maxsize=4096)(self._look_up)
        """Whether an address is one of theirs."""

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
        """
        if not self.is_trusted(client[0] if client else ""):
            return client, scheme
        chain: list[str] = []
        for name, value in headers:
            if name == _FORWARDED_FOR:
                chain += value.decode("latin-1").split(",")
            elif name == _FORWARDED_PROTO:
                given = value.strip().lower()
                if given in (b"http", b"https", b"ws", b"wss"):
                    scheme = "https" if given in (b"https", b"wss") else "http"
        for item in reversed(chain):
            address = _without_port(item.strip())
            if address:
                client = (address, 0)
                if not self.is_trusted(address):
                    break
        return client, scheme


def _without_port(text: str) -> str:
    """An address as proxies write it: ``203.0.113.7:1234``, ``[2001:db8::1]:1234``, or without a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, _ = text.partition(":")
    return host if colon and ":" not in text[len(host) + 1 :] else text
