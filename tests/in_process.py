"""The one way to have a hub in a test's own process: its rooms as they are, and small stand-ins for what is around it.

`a_hub` runs one. Two kinds of provider link over the in-memory pair: a `Publisher`, which sends what the test says,
and a real `Provider`, which dials with `HereHub.dial` (`linked` has one). Visitors are function calls: `HereHub.visit`
goes through the gateway, as an edge does, with a `Received` that takes the answer; `HereHub.ask` opens one past it.
`Door` knows the users. What needs no hub but the two ends of a link takes `tests.link_pair`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from portico.asgi.instance import Instance
from portico.errors import LinkClosed, Refused
from portico.hub.access import NOBODY, KnownUser, Recognised
from portico.hub.answers import Answer, wants_page
from portico.hub.callers import Identities
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.firewall.headers import cors_headers
from portico.hub.forward import Forward
from portico.hub.http_forward import HTTPForward
from portico.hub.hub import Hub
from portico.hub.keys import InvalidKey, KeyStore, MemoryKeyStore
from portico.hub.request import VisitorRequest, parse
from portico.hub.socket_forward import SocketForward
from portico.hub.visits import Visit, Visits
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Connection, Kind, Limits, ResetCode, Role
from portico.protocol.events import Ack, Data, GoAway, Hello, LinkEvent, Open, Register, Unregister, Welcome
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.transports.memory import MemoryTransport, pair
from portico.types import ASGIApp, Headers
from tests.link_pair import Owner, open_stream
from tests.waiting import until

HOST = "hub.example:8888"
ORIGIN = b"http://hub.example:8888"
PREFIX = b"/portico/apps/"
COOKIE = b"username-hub-example-8888=signed-and-sealed"
TOKEN = b"the-hubs-own-token"
BASE = f"http://{HOST}{PREFIX.decode()}"
ADDRESS = HubAddress(f"http://{HOST}/", TOKEN.decode(), "the test")
"""Where a provider finds it."""
SOON = HubConfig(hold_name=0.05, passwords=True)
"""A hub's, for tests of what happens once it has held a name for long enough."""


class Door(Identities):
    """The server's own users: whoever holds its one cookie, its one token, or a token of one of its users."""

    def __init__(self) -> None:
        self.user_tokens = {b"user-token-of-ada": KnownUser("ada", "Ada", by_token=True)}
        self.strangers_tokens = {b"user-token-of-eve"}
        """Credentials of the same server that open nothing here."""
        self.asked = 0

    async def recognise(self, visit: Visit) -> Recognised:
        self.asked += 1
        await asyncio.sleep(0)
        for token in self._shown(visit):
            if token == TOKEN:
                return Recognised(user=KnownUser("owner", by_token=True), token=token)
            if token in self.user_tokens:
                return Recognised(user=self.user_tokens[token], token=token)
            if token in self.strangers_tokens:
                return Recognised(token=token)
        if any(name == b"cookie" and COOKIE in value for name, value in visit.request.headers):
            return Recognised(user=KnownUser("ada", "Ada"))
        return NOBODY

    @staticmethod
    def _shown(visit: Visit) -> list[bytes]:
        given = [value.partition(b" ")[2] for name, value in visit.request.headers if name == b"authorization"]
        return given + [part[6:] for part in visit.target.query.split(b"&") if part.startswith(b"token=")]

    def has_credentials(self, visit: Visit) -> bool:
        shown = any(name in (b"cookie", b"authorization") for name, _ in visit.request.headers)
        return shown or b"token=" in visit.target.query

    def has_valid_xsrf(self, visit: Visit) -> bool:
        return (b"x-xsrftoken", b"matches-the-cookie") in visit.request.headers

    def is_hub_cookie(self, name: str) -> bool:
        return name in ("_xsrf", "portico_key") or name.startswith("username-")

    def own_tokens(self) -> tuple[bytes, ...]:
        return (TOKEN,)

    def login_url(self, visit: Visit) -> str | None:
        return "/portico/login"


