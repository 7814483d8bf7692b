"""The two ends of an exchange, as the hub and an edge see each other: an edge writes, the hub is told what comes in."""

from __future__ import annotations

import asyncio
from typing import Protocol

from portico.hub.answers import Answer
from portico.types import Headers


class Responder(Protocol):
    """The edge's end: writes to one visitor. Each method that returns a future says by it when more may be written."""

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        """Write the head and the first bytes. None if all was written at once."""

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        """Write more of the body; with *fin* the last of it."""

    def answer(self, answer: Answer) -> None:
        """Answer in the hub's own words: nothing was written yet."""

    def cut(self) -> None:
        """Break the connection, so that nobody takes what came for the whole."""


class Upload(Protocol):
    """The hub's end, as an edge sees it while a visitor's request comes in."""

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Pass *data* of the request's body on. A future that is returned says when to read more."""

    def upload_done(self) -> None:
        """The request's body is whole."""

    def visitor_left(self) -> None:
        """The visitor's connection is gone."""


class Gone:
    """The responder of an exchange that is over."""

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> None: ...
    def write(self, body: bytes, fin: bool) -> None: ...
    def answer(self, answer: Answer) -> None: ...
    def cut(self) -> None: ...


GONE = Gone()


class SocketResponder(Protocol):
    """The edge's end of a visitor's WebSocket."""

    def accept(self, subprotocol: str, headers: Headers) -> None: ...

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the upgrade request with an HTTP response instead."""

    def answer(self, answer: Answer) -> None:
        """The same in the hub's own words."""

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Send a message; a future that is returned says when the next may follow."""

    def close(self, code: int, reason: str) -> None: ...

    def cut(self) -> None:
        """Break the connection without a closing handshake."""


class VisitorSocket(Protocol):
    """The hub's end of a visitor's WebSocket, as an edge sees it."""

    def visitor_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Pass a visitor's message on. A future that is returned says when to read the next."""

    def visitor_closed(self, code: int, reason: str) -> None:
        """The visitor closed, or (1006) its connection is gone."""
