"""The relay's HTTP/1.1 connections: uvicorn's protocol over httptools, made fit for strangers and for speed.

A head that does not come in time, or is too long, ends the connection; so does a visitor who takes nothing of what
waits for it, or whose address holds too many connections. What two servers could read in two ways is refused (RFC 9112
§11.2): `portico.relay.edge.framing` says where each request ends, the parser is given one at a time and must agree, and
a request names one host. Nothing that an app can see begins before its head was read by both. A request that needs no
waiting goes to its service, and is answered, without ASGI between (`RelayEdge.begin`): no task, no coroutine, one write
for a head and its body. Every other goes the way of ASGI.
"""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portico.hub.answers import Answer
from portico.hub.firewall.heads import MOST_FIELDS
from portico.hub.http1 import ResponseWriter
from portico.networks import network_of
from portico.relay.edge.deadlines import Idleness, TakingDeadline
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.framing import END_OF_HEAD, FRAMING, PLAIN, HeadInParts, Malformed, one_host, read, request_line
from portico.relay.edge.http1_visit import HTTP1Responder
from portico.relay.edge.past_asgi import LET_IN, OwnLetIn
from portico.relay.edge.websocket import SocketProtocol

_MOST_HEAD = 64 * 1024  # bytes, as a provider reads no longer ones
_MOST_PIPELINED = 32  # requests that came before the answer to the first: each is held in memory
_MOST_BEHIND = 256 * 1024  # bytes that came behind a request which is not answered yet
_NO_REQUEST = "This is no HTTP request that can be answered."
_LONG_HEAD = Answer(431, "too_large", f"The head of a request has at most {_MOST_HEAD} bytes here.")
_CROWD = Answer(429, "too_many_connections", "Your address holds too many connections.", retry_after=5)
_COUNTED = FRAMING | {b"host"}
"""The fields that are kept however many others there are."""
_LINGER = 2.0  # seconds for a visitor who is still sending to read why it is refused


