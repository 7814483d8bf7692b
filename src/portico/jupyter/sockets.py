"""WebSockets over a connection that was taken over from tornado's HTTP server.

The ``websockets`` library's sans-I/O protocol reads and writes the frames; `portico.jupyter.streams` moves the bytes.
Two users: a provider's link (`portico.jupyter.links`), and a visitor's WebSocket (`portico.jupyter.visitor_socket`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tornado.iostream import IOStream
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from portico.hub.unfinished import Unfinished
from portico.jupyter.streams import take_over
from portico.pieces import Pieces
from portico.transports.sansio import MOST_UNREAD, forget, limit_messages, unparsed
from portico.transports.whole_frames import read_whole, written_whole
from portico.types import Headers

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 5.0  # seconds for the other end to answer a close, and to take what was said before it
_LAST_WORDS = 0.5  # seconds that an app has to answer what came whole before a frame that breaks the connection
_SLICE = 16 * 1024
"""Bytes of a visitor's that are read before its owner is asked whether it takes more: of small messages there are
thousands in one read, and each frame costs far more to keep than its bytes."""


class SocketOwner(Protocol):
    """What a socket tells its owner."""

    def socket_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """A whole message. A future that is returned says when to read on."""

    def socket_writable(self) -> None: ...

    def socket_closed(self, code: int, reason: str) -> None:
        """The connection is gone: the other end's close code and reason, or 1006. Called once."""


