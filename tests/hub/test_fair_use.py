"""Who holds how much, and who comes how often: the counting alone."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.fair_use import Bucket, Rates, Refusals, Shares, a_quarter


def test_a_quarter_leaves_room_for_three_others_and_is_never_nothing() -> None:
    assert [a_quarter(of) for of in (0, 1, 3, 4, 1000)] == [1, 1, 1, 1, 250]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "b", "c"])), max_size=200))
def test_the_counts_are_those_of_what_is_held(moves: list[tuple[bool, str]]) -> None:
    """What is held of each, and in all, is what was taken and not given back; nothing is kept of who holds nothing."""
    shares, held = Shares(of_one=2, in_all=5), Counter[str]()
    for take, owner in moves:
        if take and shares.has_room(owner) and not shares.full:
            shares.take(owner)
            held[owner] += 1
        elif not take and held[owner]:
            shares.give_back(owner)
            held[owner] -= 1
        assert shares.total == held.total() <= 5
        assert {owner: shares.held_by(owner) for owner in "abc"} == {owner: held[owner] for owner in "abc"}
        assert max(held[owner] for owner in "abc") <= 2
        assert set(shares._held) == {owner for owner in held if held[owner]}


def test_a_bucket_lets_so_many_through_at_once_and_then_so_many_a_second() -> None:
    now = 0.0
    rates = Rates(3, 2.0, clock=lambda: now)
    assert [rates.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rates.take("b") == 0.0
    now = 0.5
    assert (rates.take("a"), rates.take("a")) == (0.0, 0.5)
    now = 100.0
    assert [rates.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_what_cannot_be_refused_counts_for_what_comes_next() -> None:
    now = 0.0
    rates = Rates(2, 1.0, clock=lambda: now)
    for _ in range(100):
        rates.spend("a")
    assert 0 < rates.wait("a") <= 3.0  # debt is bounded: who stops is let in again soon
    now = 3.0
    assert rates.wait("a") == 0.0


def test_a_bucket_remembers_so_many_owners() -> None:
    rates = Rates(1, 1.0, clock=lambda: 0.0, remembered=3)
    for number in range(1000):
        rates.take(str(number))
    assert len(rates._buckets) == 3
    assert rates.take("999") > 0


@given(st.floats(1, 1000), st.floats(0.01, 100), st.lists(st.floats(0, 10), max_size=50))
def test_a_bucket_is_never_more_than_full_and_its_debt_is_bounded(
    at_once: float, rate: float, steps: list[float]
) -> None:
    now = 0.0
    bucket = Bucket(at_once, rate, now)
    for step in steps:
        now += step
        bucket.take(now)
        assert -at_once <= bucket.left(now) <= at_once


def test_a_flood_of_refusals_is_counted_and_logged_seldom(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(logging.getLogger("test"), clock=lambda: now)
    with caplog.at_level(logging.WARNING, "test"):
        for _ in range(1000):
            refusals.add("links", "no room")
        refusals.add("hello", "another")
        now = 10.0
        refusals.add("links", "no room")
    assert [record.getMessage() for record in caplog.records] == [
        "no room",
        "another",
        "no room (999 more like this were not logged)",
    ]
    assert refusals.counts == {"links": 1001, "hello": 1}