class VisitorProtocol(HttpToolsProtocol):
    """One connection of a visitor. `for_edge` makes the class that a server is given."""

    edge: RelayEdge

    @classmethod
    def for_edge(cls, edge: RelayEdge) -> type[VisitorProtocol]:
        edge.state.dates = True  # uvicorn's own would stand beside an app's
        edge.state.framed = True
        return type("VisitorProtocol", (cls,), {"edge": edge})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._answer: HTTP1Responder | None = None
        """The answer under way that goes past ASGI. Uvicorn does not know of it: its own are in `cycle`."""
        self._in_head = True
        """A head is expected, or has come in part."""
        self._deadline: asyncio.TimerHandle | None = None
        self._taking = TakingDeadline(self.edge.state)
        self._head = HeadInParts()
        self._framing = PLAIN["1.1"]
        """Of the request under way, or of the last one."""
        self._parsed_head = self._parsed_end = self._keeps_alive = False
        """How far the parser has come in the request, and whether another request may follow: the parser and `framing`
        must both say so."""
        self._behind = 0
        """Bytes that came since requests wait behind the one under way."""
        self._deaf = False
        """Refused, or beyond understanding: what still comes is not read."""
        self._counted = ""
        """The address that this connection counts for."""
        self.caller = ""
        """Whom its requests count for, where no proxy says whose they are (`VisitorRequest.caller`)."""
        self._idleness = Idleness(self.timeout_keep_alive)
        self._between = True
        """No message has come in part: what comes next begins one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        edge = self.edge
        address = self.client[0] if self.client else ""
        if not edge.proxies.is_trusted(address):
            self._counted = address
            self.caller = network_of(address)
            if not edge.addresses.connect(address):
                edge.state.counters.turned_away += 1
                self._refuse(_CROWD)
                return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._idleness.forget()
        if self._counted:
            self.edge.addresses.disconnect(self._counted)
            self._counted = ""
        self._taking.forget()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.disconnected = True
        super().connection_lost(exc)
        if answer is not None:
            answer.left()

    def shutdown(self) -> None:
        if self._answer is not None and not self.pipeline:
            self._answer.keep_alive = False
        else:
            super().shutdown()

    # --- reading ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            if self._between and data.find(END_OF_HEAD) == len(data) - 4 >= 0:
                self._expect_message()
                self._parse(data)
                self._begin_message(data)
            else:
                self._read(data)
        except (ValueError, HttpParserError) as error:
            self.send_400_response(str(error) if isinstance(error, Malformed) else _NO_REQUEST)
        if self.pipeline:
            self._came_behind(len(data))
        if self._in_head:
            if self._head.size > _MOST_HEAD and not self._deaf:
                self._turn_away(_LONG_HEAD)
            elif self._deadline is None and not self._deaf and not self.transport.is_closing():
                self._expect_head()
        elif self._deadline is not None:
            self._forget_deadline()

    def _read(self, data: bytes) -> None:
        """A piece that is not one head by itself: parts of requests, or several. Raises `Malformed`."""
        start, size = 0, len(data)
        while start < size and not self._deaf and not self.transport.is_closing():
            body = self._framing.body
            if self._between or self._in_head or body is None:
                start = self._read_head(data, start)
            else:
                end = body.cut(data, start)
                self._parse(data if end - start == size else data[start:end])
                if self._parsed_end is not body.done:
                    raise Malformed("Where the body of the request ends can be read in two ways.")
                start = end
                if body.done:
                    self._end_message()

    def _read_head(self, data: bytes, start: int) -> int:
        """Returns where in *data* the head ends, or *data* does."""
        if self._between:
            self._expect_message()
        end, whole = self._head.cut(data, start)
        self._parse(data[start:end])
        if whole:
            self._begin_message(whole, len(data) - end)
        elif self._parsed_head:
            raise Malformed(_NO_REQUEST)
        return end

    def _expect_message(self) -> None:
        self._in_head, self._between = True, False
        self._parsed_head = self._parsed_end = False
        self.headers = []

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade:
            pass  # what an upgrade means is read in `framing`, and the piece ends where it does

    def _came_behind(self, size: int) -> None:
        """Go on to read, though requests wait: a visitor who does not read on would leave unseen."""
        self._behind += size
        if self._behind > _MOST_BEHIND:
            self._hear_no_more()
        self.flow.resume_reading()

    def _hear_no_more(self) -> None:
        """What came whole is answered yet, and then the connection is closed."""
        self._deaf = True
        self._forget_deadline()
        cycle = self.cycle
        if self._answer is not None and not self.pipeline:
            self._answer.keep_alive = False
        elif cycle is not None and not cycle.more_body:
            cycle.keep_alive = False
        elif self.pipeline:
            self.pipeline.popleft()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.edge.state.config.header_timeout, self._head_is_late)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        self.edge.state.counters.late += 1
        self._give_up()

    # The parser's calls; those that are None are not asked for.

    on_url = None  # type: ignore[assignment]
    on_message_begin = None  # type: ignore[assignment]  # uvicorn's makes a scope

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer must not pass for what was said in the head (RFC 9110 §6.5.1), nor be held
            name = name.lower()
            headers = self.headers
            # one more than `MOST_FIELDS` is refused (`check_head`); how such a request is framed counts nonetheless
            if len(headers) <= MOST_FIELDS or name in _COUNTED:
                headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._parsed_head:
            raise Malformed(_NO_REQUEST)  # to the parser it is the head of another request, or more than one
        self._parsed_head = True
        self._keeps_alive = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._parsed_end = True

    # --- requests -----------------------------------------------------------------------------------------------

    def _begin_message(self, head: bytes, behind: int = 0) -> None:
        """A head is whole, and *behind* it so many bytes have come. Raises `Malformed`."""
        if len(head) > _MOST_HEAD:
            self._turn_away(_LONG_HEAD)
            return
        begin = 2 if head[:2] == b"\r\n" else 0  # an empty line before a request is passed over (RFC 9112 §2.2)
        line = request_line(head[begin : head.find(b"\r\n", begin)])
        if line is None or not self._parsed_head:
            raise Malformed(_NO_REQUEST)
        method, target, version = line
        headers = self.headers
        fields = dict(headers)
        if b"host" not in fields or len(fields) != len(headers) or target[:1] != b"/":
            target = one_host(target, version, headers)
        self.url = target
        if not FRAMING.isdisjoint(fields) or method == "CONNECT":
            framing = read(method, version, [pair for pair in headers if pair[0] in FRAMING])
        else:
            framing = PLAIN[version]
        self._framing = framing
        body = framing.body
        if self._parsed_end is not (body is None):
            raise Malformed("Where the request ends can be read in two ways.")
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise Malformed("Too many requests came before the answer to the first.")
        self._in_head = False
        if not framing.keep_alive:
            self._keeps_alive = False
        under_way = self._is_under_way()
        if framing.websocket:
            if under_way or behind:
                raise Malformed("A WebSocket is asked for alone, and what follows waits for the answer.")
            self._between = True
            self._begin_websocket(method)
        elif under_way or body is not None or framing.expects or not self._begin(method, version, fields, len(head)):
            self._begin_by_asgi()
        if body is None and not framing.websocket:
            self._end_message()

    def _is_under_way(self) -> bool:
        """Whether a request waits for its answer, or for the rest of it."""
        cycle = self.cycle
        return self._answer is not None or (cycle is not None and not cycle.response_complete)

    def _end_message(self) -> None:
        """The request has come whole."""
        self._between = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        if not self._keeps_alive:
            self._hear_no_more()

    def _begin(self, method: str, version: str, fields: dict[bytes, bytes], size: int) -> bool:
        """Answer a request past ASGI, or pass it on. False: it must go that way. Its head has *size* bytes."""
        if self.url[:1] != b"/" or b"#" in self.url:
            return False
        read = self.edge.read(self, method, version, self.url, self.headers, fields, size)
        if read is None:
            return False
        answer = self._answer = HTTP1Responder(self, method, version, self._keeps_alive)
        leave = self.edge.begin(answer, *read)
        if leave is None:
            self._answer = None
            self._begin_by_asgi(answer.let_in)
        elif self._answer is answer:
            answer.leave = leave
        return True

    def answered(self) -> None:
        """The answer past ASGI is whole."""
        self._answer = None
        self.on_response_complete()

    def _begin_by_asgi(self, let_in: OwnLetIn | None = None) -> None:
        self._make_scope()
        self.scope["extensions"] = {LET_IN: let_in}  # type: ignore[dict-item]
        self.expect_100_continue = self._framing.expects
        super().on_headers_complete()
        self.cycle.keep_alive = self._keeps_alive

    def _make_scope(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url, self.headers = url, headers
        self.scope["headers"] = headers

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self._answer is None:
            super()._start_asgi_task(cycle, app)
        else:  # it is behind an answer that uvicorn does not know of
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))

    def _should_upgrade(self) -> bool:
        return False  # it has been decided: `handle_websocket_upgrade` is called for what is one

    def _begin_websocket(self, method: str) -> None:
        self._forget_deadline()
        self._idleness.forget()
        if self.url[:1] != b"/":  # the absolute form
            url = parse_url(self.url)
            self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        self._make_scope()
        self.scope["method"] = method
        self.handle_websocket_upgrade()
        successor = self.transport.get_protocol()
        if isinstance(successor, SocketProtocol):
            successor.counted, self._counted = self._counted, ""

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._deaf:  # what came behind is broken, or too much
            self.transport.close()
        else:
            self._behind = 0
            self._idleness.begin(self)

    def is_idle(self) -> bool:
        return self._deadline is None and not self._is_under_way()

    # --- refusing -----------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """What came is no request; *msg* says why."""
        self.edge.state.counters.invalid += 1
        self._turn_away(Answer(400, "bad_request", msg))

    def _turn_away(self, answer: Answer) -> None:
        """Refuse what came, and read no more. Nothing is said in the midst of another answer."""
        cycle = self.cycle
        if not self._is_under_way():
            self._refuse(answer)
        elif self._answer is not None or self.pipeline or not cycle.more_body:  # it is behind the one under way
            self._hear_no_more()
        elif cycle.response_started:
            self._give_up()
        else:  # it is in the body of the one under way, whose app is told that its visitor left
            self._refuse(answer)
            cycle.disconnected = True
            cycle.message_event.set()

    def _refuse(self, answer: Answer) -> None:
        """Answer what is no request of anybody's, and close: once the visitor has had time to read why."""
        self._deaf = True
        self._forget_deadline()
        self._idleness.forget()
        self.edge.state.visits.refused(answer)
        headers, body = answer.render(html=False, openai=False)
        self.transport.write(ResponseWriter("GET", "1.1", True).begin(answer.status, headers, body, True))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER, self.transport.close)

    def _give_up(self) -> None:
        self._deaf = True
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking.begin(self.transport)

    def resume_writing(self) -> None:
        self._taking.forget()
        super().resume_writing()
