"""A visitor's address, as a proxy in front says it: believed where it is an address."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from portico.bounded import BoundedCache

_LONGEST = 45
"""Characters of an address of IPv6, with one of IPv4 in it (RFC 4291 §2.2)."""

_KNOWN: BoundedCache[str, str] = BoundedCache(4096)


def read_address(text: str) -> str:
    """The address in *text*, as it is usually written; "" if there is none.

    Proxies write ``203.0.113.7:1234``, ``[2001:db8::1]:1234``, or an address without a port. One of IPv4 in IPv6's
    clothes (RFC 4291 §2.5.5.2) is one of IPv4.
    """
    known = _KNOWN.get(text)
    return _KNOWN.keep(text, _read(text), 2 * len(text)) if known is None else known


def _read(text: str) -> str:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    else:
        host, colon, _ = text.partition(":")
        if colon and ":" not in text[len(host) + 1 :]:
            text = host
    # A zone (RFC 4007 §11) may hold anything, and means something to that proxy alone.
    if len(text) > _LONGEST or "%" in text:
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
