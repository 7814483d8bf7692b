"""The backoff, with its time and its randomness as arguments."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from portico.provider.reconnect import FIRST, LONGEST, SOON, TRIES_SOON, Backoff


def test_it_grows_to_its_longest() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay(1.0) for _ in range(100)]
    assert delays[0] == FIRST
    assert max(delays[:TRIES_SOON]) <= SOON
    assert all(earlier <= later for earlier, later in itertools.pairwise(delays))
    assert delays[-1] == LONGEST


def test_a_link_that_worked_starts_it_anew() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.next_delay(1.0)
    backoff.reset()
    assert backoff.next_delay(1.0) == FIRST


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 60))
def test_any_delay_is_bounded_both_ways(failures: int, random: float, asked: float) -> None:
    delay = Backoff(failures).next_delay(random, asked)
    assert FIRST / 2 <= delay <= LONGEST + asked


def test_a_hub_without_room_is_asked_more_and_more_seldom() -> None:
    backoff = Backoff()
    delays = []
    for _ in range(6):
        backoff.no_room()
        delays.append(backoff.next_delay(1.0))
    assert SOON < delays[0] < delays[1] < delays[2]
    assert delays[-1] == LONGEST
    backoff.reset()
    assert backoff.next_delay(1.0) == FIRST
