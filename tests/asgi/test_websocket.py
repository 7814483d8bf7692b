"""One visitor's WebSocket: messages longer than the window, credit, leaving, and the end by either side."""

from __future__ import annotations

import asyncio

import pytest

from portico.asgi.websocket import MAX_MESSAGE
from portico.protocol import ResetCode
from portico.types import Receive, Scope, Send
from tests.asgi.served import KIB, WINDOW, Served, serving
from tests.waiting import turns, until

ACCEPT = {"type": "websocket.accept"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.parametrize("size", [0, 1, WINDOW - 64, WINDOW, WINDOW + 1, 3 * 1024 * KIB])
def test_a_message_of_any_length_comes_back_whole(size: int) -> None:
    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        visitor.stream.send_data(sent, message_end=True)
        visitor.stream.send_data("日本".encode(), text=True, message_end=True)
        await until(lambda: len(visitor.messages) == 2)
        assert visitor.messages == [sent, "日本"]
        visitor.stream.send_close(1000)

    serving(echo, work)


def test_messages_that_are_not_asked_for_hold_the_visitor_back() -> None:
    ready = asyncio.Event()
    received: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await ready.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message["bytes"])

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        sent = [bytes([number]) * 32 * KIB for number in range(32)]
        for message in sent:
            visitor.stream.send_data(message, message_end=True)
        await until(lambda: served.provider.connection.held > WINDOW - 64 * KIB)
        await turns()
        assert served.provider.connection.held <= WINDOW
        assert received == []
        ready.set()
        await until(lambda: served.hub.connection.queued(visitor.stream.id) == 0)
        visitor.stream.send_close(1000)
        await served.over()
        assert received == sent

    serving(app, work)


def test_a_message_that_is_too_long_closes_with_1009() -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        message = await receive()
        seen.append((message["type"], message["code"]))

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        visitor.stream.send_data(bytes(MAX_MESSAGE + 1), message_end=True)
        await until(lambda: visitor.closed)
        assert visitor.closed is not None
        assert visitor.closed[0] == 1009

    serving(app, work)
    assert seen == [("websocket.disconnect", 1009)]


def test_send_waits_while_the_visitor_does_not_read() -> None:
    written = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal written
        await receive()
        await send(ACCEPT)
        for _ in range(64):
            await send({"type": "websocket.send", "bytes": b"x" * 32 * KIB})
            written += 32 * KIB

    async def work(served: Served) -> None:
        visitor = served.connect(consume=False)
        await until(lambda: visitor.unconsumed > WINDOW - 64 * KIB)
        await turns()
        assert written <= WINDOW + served.provider.connection.limits.queue_high + 32 * KIB
        visitor.take()
        await until(lambda: visitor.closed)
        assert len(visitor.messages) == 64
        assert visitor.closed == (1000, "")

    serving(app, work)


def test_a_send_ends_well_though_the_visitor_leaves_while_it_waits() -> None:
    """The visitor may have all of the message. The next one is refused."""
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        told.append("sends")
        await send({"type": "websocket.send", "bytes": bytes(4 * WINDOW)})
        told.append("sent")
        told.append((await receive())["type"])
        try:
            await send({"type": "websocket.send", "bytes": b"more"})
        except OSError:
            told.append("refused")

    async def work(served: Served) -> None:
        visitor = served.connect(consume=False)
        await until(lambda: visitor.unconsumed > WINDOW - 64 * KIB)
        assert told == ["sends"]
        visitor.stream.send_close(1000)
        await until(lambda: len(told) == 4)
        assert told == ["sends", "sent", "websocket.disconnect", "refused"]

    serving(app, work)


def test_an_app_that_never_awaits_lets_others_in() -> None:
    stop = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal stop
        await receive()
        await send(ACCEPT)
        if scope["path"].endswith("/stop"):
            stop = True
        while not stop:
            await send({"type": "websocket.send", "text": "x"})

    async def work(served: Served) -> None:
        first = served.connect(b"/stream")
        await until(lambda: first.messages)
        second = served.connect(b"/stop")
        await until(lambda: first.closed and second.closed)

    serving(app, work)


@pytest.mark.parametrize("asks", [False, True])
def test_who_does_not_end_after_the_visitor_left_is_cancelled(asks: bool) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        if asks:
            message = await receive()
            seen.append((message["type"], message["code"]))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        served.leave(visitor)
        await served.over()

    options = {"cancel_after": 30.0, "cancel_told_after": 0.0} if asks else {"cancel_after": 0.0}
    served = serving(app, work, **options)
    assert seen == ([("websocket.disconnect", 1006)] if asks else []) + ["cancelled"]
    assert served.apps.reports == []


def test_a_visitor_that_gives_up_before_it_is_accepted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="left"):
            await send(ACCEPT)

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: served.apps.exchanges)
        served.leave(visitor)
        await served.over()

    assert serving(app, work).apps.reports == []


def test_the_app_is_told_its_own_close() -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4001, "reason": "because"})
        seen.append(await receive())

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.closed)
        assert visitor.closed == (4001, "because")

    serving(app, work)
    assert seen == [{"type": "websocket.disconnect", "code": 4001, "reason": "because"}]


def test_a_service_that_stops_closes_with_1012() -> None:
    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        served.apps.exchanges[0].cancel()
        await until(lambda: visitor.closed)
        assert visitor.closed is not None
        assert visitor.closed[0] == 1012

    assert serving(echo, work).apps.reports == []


def test_an_app_that_raises_before_it_accepts_is_reset() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("on purpose")

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR

    served = serving(app, work)
    ((doing, error),) = served.apps.reports
    assert doing == "WebSocket /portico/apps/cat/"
    assert isinstance(error, LookupError)


def test_a_denial_may_have_a_body_in_pieces() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"Retry-After", b"3")]})
        await send({"type": "websocket.http.response.body", "body": b"slow ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"down"})

    async def work(served: Served) -> None:
        visitor = await served.whole(served.connect())
        assert visitor.head is not None
        assert (visitor.head.status, visitor.head.accept) == (429, False)
        assert visitor.head.headers == [(b"retry-after", b"3")]
        assert visitor.body == b"slow down"

    serving(app, work)


def test_the_scope_of_a_websocket_says_that_it_is_one() -> None:
    """Engine.IO knows one by its header fields, which are each hop's own and come from no hub."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await receive()
        await send(ACCEPT)

    async def work(served: Served) -> None:
        visitor = served.connect(headers=[(b"host", b"hub.example"), (b"x-one", b"1")])
        await until(lambda: visitor.closed)

    serving(app, work)
    assert scopes[0]["scheme"] == "ws"
    assert scopes[0]["headers"] == [
        (b"host", b"hub.example"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"x-one", b"1"),
    ]
