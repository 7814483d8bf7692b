"""Those who are told: they come, go and fail without a harm to each other."""

from __future__ import annotations

import logging
import sys
import threading

import pytest

from portico.listeners import Listeners


def test_all_are_told_in_the_order_in_which_they_came():
    listeners, told = Listeners[int](), []
    listeners.subscribe(lambda value: told.append(("first", value)))
    listeners.subscribe(lambda value: told.append(("second", value)))
    listeners.tell(1)
    assert told == [("first", 1), ("second", 1)]
    assert len(listeners) == 2


def test_one_that_has_left_is_told_nothing_more_and_may_leave_twice():
    listeners, told = Listeners[int](), []
    leave = listeners.subscribe(told.append)
    listeners.subscribe(told.append)
    leave()
    leave()
    listeners.tell(1)
    assert told == [1]


def test_the_same_callable_subscribed_twice_leaves_once_at_a_time():
    listeners, told = Listeners[int](), []
    leave = listeners.subscribe(told.append)
    listeners.subscribe(told.append)
    listeners.tell(1)
    leave()
    listeners.tell(2)
    assert told == [1, 1, 2]


def test_one_that_fails_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture):
    listeners, told = Listeners[int](), []

    def fail(value: int) -> None:
        raise ValueError(value)

    listeners.subscribe(fail)
    listeners.subscribe(told.append)
    with caplog.at_level(logging.ERROR, "portico.listeners"):
        listeners.tell(7)
    assert told == [7]
    assert "a listener failed" in caplog.text
    assert "ValueError: 7" in caplog.text


def test_who_comes_or_goes_meanwhile_is_told_of_the_next():
    listeners, told = Listeners[int](), []

    def first(value: int) -> None:
        leave_second()
        listeners.subscribe(lambda value: told.append(("third", value)))

    leave_first = listeners.subscribe(first)
    leave_second = listeners.subscribe(lambda value: told.append(("second", value)))
    listeners.tell(1)
    assert told == [("second", 1)]
    leave_first()
    listeners.tell(2)
    assert told[1:] == [("third", 2)]


def test_threads_that_come_and_go_at_once_lose_nobody():
    listeners, told = Listeners[int](), []
    listeners.subscribe(told.append)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def come_and_go() -> None:
        for _ in range(300):
            listeners.subscribe(lambda value: None)()

    try:
        threads = [threading.Thread(target=come_and_go) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(listeners) == 1
    listeners.tell(1)
    assert told == [1]
