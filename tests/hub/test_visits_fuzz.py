"""Visitors of every kind who come and leave at any moment, while their providers come, go, refuse and fall silent.

The invariants: a visitor is told one answer at most, in its order, and nothing once it has left; each visit ends, once;
and when all are gone, every counter is where it was.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
import secrets
import time
from collections import Counter
from typing import Any

import pytest

from portico.errors import PorticoError
from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.hub.held_bodies import HeldBodies
from portico.hub.http_forward import HTTPForward
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.socket import ModelsSocket
from portico.hub.request import parse
from portico.hub.socket_forward import SocketForward
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit
from portico.protocol import ResetCode
from portico.types import Headers
from tests.hub.test_opening_retries import CALLER, settled
from tests.in_process import TOKEN, HereHub, Publisher, a_hub, a_request
from tests.transports.recorder import run
from tests.waiting import turns, until

OWNER = (b"authorization", b"Bearer " + TOKEN)
STORED = "resp_%s_1"
TAGS = ("aaaaaaaa", "bbbbbbbb")
CONFIG = HubConfig(kernel_poll=0.01, wait_for_provider=0.05, hold_name=30, max_streams_of_address=12)
CONDITIONS: list[dict[str, Any]] = [{}, {}, {"concurrency": 3}, {"max_body": 3000}]


async def misbehave(rng: random.Random, scope: Any, receive: Any, send: Any) -> None:
    """An app that does to each request what the dice say."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    if rng.random() < 0.5:
        await asyncio.sleep(rng.random() * 0.01)
    if scope["type"] == "websocket":
        await _talk(rng, receive, send)
        return
    how = rng.random()
    if how < 0.1:
        raise RuntimeError("on purpose")
    if how < 0.3:
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if how < 0.8:
        while (message := await receive())["type"] != "http.disconnect" and message.get("more_body"):
            pass
    await send({"type": "http.response.start", "status": rng.choice([200, 200, 204, 304, 404, 501, 700])})
    for _ in range(rng.randrange(4)):
        await send({"type": "http.response.body", "body": b"x" * rng.choice([0, 9, 70_000]), "more_body": True})
        await asyncio.sleep(rng.choice([0, 0, 0.003]))
    if how > 0.95:
        raise RuntimeError("on purpose, in the middle")
    await send({"type": "http.response.body", "body": b"end"})


async def _talk(rng: random.Random, receive: Any, send: Any) -> None:
    await receive()
    how = rng.random()
    if how < 0.1:
        raise RuntimeError("on purpose")
    if how < 0.2:
        await send({"type": "websocket.close"})
        return
    if how < 0.3:
        await send({"type": "websocket.http.response.start", "status": rng.choice([401, 204, 700]), "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no" * rng.choice([0, 9, 90_000])})
        return
    await send({"type": "websocket.accept", "subprotocol": rng.choice([None, None, "a", "b"])})
    for _ in range(rng.randrange(5)):
        await send({"type": "websocket.send", "text": "x" * rng.choice([0, 9, 70_000])})
    if how < 0.5:
        raise RuntimeError("on purpose, in the middle")
    if how < 0.7:
        await send({"type": "websocket.close", "code": rng.choice([1000, 1001, 3000])})
        return
    while (await receive())["type"] != "websocket.disconnect":
        pass


