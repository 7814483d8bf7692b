"""Visitors' messages whose end does not come: they count for the link, each has a limit, and whole ones still pass."""

from __future__ import annotations

import pytest

from portico.types import Receive, Scope, Send
from tests.asgi.served import Served, Visitor, serving
from tests.waiting import turns, until

MIB = 1024 * 1024
MOST_HELD = 64 * MIB
PIECE = b"x" * 65536


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long each message is."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(message.get("bytes") or message.get("text") or b""))})


async def push(served: Served, visitor: Visitor, piece: bytes, count: int, *, ends: bool = False) -> None:
    """Send *count* pieces, no faster than they are taken; stops when the app has closed."""
    for number in range(count):
        if visitor.closed or visitor.resets:
            return
        seen = visitor.writable
        if not visitor.stream.send_data(piece, message_end=ends and number == count - 1):
            await until(lambda seen=seen: visitor.writable > seen or visitor.closed or visitor.resets)  # type: ignore[misc]


def test_messages_without_an_end_count_for_their_link() -> None:
    async def work(served: Served) -> None:
        visitors = []
        connection = served.provider.connection
        for _ in range(6):
            visitor = served.connect()
            await until(lambda visitor=visitor: visitor.head)  # type: ignore[misc]
            await push(served, visitor, PIECE, 15 * 16)
            await turns()
            visitors.append(visitor)
            assert connection.held <= MOST_HELD + 7 * 4 * MIB
            if visitor.closed:
                break
        assert visitors[-1].closed is not None
        assert visitors[-1].closed[0] == 1013
        assert connection.held > 32 * MIB
        assert not any(visitor.closed for visitor in visitors[:-1])
        for visitor in visitors[:-1]:
            served.leave(visitor)

    serving(app, work)


@pytest.mark.parametrize("piece", [PIECE, b"y" * 1000, b"z" * 4 * MIB])
def test_a_long_message_passes_however_it_is_cut(piece: bytes) -> None:
    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        count = 16 * MIB // len(piece)
        for _ in range(2):
            await push(served, visitor, piece, count, ends=True)
        await until(lambda: len(visitor.messages) == 2 or visitor.closed)
        assert visitor.messages == [str(count * len(piece))] * 2
        served.leave(visitor)

    serving(app, work)


def test_a_message_beyond_the_limit_is_closed() -> None:
    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        await push(served, visitor, PIECE, 300)
        await until(lambda: visitor.closed)
        assert visitor.closed is not None
        assert visitor.closed[0] == 1009
        await until(lambda: served.provider.connection.held == 0)

    serving(app, work)


def test_pieces_of_nothing_hold_nothing() -> None:
    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        await push(served, visitor, b"", 20_000, ends=True)
        await until(lambda: visitor.messages)
        assert visitor.messages == ["0"]
        served.leave(visitor)

    serving(app, work)


def test_empty_messages_wait_in_bounds() -> None:
    """An app that takes none holds its visitor back, as with long ones."""

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await until(lambda: done)

    done: list[bool] = []

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.head)
        sent = 0
        while visitor.stream.send_data(b"", message_end=True):
            sent += 1
            assert sent < 10_000, "nothing says stop"
            if sent % 100 == 0:
                await turns()
        done.append(True)
        served.leave(visitor)

    serving(deaf, work)
