"""The last of what a service's code writes is kept, beside where it goes."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
from collections.abc import Callable

import pytest

from portico.calls.owner import OWNER
from portico.provider.log import Log
from portico.provider.output import keep_output


class Stream(io.StringIO):
    """One of Python's own, as a kernel's are."""

    def write(self, text: str) -> int:
        return super().write(text)


@pytest.fixture(params=["Python's", "C's"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """To be called by the test, as pytest changes the streams between a fixture and its test: standard output and error
    of a program. Called again, it gives what was written there."""
    made = Stream() if request.param == "Python's" else io.TextIOWrapper(io.BytesIO(), write_through=True)

    def written() -> str:
        if sys.stdout is not made and getattr(sys.stdout, "_stream", None) is not made:
            monkeypatch.setattr(sys, "stdout", made)
            monkeypatch.setattr(sys, "stderr", made)
            keep_output()
            keep_output()
        return made.getvalue() if isinstance(made, Stream) else made.buffer.getvalue().decode()  # type: ignore[attr-defined]

    return written


def within(log: Log, *calls: Callable[[], object]) -> None:
    context = contextvars.copy_context()
    context.run(OWNER.set, log)
    for call in calls:
        context.run(call)


def test_it_is_kept_for_its_service_and_written_as_before(stream: Callable[[], str]) -> None:
    stream()
    one, two = Log("one"), Log("two")
    print("nobody's")
    within(one, lambda: print("of one"), lambda: sys.stderr.writelines(["a ", "line\n"]))
    within(two, lambda: logging.lastResort and logging.lastResort.emit(logging.makeLogRecord({"msg": "logged"})))
    assert one.output == "of one\na line\n"
    assert two.output == "logged\n"
    assert stream() == "nobody's\nof one\na line\nlogged\n"
    assert "of one" in repr(one)
    assert "nothing went wrong" not in repr(one)


def test_only_the_last_of_it_is_kept(stream: Callable[[], str]) -> None:
    stream()
    log = Log("app")
    within(log, *(lambda number=number: print(f"line {number}") for number in range(10_000)))  # type: ignore[misc]
    within(log, lambda: print("x" * 100_000 + "the end"))
    assert len(log.output) <= 20_000
    assert log.output.endswith("the end\n")
    log.clear()
    assert log.output == ""


def test_an_error_that_is_logged_for_want_of_a_listener_is_kept_once(stream: Callable[[], str]) -> None:
    stream()
    log = Log("app")
    within(log, lambda: log.report("GET /", ValueError("mine")))
    assert len(log) == 1
    assert log.output == ""


def test_a_log_of_which_nothing_came_says_so() -> None:
    assert repr(Log("app")) == "<log of app: nothing went wrong>"
