"""A link over the in-memory pair: one flush a turn, backpressure both ways, and every way to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.errors import LinkClosed
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Connection, Kind, Limits, ResetCode, Role, frames
from portico.protocol.events import Data, GoAway, Head, Hello, LinkEvent, Open, Welcome
from portico.transports.memory import MemoryTransport, pair
from tests.transports.recorder import run

KIB = 1024


class Told:
    """Wakes whoever waits for a condition over what handlers were told."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Owner:
    """A stream's handler that writes down what it is told."""

    stream: Stream

    def __init__(self, told: Told, *, consume: bool = True) -> None:
        self.told = told
        self.consume = consume
        self.head: Head | None = None
        self.body = b""
        self.pieces = 0
        self.fin = False
        self.unconsumed = 0
        self.closed: tuple[int, str] | None = None
        self.resets: list[tuple[ResetCode, str]] = []
        self.writable = 0

    def on_head(self, head: Head) -> None:
        self.head = head
        self.fin = head.fin
        self.told.wake()

    def on_data(self, data: Data) -> None:
        self.body += data.data
        self.pieces += 1
        self.fin = data.fin
        if self.consume:
            self.stream.consumed(len(data.data))
        else:
            self.unconsumed += len(data.data)
        self.told.wake()

    def on_close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.told.wake()

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self.resets.append((code, reason))
        self.told.wake()

    def on_writable(self) -> None:
        self.writable += 1
        self.told.wake()


class Side:
    """A link's handler that writes down what it is told."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.events: list[LinkEvent] = []
        self.closed: list[LinkClosed] = []
        self.opened: dict[int, Owner] = {}
        self.requests: list[Open] = []
        self.make: Callable[[Stream, Open], Owner] = lambda stream, request: Owner(told)

    def on_event(self, link: Link, event: LinkEvent) -> None:
        self.events.append(event)
        if isinstance(event, Hello):
            link.connection.send_welcome(Welcome(base_url="http://hub.test/"))
            link.flush_soon()
        self.told.wake()

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        self.requests.append(request)
        owner = self.opened[request.stream_id] = self.make(stream, request)
        owner.stream = stream
        self.told.wake()
        return owner

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        self.closed.append(reason)
        self.told.wake()


class Sent(MemoryTransport):
    """Notes the messages that go out."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.log.append(message)
        super().send(message)


class World:
    """A hub and a provider, linked."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.told = Told()
        now = asyncio.get_running_loop().time()
        left, right = Sent(), Sent()
        left._peer, right._peer = right, left
        self.hub_side, self.provider_side = Side(self.told), Side(self.told)
        self.hub = Link(Connection(Role.HUB, limits, now=now), left, self.hub_side)
        self.provider = Link(Connection(Role.PROVIDER, limits, now=now), right, self.provider_side)
        self.hub_sent, self.provider_sent = left, right

    async def start(self) -> World:
        self.provider.connection.send_hello(Hello(token="t", session="0" * 32, epoch=0))
        self.hub.start()
        self.provider.start()
        await self.until(lambda: self.provider.connection.ready)
        return self

    async def until(self, condition: Callable[[], object]) -> None:
        await self.told.until(condition)

    def open(self, *, kind: Kind = Kind.HTTP, fin: bool = True, consume: bool = True) -> Owner:
        stream_id = self.hub.connection.open_stream(
            kind=kind,
            service="cat",
            method="GET",
            scheme="http",
            http_version="1.1",
            raw_path=b"/",
            query=b"",
            root_path="",
            client=None,
            server=None,
            headers=[],
            fin=fin,
            now=self.hub.time(),
        )
        owner = Owner(self.told, consume=consume)
        owner.stream = self.hub.adopt(stream_id, owner)
        return owner

    async def opened(self, owner: Owner) -> Owner:
        """The provider's end of the stream of *owner*."""
        await self.until(lambda: owner.stream.id in self.provider_side.opened)
        return self.provider_side.opened[owner.stream.id]

    async def end(self) -> None:
        self.hub.close()
        await self.until(lambda: self.hub_side.closed and self.provider_side.closed)


async def turns() -> None:
    """Let the loop turn: what is to happen in the next turn or two has happened."""
    for _ in range(10):
        await asyncio.sleep(0)


def linked(work: Callable[[World], Awaitable[None]], limits: Limits | None = None) -> None:
    async def start() -> None:
        world = await World(limits).start()
        await work(world)
        await world.end()
        for link in (world.hub, world.provider):
            assert link.connection.streams == link.connection.held == 0
            assert link.streams == {}
        assert len(world.hub_side.closed) == len(world.provider_side.closed) == 1

    run(start)


def test_a_request_and_its_answer() -> None:
    async def work(world: World) -> None:
        visitor = world.open(fin=False)
        visitor.stream.send_data(b"up", fin=True)
        app = await world.opened(visitor)
        await world.until(lambda: app.fin)
        assert app.body == b"up"
        app.stream.send_head(200, [(b"a", b"b")])
        app.stream.send_data(b"down", fin=True)
        app.stream.release()
        await world.until(lambda: visitor.fin)
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
        await world.until(lambda: all(visitor.fin for visitor in visitors))
        assert len(world.provider_sent.log) == before + 1

    linked(work)


