"""How visits to a relay end, whatever its app does, and whichever server reads the request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portico.hub.visits import BROKEN
from portico.protocol import ResetCode
from tests.in_process import Publisher, echo
from tests.relay.here_relay import SERVERS, HereRelay, a_relay
from tests.waiting import until

pytestmark = pytest.mark.anyio

servers = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TooLong:
    """In an app's place, which would not get so far: sends more than its Content-Length, and has not ended."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    def begin(self, stream: Any, request: Any) -> Any:
        stream.send_head(200, [(b"content-length", b"5")])
        stream.send_data(b"123456789")
        stream.handler = self
        return self

    def on_data(self, data: Any) -> None: ...
    def on_writable(self) -> None: ...
    def on_reset(self, code: ResetCode, reason: str) -> None:
        self.told.set()


async def publish(relay: HereRelay, app: Any, **descriptor: Any) -> Publisher:
    provider = await relay.provider()
    ack = await provider.register("cat", app, access="public", **descriptor)
    assert ack.ok, ack.error
    return provider


def request(method: str, path: str = "", *fields: str, body: str = "") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} /alice/apps/cat/{path} HTTP/1.1", "Host: localhost", *fields, *length, "", body]
    return "\r\n".join(lines).encode()


@servers
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_app_that_breaks_its_content_length_is_told_and_the_visitor_did_not_leave(
    server: str, method: str
) -> None:
    async with a_relay(server) as relay:
        app, hows = TooLong(), []
        provider = await publish(relay, echo)
        served = provider.apps["cat"]
        provider.apps["cat"] = app  # type: ignore[assignment]
        relay.visits.ended.subscribe(lambda visit: hows.append(visit.how))
        reader, writer = await relay.visitor()
        writer.write(request(method, body="hello" if method == "POST" else ""))
        answer = await asyncio.wait_for(reader.read(), 10)
        assert not answer.endswith(b"123456789")
        async with asyncio.timeout(10):
            await app.told.wait()
        service = relay.workspace.registry.services["cat"]
        await until(lambda: not service.replicas[0].in_flight)
        await until(lambda: hows)
        assert hows == [BROKEN]
        assert relay.visits.abandoned == 0
        writer.close()
        provider.apps["cat"] = served


@servers
async def test_a_request_that_waits_for_its_provider_counts_once(server: str) -> None:
    async with a_relay(server) as relay:
        provider = await publish(relay, echo, conditions={"rate": "3/hour"}, origins=["https://there.example"])
        await provider.cut()
        service = relay.workspace.registry.services["cat"]
        await until(lambda: service.status == "reconnecting")
        reader, writer = await relay.visitor()
        statuses = []
        for number in range(4):
            writer.write(request("GET", "x", "Origin: https://there.example"))
            if not number:
                await until(lambda: service.waiting)
                await provider.connect()
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            statuses.append(int(head.split()[1]))
            assert b"access-control-allow-origin: https://there.example" in head
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split()[1]))
        assert statuses == [200, 200, 200, 429]
        await until(lambda: len(relay.lines.all) == 4)
        assert [line.status for line in relay.lines.all] == statuses
        writer.close()


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


async def asked(scope: Any, receive: Any, send: Any) -> None:
    """Lets nobody in, and turns nobody away."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.mark.parametrize("frame", [b"\x81\x01x", b"\x8f\x80\0\0\0\0", b"\xf1\x80\0\0\0\0", b"\x80\x80\0\0\0\0"])
async def test_a_broken_frame_before_the_answer_ends_the_visit_without_a_traceback(frame: bytes) -> None:
    """No mask, an unknown opcode, reserved bits, and the rest of no message."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with a_relay() as relay:
        await publish(relay, asked)
        reader, writer = await relay.visitor()
        writer.write(request("GET", "", *UPGRADE))
        await until(lambda: relay.links.streams)
        writer.write(frame)
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        except ConnectionResetError:
            pass
        await until(lambda: relay.lines.all)
        assert [line.status for line in relay.lines.all] == [0]
        assert relay.visits.sockets_open == 0
        await until(lambda: not relay.links.streams)
        writer.close()
    assert complaints == []