class Publisher:
    """A provider's end: one session, its links one after the other, and an app for each name."""

    def __init__(self, hub: HereHub, token: str, *, session: str = "", info: dict[str, Any] | None = None) -> None:
        self.hub = hub
        self.token = token
        self.session = session or secrets.token_hex(16)
        self.info = info or {}
        self.features: tuple[str, ...] = ()
        """What it says in HELLO that it can do."""
        self.epoch = 0
        self.link: Link | None = None
        self.transport: MemoryTransport | None = None
        self.welcome: Welcome | None = None
        self.goaway: GoAway | None = None
        self.acks: dict[int, Ack] = {}
        self.stopped: list[str] = []
        self.closed: LinkClosed | None = None
        self.apps: dict[str, Instance] = {}
        self.failures: list[BaseException] = []
        self._numbers = itertools.count(1)
        hub.publishers.append(self)

    async def connect(self, *, epoch: int | None = None, limits: Limits | None = None) -> Publisher:
        """Dial the hub; returns once it has said WELCOME. Raises `Refused` with its reason."""
        self.epoch = self.epoch + 1 if epoch is None else epoch
        self.welcome = self.goaway = self.closed = None
        self.transport, theirs = pair()
        self.hub.links.accept(theirs)
        connection = Connection(Role.PROVIDER, limits or Limits(), now=asyncio.get_running_loop().time())
        connection.send_hello(
            Hello(token=self.token, session=self.session, epoch=self.epoch, info=self.info, features=self.features)
        )
        self.link = Link(connection, self.transport, self)
        self.link.start()
        await until(lambda: self.welcome or self.closed)
        if self.welcome is None:
            raise Refused(self.goaway.reason if self.goaway else str(self.closed))
        return self

    async def register(self, name: str, app: ASGIApp | None = None, **descriptor: Any) -> Ack:
        if app is not None:
            if name in self.apps:
                await self.apps[name].retire(0)
            self.apps[name] = Instance(app, lambda where, error: self.failures.append(error))
            await self.apps[name].start()
        assert self.link is not None
        number = next(self._numbers)
        self.link.connection.send_register(Register(number, {"name": name, **descriptor}))
        self.link.flush_soon()
        await until(lambda: number in self.acks or self.closed)
        return self.acks[number]

    async def unregister(self, name: str) -> Ack:
        assert self.link is not None
        number = next(self._numbers)
        self.link.connection.send_unregister(Unregister(number, name))
        self.link.flush_soon()
        await until(lambda: number in self.acks)
        return self.acks[number]

    async def cut(self) -> None:
        """Lose the link, both ends at once."""
        assert self.transport is not None
        self.transport.cut()
        await until(lambda: self.closed)

    def leave(self) -> None:
        """Go, saying so."""
        if self.link is not None:
            self.link.close(ResetCode.NO_ERROR, "done")

    # the link's events

    def on_event(self, link: Link, event: LinkEvent) -> None:
        match event:
            case Welcome():
                self.welcome = event
            case GoAway():
                self.goaway = event
            case Ack():
                self.acks[event.request] = event
            case Unregister(_, name):
                self.stopped.append(name)

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        if request.service not in self.apps:
            stream.reset(ResetCode.REFUSED, "not served here")
            return stream.handler
        return self.apps[request.service].begin(stream, request)

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        if link is self.link:
            self.closed = reason


class Received:
    """One visitor's exchange: what an edge writes out is kept here."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.body = b""
        self.done = False
        self.code = ""
        """Of an answer in the hub's own words."""
        self.messages: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def header(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.headers if found == name]

    def json(self) -> Any:
        return json.loads(self.body)

    # a responder for HTTP

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> None:
        self.status, self.headers = status, headers
        self.write(body, fin)

    def write(self, body: bytes, fin: bool) -> None:
        self.body += body
        self.done = self.done or fin

    def answer(self, answer: Answer) -> None:
        self.code = answer.code
        headers, body = answer.render(html=False, openai=False)
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        self.done = True
        self.status = self.status or -1

    # and for WebSockets

    def accept(self, subprotocol: str, headers: Headers) -> None:
        self.status, self.headers = 101, headers

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self.respond(status, headers, body, True)

    def message(self, data: bytes, text: bool) -> None:
        self.messages.append(data)

    def close(self, code: int, reason: str) -> None:
        self.closed, self.done = (code, reason), True


def a_request(
    target: str | bytes, method: str = "GET", headers: Headers | None = None, *, websocket: bool = False, **more: Any
) -> VisitorRequest:
    given = {
        "kind": Kind.WEBSOCKET if websocket else Kind.HTTP,
        "method": method,
        "scheme": "http",
        "host": HOST,
        "http_version": "1.1",
        "target": PREFIX + (target.encode() if isinstance(target, str) else target),
        "headers": [(b"host", HOST.encode()), *(headers or [])],
        "client": ("192.0.2.7", 40000),
        "server": ("hub.example", 8888),
        "prefix": PREFIX,
        "subprotocols": (),
    }
    return VisitorRequest(**(given | more))


def a_visit(target: str | bytes, *arguments: Any, **more: Any) -> Visit:
    """The record of one `a_request`, whose target is found."""
    visit = Visit(Visits(), a_request(target, *arguments, **more))
    visit.target = parse(visit.request)
    return visit


