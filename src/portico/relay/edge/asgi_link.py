"""A provider's link by ASGI: a WebSocket of the provider's, as a transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from portico import foreign
from portico.protocol import SUBPROTOCOL
from portico.relay.counters import Counters
from portico.relay.edge.driving import drive
from portico.relay.edge.past_asgi import OWN_MESSAGES, OwnSocket
from portico.relay.edge.proxies import TrustedProxies
from portico.relay.state import RelayState
from portico.transports.transport import LinkReceiver
from portico.types import Headers, Receive, Scope, Send

logger = logging.getLogger(__name__)

_PLAIN = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]


async def serve_link(state: RelayState, proxies: TrustedProxies, scope: Scope, receive: Receive, send: Send) -> None:
    """A provider dials in. Who it is it says in HELLO; until then it has 5 s and 8 KiB."""
    await receive()  # websocket.connect
    if SUBPROTOCOL not in scope["subprotocols"]:
        await send({"type": "websocket.http.response.start", "status": 400, "headers": _PLAIN})
        body = f"A link must offer the subprotocol {SUBPROTOCOL}.".encode()
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    client, _ = proxies.visitor(scope["client"], "http", headers)
    address = client[0] if client else ""
    transport = ASGILink(send, state.counters, address, _origin(headers))
    own: OwnSocket | None = scope.get("extensions", {}).get(OWN_MESSAGES)
    if own is not None:
        transport.own = own
        transport.limit = own.hand_over(transport.received)
    state.links.accept(transport, lambda hello: state.workspaces.tenancy(hello, address))
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            transport.ended(message.get("code", 1006), message.get("reason") or "")
            return
        data = message.get("bytes")
        if data is None:
            transport.close(1003, "a link carries binary messages")
        else:
            transport.received(data)


def _origin(headers: Headers) -> str:
    """Of the web page whose browser opens a WebSocket: it always says (RFC 6455 §4.1)."""
    return next((value.decode("latin-1") for name, value in headers if name == b"origin"), "")


class ASGILink:
    """A `portico.transports.transport.Transport` over a provider's WebSocket."""

    def __init__(self, send: Send, counters: Counters, address: str, origin: str = "") -> None:
        self._send = send
        self._counters = counters
        self.address = address
        """The provider's, for lists."""
        self.origin = origin
        """Of the web page that it is, if it is one: the same."""
        self.own: OwnSocket | None = None
        """A way past ASGI, where there is one."""
        self.limit: Callable[[int], None] | None = None
        """Tells the server how long a message may be, where it can be told."""
        self._receiver: LinkReceiver | None = None
        self._sending: asyncio.Task[None] | None = None
        self._ended: str | None = None
        self._closing = False

    @property
    def writable(self) -> bool:
        return self._sending is None

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver

    def allow(self, size: int) -> None:
        if self.limit is not None:
            self.limit(size)

    def send(self, message: bytes) -> None:
        self._counters.to_providers += len(message)
        own = self.own
        if own is not None and self._sending is None and not self._closing and self._ended is None and own.say(message):
            return
        self._drive({"type": "websocket.send", "bytes": message})

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._closing:
            self._drive({"type": "websocket.close", "code": code, "reason": reason[:100]})
            self._closing = True

    def received(self, data: bytes) -> None:
        self._counters.from_providers += len(data)
        if self._receiver is not None and not self._closing:
            self._receiver.message_received(data)

    def ended(self, code: int, reason: str) -> None:
        self._ended = f"the provider's end closed (code {code}{': ' + foreign.text(reason) if reason else ''})"
        if self._receiver is not None:
            self._receiver.transport_closed(self._ended)

    def _drive(self, message: dict[str, Any]) -> None:
        if self._closing or self._ended is not None:
            return
        if self._sending is not None:
            sending = asyncio.get_running_loop().create_task(self._after(self._sending, message))
        else:
            try:
                task = drive(self._one(message))
            except Exception as error:  # noqa: BLE001 -- the provider is gone; its end is told in a moment
                logger.debug("a link could not be written to: %s", error)
                return
            if task is None:
                return
            sending = task
        self._sending = sending
        sending.add_done_callback(self._sent)

    async def _one(self, message: dict[str, Any]) -> None:
        await self._send(message)

    async def _after(self, before: asyncio.Task[None], message: dict[str, Any]) -> None:
        await asyncio.wait((before,))
        await self._send(message)

    def _sent(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # seen; the connection's end is told by receive
        if self._sending is task:
            self._sending = None
            if self._receiver is not None and self._ended is None and not self._closing:
                self._receiver.transport_writable()
