"""A hostile hub and a real provider: whatever comes, the provider's other links serve on, and nothing of it stays."""

from __future__ import annotations

import asyncio
import logging
import random
import time

import pytest

from portico.errors import PorticoError
from portico.hub.config import HubConfig
from portico.protocol import Limits, frames, handshake
from portico.protocol.events import Ack, Welcome
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.thread import LoopThread
from portico.transports.memory import MemoryTransport, pair
from portico.types import Receive, Scope, Send
from tests.hub.test_links_fuzz import HANGS, run_for
from tests.in_process import ADDRESS, HereHub, a_hub
from tests.protocol.hostile_frames import HostileFrames
from tests.provider.published import saying, service
from tests.waiting import until

HOSTILE = HubAddress("https://hostile.test/", "good", "the test")
LIMITS = Limits()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was sent."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": str(message)[:100]})
    else:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode("utf-8", "replace")})


class HostileHub:
    """The far end of each link that is dialled to it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.frames = HostileFrames(rng)
        self.transport: MemoryTransport | None = None
        self.last = 0

    async def dial(self) -> MemoryTransport:
        near, self.transport = pair()
        self.last = 0
        self.transport.start(self)
        welcome = handshake.pack_welcome(Welcome(base_url="https://hostile.test/"), LIMITS)
        self.say(welcome if self.rng.random() < 0.9 else self.frames.payload(welcome))
        return near

    def say(self, message: bytes) -> None:
        if self.transport is not None:
            self.transport.send(message)

    def message_received(self, message: bytes) -> None:
        while message:
            kind, _, _, _, length = frames.HEADER.unpack_from(message)
            payload = message[frames.HEADER_SIZE : frames.HEADER_SIZE + length]
            message = message[frames.HEADER_SIZE + length :]
            if kind == frames.REGISTER:
                number = handshake.unpack_register(payload).request
                ack = handshake.pack_ack(Ack(request=number, ok=True, url="https://hostile.test/cat/"))
                self.say(ack if self.rng.random() < 0.8 else self.frames.payload(ack))

    def transport_writable(self) -> None: ...
    def transport_closed(self, reason: str) -> None: ...

    def go_on(self) -> None:
        rng, parts = self.rng, []
        for _ in range(rng.randrange(1, 6)):
            odd = rng.random()
            if odd < 0.4:
                opened = self.frames.open(self.last + 1)
                self.last += bool(opened)
                parts.append(opened)
            elif odd < 0.9:
                stream = rng.randrange(1, self.last + 1) if self.last else 0
                kinds = [
                    frames.pack(frames.DATA, rng.choice([0, 4, 6, 1]), stream, self.frames.bytes()),
                    frames.pack_window(stream, 1000),
                    frames.pack_reset(stream, rng.randrange(12), self.frames.text()),
                    frames.pack_close(stream, rng.choice([1000, 1005, 0, 65535]), self.frames.text()),
                ]
                parts.append(rng.choice(kinds[: 4 if odd < 0.6 else 2]) if stream else b"")
            else:
                parts.append(self.frames.hub_frame())
        message = b"".join(parts)
        self.say(self.frames.broken(message) if rng.random() < 0.2 else message)


BUSY = HubConfig(kernel_poll=0.01, max_links_of_user=100_000)
"""One that takes as many links as rounds are made, however fast they are."""


async def round_of(well: HereHub, seed: int) -> None:
    rng = random.Random(seed)
    hostile = HostileHub(rng)

    async def dial(address: HubAddress, limits: Limits) -> MemoryTransport:
        return await (well.dial(address, limits) if address.url == ADDRESS.url else hostile.dial())

    provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
    await provider.publish(service(provider, "dog"), saying(b"well"), ADDRESS)
    cat = service(provider, "cat")
    publishing = asyncio.ensure_future(provider.publish(cat, app, HOSTILE))
    while cat.instance is None:  # noqa: ASYNC110 -- its app starts, whatever the hub does
        await asyncio.sleep(0)
    try:
        for _ in range(rng.randrange(5, 60)):
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            hostile.go_on()
            for session in provider.sessions.values():
                link = session._link
                assert link is None or link.connection.held <= LIMITS.max_held
        visit = well.ask("dog")
        assert await visit.ended == "whole"
        assert visit.body == b"well"
    finally:
        await provider.shutdown()
        await until(lambda: not well.names and not well.links.count)
        await asyncio.gather(publishing, return_exceptions=True)


@pytest.mark.fuzz
def test_a_hostile_hub(fuzz_seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    begun, first = time.monotonic(), random.randrange(1 << 30)
    caplog.set_level(logging.ERROR)

    async def work() -> None:
        seed = first
        async with a_hub(BUSY) as well:
            while time.monotonic() - begun < fuzz_seconds:
                try:
                    async with asyncio.timeout(HANGS):
                        await round_of(well, seed)
                except (AssertionError, TimeoutError, PorticoError) as error:
                    raise AssertionError(f"seed {seed}: {error!r}") from error
                errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
                assert errors == [], f"seed {seed}: {errors}"
                seed += 1

    run_for(work, fuzz_seconds)
