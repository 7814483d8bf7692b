"""The pool that WSGI apps run on, and what they hand to the loop: in order, bounded, and never left behind."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from portico.asgi.wsgi import WSGIApp
from portico.calls.workers import Workers
from tests.asgi.served import Served, serving

WITHIN = 10  # seconds that no step should need


def test_who_waits_longest_comes_first_and_no_more_run_than_may() -> None:
    workers, free, begun, order = Workers(2, "test"), threading.Event(), threading.Semaphore(0), list[int]()

    def job(number: int) -> Any:
        def run() -> None:
            order.append(number)
            begun.release()
            assert free.wait(WITHIN)

        return run

    jobs = [workers.submit(job(number)) for number in range(6)]
    for _ in range(2):
        assert begun.acquire(timeout=WITHIN)
    assert sorted(order) == [0, 1]
    assert workers.leave(jobs[3]), "one that has not begun never will"
    assert not workers.leave(jobs[0]), "one that runs goes on"
    free.set()
    for _ in range(3):
        assert begun.acquire(timeout=WITHIN)
    assert sorted(order) == [0, 1, 2, 4, 5]


def test_another_stands_in_for_a_thread_that_is_given_up_so_often_only() -> None:
    workers, free, begun = Workers(1, "test"), threading.Event(), threading.Semaphore(0)

    def stuck() -> None:
        begun.release()
        free.wait(WITHIN)

    jobs = [workers.submit(stuck) for _ in range(3)]
    assert begun.acquire(timeout=WITHIN)
    assert workers.give_up(jobs[0])
    assert begun.acquire(timeout=WITHIN), "the second has the one that stands in"
    assert workers.give_up(jobs[1])
    assert not jobs[2].begun, "as many as the pool has may stand in, and no more"
    free.set()
    assert begun.acquire(timeout=WITHIN)


def test_a_job_that_raises_does_not_end_its_thread() -> None:
    workers, ended = Workers(1, "test"), threading.Event()

    def raises() -> None:
        raise SystemExit

    workers.submit(raises)
    workers.submit(ended.set)
    assert ended.wait(WITHIN)


def served(app: Any, *, body: bytes = b"", threads: int = 4) -> tuple[bytes, Served]:
    answers: list[bytes] = []

    async def work(served: Served) -> None:
        visitor = served.visit(b"/a", method="POST" if body else "GET", body=body)
        answers.append((await served.whole(visitor)).body)

    return (lambda kept: (answers[0], kept))(serving(WSGIApp(app, threads=threads), work))


def test_by_the_rules_of_the_standards_own_validator() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        assert environ["wsgi.input_terminated"] is True
        body = environ["wsgi.input"].read(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body, b" twice"]

    def without_type(environ: Any, start_response: Any) -> Iterable[bytes]:
        return validator(app)({**environ, "SCRIPT_NAME": ""}, start_response)  # type: ignore[no-any-return]

    assert served(without_type, body=b"somebody")[0] == b"somebody twice"


@pytest.mark.parametrize("length", [True, False])
def test_many_blocks_come_in_order(length: bool) -> None:
    blocks = [bytes([number % 256]) * (number * 37 % 9000) for number in range(600)]
    whole = b"".join(blocks)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(whole)))] if length else [])
        yield from blocks

    assert served(app)[0] == whole


def test_context_variables_go_along() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield variable.get().encode()

    wrapped = WSGIApp(app)

    async def around(scope: Any, receive: Any, send: Any) -> None:
        variable.set("mine")
        await wrapped(scope, receive, send)

    async def work(served: Served) -> None:
        assert (await served.whole(served.visit())).body == b"mine"

    serving(around, work)


def test_what_is_beyond_its_content_length_is_told() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"some", b"more"]

    assert served(app)[0] == b"some"


def test_an_error_of_close_is_reported_and_the_answer_stands() -> None:
    class Blocks:
        def __iter__(self) -> Any:
            return iter([b"fine"])

        def close(self) -> None:
            raise SystemExit("in close")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return Blocks()

    body, kept = served(app)
    assert body == b"fine"
    assert [str(error) for _, error in kept.apps.reports] == ["in close"]
