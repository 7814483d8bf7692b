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
from collections.abc import Callable
from time import monotonic
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portico.hub.answers import Answer
from portico.hub.firewall.heads import MOST_FIELDS
from portico.hub.http1 import ResponseWriter
from portico.hub.shares import network_of
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.framing import END_OF_HEAD, FRAMING, PLAIN, Malformed, one_host, read, request_line
from portico.relay.edge.http1_visit import HTTP1Responder
from portico.relay.edge.past_asgi import OwnRequest
from portico.relay.edge.websocket import SocketProtocol

_MOST_HEAD = 64 * 1024  # bytes, as a provider reads no longer ones
_MOST_PIPELINED = 32  # requests that came before the answer to the first: each is held in memory
_MOST_BEHIND = 256 * 1024  # bytes that came behind a request which is not answered yet
_MOST_REPEATED = 8 * 1024  # bytes of a request that are kept, to know it again
_NO_REQUEST = "This is no HTTP request that can be answered."
_LONG_HEAD = Answer(431, "too_large", f"The head of a request has at most {_MOST_HEAD} bytes here.")
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
        self.visitor_left: Callable[[], None] | None = None
        self._in_head = True
        """A head is expected, or has come in part."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head = bytearray()
        """A head that has come in part."""
        self._framing = PLAIN["1.1"]
        """Of the request under way, or of the last one."""
        self._method, self._version = "", "1.1"
        self._fields: dict[bytes, bytes] = {}
        """The head's fields by their names, the last of each."""
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
        self._idleness: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._between = True
        """No message has come in part: what comes next begins one."""
        self._passed: OwnRequest | None = None
        """The last request, if it went past ASGI and may be followed by another."""
        self._last: bytes | None = None
        """That request, byte for byte, if it came whole and by itself."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        edge = self.edge
        address = self.client[0] if self.client else ""
        if not edge.proxies.is_trusted(address):
            self._counted = address
            self.caller = network_of(address)
            if not edge.addresses.connect(address):
                self.edge.state.counters.turned_away += 1
                self._refuse(
                    Answer(429, "too_many_connections", "Your address holds too many connections.", retry_after=5)
                )
                return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._forget_idleness()
        if self._counted:
            self.edge.addresses.disconnect(self._counted)
            self._counted = ""
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)
        visitor_left, self.visitor_left = self.visitor_left, None
        if visitor_left is not None:
            visitor_left()

    # --- deadlines ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if data == self._last and self.cycle.response_complete and self._pass_again():
            return  # programs ask the same again and again: it reads as it did before
        self._passed = self._last = None
        try:
            if self._between and data.find(END_OF_HEAD) == len(data) - 4 >= 0:
                self._expect_message()
                self._parse(data)
                self._begin_message(data)
                if self._passed is not None and len(data) <= _MOST_REPEATED:
                    self._last = data
            else:
                self._read(data)
        except (ValueError, HttpParserError) as error:
            self.send_400_response(str(error) if isinstance(error, Malformed) else _NO_REQUEST)
        if self.pipeline:
            self._came_behind(len(data))
        if self._in_head:
            if len(self._head) > _MOST_HEAD and not self._deaf:
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
        """Returns where in *data* the head ends."""
        head = self._head
        if self._between:
            self._expect_message()
            head.clear()
            end = data.find(END_OF_HEAD, start) + 4
            if end > 3:
                whole = data[start:end]
                self._parse(whole)
                self._begin_message(whole, len(data) - end)
                return end
        known = len(head)
        head += data[start:]
        found = head.find(END_OF_HEAD, max(0, known - 3)) + 4
        if found < 4:
            self._parse(data[start:])
            if self._parsed_head:
                raise Malformed(_NO_REQUEST)
            return len(data)
        end = start + found - known
        self._parse(data[start:end])
        whole = bytes(head[:found])
        head.clear()
        self._begin_message(whole, len(data) - end)
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
        if not self.cycle.more_body:
            self.cycle.keep_alive = False
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
        method, self.url, version = self._method, target, self._version = line
        headers = self.headers
        self._fields = fields = dict(headers)
        if b"host" not in fields or len(fields) != len(headers) or target[:1] != b"/":
            self.url = target = one_host(target, version, headers)
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
        cycle = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        if framing.websocket:
            if under_way or behind:
                raise Malformed("A WebSocket is asked for alone, and what follows waits for the answer.")
            self._between = True
            self.handle_websocket_upgrade()
            return
        if under_way or body is not None or framing.expects or not self._begin(len(head)):
            self._begin_by_asgi()
        if body is None:
            self._end_message()

    def _end_message(self) -> None:
        """The request has come whole."""
        self._between = True
        cycle = self.cycle
        if not isinstance(cycle, HTTP1Responder) and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        if not self._keeps_alive:
            self._hear_no_more()

    def _begin(self, size: int) -> bool:
        """Answer a request without a body, or pass it on, past ASGI. False: it must go that way.

        Its head has *size* bytes.
        """
        target = self.url
        if target[:1] != b"/" or b"#" in target:
            return False
        read = self.edge.read(self, self._method, self._version, target, self.headers, self._fields, size)
        if read is None:
            return False
        keep_alive = self._keeps_alive
        if not self._pass_on(read, keep_alive):
            return False
        if keep_alive:
            self._passed = read
        return True

    def _pass_again(self) -> bool:
        return self._passed is not None and self._pass_on(self._passed, True)

    def _pass_on(self, read: OwnRequest, keep_alive: bool) -> bool:
        cycle = self.cycle
        request = read[0]
        visit = HTTP1Responder(self, request.method, request.http_version, keep_alive)
        self.cycle = visit  # type: ignore[assignment]
        leave = self.edge.begin(visit, *read)
        if leave is None:
            self.cycle = cycle
            return False
        if not visit.response_complete:
            visit.leave = leave
            self.visitor_left = visit.left
        return True

    def _begin_by_asgi(self) -> None:
        self._make_scope()
        self.expect_100_continue = self._framing.expects
        super().on_headers_complete()
        self.cycle.keep_alive = self._keeps_alive

    def _make_scope(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url, self.headers = url, headers
        self.scope["headers"] = headers

    def _should_upgrade(self) -> bool:
        return False  # it has been decided: `handle_websocket_upgrade` is called for what is one

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._deaf:  # what came behind is broken, or too much
            self.transport.close()
        else:
            self._behind = 0
            self._idle_since = monotonic()
            if self._idleness is None:
                self._watch_idleness(self.timeout_keep_alive)

    def _watch_idleness(self, seconds: float) -> None:
        # one timer for many requests: uvicorn makes and cancels one for each
        self._idleness = self.loop.call_later(seconds, self._look_for_idleness)

    def _look_for_idleness(self) -> None:
        self._idleness = None
        if self.cycle is not None and self.cycle.response_complete and self._deadline is None:
            left = self._idle_since + self.timeout_keep_alive - monotonic()
            if left > 0.0:
                self._watch_idleness(left)
            else:
                self.transport.close()

    def _forget_idleness(self) -> None:
        if self._idleness is not None:
            self._idleness.cancel()
            self._idleness = None

    # --- refusing -----------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """What came is no request; *msg* says why."""
        self.edge.state.counters.invalid += 1
        self._turn_away(Answer(400, "bad_request", msg))

    def _turn_away(self, answer: Answer) -> None:
        """Refuse what came, and read no more. Nothing is said in the midst of another answer."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._refuse(answer)
        elif not cycle.more_body or self.pipeline:  # it is of a request behind the one under way
            self._hear_no_more()
        elif cycle.response_started:
            self._give_up()
        else:  # it is in the body of the one under way
            self._refuse(answer)
            self._visitor_is_gone(cycle)

    def _visitor_is_gone(self, cycle: Any) -> None:
        """End an exchange as if its visitor had left."""
        cycle.disconnected = True
        cycle.message_event.set()
        visitor_left, self.visitor_left = self.visitor_left, None
        if visitor_left is not None:
            visitor_left()

    def _refuse(self, answer: Answer) -> None:
        """Answer what is no request of anybody's, and close: once the visitor has had time to read why."""
        self._deaf = True
        self._forget_deadline()
        self._forget_idleness()
        self.edge.state.visits.refused(answer)
        headers, body = answer.render(html=False, openai=False)
        self.transport.write(ResponseWriter("GET", "1.1", True).begin(answer.status, headers, body, True))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER, self.transport.close)

    def _give_up(self) -> None:
        self._deaf = True
        self.transport.close()

    # --- slow visitors ------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.edge.state.config.write_timeout, self._takes_nothing)

    def _takes_nothing(self) -> None:
        self.edge.state.counters.slow += 1
        self.transport.abort()

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    # --- requests -----------------------------------------------------------------------------------------------

    def handle_websocket_upgrade(self) -> None:
        self._forget_deadline()
        self._forget_idleness()
        if self.url[:1] != b"/":  # the absolute form
            url = parse_url(self.url)
            self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        self._make_scope()
        self.scope["method"] = self._method
        super().handle_websocket_upgrade()
        successor = self.transport.get_protocol()
        if isinstance(successor, SocketProtocol):
            successor.counted, self._counted = self._counted, ""