class Asked(Owner):
    """What a visitor was sent on a stream, which is let go with its end."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """How: ``whole``, or the name of the code that it was reset with."""

    def on_data(self, data: Data) -> None:
        super().on_data(data)
        if data.fin:
            self._end("whole")

    def on_reset(self, code: ResetCode, reason: str) -> None:
        super().on_reset(code, reason)
        self._end(code.name)

    def _end(self, how: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
            self.stream.release()


class HereHub(Hub):
    """A hub with what its tests need at hand."""

    door: Door
    kernels: dict[str, int]
    """The kernels that live, and the process of each."""
    publishers: list[Publisher]
    welcome: dict[str, object]
    """What a provider is told in WELCOME."""
    anonymous = False
    """Whether a provider without a token is let in."""
    shown: list[str]
    """The tokens of those that have dialled, in turn."""
    away: Exception | None = None
    """What a dial ends with; None lets it through."""
    dialled = 0
    ends: list[MemoryTransport]
    """The providers' ends of what was dialled."""

    async def dial(self, address: HubAddress, limits: Limits) -> MemoryTransport:
        """The way here of a real `Provider`, which can be cut."""
        self.dialled += 1
        if self.away is not None:
            raise self.away
        near, far = pair()
        self.ends.append(near)
        self.accept(far, self._opener)
        return near

    async def _opener(self) -> Principal | None:
        if not self.anonymous:
            return None
        self.shown.append("")
        return Principal(id="user:owner")

    def cut(self) -> None:
        """Lose the link that was dialled last."""
        self.ends[-1].cut()

    @property
    def names(self) -> set[str]:
        return set(self.registry.services)

    def ask(self, name: str) -> Asked:
        """Open a stream to the service, past the gateway."""
        link = self.registry.services[name].replicas[0].session.link
        assert link is not None
        root_path = f"{PREFIX.decode()}{name}"
        return open_stream(link, Asked(), service=name, root_path=root_path, identity=b"{}")

    def kernel(self, kernel_id: str = "k1") -> Publisher:
        """The provider in a kernel, not yet linked."""
        self.kernels.setdefault(kernel_id, 100)
        return Publisher(self, self.keys.mint_provider(kernel_id), info={"notebook": f"{kernel_id}.ipynb"})

    async def visit(
        self, target: str | bytes, method: str = "GET", headers: Headers | None = None, **more: Any
    ) -> Received:
        """Do what an edge does with a request, to its end; an answer in the hub's own words is rendered as there."""
        request = a_request(target, method, headers, **more)
        received = Received()
        visit = Visit(self.visits, request)
        try:
            await self.open(visit, received)
        except Answer as answer:
            received.code = answer.code
            rendered, body = answer.render(html=wants_page(request.headers), openai=b"/v1/" in visit.target.raw_path)
            extra = cors_headers(visit.cors_origin) if visit.cors_origin else []
            received.respond(answer.status, rendered + extra, body, True)
        await until(lambda: received.done or received.status == 101)
        return received

    async def open(
        self, request: VisitorRequest | Visit, received: Any, *, fin: bool = True, wait: bool = True, **more: Any
    ) -> Any:
        """Open a stream for a request, as an edge does; returns its forward. With *wait* false only at once.

        Raises an `Answer`.
        """
        forward = self.forward(request, received, fin=fin, **more)
        if not self.gateway.open_now(forward) and wait:
            await self.gateway.open(forward)
        return forward

    def forward(self, request: VisitorRequest | Visit, received: Any, *, fin: bool = True, **more: Any) -> Forward:
        """What carries a request, not yet opened. *more* is of `HTTPForward`, or of `SocketForward`."""
        visit = request if isinstance(request, Visit) else Visit(self.visits, request)
        visit.target = parse(visit.request)
        if visit.request.kind is Kind.WEBSOCKET:
            return SocketForward(visit, received, **more)
        return HTTPForward(visit, received, fin=fin, **more)


@asynccontextmanager
async def a_hub(config: HubConfig | None = None, *, store: KeyStore | None = None) -> AsyncIterator[HereHub]:
    """A hub that runs until the block's end."""
    kernels: dict[str, int] = {}

    async def authenticate(token: str) -> Principal:
        hub.shown.append(token)
        await asyncio.sleep(0)
        if token == TOKEN.decode():
            return Principal(id="user:owner")
        try:
            kernel_id = hub.keys.verify_provider(token).kernel_id
        except InvalidKey as error:
            raise Refused(str(error)) from None
        if kernel_id not in kernels:
            raise Refused("no such kernel")
        return Principal(id=f"kernel:{kernel_id}", kernel_id=kernel_id, process=kernels[kernel_id], manages=False)

    async def lives(kernel_id: str, process: int | None) -> bool:
        return kernels.get(kernel_id) == process

    door, welcome = Door(), dict[str, object]()
    hub = await asyncio.to_thread(  # it reads its store, as a server lets it do before its loop runs
        HereHub,
        config or HubConfig(kernel_poll=0.01),
        store=store or MemoryKeyStore(),
        identities=door,
        authenticate=authenticate,
        kernel_lives=lives,
        base_path=PREFIX.decode(),
        base_url=lambda: BASE,
        welcome=welcome,
    )
    hub.door, hub.kernels, hub.publishers = door, kernels, []
    hub.welcome, hub.shown, hub.ends = welcome, [], []
    hub.start()
    try:
        yield hub
    finally:
        for publisher in hub.publishers:
            publisher.leave()
            for instance in publisher.apps.values():
                await instance.retire(0)
        await hub.stop()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[HereHub, Provider]]:
    """A hub that soon gives up who has gone, and a provider that may dial it."""
    async with a_hub(SOON) as hub:
        provider = Provider(dial=hub.dial)
        try:
            yield hub, provider
        finally:
            await provider.shutdown()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Tells what reached it: the scope as JSON, bytes as latin-1."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    told = {
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "root_path": scope["root_path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "subprotocols": list(scope.get("subprotocols", [])),
        "identity": scope["extensions"]["portico"],
    }
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(told)})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
