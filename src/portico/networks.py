"""What counts as one address, wherever something is counted for whoever comes from there."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_LONGEST_ADDRESS = 64  # characters: an IPv6 address with a zone has fewer
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def network_of(address: str) -> str:
    """What counts as one address: of IPv6, the network of 64 bits that one household has. Anything else as it is.

    An IPv4 address that is written as one of IPv6 (mapped, RFC 4291 §2.5.5.2; NAT64, RFC 6052; 6to4, RFC 3056) counts
    as the IPv4 address that it is: a holder of one has 65,536 networks of 64 bits by 6to4 alone.
    """
    return _network_of(address[:_LONGEST_ADDRESS]) if ":" in address else address[:_LONGEST_ADDRESS]


@lru_cache(maxsize=4096)
def _network_of(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if inner is None and parsed in _NAT64:
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return str(inner) if inner is not None else str(ipaddress.IPv6Network((parsed, 64), strict=False))
