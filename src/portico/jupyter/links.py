"""Providers dial in: the upgrade to a link, and the link's transport over the connection that was taken over."""

from __future__ import annotations

import asyncio
from http.client import responses

from tornado.http1connection import HTTP1Connection

from portico import foreign
from portico.hub.descriptor import Principal
from portico.hub.hub import Hub
from portico.hub.request import VisitorRequest
from portico.jupyter.identity import JupyterIdentities
from portico.jupyter.sockets import ServerSocket
from portico.protocol import SUBPROTOCOL
from portico.transports.transport import LinkReceiver


def accept_link(hub: Hub, identities: JupyterIdentities, connection: HTTP1Connection, request: VisitorRequest) -> None:
    """A provider dials in. Who it is it says in HELLO; until then it has 5 s and 8 KiB."""
    offered = b",".join(value for name, value in request.headers if name == b"sec-websocket-protocol")
    socket = ServerSocket(connection.detach(), request.headers, hub.config.limits.max_batch)
    refusal = socket.refusal()
    if refusal is None and SUBPROTOCOL.encode() not in [item.strip() for item in offered.split(b",")]:
        refusal = 400, f"A link must offer the subprotocol {SUBPROTOCOL}."
    if refusal is not None:
        body = refusal[1].encode()
        head = (
            f"HTTP/1.1 {refusal[0]} {responses.get(refusal[0], '')}\r\nContent-Type: text/plain\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        socket.answer(head.encode(), body)
        return
    transport = LinkTransport(socket)
    socket.accept(transport, SUBPROTOCOL)
    hub.accept(transport, lambda: _page_of(identities, request))


async def _page_of(identities: JupyterIdentities, request: VisitorRequest) -> Principal | None:
    """Who opened a link from a page of this very server: a user by their session, as Python in a browser tab does."""
    user = await identities.user_of_page(request)
    return Principal(id=f"user:{user.id}") if user is not None else None


class LinkTransport:
    """A `portico.transports.transport.Transport` over a provider's socket."""

    def __init__(self, socket: ServerSocket) -> None:
        self._socket = socket
        self._receiver: LinkReceiver | None = None
        self._early: list[bytes] = []
        self._closed_reason: str | None = None

    @property
    def writable(self) -> bool:
        return self._socket.writable

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for message in early:
            receiver.message_received(message)
        if self._closed_reason is not None:
            receiver.transport_closed(self._closed_reason)

    def allow(self, size: int) -> None:
        self._socket.limit(size)

    def send(self, message: bytes) -> None:
        self._socket.send(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._socket.close(code, reason)

    def socket_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        if text:
            self._socket.close(1003, "a link carries binary messages")
        elif self._receiver is None:
            self._early.append(data)
        else:
            self._receiver.message_received(data)
        return None

    def socket_writable(self) -> None:
        if self._receiver is not None and self._closed_reason is None:
            self._receiver.transport_writable()

    def socket_closed(self, code: int, reason: str) -> None:
        self._closed_reason = f"the provider's end closed (code {code}{': ' + foreign.text(reason) if reason else ''})"
        if self._receiver is not None:
            self._receiver.transport_closed(self._closed_reason)