class Edge:
    """The responder of one visit, of either kind: does an edge's bookkeeping, and holds the hub to its part."""

    def __init__(self, visit: Visit, rng: random.Random) -> None:
        self.visit, self.rng = visit, rng
        self.begun = self.over = self.gone = False
        self.writing: asyncio.Future[None] | None = None

    def _may_write(self) -> None:
        assert not self.gone, "nobody is there any more"
        assert not self.over, "it was told the end before"
        assert self.writing is None or self.writing.done(), "one write is under way at a time"

    def _written(self) -> asyncio.Future[None] | None:
        if self.rng.random() < 0.7:
            return None
        self.writing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(self.rng.random() * 0.004, self._taken, self.writing)
        return self.writing

    @staticmethod
    def _taken(writing: asyncio.Future[None]) -> None:
        if not writing.done():
            writing.set_result(None)

    def end(self, how: str) -> None:
        self.over = True
        self.visit.end(how)

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        self._may_write()
        assert not self.begun, "one answer"
        self.begun = True
        self.visit.answered(status)
        return self._more(fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        self._may_write()
        assert self.begun
        return self._more(fin)

    def _more(self, fin: bool) -> asyncio.Future[None] | None:
        if fin:
            self.end(COMPLETE)
        elif self.rng.random() < 0.03:
            self.end(BROKEN)  # the app broke its Content-Length, which the edge sees
            self.leave()
            return None
        return self._written()

    def leave(self) -> None: ...

    def answer(self, answer: Answer) -> None:
        headers, body = self.visit.render(answer)
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        assert self.begun
        assert not self.gone
        self.end(BROKEN)

    # of a WebSocket

    def accept(self, subprotocol: str, headers: Headers) -> None:
        self._may_write()
        assert not self.begun, "one answer"
        self.begun = True
        if subprotocol and subprotocol not in self.visit.request.subprotocols:
            self.visit.answered(500)
            self.end(COMPLETE)
            self.leave()
        else:
            self.visit.answered(101)

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self.respond(status, headers, body, True)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        self._may_write()
        assert self.visit.status == 101
        return self._written()

    def close(self, code: int, reason: str) -> None:
        assert not self.gone
        self.end(COMPLETE)


class Visitor:
    """Asks one thing, and leaves when the dice say so."""

    def __init__(self, fuzz: Fuzz) -> None:
        self.fuzz, self.rng, self.hub = fuzz, fuzz.rng, fuzz.hub
        kind = self.kind = self.rng.choice(["get", "post", "post", "socket", "models", "packed", "stored", "chat"])
        method = "POST" if kind in ("post", "models", "packed") else self.rng.choice(["GET", "HEAD", "DELETE"])
        socket = kind in ("socket", "chat")
        headers = [OWNER] if self.rng.random() < 0.5 else []
        if kind == "packed":
            headers.append((b"content-encoding", b"gzip"))
        request = a_request("cat/", method, headers, websocket=socket, caller=CALLER, subprotocols=("a",))
        paths = {
            "models": b"responses",
            "packed": b"chat/completions",
            "chat": b"responses",
            "stored": b"responses/" + (STORED % self.rng.choice([*TAGS, "cccccccc"])).encode(),
        }
        if kind in paths:
            request = request._replace(target=b"/portico/v1/" + paths[kind])
        self.visit = fuzz.begin(Visit(self.hub.visits, request))
        self.edge = Edge(self.visit, self.rng)
        self.edge.leave = self.leave_hub  # type: ignore[method-assign]
        self.forward: Any = None
        self.leaving = asyncio.get_running_loop().create_future()
        patience = self.rng.random() ** 3 * 0.03 if self.rng.random() < 0.6 else 0.1
        asyncio.get_running_loop().call_later(patience, self.leave)

    def leave(self) -> None:
        """Its connection is gone."""
        if not self.leaving.done():
            self.leaving.set_result(None)
            self.edge.gone = True
            self.leave_hub()
            self.visit.end(LEFT)

    def leave_hub(self) -> None:
        if self.forward is None:
            return
        if self.kind in ("socket", "chat"):
            self.forward.visitor_closed(self.rng.choice([1000, 1005, 1006, 4000]), "")
        else:
            self.forward.visitor_left()

    async def go(self) -> None:
        asking = asyncio.ensure_future(self._ask())
        await asyncio.wait((asking, self.leaving), return_when=asyncio.FIRST_COMPLETED)
        if not asking.done() and self.rng.random() < 0.5:
            asking.cancel()  # the server ends the request's task
        await asyncio.wait((asking,))
        if not asking.cancelled():
            asking.result()
        await asyncio.wait((self.leaving,))

    async def _ask(self) -> None:
        if self.edge.gone:
            return
        try:
            await self._open()
        except Answer as answer:
            if not self.edge.gone:
                self.edge.answer(answer)
            return
        if self.edge.gone:
            self.leave_hub()
            return
        if self.kind in ("post", "models", "packed"):
            await self._upload()
        elif self.kind in ("socket", "chat"):
            await self._talk()

    async def _open(self) -> None:
        hub, kind, gateway = self.hub, self.kind, self.hub.gateway
        models = AllModels(gateway, hub.registry, "/portico/v1", self.fuzz.held)
        if kind in ("models", "packed", "stored"):
            self.forward = exchange = ModelsExchange(models, self.visit, self.edge, fin=kind == "stored")
            await exchange.start()
        elif kind == "chat":
            chat = ModelsSocket(models, self.visit)
            await chat.admit()
            if not self.edge.gone:
                self.forward = chat.begin(self.edge)
        else:
            self.visit.target = parse(self.visit.request)
            forward = (
                SocketForward(self.visit, self.edge)
                if kind == "socket"
                else HTTPForward(self.visit, self.edge, fin=kind == "get")
            )
            self.forward = forward
            if not gateway.open_now(forward):
                await gateway.open(forward)

    def _pieces(self) -> list[bytes]:
        rng = self.rng
        size = rng.choice([0, 10, 1000, 5000, 200_000])
        if self.kind == "post":
            body = b"x" * size
        else:
            value: dict[str, Any] = {"model": rng.choice(["m", "m", "n", "cat/m"]), "messages": "y" * size}
            if rng.random() < 0.4:
                value["previous_response_id"] = STORED % rng.choice(TAGS)
            body = json.dumps(dict(rng.sample(sorted(value.items()), len(value)))).encode()
            if rng.random() < 0.1:
                body = body[: rng.randrange(len(body))]
        if self.kind == "packed":
            body = gzip.compress(body)
            if rng.random() < 0.3:
                body = body[:-8] + b"x" * 8
        step = max(1, len(body) // rng.randrange(1, 5))
        return [body[start : start + step] for start in range(0, len(body), step)]

    async def _upload(self) -> None:
        for piece in self._pieces():
            if self.edge.gone or self.edge.over:
                return
            wait = self.forward.upload(piece)
            if wait is not None:
                await asyncio.wait((wait, self.leaving), return_when=asyncio.FIRST_COMPLETED)
                if not wait.done():
                    return
            await turns(self.rng.randrange(3))
        if not self.edge.gone and not self.edge.over and self.rng.random() < 0.9:
            self.forward.upload_done()

    async def _talk(self) -> None:
        try:
            async with asyncio.timeout(0.1):
                await until(lambda: self.edge.begun or self.edge.over or self.edge.gone)
        except TimeoutError:
            return
        for _ in range(self.rng.randrange(4)):
            if self.edge.gone or self.edge.over:
                return
            value = {"model": self.rng.choice(["m", "m", "n"]), "x": "z" * self.rng.choice([1, 70_000])}
            wait = self.forward.visitor_message(json.dumps(value).encode(), True)
            if wait is not None:
                await asyncio.wait((wait, self.leaving), return_when=asyncio.FIRST_COMPLETED)
                if not wait.done():
                    return


class Fuzz:
    def __init__(self, hub: HereHub, rng: random.Random) -> None:
        self.hub, self.rng = hub, rng
        self.held = HeldBodies()
        self.visits: list[Visit] = []
        self.told: Counter[str] = Counter()
        self.hows: Counter[str] = Counter()
        self.kernels: list[Publisher] = []
        hub.visits.ended.subscribe(self._ended)

    def begin(self, visit: Visit) -> Visit:
        self.visits.append(visit)
        return visit

    def _ended(self, visit: Visit) -> None:
        self.told[visit.id] += 1
        self.hows[visit.how] += 1

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await misbehave(self.rng, scope, receive, send)

    async def provider(self) -> None:
        kernel = await self.hub.kernel(f"k{len(self.kernels)}").connect()
        self.kernels.append(kernel)
        await self.register(kernel)

    async def register(self, kernel: Publisher) -> None:
        tag = TAGS[self.kernels.index(kernel) % len(TAGS)]
        descriptor = {"models": ["m"], "replica": True, "tag": tag, "conditions": self.conditions}
        ack = await kernel.register("cat", self.app, access=self.access, **descriptor)
        assert ack.ok, ack.error

    async def happen(self) -> None:
        """One thing that befalls a provider."""
        rng = self.rng
        kernel = rng.choice(self.kernels)
        what = rng.randrange(6)
        assert kernel.link is not None
        assert kernel.transport is not None
        if kernel.closed is not None:
            await kernel.connect()
        elif what == 0:
            await kernel.cut()
        elif what == 1:
            kernel.link.close(ResetCode.NO_ERROR, "done")
        elif what == 2:
            kernel.link.connection.send_goaway(ResetCode.CANCEL, "it may be back")
            kernel.link.flush_soon()
        elif what == 3:
            kernel.transport.paused = not kernel.transport.paused
        elif what == 4:
            app = kernel.apps.pop("cat", None)  # what is opened is refused
            await asyncio.sleep(rng.random() * 0.005)
            if app is not None:
                kernel.apps["cat"] = app
        else:
            await asyncio.sleep(rng.random() * 0.01)

    async def round(self) -> None:
        self.conditions = self.rng.choice(CONDITIONS)
        self.access = self.rng.choice(["public", "public", "private"])
        for _ in range(self.rng.randrange(1, 3)):
            await self.provider()
        service = self.hub.registry.services["cat"]
        under_way = set()
        for _ in range(self.rng.randrange(5, 40)):
            task = asyncio.create_task(Visitor(self).go())
            under_way.add(task)
            if self.rng.random() < 0.2:
                await self.happen()
            await turns(self.rng.randrange(8))
        await asyncio.wait(under_way)
        for task in under_way:
            task.result()
        for kernel in self.kernels:
            if kernel.transport is not None:
                kernel.transport.paused = False
            kernel.leave()
        await turns()
        await until(lambda: not service.waiting and not self.hub.gateway._opening._retrying, within=3)
        self.check(service)

    def check(self, service: Any) -> None:
        hub, visits = self.hub, self.hub.visits
        settled(hub, service)
        assert self.held.total == 0
        assert not self.held._by_caller
        assert visits.sockets_open == 0
        assert self.told == Counter(visit.id for visit in self.visits), "each ends once"
        statuses = Counter(visit.status for visit in self.visits if visit.status)
        assert +Counter(visits.statuses) == statuses
        assert visits.sockets == statuses[101]
        assert visits.abandoned == sum(visit.abandoned for visit in self.visits)
        assert all(visit.how == LEFT for visit in self.visits if not visit.status)


@pytest.mark.fuzz
def test_visitors_and_providers_who_come_and_go_leave_nothing_behind(
    fuzz_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    deadline = time.monotonic() + fuzz_seconds
    hows: Counter[str] = Counter()
    while time.monotonic() < deadline:
        seed = secrets.randbits(32)

        async def inside(seed: int = seed) -> None:
            async with a_hub(CONFIG) as hub:
                fuzz = Fuzz(hub, random.Random(seed))
                await fuzz.round()
                hows.update(fuzz.hows)

        with caplog.at_level(logging.ERROR):
            try:
                run(inside)
            except (AssertionError, PorticoError, TimeoutError) as error:
                raise AssertionError(f"seed {seed}: {error}") from error
        assert [record.getMessage() for record in caplog.records] == [], f"seed {seed}"
    assert set(hows) == {COMPLETE, LEFT, BROKEN}
