"""Conditions on access: what becomes of a request that does not meet them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.access import ANONYMOUS, Visitor
from portico.hub.answers import Answer
from portico.hub.conditions import Conditions, Rate
from portico.hub.config import HubConfig
from portico.hub.enforcer import PASS_LIFETIME, Enforcer, basic_password

CONFIG = HubConfig(passwords=True)
CAT = Visitor(access="key", key_id="k1", services=("cat",), by_token=True)
ADA = Visitor(access="user", user_id="ada")


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def read(**value: Any) -> Conditions:
    found = Conditions.read(value, CONFIG)
    assert found is not None
    return found


def refusal(work: Any, *arguments: Any) -> Answer:
    with pytest.raises(Answer) as caught:
        work(*arguments)
    return caught.value


# --- time and place ---------------------------------------------------------------------------------------------


def test_a_link_expires() -> None:
    now = Clock()
    enforcer = Enforcer(now=now)
    until = read(expires=1010)
    enforcer.check(until, None)
    now.now = 1010.0
    answer = refusal(enforcer.check, until, None)
    assert (answer.status, answer.code) == (403, "link_expired")


@pytest.mark.parametrize(
    ("cidr", "client", "inside"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.7/8"], "10.1.2.3", True),  # host bits do not matter
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", True),
        (["::/0"], "10.1.2.3", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], None, False),
        (["0.0.0.0/0"], "unix:", False),
        (["0.0.0.0/0"], "", False),
    ],
)
def test_networks(cidr: list[str], client: str | None, inside: bool) -> None:
    enforcer = Enforcer()
    if inside:
        enforcer.check(read(cidr=cidr), client)
    else:
        answer = refusal(enforcer.check, read(cidr=cidr), client)
        assert (answer.status, answer.code) == (403, "address")


# --- rates ------------------------------------------------------------------------------------------------------


def test_a_rate_is_of_each_visitor_and_of_each_service() -> None:
    enforcer = Enforcer(clock=Clock())
    rate = Rate.read("2/s")
    visitors = [
        (CAT, "10.0.0.1"),
        (ADA, "10.0.0.1"),
        (ANONYMOUS, "10.0.0.1"),
        (ANONYMOUS, "10.0.0.2"),
        (ANONYMOUS, None),
        (ANONYMOUS, "2001:db8::1"),
        (ANONYMOUS, "2001:db8:0:1::1"),
    ]
    for service in ("cat", "dog"):
        for visitor, client in visitors:
            enforcer.count(rate, service, visitor, client)
            enforcer.count(rate, service, visitor, client)
            assert refusal(enforcer.count, rate, service, visitor, client).code == "rate_limited"
    # a key from anywhere is one visitor, and so are all addresses of one machine
    refusal(enforcer.count, rate, "cat", CAT, "10.9.9.9")
    refusal(enforcer.count, rate, "cat", ANONYMOUS, "2001:db8::ffff:2")
    refusal(enforcer.count, rate, "cat", ANONYMOUS, "::ffff:10.0.0.1")


def refused_for(work: Callable[[], None]) -> int:
    """For how many seconds the rate refuses; 0 if it does not."""
    try:
        work()
    except Answer as answer:
        return answer.retry_after or 0
    return 0


@given(
    st.integers(1, 100),
    st.sampled_from(["s", "min", "h", "d"]),
    st.lists(st.floats(0, 100), max_size=50),
)
def test_retry_after_is_true(count: int, unit: str, pauses: list[float]) -> None:
    """Whoever waits as long as it is told gets in, and nobody gets in more often than the rate and its burst allow."""
    clock = Clock()
    enforcer = Enforcer(clock=clock)
    rate = Rate.read(f"{count}/{unit}")
    let_in = 0
    for pause in [0.0] * (count + 1) + pauses:
        clock.now += pause
        wait = refused_for(lambda: enforcer.count(rate, "cat", ANONYMOUS, "10.0.0.1"))
        if wait:
            clock.now += wait
            enforcer.count(rate, "cat", ANONYMOUS, "10.0.0.1")
        let_in += 1
    assert let_in <= count + (clock.now - 1000.0) * count / rate.seconds + 1e-6


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    enforcer = Enforcer(clock=clock, remembered=100)
    rate = Rate.read("1/h")
    for number in range(1000):
        enforcer.count(rate, "cat", ANONYMOUS, f"10.0.{number // 256}.{number % 256}")
        enforcer.try_password(read(password="x"), "cat", f"10.0.{number // 256}.{number % 256}", b"y")
    assert len(enforcer._buckets) == len(enforcer._failures) == 100
    refusal(enforcer.count, rate, "cat", ANONYMOUS, "10.0.3.231")  # the newest is among them


# --- passwords --------------------------------------------------------------------------------------------------


def test_passwords_are_compared_as_people_type_them() -> None:
    enforcer = Enforcer()
    asked = read(password="caf\u00e9")
    for given_ in ("caf\u00e9".encode(), "cafe\u0301".encode(), "caf\u00e9".encode("latin-1")):
        assert enforcer.try_password(asked, "cat", "10.0.0.1", given_)
    for wrong in (b"", b"cafe", b"CAF\xc3\x89", "caf\u00e9 ".encode()):
        assert not enforcer.try_password(asked, "cat", "10.0.0.1", wrong)


def test_guessing_is_held_up() -> None:
    clock = Clock()
    enforcer = Enforcer(clock=clock)
    asked = read(password="right")
    for _ in range(10):
        assert not enforcer.try_password(asked, "cat", "10.0.0.1", b"wrong")
        clock.now += 1
    answer = refusal(enforcer.try_password, asked, "cat", "10.0.0.1", b"right")
    assert (answer.status, answer.code, answer.retry_after) == (429, "too_many_attempts", 590)
    assert enforcer.try_password(asked, "cat", "10.0.0.2", b"right"), "another address"
    assert enforcer.try_password(asked, "dog", "10.0.0.1", b"right"), "another service"
    clock.now += 590
    assert enforcer.try_password(asked, "cat", "10.0.0.1", b"right")
    # right ones are never too many
    for _ in range(50):
        assert enforcer.try_password(asked, "cat", "10.0.0.3", b"right")


def test_a_pass_is_of_one_workspace_one_service_and_one_password() -> None:
    now = Clock()
    enforcer = Enforcer("w1", now=now)
    asked = read(password="right")
    value = enforcer.make_pass(asked, "cat").encode()
    assert enforcer.is_pass(asked, "cat", value)
    assert Enforcer("w1", now=now).is_pass(asked, "cat", value), "a workspace that was put away and made anew"
    assert not enforcer.is_pass(asked, "dog", value)
    assert not enforcer.is_pass(read(password="another"), "cat", value)
    assert not enforcer.is_pass(read(rate="5/s"), "cat", value)
    assert not Enforcer("w2", now=now).is_pass(asked, "cat", value)
    assert not enforcer.is_confirmation("cat", value)
    assert enforcer.is_confirmation("cat", enforcer.make_confirmation("cat").encode())
    until, _, mac = value.partition(b".")
    for forged in (b"", b".", until, b"9" * 11 + b"." + mac, b"9" * 5000 + b"." + mac, until + b".", value + b"x"):
        assert not enforcer.is_pass(asked, "cat", forged)
    now.now += PASS_LIFETIME
    assert not enforcer.is_pass(asked, "cat", value)


@pytest.mark.parametrize(
    ("header", "password"),
    [
        (b"Basic " + base64.b64encode(b"any:open:sesame"), b"open:sesame"),
        (b"basic  " + base64.b64encode(b":x"), b"x"),
        (b"Basic " + base64.b64encode(b"nocolon"), None),
        (b"Basic !!!", None),
        (b"Basic", None),
        (b"", None),
        (b"Bearer " + base64.b64encode(b"a:b"), None),
        (b"Basic " + base64.b64encode(b"a:b") + b"\xff", None),
    ],
)
def test_basic(header: bytes, password: bytes | None) -> None:
    assert basic_password(header) == password
