"""Who is shown what went wrong: all that listen, and the logger where nobody does."""

from __future__ import annotations

import logging

import pytest

from portico.calls.log import Log
from portico.calls.owner import OWNER

ERROR = ValueError("it is wrong")


def test_all_that_listen_are_told_of_each_exception(caplog: pytest.LogCaptureFixture) -> None:
    log, first, second = Log("app"), [], []
    log.subscribe(first.append)
    log.subscribe(second.append)
    log.report("GET /", ERROR)
    assert [entry.summary for entry in first] == ["ValueError: it is wrong"]
    assert first == second == list(log)
    assert caplog.text == "", "it is shown"


def test_the_logger_has_it_while_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    log, seen = Log("app"), []
    log.report("GET /one", ERROR)
    leave = log.subscribe(seen.append)
    log.report("GET /two", ERROR)
    leave()
    log.report("GET /three", ERROR)
    assert [entry.doing for entry in seen] == ["GET /two"]
    assert [record.getMessage().partition("\n")[0] for record in caplog.records] == ["app: GET /one", "app: GET /three"]


def test_one_that_fails_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    log, seen = Log("app"), []

    def fails(entry: object) -> None:
        raise RuntimeError("no page to show it on")

    log.subscribe(fails)
    log.subscribe(seen.append)
    log.report("GET /", ERROR)
    assert len(seen) == len(log) == 1
    assert "no page to show it on" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_one_may_leave_and_come_while_an_entry_is_told() -> None:
    log, seen = Log("app"), []

    def once(entry: object) -> None:
        leave()
        log.subscribe(seen.append)

    leave = log.subscribe(once)
    log.subscribe(lambda entry: seen.append("other"))
    log.report("GET /", ERROR)
    assert seen == ["other"]
    log.report("GET /", ERROR)
    assert seen == ["other", "other", log[-1]]


def test_what_a_listener_writes_is_not_the_apps() -> None:
    log, owners = Log("app"), []
    log.subscribe(lambda entry: owners.append(OWNER.get()))
    token = OWNER.set(log)
    try:
        log.report("GET /", ERROR)
        assert OWNER.get() is log
    finally:
        OWNER.reset(token)
    assert owners == [None]


def test_a_note_goes_to_the_logger_while_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("app")
    log.note("nothing but 404")
    log.subscribe(lambda entry: None)
    log.note("nothing but 405")
    assert [record.getMessage() for record in caplog.records] == ["app: nothing but 404"]
    assert log.output == "nothing but 404\nnothing but 405\n"
