"""The hub's one record of each exchange: what was found out about a request, and what became of it.

An edge begins a `Visit` for each request that it has read, and the hub fills it in on the way. Who wants to know
subscribes to `Visits`: access logs, metrics, activity, pages for those who run a hub. That costs a request no more than
some additions, and one append.
"""

from __future__ import annotations

import secrets
from collections import deque
from itertools import count
from time import monotonic
from typing import Final

from portico.hub.access import ANONYMOUS, Visitor, opens_page
from portico.hub.answers import Answer
from portico.hub.firewall.headers import cors_headers
from portico.hub.replicas import Replica
from portico.hub.request import Target, VisitorRequest
from portico.listeners import Listeners
from portico.log_text import MOST_PATH, MOST_SHOWN
from portico.protocol import Kind
from portico.types import Headers

COMPLETE: Final = "complete"
"""The answer is whole, or the WebSocket was closed by one of the two."""
LEFT: Final = "left"
"""The visitor's connection went before that."""
BROKEN: Final = "broken"
"""The answer was cut: the app failed in the middle of it, or its provider is gone."""

MOST_RECENT = 200
"""Visits that have ended and are kept: some 100 KiB."""

_NO_REQUEST: Final = VisitorRequest(Kind.HTTP, "", "", "", "", b"", [], None, None, b"")
_UNKNOWN: Final = Target("", b"", b"", "")
_BODILESS: Final = frozenset({204, 302, 303, 307, 308})


class Visit:
    """One exchange, from its request's head to its end. All of it is of the event loop's thread.

    Times are in seconds of `time.monotonic`, 0 for what has not been; sizes are in bytes of bodies and messages.
    """

    # Defaults of the class, as most of them stay what they are: setting each would cost every request.
    request: VisitorRequest
    """As it came in; let go of when the visit has ended, for its headers may hold credentials."""
    came: float
    workspace: str
    target: Target = _UNKNOWN
    """What the request names; found by the edge, or by the gate."""
    cors_origin: bytes = b""
    """The origin for which the hub speaks CORS, also in its own answers, so that a page of it can read them."""
    visitor: Visitor = ANONYMOUS
    """Who it is, once the gate knows."""
    replica: Replica | None = None
    """Where it is under way, or was last."""
    status: int = 0
    """Of the answer; 101 for a WebSocket that was accepted."""
    code: str = ""
    """Of an answer in the hub's own words (`Answer.code`)."""
    received: int = 0
    """Bytes from the visitor."""
    sent: int = 0
    """Bytes to the visitor."""
    messages_received: int = 0
    """A WebSocket's."""
    messages_sent: int = 0
    opened: float = 0.0
    """When a stream was opened for it, the last time."""
    head: float = 0.0
    """When the answer's head went out."""
    ended: float = 0.0
    how: str = ""
    """How it ended: `COMPLETE`, `LEFT` or `BROKEN`."""
    kind: Kind = Kind.HTTP
    method: str = ""
    path: bytes = b""
    """Without the query, which may hold a key. Set at the end, as `kind` and `method`."""
    client: str = ""
    """The visitor's address: likewise."""
    _id: str = ""

    def __init__(self, visits: Visits, request: VisitorRequest, workspace: str) -> None:
        self._visits = visits
        self.request = request
        self.workspace = workspace
        self.came = monotonic()

    @property
    def id(self) -> str:
        """In a log, and in the hub's own answers (X-Request-Id). Made when it is first asked for."""
        if not self._id:
            self._id = new_id()
        return self._id

    @property
    def abandoned(self) -> bool:
        """Whether the visitor left before there was a whole answer; before there was any, of a WebSocket."""
        return self.how is LEFT and (not self.status or self.request.kind is Kind.HTTP)

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

    def render(self, answer: Answer) -> tuple[Headers, bytes]:
        """Headers and body of *answer*, which is the hub's to this visit: a page, JSON, or JSON in the OpenAI shape,
        whichever fits who asks."""
        self.code = answer.code
        codes = self._visits.codes
        codes[answer.code] = codes.get(answer.code, 0) + 1
        if answer.status in _BODILESS:
            headers, body = [*answer.headers], b""
            if answer.status != 204:
                headers.append((b"cache-control", b"no-store"))
                headers.append((b"content-length", b"0"))
        else:
            html = opens_page(self.request.headers)
            headers, body = answer.render(html=html, openai=b"/v1/" in self.target.raw_path)
        if self.cors_origin:
            headers += cors_headers(self.cors_origin)
        self.sent += len(body)
        return headers, body

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
        """It is over, one way or the other. The first word about that counts."""
        if not self.how:
            self.how = how
            self.ended = monotonic()
            self._visits.over(self)

    def let_go(self) -> None:
        """Keep nothing that may be long, or a credential: the visit has ended, and everyone was told."""
        self.request, self.target = _NO_REQUEST, Target(self.target.name[:MOST_SHOWN], b"", b"", "")
        self.method, self.path = self.method[:MOST_SHOWN], self.path[:MOST_PATH]


class Visits:
    """All visits of one server: counts since its start, who is told of each, and the last that have ended."""

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
        """Told at the end; `Visit.request` is there still."""
        self.recent: deque[Visit] = deque(maxlen=MOST_RECENT)

    def begin(self, request: VisitorRequest, workspace: str = "") -> Visit:
        """A request's head is read. One that nothing comes of, and that is begun anew, is simply dropped."""
        visit = Visit(self, request, workspace)
        if request.kind is Kind.WEBSOCKET:
            self.sockets_open += 1
        return visit

    def drop(self, visit: Visit) -> None:
        """What came is not a visit after all: a provider's link."""
        if visit.request.kind is Kind.WEBSOCKET:
            self.sockets_open -= 1

    def refused(self, answer: Answer) -> None:
        """*answer* goes to what could not be read as a request."""
        self.codes[answer.code] = self.codes.get(answer.code, 0) + 1
        self.count(answer.status)

    def count(self, status: int) -> None:
        """One more answer, to a visit or to what asks for the hub's own pages."""
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def over(self, visit: Visit) -> None:
        """*visit* has ended (`Visit.end`)."""
        request = visit.request
        visit.kind, visit.method = request.kind, request.method
        visit.path = request.target.partition(b"?")[0]
        visit.client = request.client[0] if request.client else ""
        if request.kind is Kind.WEBSOCKET:
            self.sockets_open -= 1
        if visit.how is LEFT and visit.abandoned:
            self.abandoned += 1
        self.ended.tell(visit)
        visit.let_go()
        self.recent.append(visit)


_START: Final = secrets.token_hex(4)
_numbers: Final = count(1)


def new_id() -> str:
    """An id of this process's: its start, and a number."""
    return f"{_START}-{next(_numbers):x}"
