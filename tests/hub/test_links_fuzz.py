"""A hostile provider on a real hub, with visitors under way: each gets an answer or a cut, and others are served on."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from typing import Any

import pytest

from portico.errors import PorticoError
from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.protocol import Limits, frames
from portico.protocol.events import Hello
from portico.transports.memory import MemoryTransport, pair
from tests.in_process import HereHub, Received, a_hub, a_request, echo
from tests.protocol.hostile_frames import HostileFrames
from tests.waiting import until

HANGS = 15.0  # seconds that nothing here may take
LIMITS = Limits(max_held=2 * 1024 * 1024, max_streams=64)
KEPT = 4 * 1024 * 1024
"""Bytes that a link may hold at most: what its streams may together, and their first windows."""


class Hostile:
    """A provider's transport end, which answers with whatever *rng* draws."""

    def __init__(self, rng: random.Random, transport: MemoryTransport) -> None:
        self.frames = HostileFrames(rng)
        self.rng = rng
        self.transport = transport
        self.streams: dict[int, str] = {}
        """The state of each, as `HostileFrames.answer` has it."""
        self.closed = False

    def message_received(self, message: bytes) -> None:
        while message:
            kind, _, _, stream, length = frames.HEADER.unpack_from(message)
            if kind == frames.OPEN:
                self.streams[stream] = "socket" if message[frames.HEADER_SIZE] else "http"
            elif kind in (frames.RESET, frames.CLOSE):
                self.streams[stream] = "over"
            message = message[frames.HEADER_SIZE + length :]

    def transport_writable(self) -> None: ...

    def transport_closed(self, reason: str) -> None:
        self.closed = True

    def say(self) -> None:
        rng = self.rng
        message = b"".join(self._frame() for _ in range(rng.randrange(1, 6)))
        self.transport.send(self.frames.broken(message) if rng.random() < 0.2 else message)

    def _frame(self) -> bytes:
        rng = self.rng
        odd = rng.random()
        if odd < 0.1:
            return self.frames.link_frame()
        if odd < 0.12 or not self.streams:
            return self.frames.stream_frame(rng.randrange(9)) if odd < 0.12 else b""
        stream = rng.choice(list(self.streams))
        frame, self.streams[stream] = self.frames.answer(stream, self.streams[stream])
        return frame


async def visit(hub: HereHub, name: str, *, websocket: bool) -> Received:
    """To its end: an answer, a close or a cut."""
    request, one = a_request(f"{name}/", websocket=websocket), Received()
    try:
        forward = await hub.open(request, one, wait=False)
        if forward.stream is None:
            return one
        if websocket:
            await until(lambda: one.done or one.status == 101)
            for _ in range(3):
                forward.visitor_message(b"hello", True)
                await asyncio.sleep(0)
        await until(lambda: one.done)
    except Answer:
        one.done = True
    return one


async def round_of(hub: HereHub, seed: int) -> None:
    rng = random.Random(seed)
    mine, theirs = pair()
    hub.links.accept(theirs)
    hostile = Hostile(rng, mine)
    mine.start(hostile)
    kernel = f"k{seed}"
    hub.kernels[kernel] = 100
    hello = Hello(token=hub.keys.mint_provider(kernel), session=secrets.token_hex(16), epoch=1)
    mine.send(hostile.frames.hello(hello))
    for _ in range(20):
        await asyncio.sleep(0)
    mine.send(frames.pack_json(frames.REGISTER, {"request": 1, "service": {"name": "cat", "access": "public"}}))
    for _ in range(5):
        await asyncio.sleep(0)
    visits = [asyncio.ensure_future(visit(hub, "cat", websocket=rng.random() < 0.5)) for _ in range(4)]
    for _ in range(rng.randrange(5, 40)):
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        hostile.say()
        held = [linked.link.connection.held for linked in hub.links.all()]
        assert max(held, default=0) <= LIMITS.max_held + LIMITS.max_streams * LIMITS.stream_window
        if hostile.closed:
            break
    mine.cut()
    del hub.kernels[kernel]
    hub.links.kernel_ended(hub.registry, kernel)
    async with asyncio.timeout(HANGS):
        await asyncio.gather(*visits)


@pytest.mark.fuzz
def test_a_hostile_provider(fuzz_seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    begun, first = time.monotonic(), random.randrange(1 << 30)
    caplog.set_level(logging.ERROR)

    async def work() -> None:
        async with a_hub(HubConfig(limits=LIMITS, kernel_poll=0.01)) as hub:
            well = hub.kernel("well")
            await well.connect()
            assert (await well.register("dog", echo, access="public")).ok
            seed = first
            while time.monotonic() - begun < fuzz_seconds:
                try:
                    await round_of(hub, seed)
                    async with asyncio.timeout(HANGS):
                        assert (await hub.visit("dog/")).status == 200
                except (AssertionError, TimeoutError, PorticoError) as error:
                    raise AssertionError(f"seed {seed}: {error!r}") from error
                errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
                assert errors == [], f"seed {seed}: {errors}"
                seed += 1
            for _ in range(20):
                await asyncio.sleep(0)
            assert hub.links.count == 1
            assert sum(linked.link.connection.held for linked in hub.links.all()) == 0

    run_for(work, fuzz_seconds)


def run_for(work: Any, seconds: float) -> None:
    """As `tests.transports.recorder.run`, for longer than half a minute."""
    complaints: list[dict[str, object]] = []

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(seconds + 60):
            await work()

    asyncio.run(guarded())
    assert complaints == []
