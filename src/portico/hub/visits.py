"""The hub's one record of each exchange: what was found out about a request, and what became of it.

An edge begins a `Visit` for each request that it has read, and the hub fills it in on the way. What needs it
subscribes to `Visits`: access logs, metrics, activity, pages for those who run a hub. That costs a request no more than
some additions.
"""

from __future__ import annotations

import secrets
from itertools import count
from time import monotonic
from typing import Final

from portico.hub.access import ANONYMOUS, opens_page
from portico.hub.answers import Answer
from portico.hub.firewall.headers import cors_headers
from portico.hub.replicas import Replica
from portico.hub.request import Target, VisitorRequest
from portico.listeners import Listeners
from portico.protocol import Kind
from portico.types import Headers

COMPLETE: Final = "complete"
"""The answer is whole, or the WebSocket was closed by one of the two."""
LEFT: Final = "left"
"""The visitor's connection went before that."""
BROKEN: Final = "broken"
"""The answer was cut: the app failed in the middle of it, or its provider is gone."""

_UNKNOWN: Final = Target("", b"", b"", "")
_BODILESS: Final = frozenset({204, 302, 303, 307, 308})
_WEBSOCKET: Final = Kind.WEBSOCKET


class Visit:
    """One exchange, from its request's head to its end. All of it is of the event loop's thread.

    Times are in seconds of `time.monotonic`, 0 for what has not been; sizes are in bytes of bodies and messages. What
    the request was is in `request` and in what is read from it here. It may hold credentials, and a head of up to 64
    KiB: who keeps something of a visit that has ended keeps that, and not the visit.
    """

    __slots__ = (
        "__weakref__",
        "_visits",
        "came",
        "code",
        "cors_origin",
        "ended",
        "head",
        "how",
        "messages_received",
        "messages_sent",
        "number",
        "opened",
        "received",
        "replica",
        "request",
        "sent",
        "status",
        "target",
        "visitor",
        "workspace",
    )

    def __init__(self, visits: Visits, request: VisitorRequest, workspace: str = "") -> None:
        """A request's head is read. One that nothing comes of, and that is begun anew, is simply dropped."""
        self._visits = visits
        self.request = request
        """As it came in."""
        self.workspace = workspace
        self.target = _UNKNOWN
        """What the request names; found by the edge, or by the gate."""
        self.cors_origin = b""
        """The origin for which the hub speaks CORS, also in its own answers, so that a page of it can read them."""
        self.visitor = ANONYMOUS
        """Who it is, once the gate knows."""
        self.replica: Replica | None = None
        """Where it is under way, or was last."""
        self.status = 0
        """Of the answer; 101 for a WebSocket that was accepted."""
        self.code = ""
        """Of an answer in the hub's own words (`Answer.code`)."""
        self.received = 0
        """Bytes from the visitor."""
        self.sent = 0
        """Bytes to the visitor."""
        self.messages_received = 0
        """A WebSocket's."""
        self.messages_sent = 0
        self.came = monotonic()
        self.opened = 0.0
        """When a stream was opened for it, the last time."""
        self.head = 0.0
        """When the answer's head went out."""
        self.ended = 0.0
        self.how = ""
        """How it ended: `COMPLETE`, `LEFT` or `BROKEN`."""
        self.number = next_number()
        """Of which `id` is made."""
        if request.kind is _WEBSOCKET:
            visits.sockets_open += 1

    # --- what it is ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """In a log, and in the hub's own answers (X-Request-Id)."""
        return id_of(self.number)

    @property
    def kind(self) -> Kind:
        return self.request.kind

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> bytes:
        """The whole path, raw, without the query, which may hold a key."""
        return self.request.target.partition(b"?")[0]

    @property
    def client(self) -> str:
        """The visitor's address; "" where it is not known."""
        client = self.request.client
        return client[0] if client else ""

    @property
    def service(self) -> str:
        """The name of the service; "" where none is known."""
        return self.target.name

    @property
    def who(self) -> str:
        """``user:<id>``, ``key:<id>``, or "" for someone unknown."""
        visitor = self.visitor
        if visitor.user_id:
            return f"user:{visitor.user_id}"
        return f"key:{visitor.key_id}" if visitor.key_id else ""

    @property
    def abandoned(self) -> bool:
        """Whether the visitor left before there was a whole answer; before there was any, of a WebSocket."""
        return self.how is LEFT and (not self.status or self.request.kind is not _WEBSOCKET)

    # --- what becomes of it -------------------------------------------------------------------------------------

    def render(self, answer: Answer) -> tuple[Headers, bytes]:
        """Headers and body of *answer*, which is the hub's to this visit: a page, JSON, or JSON in the OpenAI shape,
        whichever fits who asks."""
        self.say(answer.code)
        if answer.status in _BODILESS:
            headers, body = [*answer.headers], b""
            if answer.status != 204:
                headers.append((b"cache-control", b"no-store"))
                headers.append((b"content-length", b"0"))
        else:
            html = self.request.kind is not _WEBSOCKET and opens_page(self.request.headers)
            headers, body = answer.render(html=html, openai=b"/v1/" in self.target.raw_path)
        if self.cors_origin:
            headers += cors_headers(self.cors_origin)
        self.sent += len(body)
        return headers, body

    def say(self, code: str) -> None:
        """An answer in the hub's own words, whatever they look like, has this *code* (`Answer.code`)."""
        self.code = code
        self._visits.said(code)

    def answered(self, status: int) -> None:
        """The head of an answer goes out. To be called by the edge, once."""
        self.status = status
        self.head = monotonic()
        visits = self._visits
        visits.count(status)
        if status == 101:
            visits.sockets += 1
            visits.accepted.tell(self)

    def end(self, how: str) -> None:
        """It is over, one way or the other. To be called by the edge; the first word about it counts."""
        if self.how:
            return
        self.how = how
        self.ended = monotonic()
        visits = self._visits
        if self.request.kind is _WEBSOCKET:
            visits.sockets_open -= 1
        if how is LEFT and self.abandoned:
            visits.abandoned += 1
        visits.ended.tell(self)

    def drop(self) -> None:
        """What came is not a visit after all: it is a provider's link."""
        if self.request.kind is _WEBSOCKET:
            self._visits.sockets_open -= 1


