"""One HTTP exchange: leaving, backpressure, credit, and what an app may not send."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portico.calls.owner import REPORTED
from portico.errors import FunctionError, LocalProtocolError
from portico.protocol import ResetCode
from portico.types import Receive, Scope, Send
from tests.asgi.served import KIB, WINDOW, Served, serving
from tests.waiting import turns, until

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def test_the_scope_says_where_the_app_is_and_who_calls() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send(START)
        await send(body(b"hello"))

    async def work(served: Served) -> None:
        visitor = await served.whole(
            served.visit(b"/a%2Fb/%E6%97%A5?q=%20&&", headers=[(b"x-one", b"1")], identity=b'{"user": "ada"}')
        )
        assert visitor.body == b"hello"

    serving(app, work)
    scope = scopes[0]
    assert scope["root_path"] == "/portico/apps/cat"
    assert scope["path"] == "/portico/apps/cat/a/b/日"
    assert scope["raw_path"] == b"/portico/apps/cat/a%2Fb/%E6%97%A5"
    assert scope["query_string"] == b"q=%20&&"
    assert scope["headers"] == [(b"x-one", b"1")]
    assert scope["client"] == ("203.0.113.7", 4711)
    assert scope["server"] == ("hub.example", 80)
    assert scope["extensions"]["portico"] == {"user": "ada"}


def test_who_waits_for_the_disconnect_gets_it_and_is_not_cancelled() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        seen.append((await receive())["type"])
        await turns()
        seen.append("cleaned up")

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: served.apps.exchanges)
        served.leave(visitor)
        await served.over()

    served = serving(app, work, cancel_after=0.0, cancel_told_after=30.0)
    assert seen == ["http.disconnect", "cleaned up"]
    assert served.apps.reports == []


@pytest.mark.parametrize("asks", [False, True])
def test_who_does_not_end_after_a_disconnect_is_cancelled(asks: bool) -> None:
    """Soon if it has not asked; later if it was told and may be cleaning up."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while asks and (await receive())["type"] != "http.disconnect":
            pass
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: served.apps.exchanges)
        served.leave(visitor)
        await served.over()

    options = {"cancel_after": 30.0, "cancel_told_after": 0.0} if asks else {"cancel_after": 0.0}
    served = serving(app, work, **options)
    assert seen == ["cancelled"]
    assert served.apps.reports == []


def test_a_generation_stops_before_its_first_byte() -> None:
    """The visitor leaves while the app computes and has said nothing: send() raises an OSError, nobody is troubled."""
    seen: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(receive())
        assert (await gone)["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send(START)
        except OSError as error:
            seen.append(error)
            raise

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: served.apps.exchanges)
        served.leave(visitor)
        await served.over()

    served = serving(app, work)
    assert len(seen) == 1
    assert served.apps.reports == []


def test_send_waits_while_the_visitor_does_not_read() -> None:
    written = 0
    whole = 4 * 1024 * KIB

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal written
        await send(START)
        while written < whole:
            await send(body(b"x" * 64 * KIB, more=True))
            written += 64 * KIB
        await send(body(b""))

    async def work(served: Served) -> None:
        visitor = served.visit(consume=False)
        await until(lambda: len(visitor.body) == WINDOW)
        await turns()
        assert written <= WINDOW + served.provider.connection.limits.queue_high + 64 * KIB
        assert len(visitor.body) == WINDOW
        visitor.take()
        await served.whole(visitor)
        assert len(visitor.body) == whole

    serving(app, work)


def test_the_visitor_leaves_while_send_waits() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send(body(b"x" * 64 * KIB, more=True))

    async def work(served: Served) -> None:
        visitor = served.visit(consume=False)
        await until(lambda: len(visitor.body) == WINDOW)
        served.leave(visitor)
        await served.over()

    served = serving(app, work, cancel_after=30.0)  # send() raises; nothing needs to be cancelled
    assert served.apps.reports == []


@pytest.mark.parametrize("size", [1, 8 * KIB])
def test_an_app_that_never_awaits_lets_others_in(size: int) -> None:
    stop = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal stop
        await send(START)
        if scope["path"].endswith("/stop"):
            stop = True
        while not stop:
            await send(body(b"x" * size, more=True))
        await send(body(b"end"))

    async def work(served: Served) -> None:
        first = served.visit(b"/stream")
        await until(lambda: first.body)
        second = await served.whole(served.visit(b"/stop"))
        assert second.body == b"end"
        await served.whole(first)

    serving(app, work)


def test_an_upload_is_held_back_until_the_app_asks() -> None:
    """Credit goes back by receive(), and not before."""
    ready = asyncio.Event()
    upload = bytes(range(256)) * 4096  # 1 MiB, four windows
    received = b""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal received
        await ready.wait()
        more = True
        while more:
            message = await receive()
            received += message["body"]
            more = message["more_body"]
        await send(START)
        await send(body(b"taken"))

    async def work(served: Served) -> None:
        visitor = served.visit(method="POST", body=upload)
        await until(lambda: served.provider.connection.held == WINDOW)
        await turns()
        assert served.provider.connection.held == WINDOW
        assert served.hub.connection.queued(visitor.stream.id) == len(upload) - WINDOW
        ready.set()
        assert (await served.whole(visitor)).body == b"taken"

    serving(app, work)
    assert received == upload


def test_what_waits_to_be_sent_does_not_change() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        buffer = bytearray(b"first")
        await send(body(buffer, more=True))
        buffer[:] = b"later"
        await send(body(memoryview(buffer)))

    async def work(served: Served) -> None:
        assert (await served.whole(served.visit())).body == b"firstlater"

    serving(app, work)


@pytest.mark.parametrize(
    "header",
    [(b"x bad", b"1"), (b"", b"1"), (b"x\r\ny", b"1"), (b"x-a", b"1\r\nx-b: 2"), (b"x-a", b"\0"), (b"x-a", b"1\x7f")],
)
def test_a_header_that_no_response_may_hold_is_refused_and_forgotten(header: tuple[bytes, bytes]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match="header"):
            await send({**START, "headers": [(b"x-good", b"1"), header]})
        await send({**START, "headers": [(b"X-Second", b"try")]})
        await send(body(b""))

    async def work(served: Served) -> None:
        visitor = await served.whole(served.visit())
        assert visitor.head is not None
        assert visitor.head.headers == [(b"x-second", b"try")]

    serving(app, work)


@pytest.mark.parametrize("begun", [False, True])
def test_an_app_that_just_returns_is_reported_and_reset(begun: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send(START)
            await send(body(b"half", more=True))

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR

    served = serving(app, work)
    ((doing, error),) = served.apps.reports
    assert doing == "GET /portico/apps/cat/"
    assert isinstance(error, LocalProtocolError)


def test_a_service_that_stops_ends_what_runs() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"half", more=True))
        await asyncio.Event().wait()

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.body == b"half")
        served.apps.exchanges[0].cancel()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.CANCEL

    assert serving(app, work).apps.reports == []


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 1000, -1, "200", 200.0, None])
def test_a_status_that_no_response_has_is_the_apps_error(status: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send(body(b"HTTP/1.1 200 OK\r\n\r\n"))

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR
        (_, error), *_ = served.apps.reports
        assert "is not the status of a response" in str(error)

    serving(app, work)


@pytest.mark.parametrize("reported", [False, True])
def test_a_function_that_breaks_its_answer_off_is_reported_once(reported: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"half", more=True))
        REPORTED.set(reported)  # as a service's log does, once it has the function's own exception
        raise FunctionError("ValueError", "no")

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR

    assert len(serving(app, work).apps.reports) == (0 if reported else 1)
