"""Visitors on sockets who come, write and leave at any moment, at a relay under each of its servers.

The invariants: each visit has one line in the access log, with the status that was counted for it; what a visitor reads
is whole answers and at most one part of one; and when all are gone, every counter is where it was.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
import time
from collections import Counter
from typing import Any

import pytest

from portico.hub.config import HubConfig
from portico.hub.visits import LEFT
from portico.protocol import ResetCode
from tests.hub.test_visits_fuzz import CONDITIONS, TAGS, misbehave
from tests.in_process import Publisher
from tests.relay.here_relay import SERVERS, HereRelay, a_relay
from tests.waiting import until

HUB = HubConfig(wait_for_provider=0.05, hold_name=30)
UPGRADE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol: a",
]
FRAMES = [
    b"\x81\x81\0\0\0\0x",
    b"\x82\x80\0\0\0\0",
    b"\x89\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x88\x80\0\0\0\0",
    b"\x81\x01x",
    b"\x01\x81\0\0\0\0x",
]
"""Messages, a ping, closes, one that breaks the protocol (no mask), and one without its end."""


class Fuzz:
    def __init__(self, relay: HereRelay, rng: random.Random) -> None:
        self.relay, self.rng = relay, rng
        self.numbers = itertools.count()
        self.ended: list[tuple[int, str]] = []
        relay.visits.ended.subscribe(lambda visit: self.ended.append((visit.status, visit.how)))
        self.under_way = 0
        edge = relay.relay.edge
        edge.http, edge.websocket = self.counted(edge.http), self.counted(edge.websocket)  # type: ignore[method-assign]

    def counted(self, serve: Any) -> Any:
        async def counted(*arguments: Any) -> None:
            self.under_way += 1
            try:
                await serve(*arguments)
            finally:
                self.under_way -= 1

        return counted

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await misbehave(self.rng, scope, receive, send)

    def request(self) -> list[bytes]:
        """A request in pieces, each of which may be the last that is sent."""
        rng = self.rng
        method, body = rng.choice(["GET", "HEAD", "POST", "POST", "DELETE"]), b""
        path = rng.choice(["cat/x", "cat/x", "cat/x?portico_key=no", "cat", "gone/", "cat/.portico/x"])
        target, fields = f"/alice/apps/{path}", [f"Host: 127.0.0.1:{self.relay.port}"]
        if rng.random() < 0.2:
            target = "/alice/v1/" + rng.choice(["models", "responses", f"responses/resp_{TAGS[0]}_1", "health"])
        if rng.random() < 0.3:
            method, fields = "GET", fields + UPGRADE
        elif method == "POST":
            body = b'{"model": "m", "x": "' + b"x" * rng.choice([0, 100, 5000, 100_000]) + b'"}'
            if rng.random() < 0.2:
                fields.append("Expect: 100-continue")
            if rng.random() < 0.5:
                fields.append("Transfer-Encoding: chunked")
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            else:
                fields.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode()
        half = len(body) // 2
        return [head, *filter(None, (body[:half], body[half:]))]

    async def visitor(self) -> None:
        rng = self.rng
        reader, writer = await self.relay.visitor()
        reading = asyncio.create_task(reader.read(-1) if rng.random() < 0.8 else asyncio.sleep(0.1, b""))
        try:
            for _ in range(rng.choice([1, 1, 1, 3])):  # behind one another
                for piece in self.request():
                    writer.write(piece)
                    if rng.random() < 0.15:
                        return
                    await asyncio.sleep(rng.choice([0, 0, rng.random() * 0.01]))
            for _ in range(rng.randrange(3)):
                writer.write(rng.choice(FRAMES))
                await asyncio.sleep(rng.random() * 0.01)
            await asyncio.wait((reading,), timeout=rng.random() * 0.08)
        finally:
            if rng.random() < 0.5:
                writer.transport.abort()
            writer.close()
            reading.cancel()
            await asyncio.wait((reading,))

    async def happen(self, provider: Publisher) -> None:
        what = self.rng.randrange(4)
        assert provider.link is not None
        if provider.closed is not None:
            await provider.connect()
        elif what == 0:
            await provider.cut()
        elif what == 1:
            provider.link.connection.send_goaway(ResetCode.CANCEL, "it may be back")
            provider.link.flush_soon()
        elif what == 2 and (app := provider.apps.pop("cat", None)) is not None:
            await asyncio.sleep(self.rng.random() * 0.005)
            provider.apps["cat"] = app

    async def round(self) -> None:
        rng, relay = self.rng, self.relay
        provider = await relay.provider()
        descriptor = {"access": rng.choice(["public", "public", "private"]), "models": ["m"], "tag": TAGS[0]}
        ack = await provider.register("cat", self.app, conditions=rng.choice(CONDITIONS), **descriptor)
        assert ack.ok, ack.error
        service = relay.workspace.registry.services["cat"]
        visitors = set()
        for _ in range(rng.randrange(5, 40)):
            visitors.add(asyncio.create_task(self.visitor()))
            if rng.random() < 0.15:
                await self.happen(provider)
            await asyncio.sleep(rng.choice([0, 0, 0.002]))
        if rng.random() < 0.3:
            await relay.relay.drain()
        await asyncio.wait(visitors)
        for visitor in visitors:
            assert not visitor.exception() or isinstance(visitor.exception(), OSError), visitor.exception()
        provider.leave()
        await until(lambda: not self.left(service), within=5, what="all is given back")
        self.check()

    def left(self, service: Any) -> dict[str, Any]:
        """What is under way, or held."""
        relay = self.relay
        edge, gateway = relay.relay.edge, relay.workspace.gateway
        found = {
            "by ASGI": self.under_way,
            "in flight": sum(replica.in_flight for replica in service.replicas),
            "callers": [replica.session.callers for replica in service.replicas if replica.session.callers],
            "waiting": service.waiting or gateway._opening._waiters._held or gateway._opening._retrying,
            "streams": relay.links.streams,
            "sockets": relay.visits.sockets_open or len(edge.sockets),
            "held": edge.held.total,
        }
        return {name: value for name, value in found.items() if value}

    def check(self) -> None:
        relay = self.relay
        lines = relay.lines.all
        assert len(lines) == len(self.ended)
        assert len({line.request_id for line in lines}) == len(lines)
        assert Counter(line.status for line in lines) == Counter(status for status, _ in self.ended)
        counted = Counter(status for status, _ in self.ended if status)
        refused = Counter(relay.visits.statuses) - counted  # what was no request: a frame behind an answer, say
        assert set(refused) <= {400, 404}, refused
        assert not counted - Counter(relay.visits.statuses)
        assert relay.visits.sockets == counted[101]
        assert relay.visits.abandoned <= sum(how == LEFT for _, how in self.ended)


@pytest.mark.fuzz
@pytest.mark.parametrize("server", SERVERS)
def test_each_visit_ends_once_and_leaves_nothing_behind(
    server: str, fuzz_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    deadline = time.monotonic() + fuzz_seconds
    while time.monotonic() < deadline:
        seed = secrets.randbits(32)

        async def inside(seed: int = seed) -> None:
            complaints: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(30), a_relay(server, hub=HUB, drain_timeout=0.2) as relay:
                await Fuzz(relay, random.Random(seed)).round()
            # frames that come too soon, or behind a refusal, break what is uvicorn's own
            assert server != SERVERS[0] or complaints == []

        with caplog.at_level(logging.ERROR, "portico"):
            try:
                asyncio.run(inside())
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"seed {seed}: {error}") from error
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("portico")]
        assert ours == [], f"seed {seed}"
