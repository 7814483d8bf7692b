"""Under which host names a relay answers: its own, and no other.

A page of another site can have its own name lead to the relay's address (DNS rebinding). To a browser the page and the
relay are then one origin, and the page reads all that is answered. The name in Host gives it away. An address in Host
was no name that somebody could have led elsewhere, so the relay answers under the one that a visitor has come to.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from portico.bounded import BoundedCache
from portico.hub.answers import Answer
from portico.relay.config import RelayConfig

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::[0-9]{0,5})?", re.ASCII)
"""A Host field (RFC 9110 §7.2): a name or an address, and a port that says nothing here."""

_MOST_KNOWN = 1000  # Host fields that are remembered as the relay's: with ports and case there are many to write
_LONGEST = 300  # characters of one that is remembered: a name's 253, a port, and some space

_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})
"""What a server listens on that listens on every address of its machine."""


class OwnHosts:
    """Tells the relay's own hosts from others."""

    def __init__(self, config: RelayConfig) -> None:
        named = [item for item in config.allowed_hosts.split(",") if item]
        self._all = "*" in named
        names = {urlsplit(config.base_url).hostname or "", config.domain or "", config.host.lower()}
        self._names = (names | {name for name in named if not name.startswith("*")}) - {""}
        self._names = {_bare(name) for name in self._names}
        self._endings = tuple(name[1:].removesuffix(".") for name in named if name.startswith("*."))
        if config.domain:
            self._endings += ("." + config.domain,)
        self._here = config.uds is not None or config.host in _EVERYWHERE or _is_here(config.host)
        """Whether it listens where this machine alone, or this machine too, reaches it."""
        self._known: BoundedCache[str, None] = BoundedCache(_MOST_KNOWN, longest=_LONGEST)

    def answers(self, host: str, server: tuple[str, int | None] | None) -> bool:
        """Whether *host*, a Host field, names this relay for who has come to the address *server*."""
        if host in self._known or self._all:
            return True
        match = _HOST.fullmatch(host.strip(" \t"))
        if match is None:
            return False
        name = _bare(match[1].lower())
        address = server[0] if server is not None else ""
        if (
            name in self._names
            or name.endswith(self._endings)
            or ((self._here or _is_here(address)) and _is_here(name))
        ):
            if not _is_here(name) or self._here:
                self._known.keep(host, None, len(host))
            return True
        literal = _literal(name)
        return literal is not None and literal == _literal(address)


def not_here() -> Answer:
    """For a host that is not the relay's (RFC 9110 §15.5.20)."""
    return Answer(
        421,
        "host",
        "This relay does not answer under that host name. Who runs it names the one that visitors use with base_url, "
        "and others with allowed_hosts.",
    )


def _bare(name: str) -> str:
    """Without what may be written or left out: brackets of an address, the dot of the root at the end of a name."""
    return name.strip("[]").removesuffix(".").lower()


def _is_here(name: str) -> bool:
    """Whether *name* means this machine to every browser: no other site's name can (RFC 6761 §6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    literal = _literal(name)
    return literal is not None and literal.is_loopback


def _literal(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
