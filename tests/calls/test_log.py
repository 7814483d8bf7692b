"""Who is shown what went wrong: all that listen, and the logger where nobody does."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest

from portico.calls.log import Line, Log
from portico.calls.owner import OWNER
from portico.errors import FunctionError, PorticoError
from portico.functions.calling import call
from portico.functions.given import Given
from portico.functions.signature import typed_function
from portico.types import service_name

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


def test_what_is_kept_is_read_in_turn_with_numbers_that_only_grow() -> None:
    log = Log("app")
    log.printed("a")
    log.printed("b\n")
    log.report("GET /", ERROR)
    log.printed("c\n")
    log.printed("")
    log.note("d")
    assert [one.number for one in log.read()] == [1, 2, 3, 4]
    assert [one.text for one in log.read() if isinstance(one, Line)] == ["ab\n", "c\n", "d\n"]
    assert [one.number for one in log.read(3)] == [4]
    assert log.read(4) == []
    log.clear()
    assert log.read() == []
    log.printed("e")
    assert [one.number for one in log.read()] == [5]


def test_a_line_that_was_read_takes_no_more_text() -> None:
    log = Log("app")
    log.printed("half")
    (half,) = log.read()
    log.printed(" a line\n")
    (rest,) = log.read(half.number)
    assert isinstance(half, Line)
    assert isinstance(rest, Line)
    assert (half.text, rest.text, log.output) == ("half", " a line\n", "half a line\n")


def test_code_that_writes_each_character_apart_makes_lines_and_what_is_kept_stays_bounded() -> None:
    log = Log("app")
    for _ in range(300):
        for character in "x" * 99 + "\n":
            log.printed(character)
    assert log.output == ("x" * 99 + "\n") * 200
    assert [one.text for one in log.read() if isinstance(one, Line)] == ["x" * 99 + "\n"] * 200
    for _ in range(50_000):
        log.printed("y")  # a line that never ends
    assert len(log.output) == 20_000
    assert set(log.output) == {"y"}
    assert len(log.read()) <= 50


def test_code_that_prints_while_the_log_is_written_does_not_wait_for_itself() -> None:
    log = Log("app")
    with log._writing:  # as a destructor that the garbage collector runs then
        log.printed("in between\n")
        log.report("GET /", ERROR)
    assert [one.number for one in log.read()] == [1, 2]


def test_a_traceback_begins_with_the_code_that_portico_called() -> None:
    """By whatever way it was called, and for the exception before it, too."""

    def fails(value: str) -> float:
        try:
            return float(value)
        except ValueError as error:
            raise RuntimeError("no price") from error

    async def test() -> BaseException:
        with pytest.raises(FunctionError) as failed:
            await call(typed_function(fails), ("much",), {}, Given())
        assert failed.value.__cause__ is not None
        return failed.value.__cause__

    log = Log("flats")
    log.report("POST /run", asyncio.run(test()))
    files = re.findall(r'File "([^"]*)"', log[-1].traceback)
    assert len(files) == 2
    assert {Path(file).name for file in files} == {Path(__file__).name}
    assert log[-1].traceback.endswith("RuntimeError: no price\n")


def test_a_failure_of_porticos_own_keeps_its_frames() -> None:
    log = Log("flats")
    with pytest.raises(PorticoError) as failed:
        service_name("Not A Name!")
    failed.value.__traceback__ = failed.value.__traceback__.tb_next  # type: ignore[union-attr] # this test's own
    log.report("GET /", failed.value)
    assert "in service_name" in log[-1].traceback
