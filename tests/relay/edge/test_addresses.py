"""What one address may do, counted alone: connections, by the network of 64 bits where it is IPv6."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from portico.networks import network_of
from portico.relay.edge.addresses import Addresses


def test_connections_from_one_ipv6_network_are_of_one_visitor() -> None:
    addresses = Addresses(connections=3)
    assert [addresses.connect(f"2001:db8::{number:x}") for number in range(5)] == [True, True, True, False, False]
    assert addresses.connect("2001:db8:0:1::1")
    assert addresses.connect("192.0.2.1")
    for number in range(5):
        addresses.disconnect(f"2001:db8::{number:x}")
    assert addresses.connect("2001:db8::99")


def test_an_ipv4_address_in_ipv6_form_is_itself() -> None:
    addresses = Addresses(connections=1)
    assert addresses.connect("192.0.2.1")
    assert not addresses.connect("::ffff:192.0.2.1")
    assert addresses.connect("::ffff:192.0.2.2"), "all mapped addresses are in one network of 64 bits"


@pytest.mark.parametrize("seed", range(5))
def test_connections_that_come_and_go_leave_no_count(seed: int) -> None:
    chance, addresses, held = random.Random(seed), Addresses(connections=4), Counter[str]()
    everybody = ["192.0.2.1", "::ffff:192.0.2.1", *(f"2001:db8:0:{chance.randrange(3)}::{n}" for n in range(20))]
    there: list[str] = []
    for _ in range(2000):
        if there and chance.random() < 0.5:
            gone = there.pop(chance.randrange(len(there)))
            addresses.disconnect(gone)
            held[network_of(gone)] -= 1
        else:
            there.append(chance.choice(everybody))
            held[network_of(there[-1])] += 1
            assert addresses.connect(there[-1]) == (held[network_of(there[-1])] <= 4)
    for address in there:
        addresses.disconnect(address)
    assert addresses._connections == {}