class Visits:
    """All visits of one server: counts since its start, and who is told of each. None is kept beyond its end."""

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        """Answers by their status; 101 for WebSockets."""
        self.codes: dict[str, int] = {}
        """Those in the hub's own words, by their code (`portico.hub.answers.Answer`)."""
        self.sockets = 0
        """WebSockets that were accepted."""
        self.sockets_open = 0
        """Those that are under way, asked for or accepted."""
        self.abandoned = 0
        """Visits whose visitor left before the answer was whole."""
        self.opened: Listeners[Visit] = Listeners()
        """Told when a stream is opened."""
        self.accepted: Listeners[Visit] = Listeners()
        """Told when a WebSocket is accepted."""
        self.ended: Listeners[Visit] = Listeners()
        """Told at the end."""

    def refused(self, answer: Answer) -> None:
        """*answer* goes to what could not be read as a request."""
        self.said(answer.code)
        self.count(answer.status)

    def said(self, code: str) -> None:
        """One more answer in the hub's own words."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def count(self, status: int) -> None:
        """One more answer: to a visit, to what asks for the hub's own pages, or to what could not be read."""
        self.statuses[status] = self.statuses.get(status, 0) + 1


_START: Final = secrets.token_hex(4)

next_number: Final = count(1).__next__
"""The number of a visit, or of another request that a log has a line for."""


def id_of(number: int) -> str:
    """What tells it from those of other processes, too: this process's start, and the number."""
    return f"{_START}-{number:x}"
