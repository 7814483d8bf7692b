"""A forwarded address is believed where a trusted proxy says it and where it is an address."""

from __future__ import annotations

import pytest

from portico.hub.client_address import read_address
from portico.relay.edge.proxies import TrustedProxies
from tests.costs import grows_in_proportion

NO_ADDRESSES = [
    "unknown", "203.0.113.7\x1b[2J", "203.0.113.7 forged", "127.1", "1", "0x7f.0.0.1", "010.0.0.1", "1.2.3.4.5",
    "2001:db8::1%\x1b[2J", "2001:db8::1%eth0", "[2001:db8::1%x]:1", "::1::2", "a" * 60_000, "1" * 60_000,
    "1.2.3.4\x85", "\u0661.2.3.4", "..", ":::", "[]", "[", "_hidden",
]  # fmt: skip
ADDRESSES = {
    "203.0.113.7": "203.0.113.7",
    "203.0.113.7:1234": "203.0.113.7",
    "2001:db8::1": "2001:db8::1",
    "[2001:db8::1]:1234": "2001:db8::1",
    "[2001:DB8:0::1]": "2001:db8::1",
    "::ffff:203.0.113.7": "203.0.113.7",
}


def client(*forwarded: str, allowed: str = "10.0.0.0/8") -> str:
    fields = [(b"x-forwarded-for", value.encode("utf-8")) for value in forwarded]
    found, _ = TrustedProxies(allowed).visitor(("10.0.0.1", 5), "http", fields)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_an_address_is_read_as_proxies_write_it(text: str, address: str) -> None:
    assert read_address(text) == address
    assert client(text) == address


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_not_an_address_is_not_believed_nor_what_stands_before_it(text: str) -> None:
    assert read_address(text) == ""
    assert client(f"203.0.113.7, {text}") == "10.0.0.1"
    assert client(f"203.0.113.7, {text}, 10.0.0.2") == "10.0.0.2"
    assert client(f"{text}, 203.0.113.7") == "203.0.113.7"
    assert client(f"203.0.113.7, {text}", allowed="*") == "10.0.0.1"


def test_only_the_last_hops_are_read_in_one_field_or_in_many() -> None:
    hops = ["203.0.113.7", *["10.0.0.2"] * 40]
    assert client(", ".join(hops)) == "10.0.0.2"
    assert client(*hops) == "10.0.0.2"
    assert client("203.0.113.7", ", ".join(["10.0.0.2"] * 31)) == "203.0.113.7"


def test_thousands_of_hops_cost_in_proportion() -> None:
    proxies = TrustedProxies("*")
    for piece in (b",", b"10.0.0.1,", b" ,", b"x,"):
        assert grows_in_proportion(
            lambda fields: proxies.visitor(("10.0.0.1", 5), "http", fields),
            lambda size, piece=piece: [(b"x-forwarded-for", piece * (size // len(piece)))],
            60_000,
        )
