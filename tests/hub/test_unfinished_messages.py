"""Messages of apps whose end does not come: they count for the link, each has a limit, and whole ones still pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portico.hub.config import HubConfig
from portico.link import Stream
from portico.protocol import Limits
from portico.protocol.events import Data, Head, Open
from tests.in_process import HereHub, Publisher, Received, a_hub, a_request
from tests.waiting import turns, until

MIB = 1024 * 1024
LIMITS = Limits(max_held=4 * MIB, max_stream_window=256 * 1024)
PIECE = b"x" * 65536

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class App:
    """One WebSocket of an app that sends *pieces*, and ends its message only if told to."""

    def __init__(self, stream: Stream, pieces: list[bytes], ends: bool) -> None:
        self.stream = stream
        self.pieces = pieces
        self.ends = ends
        self.reset: tuple[int, str] | None = None
        stream.send_head(101, [], accept=True)
        asyncio.get_running_loop().call_soon(self.on_writable)

    def on_head(self, head: Head) -> None: ...
    def on_close(self, code: int, reason: str) -> None: ...

    def on_data(self, data: Data) -> None:
        self.stream.consumed(len(data.data))

    def on_reset(self, code: Any, reason: str) -> None:
        self.reset, self.pieces = (code, reason), []

    def on_writable(self) -> None:
        while self.pieces:
            piece = self.pieces.pop()
            if not self.stream.send_data(piece, message_end=self.ends and not self.pieces):
                return


class Sender(Publisher):
    pieces: list[bytes]
    ends = False
    sockets: list[App]

    def on_open(self, stream: Stream, request: Open) -> Any:
        self.sockets.append(App(stream, [*self.pieces], self.ends))
        return self.sockets[-1]


async def sender(hub: HereHub, pieces: list[bytes], *, ends: bool = False) -> Sender:
    hub.kernels["k1"] = 100
    provider = Sender(hub, hub.keys.mint_provider("k1"))
    provider.pieces, provider.ends, provider.sockets = pieces, ends, []
    await provider.connect()
    await provider.register("cat", access="public")
    return provider


async def visit(hub: HereHub, visit: Received | None = None) -> Received:
    request, visit = a_request("cat/", websocket=True), visit or Received()
    assert (await hub.open(request, visit)).stream is not None
    return visit


def held(hub: HereHub) -> int:
    return sum(linked.link.connection.held for linked in hub.links.all())


async def test_messages_without_an_end_count_for_their_link() -> None:
    async with a_hub(HubConfig(limits=LIMITS)) as hub:
        provider = await sender(hub, [PIECE] * 100)  # 6.4 MiB each
        visits = []
        for _ in range(8):
            visits.append(await visit(hub))
            await turns(200)
            assert held(hub) <= LIMITS.max_held + 9 * LIMITS.stream_window
        closed = [each.closed for each in visits if each.closed]
        assert closed
        assert {code for code, _ in closed} == {1013}
        assert any(socket.reset for socket in provider.sockets)


async def test_what_was_held_is_free_once_its_visitor_has_gone() -> None:
    class Leaving(Received):
        pass

    async with a_hub(HubConfig(limits=LIMITS)) as hub:
        provider = await sender(hub, [PIECE] * 60)
        request, one = a_request("cat/", websocket=True), Leaving()
        forward = await hub.open(request, one)
        await turns(200)
        assert held(hub) > MIB
        forward.visitor_closed(1001, "")
        await turns(200)
        assert held(hub) == 0
        provider.ends = True
        after = await visit(hub)
        async with asyncio.timeout(10):
            await until(lambda: after.messages or after.closed)
        assert [len(message) for message in after.messages] == [60 * len(PIECE)]


async def test_a_message_has_a_limit_however_it_is_cut() -> None:
    config = HubConfig(limits=LIMITS, max_websocket_message=MIB)
    for piece, count in ((PIECE, 40), (b"x" * 1500, 1000)):
        async with a_hub(config) as hub:
            await sender(hub, [piece] * count)
            one = await visit(hub)
            async with asyncio.timeout(10):
                await until(lambda one=one: one.closed)
            assert one.closed is not None
            assert one.closed[0] == 1009
            await turns(200)
            assert held(hub) == 0


async def test_pieces_of_nothing_hold_nothing() -> None:
    async with a_hub(HubConfig(limits=LIMITS)) as hub:
        provider = await sender(hub, [b""] * 50_000, ends=True)
        one = await visit(hub)
        async with asyncio.timeout(20):
            await until(lambda: one.messages or one.closed)
        assert one.messages == [b""]
        assert provider.closed is None


@pytest.mark.parametrize("piece", [64 * 1024, 1000, 1024 * 1024])
async def test_a_message_of_16_mib_passes(piece: int) -> None:
    async with a_hub() as hub:
        size = 16 * MIB
        pieces = [b"y" * piece] * (size // piece)
        await sender(hub, pieces, ends=True)
        one = await visit(hub)
        async with asyncio.timeout(20):
            await until(lambda: one.messages or one.closed)
        assert one.closed is None
        assert one.messages == [b"".join(pieces)]
        await turns(200)
        assert held(hub) == 0


async def test_a_slow_visitor_holds_back_long_messages_as_well() -> None:
    """Whole messages that the visitor has not taken count too: the next is not let in beside them."""

    class Slow(Received):
        taken: asyncio.Future[None] | None = None

        def message(self, data: bytes, text: bool) -> Any:
            super().message(data, text)
            self.taken = asyncio.get_running_loop().create_future()
            return self.taken

    config = HubConfig(limits=LIMITS)
    async with a_hub(config) as hub:
        hub.kernels["k1"] = 100
        provider = await sender(hub, [PIECE] * 40, ends=True)  # 2.5 MiB
        slow = Slow()
        await visit(hub, slow)
        async with asyncio.timeout(10):
            await until(lambda: slow.messages)
        for _ in range(5):
            provider.sockets[0].pieces = [PIECE] * 40
            provider.sockets[0].on_writable()
            await turns(200)
        assert held(hub) <= 40 * len(PIECE) + 2 * LIMITS.stream_window
        assert slow.closed is None
        provider.sockets[0].stream.reset(1)  # type: ignore[arg-type]


async def test_a_denial_without_an_end_counts_too() -> None:
    class Denying(Sender):
        def on_open(self, stream: Stream, request: Open) -> Any:
            stream.send_head(403, [])
            for _ in range(15):
                stream.send_data(PIECE)
            return stream.handler

    async with a_hub(HubConfig(limits=LIMITS)) as hub:
        hub.kernels["k1"] = 100
        provider = Denying(hub, hub.keys.mint_provider("k1"))
        await provider.connect()
        await provider.register("cat", access="public")
        visits = []
        for _ in range(12):
            try:
                visits.append(await visit(hub))
            except AssertionError:  # the link takes no more streams
                break
            await turns(200)
            assert held(hub) <= LIMITS.max_held + 13 * LIMITS.stream_window
        assert any(each.done for each in visits)
        assert len(visits) == 12
