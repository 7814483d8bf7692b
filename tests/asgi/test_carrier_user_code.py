"""What an app raises is its own failure, whatever it is; our own cancelling of a call is not."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from portico.asgi.lifespan import Lifespan
from portico.calls.owner import REPORTED
from portico.errors import AnsweredWithError, StartupFailed
from portico.protocol import ResetCode
from portico.types import Receive, Scope, Send
from tests.asgi.served import Served, serving
from tests.transports.recorder import run
from tests.waiting import until

START = {"type": "http.response.start", "status": 200, "headers": []}


class Own(BaseException):
    """No Exception, as a library may have it."""


def _raises(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def code() -> None:
        raise error

    return code


async def _awaits_what_it_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await task


async def _cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def _waits_in_a_scope_that_it_left() -> None:
    scope = anyio.CancelScope()
    scope.cancel()
    try:
        with scope:
            await anyio.sleep(1)
    finally:
        raise asyncio.CancelledError


async def _awaits_a_future_that_it_cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    async with asyncio.timeout(5):
        await future


CODE = {
    "SystemExit": _raises(SystemExit(2)),
    "KeyboardInterrupt": _raises(KeyboardInterrupt()),
    "GeneratorExit": _raises(GeneratorExit()),
    "another BaseException": _raises(Own("mine")),
    "CancelledError": _raises(asyncio.CancelledError()),
    "a cancelled task": _awaits_what_it_cancelled,
    "its own task, cancelled": _cancels_itself,
    "a cancel scope": _waits_in_a_scope_that_it_left,
    "a cancelled future": _awaits_a_future_that_it_cancelled,
}

every_way = pytest.mark.parametrize("code", CODE.values(), ids=CODE)


@every_way
def test_of_a_request_it_is_an_error_of_the_app(code: Callable[[], Awaitable[None]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await code()

    async def work(served: Served) -> None:
        visitor = served.visit(b"/x")
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR

    served = serving(app, work)
    [(doing, error)] = served.apps.reports
    assert doing == "GET /portico/apps/cat/x"
    assert error.__traceback__ is not None


@every_way
def test_in_the_middle_of_a_stream_it_cuts_it(code: Callable[[], Awaitable[None]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        await code()

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.resets)
        assert (visitor.body, visitor.resets[0][0]) == (b"some", ResetCode.APP_ERROR)

    assert len(serving(app, work).apps.reports) == 1


@every_way
@pytest.mark.parametrize("accepted", [True, False])
def test_of_a_websocket_it_is_an_error_of_the_app(code: Callable[[], Awaitable[None]], accepted: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if accepted:
            await send({"type": "websocket.accept"})
        await code()

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.closed or visitor.resets)
        if accepted:
            assert visitor.closed is not None
            assert visitor.closed[0] == 1011
        else:
            assert visitor.resets[0][0] == ResetCode.APP_ERROR

    assert len(serving(app, work).apps.reports) == 1


@every_way
def test_of_a_startup_it_is_why_the_app_does_not_start(code: Callable[[], Awaitable[None]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await code()

    async def work() -> None:
        with pytest.raises(StartupFailed, match="while it started") as failed:
            await Lifespan(app, lambda *_: None).startup()
        assert failed.value.__cause__ is not None

    run(work)


@every_way
def test_of_a_shutdown_it_is_reported(code: Callable[[], Awaitable[None]]) -> None:
    reports: list[tuple[str, BaseException]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await code()

    async def work() -> None:
        lifespan = Lifespan(app, lambda doing, error: reports.append((doing, error)))
        await lifespan.startup()
        await lifespan.shutdown()

    run(work)
    assert [doing for doing, _ in reports] == ["shutdown"]


def test_a_startup_that_is_given_up_is_no_failure_of_the_app() -> None:
    reports: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        starting = asyncio.ensure_future(Lifespan(app, lambda *told: reports.append(told)).startup())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(work)
    assert reports == []


@pytest.mark.parametrize("websocket", [False, True])
def test_a_visitor_who_leaves_cancels_and_nothing_is_reported(websocket: bool) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def work(served: Served) -> None:
        visitor = served.connect() if websocket else served.visit()
        await until(lambda: served.apps.exchanges)
        served.leave(visitor)
        await served.over()

    assert serving(app, work, cancel_after=0.0).apps.reports == []
    assert seen == ["cancelled"]


def test_a_service_that_stops_cancels_and_nothing_is_reported() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: served.apps.exchanges)
        await asyncio.sleep(0)
        served.apps.exchanges[0].cancel()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.CANCEL

    assert serving(app, work).apps.reports == []


def test_a_task_that_is_dropped_is_not_reported() -> None:
    """As at the interpreter's end: the GeneratorExit is its own, not the app's."""
    served: list[Served] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()

    async def work() -> None:
        served.append(Served(app))
        await served[0].start()
        served[0].visit()
        await until(lambda: served[0].apps.exchanges)
        await asyncio.sleep(0)

    loop.run_until_complete(work())
    [exchange] = served[0].apps.exchanges
    assert exchange._task is not None
    exchange._task.get_coro().close()  # type: ignore[union-attr]
    assert served[0].apps.reports == []
    exchange._task._log_destroy_pending = False  # type: ignore[attr-defined]
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.close()


@pytest.mark.parametrize("status", [500, 503, 599])
@pytest.mark.parametrize("before", [False, True])
def test_an_answer_of_500_or_more_is_reported(status: int, before: bool) -> None:
    """Whatever was reported *before*, in the context that the call begins in."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"sorry"})

    async def work(served: Served) -> None:
        await served.whole(served.visit(b"/x"))

    context = contextvars.copy_context()
    context.run(REPORTED.set, before)
    [(doing, error)] = context.run(serving, app, work).apps.reports
    assert doing == "GET /portico/apps/cat/x"
    assert isinstance(error, AnsweredWithError)
    assert str(status) in str(error)


def test_an_error_that_is_answered_and_raised_is_reported_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"sorry"})
        raise ValueError("as Starlette's middleware does")

    async def work(served: Served) -> None:
        await served.whole(served.visit())

    [(_, error)] = serving(app, work).apps.reports
    assert isinstance(error, ValueError)
