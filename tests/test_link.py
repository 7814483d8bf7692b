"""A link over the in-memory pair: one flush a turn, backpressure both ways, and every way to end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from portico.link import Link, Stream
from portico.protocol import Connection, Kind, Limits, ResetCode, Role, frames
from portico.protocol.events import Data, GoAway, Head, Hello, Open
from portico.transports.memory import pair
from tests.link_pair import Owner, Side, World, linked
from tests.transports.recorder import run
from tests.waiting import turns, until

KIB = 1024


def test_a_request_and_its_answer() -> None:
    async def work(world: World) -> None:
        visitor = world.open(fin=False)
        visitor.stream.send_data(b"up", fin=True)
        app = await world.opened(visitor)
        await until(lambda: app.fin)
        assert app.body == b"up"
        app.stream.send_head(200, [(b"a", b"b")])
        app.stream.send_data(b"down", fin=True)
        app.stream.release()
        await until(lambda: visitor.fin)
        assert visitor.head is not None
        assert visitor.head.headers == [(b"a", b"b")]
        assert visitor.body == b"down"
        visitor.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0
        assert visitor.resets == app.resets == []

    linked(work)


def test_what_is_sent_in_one_turn_is_one_message() -> None:
    async def work(world: World) -> None:
        before = len(world.hub_sent.log)
        visitors = [world.open() for _ in range(10)]
        await world.opened(visitors[-1])
        opens = world.hub_sent.log[before:]
        assert [message.count(b"cat") for message in opens] == [1, 9]  # the first was alone, and did not wait
        before = len(world.provider_sent.log)
        for app in world.provider_side.opened.values():
            app.stream.send_head(200, [])
            app.stream.send_data(b"body", fin=True)
        await until(lambda: all(visitor.fin for visitor in visitors))
        assert len(world.provider_sent.log) == before + 1

    linked(work)


def test_a_head_and_its_body_can_be_joined_after_the_batch() -> None:
    async def work(world: World) -> None:
        written: list[list[str]] = []

        class Joining(Owner):
            def __init__(self) -> None:
                super().__init__()
                self.parts: list[str] = []

            def on_head(self, head: Head) -> None:
                super().on_head(head)
                self.parts.append("head")
                world.hub.after_batch(lambda: written.append(self.parts))

            def on_data(self, data: Data) -> None:
                super().on_data(data)
                self.parts.append("data")

        visitor = world.open()
        joining = Joining()
        joining.stream = world.hub.adopt(visitor.stream.id, joining)
        app = await world.opened(visitor)
        app.stream.send_head(200, [])
        app.stream.send_data(b"body", fin=True)
        await until(lambda: written)
        assert written == [["head", "data"]]
        called = []
        world.hub.after_batch(lambda: called.append("now"))
        assert called == ["now"]

    linked(work)


def test_a_slow_visitor_holds_its_own_app_back_and_no_other() -> None:
    async def work(world: World) -> None:
        slow, fast = world.open(consume=False), world.open()
        app = await world.opened(slow)
        app.stream.send_head(200, [])
        assert not app.stream.send_data(bytes(512 * KIB))
        other = await world.opened(fast)
        other.stream.send_head(200, [])
        other.stream.send_data(bytes(1024 * KIB), fin=True)
        await until(lambda: fast.fin)
        assert len(fast.body) == 1024 * KIB
        assert slow.unconsumed == 256 * KIB
        assert app.writable == 0
        slow.stream.consumed(slow.unconsumed)
        await until(lambda: app.writable)
        assert app.writable == 1
        assert app.stream.send_data(b"more")

    linked(work)


def test_a_slow_app_holds_its_own_visitor_back() -> None:
    async def work(world: World) -> None:
        world.provider_side.make = lambda stream, request: Owner(consume=False)
        visitor = world.open(fin=False)
        app = await world.opened(visitor)
        assert not visitor.stream.send_data(bytes(600 * KIB))  # 256 go at once, the rest is too much to wait
        await until(lambda: app.unconsumed == 256 * KIB)
        assert visitor.writable == 0
        app.stream.consumed(app.unconsumed)
        await until(lambda: visitor.writable)

    linked(work)


def test_a_full_transport_stops_the_writer_until_it_takes_more() -> None:
    async def work(world: World) -> None:
        visitors = [world.open(consume=False) for _ in range(16)]
        apps = [await world.opened(visitor) for visitor in visitors]
        world.hub_sent.paused = True
        for app in apps:
            app.stream.send_head(200, [])
            app.stream.send_data(bytes(250 * KIB), fin=True)
        await turns()
        assert not world.provider_sent.writable
        assert world.provider.connection.has_output
        assert sum(map(len, world.provider_sent.log)) < 1600 * KIB
        world.hub_sent.resume()
        await until(lambda: all(visitor.fin for visitor in visitors))
        assert {len(visitor.body) for visitor in visitors} == {250 * KIB}

    linked(work)


def test_websocket_messages_both_ways_and_a_close() -> None:
    async def work(world: World) -> None:
        visitor = world.open(kind=Kind.WEBSOCKET)
        app = await world.opened(visitor)
        app.stream.send_head(101, [], accept=True, subprotocol="chat")
        await until(lambda: visitor.head)
        assert visitor.head is not None
        assert visitor.head.subprotocol == "chat"
        visitor.stream.send_data("日".encode(), text=True, message_end=True)
        await until(lambda: app.body)
        app.stream.send_data(b"last", message_end=True)
        app.stream.send_close(4000, "done")
        app.stream.release()
        await until(lambda: visitor.closed)
        assert visitor.closed == (4000, "done")
        assert visitor.body == b"last"
        visitor.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0

    linked(work)


def test_a_visitor_that_leaves_is_told_to_the_app_and_frees_both_ends() -> None:
    async def work(world: World) -> None:
        visitor = world.open(fin=False)
        app = await world.opened(visitor)
        app.stream.send_head(200, [])
        app.stream.send_data(bytes(1000))
        await until(lambda: visitor.body)
        visitor.stream.reset(ResetCode.CANCEL, "gone")
        await until(lambda: app.resets)
        assert app.resets == [(ResetCode.CANCEL, "gone")]
        app.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0

    linked(work)


def test_release_frees_what_a_stream_holds_that_the_other_end_reset() -> None:
    async def work(world: World) -> None:
        visitor = world.open(consume=False)
        app = await world.opened(visitor)
        app.stream.send_head(200, [])
        app.stream.send_data(bytes(1000))
        await until(lambda: visitor.body)
        app.stream.reset(ResetCode.APP_ERROR, "boom")
        await until(lambda: visitor.resets)
        assert world.hub.connection.held == 1000
        visitor.stream.release()
        assert world.hub.connection.streams == world.hub.connection.held == 0
        visitor.stream.release()
        visitor.stream.consumed(1000)

    linked(work)


def test_an_upload_that_nobody_reads_is_stopped() -> None:
    async def work(world: World) -> None:
        visitor = world.open(fin=False)
        visitor.stream.send_data(bytes(1024 * KIB))
        app = await world.opened(visitor)
        app.stream.send_head(413, [])
        app.stream.send_data(b"too large", fin=True)
        app.stream.release()
        await until(lambda: visitor.resets)
        assert visitor.body == b"too large"
        assert visitor.fin
        assert visitor.resets == [(ResetCode.NO_ERROR, "")]
        visitor.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0

    linked(work)


@pytest.mark.parametrize("who", ["hub", "provider"])
def test_a_cut_in_mid_stream_is_told_to_every_stream_once(who: str) -> None:
    async def work() -> None:
        world = await World().start()
        visitors = [world.open(fin=False) for _ in range(5)]
        apps = [await world.opened(visitor) for visitor in visitors]
        apps[0].stream.send_head(200, [])
        apps[0].stream.send_data(bytes(1000))
        await until(lambda: visitors[0].body)
        (world.hub_sent if who == "hub" else world.provider_sent).cut("pulled the plug")
        await until(lambda: world.hub_side.closed and world.provider_side.closed)
        for owner in (*visitors, *apps):
            assert owner.resets == [(ResetCode.CANCEL, "the link is gone: pulled the plug")]
            assert not owner.fin
            owner.stream.release()
            owner.stream.consumed(5)
        assert world.hub.connection.streams == world.provider.connection.streams == 0
        assert [str(reason) for reason in world.hub_side.closed] == ["pulled the plug"]

    run(work)


def test_a_close_says_both_sides_reasons() -> None:
    async def work() -> None:
        world = await World().start()
        visitor = world.open()
        app = await world.opened(visitor)
        world.hub.close(ResetCode.OVERLOAD, "restarting", retry_jitter=3.0)
        world.hub.close()
        await until(lambda: world.provider_side.closed)
        assert app.resets == [(ResetCode.CANCEL, "the link is gone: closed (1000) restarting")]
        assert visitor.resets == [(ResetCode.CANCEL, "the link is gone: restarting")]
        goaway = world.provider_side.events[-1]
        assert isinstance(goaway, GoAway)
        assert (goaway.code, goaway.retry_jitter) == (ResetCode.OVERLOAD, 3.0)
        assert world.provider_side.closed[0].remote_reason == "restarting"
        assert len(world.hub_side.closed) == 1
        assert world.hub.closed
        assert world.provider.closed

    run(work)


def test_a_close_is_said_to_a_transport_that_is_full() -> None:
    async def work() -> None:
        world = await World().start()
        visitors = [world.open(consume=False) for _ in range(16)]
        for visitor in visitors:
            app = await world.opened(visitor)
            if app is world.provider_side.opened[1]:
                world.hub_sent.paused = True
            app.stream.send_head(200, [])
            app.stream.send_data(bytes(250 * KIB))
        await turns()
        assert not world.provider_sent.writable
        world.provider.close(ResetCode.NO_ERROR, "bye")
        await until(lambda: world.hub_side.closed)
        assert world.hub_side.closed[0].remote_reason == "bye"

    run(work)


def test_a_goaway_lets_streams_end() -> None:
    async def work(world: World) -> None:
        visitor = world.open()
        app = await world.opened(visitor)
        world.provider.connection.send_goaway(ResetCode.NO_ERROR, "stopping")
        world.provider.flush_soon()
        await until(lambda: world.hub_side.events[-1:] and isinstance(world.hub_side.events[-1], GoAway))
        assert not world.hub.connection.can_open
        app.stream.send_head(200, [])
        app.stream.send_data(b"late", fin=True)
        await until(lambda: visitor.fin)
        assert visitor.body == b"late"

    linked(work)


def test_a_protocol_error_closes_the_link_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        world = await World().start()
        visitor = world.open()
        await world.opened(visitor)
        world.provider_sent.send(frames.pack(frames.DATA, 0, 99, b"never opened"))
        await until(lambda: world.hub_side.closed and world.provider_side.closed)
        assert "stream 99" in str(world.hub_side.closed[0])
        assert "stream 99" in world.provider_side.closed[0].remote_reason
        assert "closed (1002)" in world.provider_side.closed[0].reason
        assert len(visitor.resets) == 1

    with caplog.at_level(logging.CRITICAL, "portico.link"):
        run(work)


@pytest.mark.parametrize("where", ["on_head", "on_data", "on_close", "on_reset", "on_writable"])
def test_a_handler_that_raises_ends_its_own_stream_alone(where: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(world: World) -> None:
        def fail(*arguments: Any) -> None:
            raise RuntimeError("a defect of the handler")

        websocket = where == "on_close"
        bad, good = world.open(kind=Kind(int(websocket)), fin=False), world.open()
        app, other = await world.opened(bad), await world.opened(good)
        setattr(bad, where, fail)
        if where == "on_writable":
            world.provider_side.opened[bad.stream.id].consume = False
            assert not bad.stream.send_data(bytes(300 * KIB))
        else:
            app.stream.send_head(200, [], accept=websocket)
            app.stream.send_data(b"x", message_end=True)
            if where == "on_close":
                app.stream.send_close(1000)
            elif where == "on_reset":
                app.stream.reset(ResetCode.APP_ERROR)
        other.stream.send_head(200, [])
        other.stream.send_data(b"fine", fin=True)
        await until(lambda: good.fin)
        if where in ("on_head", "on_data", "on_writable"):
            await until(lambda: app.resets)
            assert app.resets == [(ResetCode.APP_ERROR, "internal error")]
            assert bad.resets == [(ResetCode.APP_ERROR, "internal error")]
        assert bad.stream.id not in world.hub.streams
        bad.stream.release()
        good.stream.release()
        assert world.hub.connection.streams == 0
        assert not world.hub.closed

    with caplog.at_level(logging.ERROR, "portico.link"):
        linked(work)
    assert "a defect of the handler" in caplog.text


def test_an_owner_that_cannot_take_a_request_refuses_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def work(world: World) -> None:
        def fail(stream: Stream, request: Open) -> Owner:
            raise RuntimeError("no app")

        make, world.provider_side.make = world.provider_side.make, fail
        visitor = world.open()
        await until(lambda: visitor.resets)
        assert visitor.resets == [(ResetCode.APP_ERROR, "internal error")]
        world.provider_side.make = make
        visitor.stream.release()
        await world.opened(world.open())

    with caplog.at_level(logging.CRITICAL, "portico.link"):
        linked(work)


def test_a_handler_may_close_the_link_in_the_middle_of_a_batch() -> None:
    async def work() -> None:
        world = await World().start()
        visitors = [world.open() for _ in range(3)]
        apps = [await world.opened(visitor) for visitor in visitors]
        visitors[0].on_head = lambda head: world.hub.close(ResetCode.NO_ERROR, "enough")  # type: ignore[method-assign]
        for app in apps:
            app.stream.send_head(200, [])
        await until(lambda: world.provider_side.closed)
        assert [visitor.head for visitor in visitors] == [None] * 3
        assert [len(visitor.resets) for visitor in visitors] == [1] * 3

    run(work)


def test_a_hub_that_says_nothing_is_given_up() -> None:
    async def work() -> None:
        ours, theirs = pair()
        side = Side()
        loop = asyncio.get_running_loop()
        late = Connection(Role.PROVIDER, Limits(hello_timeout=0.01), now=loop.time())
        link = Link(late, ours, side)
        late.send_hello(Hello(token="t", session="0" * 32, epoch=0))
        link.start()
        await until(lambda: side.closed)
        assert "no WELCOME" in str(side.closed[0])
        theirs.close()

    run(work)


def test_many_streams_at_once_leave_nothing() -> None:
    async def work(world: World) -> None:
        def answer(stream: Stream, request: Open) -> Owner:
            stream.send_head(200, [])
            stream.send_data(bytes(request.stream_id * 100 % 200_000), fin=True)
            asyncio.get_running_loop().call_soon(stream.release)
            return Owner()

        world.provider_side.make = answer
        for _ in range(4):
            visitors = [world.open() for _ in range(300)]
            await until(lambda visitors=visitors: all(visitor.fin for visitor in visitors))
            for visitor in visitors:
                assert len(visitor.body) == visitor.stream.id * 100 % 200_000
                visitor.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0
        assert world.hub.connection.held == 0

    linked(work)