class ServerSocket:
    """One WebSocket, from its upgrade request to its end."""

    def __init__(
        self, stream: IOStream, handshake: Headers, max_message: int, unfinished: Unfinished | None = None
    ) -> None:
        """*handshake* is the upgrade request's headers; *unfinished* counts what a visitor's messages hold."""
        self._protocol = ServerProtocol(max_size=max_message, logger=_QUIET)
        self._protocol.receive_data(_replay(handshake))
        events = self._protocol.events_received()
        self._request = events[0] if events and isinstance(events[0], Request) else None
        self._owner: SocketOwner | None = None
        self._on_gone: Callable[[], None] | None = None
        self._budget = unfinished
        self._unfinished = Pieces()
        """What has come of a message in several frames."""
        self._unread = 0
        """Bytes of pongs that were written while the other end took nothing."""
        self._rest = b""
        """What has come and is not read yet: the owner takes no more."""
        self._roomless = False
        """There is no room for more of an unfinished message."""
        self._text = False
        self._closed = False
        self._closed_here = False
        """The owner closed it."""
        self._owed = 0
        """Messages that were passed on, less those that came back since: what may still be answered."""
        self._last: list[bytes] | None = None
        """What ends a connection that a broken frame has failed, until what is owed has been sent."""
        self._held: deque[object] = deque()
        """Frames that wait while the owner is not ready for more."""
        self._waiting = False
        self._bytes = take_over(stream, self)

    # --- the handshake ---------------------------------------------------------------------------------------

    def refusal(self) -> tuple[int, str] | None:
        """Why the upgrade cannot be accepted (RFC 6455 §4.2.2), as a status and a sentence; None if it can."""
        if self._request is None:
            return 400, "The WebSocket handshake cannot be read."
        response = self._protocol.accept(self._request)
        if response.status_code == 101:
            self._response = response
            return None
        return response.status_code, "The WebSocket handshake is not valid."

    def accept(self, owner: SocketOwner, subprotocol: str = "", headers: Headers | None = None) -> None:
        """Complete the handshake; `refusal` must have said None. Messages go to *owner* from now on."""
        response = self._response
        if subprotocol:
            response.headers["Sec-WebSocket-Protocol"] = subprotocol
        for name, value in headers or ():
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        self._protocol.send_response(response)
        self._owner, self._on_gone = owner, None
        self._flush()
        if self._closed:
            owner.socket_closed(1006, "")

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Before the handshake is complete: call *on_gone* when the visitor leaves."""
        self._on_gone = on_gone

    def answer(self, head: bytes, body: bytes) -> None:
        """Answer the upgrade request with an HTTP response, and close."""
        self._on_gone = None
        self._bytes.write(head + body)
        self._bytes.close()
        self._end_soon()

    # --- sending ---------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """False while more than two of a link's batches wait to be written."""
        return self._bytes.writable

    def send(self, data: bytes, *, text: bool = False) -> asyncio.Future[None] | None:
        """Send a message. A future that is returned says when the stream has taken enough of it to send more."""
        if self._owed:
            self._owed -= 1
        if self._last is not None:
            self._send_before_the_end(data, text)
            return None
        if self._protocol.state is not State.OPEN or self._closed:
            return None
        frame = written_whole(self._protocol, data, text=text)
        if frame is not None:
            self._bytes.write(frame)
        else:
            if text:
                self._protocol.send_text(data)
            else:
                self._protocol.send_binary(data)
            self._flush()
        return self._bytes.drained()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the connection ends when the other end answers, or in 5 s."""
        if self._protocol.state is State.OPEN and not self._closed:
            self._closed_here = True
            text = reason.encode()[:123].decode(errors="ignore")
            try:
                if code in (1005, 0):
                    self._protocol.send_close()
                else:
                    self._protocol.send_close(code, text)
            except ProtocolError:  # a code that may not be sent (RFC 6455 §7.4)
                self._protocol.send_close(1011, "the app closed with an invalid code")
            self._flush()
            self._end_soon()

    def _send_before_the_end(self, data: bytes, text: bool) -> None:
        """As `send`, on a connection that has failed: the library would not."""
        self._bytes.write(Frame(Opcode.TEXT if text else Opcode.BINARY, data).serialize(mask=False))
        if not self._owed:
            self._say_the_last()

    def _say_the_last(self) -> None:
        last, self._last = self._last, None
        if last is not None and not self._closed:
            self._write(last)

    def _end_soon(self) -> None:
        """Whoever does not read what waits, or does not answer the close, is not waited for."""
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._bytes.abort)

    def limit(self, size: int) -> None:
        """Take no longer messages than *size* bytes from now on."""
        limit_messages(self._protocol, size)

    def abort(self) -> None:
        """Break the connection."""
        self._bytes.abort()

    def _flush(self) -> None:
        self._write(self._protocol.data_to_send())

    def _write(self, written: list[bytes]) -> None:
        for data in written:
            if data:
                self._bytes.write(data)
            else:  # the library would half-close: both ends have said goodbye
                self._bytes.close()
                self._end_soon()

    # --- receiving -------------------------------------------------------------------------------------------

    def bytes_received(self, data: bytes) -> None:
        if self._owner is None:
            return  # before the handshake is complete a client must not send (RFC 6455 §4.1)
        if self._waiting:  # what was on its way when reading paused: one read at most
            self._rest += data
        elif self._budget is None or len(data) <= _SLICE:
            self._read(data)
        else:
            self._read_slices(data)

    def _read_slices(self, data: bytes) -> None:
        for position in range(0, len(data), _SLICE):
            if self._waiting:
                self._rest = data[position:]
                return
            self._read(data[position : position + _SLICE])

    def _read(self, data: bytes) -> None:
        protocol = self._protocol
        if self._closed:
            return
        whole = read_whole(protocol, data)
        if whole is not None:  # so nothing was unfinished, nor is
            waiting = self._deliver(*whole)
            if waiting is not None:
                self._wait(waiting, [])
            return
        protocol.receive_data(data)
        events = protocol.events_received()
        for position, event in enumerate(events):
            waiting = self._frame(event)
            if waiting is not None:
                self._wait(waiting, events[position + 1 :])
                break
        self._answer()
        if self._budget is not None:
            held = unparsed(protocol) + self._unfinished.size
            if not self._budget.hold(self, held) and not self._roomless:
                self._roomless = True
                self._bytes.pause()

    def _answer(self) -> None:
        """Write what the library answers by itself: pongs, and a close."""
        answers = self._protocol.data_to_send()
        if not answers:
            return
        if not self._bytes.writable:
            self._unread += sum(map(len, answers))
            if self._unread > MOST_UNREAD:
                self._bytes.abort()
                return
        protocol = self._protocol
        failed = protocol.close_sent is not None and protocol.close_rcvd is None and not self._closed_here
        if failed and self._owed and self._budget is not None:
            # Broken (RFC 6455 §7.1.7); what came whole before that is answered first, as a server next to the app does.
            if self._last is None:
                asyncio.get_running_loop().call_later(_LAST_WORDS, self._say_the_last)
                self._bytes.pause()
            self._last = [*(self._last or ()), *answers]
            return
        self._write(answers)

    # as a `portico.hub.unfinished.Holder`

    def read_on(self) -> None:
        self._roomless = False
        if not self._waiting:
            self._bytes.resume()

    def cut_off(self) -> None:
        self.close(1013, "a message did not come to its end, and others wait")

    def _wait(self, waiting: asyncio.Future[None], rest: list[Any]) -> None:
        """The owner takes no more until *waiting* is done: hold the rest, and the sender."""
        self._waiting = True
        self._held.extendleft(reversed(rest))
        self._bytes.pause()
        waiting.add_done_callback(self._resume)

    def _resume(self, _: asyncio.Future[None]) -> None:
        self._waiting = False
        while self._held:
            waiting = self._frame(self._held.popleft())
            if waiting is not None:
                self._wait(waiting, [])
                return
        if self._rest:
            rest, self._rest = self._rest, b""
            self._read_slices(rest)
            if self._waiting:
                return
        if not self._roomless:
            self._bytes.resume()

    def bytes_writable(self) -> None:
        self._unread = 0
        if self._owner is not None:
            self._owner.socket_writable()

    def bytes_ended(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._rest = b""
        self._unfinished.clear()
        if self._budget is not None:
            self._budget.free(self)
        protocol = self._protocol
        protocol.receive_eof()
        forget(protocol)
        owner, on_gone = self._owner, self._on_gone
        self._on_gone = None
        if owner is not None:
            # what the other end said; else why it was failed here, for what it sent (RFC 6455 §7.1.7)
            said = protocol.close_rcvd or (None if self._closed_here else protocol.close_sent)
            if said is not None:
                owner.socket_closed(int(said.code), said.reason)
            else:
                owner.socket_closed(1006, "")
        elif on_gone is not None:
            on_gone()

    def _frame(self, frame: object) -> asyncio.Future[None] | None:
        if not isinstance(frame, Frame) or frame.opcode not in _DATA:
            return None
        if frame.fin and not self._unfinished.begun:
            return self._deliver(bytes(frame.data), frame.opcode is Opcode.TEXT)
        if not self._unfinished.begun:
            self._text = frame.opcode is Opcode.TEXT
        self._unfinished.add(bytes(frame.data))
        if not frame.fin:
            return None
        return self._deliver(self._unfinished.take(), self._text)

    def _deliver(self, message: bytes, text: bool) -> asyncio.Future[None] | None:
        if text:
            try:
                message.decode()
            except UnicodeDecodeError:
                self._protocol.fail(1007)
                self._answer()
                return None
        assert self._owner is not None
        self._owed += 1
        return self._owner.socket_message(message, text)


_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)

_QUIET = logging.getLogger("portico.websocket")
_QUIET.setLevel(logging.WARNING)  # the library logs every connection at INFO

_HANDSHAKE = (b"host", b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version")


def _replay(headers: Headers) -> bytes:
    """The upgrade request again, as the library reads it: what the handshake needs, and nothing else."""
    lines = [b"GET / HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers if name in _HANDSHAKE]
    return b"\r\n".join(lines) + b"\r\n\r\n"
