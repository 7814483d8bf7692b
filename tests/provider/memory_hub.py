"""A hub's own links and registry, reached by a provider over the in-memory pair, and a way there that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from portico.errors import LinkClosed, Refused
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.links import Links, Place
from portico.hub.registry import Registry
from portico.link import Stream
from portico.protocol import Kind, Limits, ResetCode
from portico.protocol.events import Data, Head, Hello
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.service import Options, Service
from portico.transports.memory import MemoryTransport, pair
from portico.types import ASGIApp, service_name

BASE = "http://hub.test/portico/apps/"
ADDRESS = HubAddress("http://hub.test/", "good", "the test")


class MemoryHub:
    """Knows one token, ``good``. While ``away`` it cannot be dialled."""

    def __init__(self) -> None:
        self.config = config = HubConfig(hold_name=0.05, passwords=True)
        self.registry = Registry(config)
        self.links = Links(
            config,
            authenticate=self._authenticate,
            kernel_lives=self._kernel_lives,
        )
        self.away: Exception | None = None
        self.anonymous: dict[str, str] | None = None
        """What a provider without a token is told in WELCOME; None if it is not let in."""
        self.hellos: list[Hello] = []
        self.dialled = 0
        self.ends: list[MemoryTransport] = []

    async def _authenticate(self, hello: Hello) -> Place:
        self.hellos.append(hello)
        if hello.token != "good" and (hello.token or self.anonymous is None):
            raise Refused("this token may not publish here")
        return Place(
            principal=Principal(id="user:test"),
            registry=self.registry,
            url_of=lambda name: f"{BASE}{name}/",
            base_url=BASE,
            hold=self.config.hold_name,
            info=dict(self.anonymous or {}),
        )

    async def _kernel_lives(self, kernel_id: str, process: int | None) -> bool:
        return True

    async def dial(self, address: HubAddress, limits: Limits) -> MemoryTransport:
        self.dialled += 1
        if self.away is not None:
            raise self.away
        near, far = pair()
        self.ends.append(near)
        self.links.accept(far)
        return near

    def cut(self) -> None:
        self.ends[-1].cut()

    @property
    def names(self) -> set[str]:
        return set(self.registry.services)

    def ask(self, name: str) -> Visit:
        """Open a stream to the service, as the gateway does for a GET."""
        replica = self.registry.services[name].replicas[0]
        link = replica.session.link
        assert link is not None
        stream_id = link.connection.open_stream(
            kind=Kind.HTTP, service=name, method="GET", scheme="http", http_version="1.1", raw_path=b"/", query=b"",
            root_path=f"/portico/apps/{name}", client=None, server=None, subprotocols=(), identity=b"{}", headers=[],
            fin=True, now=link.time(),
        )  # fmt: skip
        visit = Visit()
        visit.stream = link.adopt(stream_id, visit)
        return visit


class Visit:
    """One answer, as it comes."""

    stream: Stream

    def __init__(self) -> None:
        self.body = b""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: Data) -> None:
        self.body += data.data
        self.stream.consumed(len(data.data))
        if data.fin:
            self._end("whole")

    def on_close(self, code: int, reason: str) -> None: ...

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self._end(code.name)

    def on_writable(self) -> None: ...

    def _end(self, how: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
            self.stream.release()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[MemoryHub, Provider]]:
    hub = MemoryHub()
    provider = Provider(dial=hub.dial)
    try:
        yield hub, provider
    finally:
        await provider.shutdown()
        hub.links.close()


def service(provider: Provider, name: str = "app", **options: Any) -> Service:
    return Service(service_name(name), Options(**options), "app", (), "an app of the test", provider)


def saying(word: bytes, ended: list[bytes] | None = None, hold: asyncio.Event | None = None) -> ASGIApp:
    """An app that answers *word*, once *hold* is set, and notes it in *ended* when it shuts down."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if ended is not None:
                ended.append(word)
            await send({"type": "lifespan.shutdown.complete"})
            return
        if hold is not None:
            await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": word})

    return app


AWAY = LinkClosed("the hub cannot be reached")