def test_a_head_and_its_body_can_be_joined_after_the_batch() -> None:
    async def work(world: World) -> None:
        written: list[list[str]] = []

        class Joining(Owner):
            def __init__(self, told: Told) -> None:
                super().__init__(told)
                self.parts: list[str] = []

            def on_head(self, head: Head) -> None:
                super().on_head(head)
                self.parts.append("head")
                world.hub.after_batch(lambda: written.append(self.parts))

            def on_data(self, data: Data) -> None:
                super().on_data(data)
                self.parts.append("data")

        visitor = world.open()
        joining = Joining(world.told)
        joining.stream = world.hub.adopt(visitor.stream.id, joining)
        app = await world.opened(visitor)
        app.stream.send_head(200, [])
        app.stream.send_data(b"body", fin=True)
        await world.until(lambda: written)
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
        await world.until(lambda: fast.fin)
        assert len(fast.body) == 1024 * KIB
        assert slow.unconsumed == 256 * KIB
        assert app.writable == 0
        slow.stream.consumed(slow.unconsumed)
        await world.until(lambda: app.writable)
        assert app.writable == 1
        assert app.stream.send_data(b"more")

    linked(work)


def test_a_slow_app_holds_its_own_visitor_back() -> None:
    async def work(world: World) -> None:
        world.provider_side.make = lambda stream, request: Owner(world.told, consume=False)
        visitor = world.open(fin=False)
        app = await world.opened(visitor)
        assert not visitor.stream.send_data(bytes(600 * KIB))  # 256 go at once, the rest is too much to wait
        await world.until(lambda: app.unconsumed == 256 * KIB)
        assert visitor.writable == 0
        app.stream.consumed(app.unconsumed)
        await world.until(lambda: visitor.writable)

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
        await world.until(lambda: all(visitor.fin for visitor in visitors))
        assert {len(visitor.body) for visitor in visitors} == {250 * KIB}

    linked(work)


def test_websocket_messages_both_ways_and_a_close() -> None:
    async def work(world: World) -> None:
        visitor = world.open(kind=Kind.WEBSOCKET)
        app = await world.opened(visitor)
        app.stream.send_head(101, [], accept=True, subprotocol="chat")
        await world.until(lambda: visitor.head)
        assert visitor.head is not None
        assert visitor.head.subprotocol == "chat"
        visitor.stream.send_data("日".encode(), text=True, message_end=True)
        await world.until(lambda: app.body)
        app.stream.send_data(b"last", message_end=True)
        app.stream.send_close(4000, "done")
        app.stream.release()
        await world.until(lambda: visitor.closed)
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
        await world.until(lambda: visitor.body)
        visitor.stream.reset(ResetCode.CANCEL, "gone")
        await world.until(lambda: app.resets)
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
        await world.until(lambda: visitor.body)
        app.stream.reset(ResetCode.APP_ERROR, "boom")
        await world.until(lambda: visitor.resets)
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
        await world.until(lambda: visitor.resets)
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
        await world.until(lambda: visitors[0].body)
        (world.hub_sent if who == "hub" else world.provider_sent).cut("pulled the plug")
        await world.until(lambda: world.hub_side.closed and world.provider_side.closed)
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
        await world.until(lambda: world.provider_side.closed)
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
        await world.until(lambda: world.hub_side.closed)
        assert world.hub_side.closed[0].remote_reason == "bye"

    run(work)


def test_a_goaway_lets_streams_end() -> None:
    async def work(world: World) -> None:
        visitor = world.open()
        app = await world.opened(visitor)
        world.provider.connection.send_goaway(ResetCode.NO_ERROR, "stopping")
        world.provider.flush_soon()
        await world.until(lambda: world.hub_side.events[-1:] and isinstance(world.hub_side.events[-1], GoAway))
        assert not world.hub.connection.can_open
        app.stream.send_head(200, [])
        app.stream.send_data(b"late", fin=True)
        await world.until(lambda: visitor.fin)
        assert visitor.body == b"late"

    linked(work)


def test_a_protocol_error_closes_the_link_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        world = await World().start()
        visitor = world.open()
        await world.opened(visitor)
        world.provider_sent.send(frames.pack(frames.DATA, 0, 99, b"never opened"))
        await world.until(lambda: world.hub_side.closed and world.provider_side.closed)
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
        await world.until(lambda: good.fin)
        if where in ("on_head", "on_data", "on_writable"):
            await world.until(lambda: app.resets)
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
        await world.until(lambda: visitor.resets)
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
        await world.until(lambda: world.provider_side.closed)
        assert [visitor.head for visitor in visitors] == [None] * 3
        assert [len(visitor.resets) for visitor in visitors] == [1] * 3

    run(work)


def test_a_hub_that_says_nothing_is_given_up() -> None:
    async def work() -> None:
        told = Told()
        ours, theirs = pair()
        side = Side(told)
        loop = asyncio.get_running_loop()
        late = Connection(Role.PROVIDER, Limits(hello_timeout=0.01), now=loop.time())
        link = Link(late, ours, side)
        late.send_hello(Hello(token="t", session="0" * 32, epoch=0))
        link.start()
        await told.until(lambda: side.closed)
        assert "no WELCOME" in str(side.closed[0])
        theirs.close()

    run(work)


def test_many_streams_at_once_leave_nothing() -> None:
    async def work(world: World) -> None:
        def answer(stream: Stream, request: Open) -> Owner:
            stream.send_head(200, [])
            stream.send_data(bytes(request.stream_id * 100 % 200_000), fin=True)
            asyncio.get_running_loop().call_soon(stream.release)
            return Owner(world.told)

        world.provider_side.make = answer
        for _ in range(4):
            visitors = [world.open() for _ in range(300)]
            await world.until(lambda visitors=visitors: all(visitor.fin for visitor in visitors))
            for visitor in visitors:
                assert len(visitor.body) == visitor.stream.id * 100 % 200_000
                visitor.stream.release()
        assert world.hub.connection.streams == world.provider.connection.streams == 0
        assert world.hub.connection.held == 0

    linked(work)
