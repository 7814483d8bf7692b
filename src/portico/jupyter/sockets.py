"""WebSockets over a connection that was taken over from tornado's HTTP server.

The ``websockets`` library's sans-I/O protocol reads and writes the frames; tornado's stream moves the bytes (plain or
TLS). Two users: a provider's link, and a visitor's WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from tornado.iostream import IOStream, StreamClosedError
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from portico.transports.transport import Receiver
from portico.types import Headers

logger = logging.getLogger(__name__)

_READ = 256 * 1024
_HIGH_WATER = 512 * 1024  # bytes that wait in the stream's own buffer: two batches of a link
_CLOSE_TIMEOUT = 5.0  # seconds for the other end to answer a close


class SocketOwner(Protocol):
    """What a socket tells its owner."""

    def socket_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """A whole message. A future that is returned says when to read on."""

    def socket_writable(self) -> None: ...

    def socket_closed(self, code: int, reason: str) -> None:
        """The connection is gone: the other end's close code and reason, or 1006. Called once."""


class ServerSocket:
    """One WebSocket, from its upgrade request to its end."""

    def __init__(self, stream: IOStream, handshake: Headers, max_message: int) -> None:
        """*handshake* is the upgrade request's headers."""
        self._stream = stream
        self._protocol = ServerProtocol(max_size=max_message, logger=_QUIET)
        self._protocol.receive_data(_replay(handshake))
        events = self._protocol.events_received()
        self._request = events[0] if events and isinstance(events[0], Request) else None
        self._owner: SocketOwner | None = None
        self._fragments: list[bytes] = []
        self._text = False
        self._closed = False
        self._waits_to_write = False
        self._task: asyncio.Task[None] | None = None
        stream.set_nodelay(True)

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
        self._owner = owner
        self._flush()
        self._task = asyncio.get_running_loop().create_task(self._read())

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Before the handshake is complete: call *on_gone* when the visitor leaves."""
        self._stream.set_close_callback(on_gone)

    def answer(self, head: bytes, body: bytes) -> None:
        """Answer the upgrade request with an HTTP response, and close."""
        self._stream.set_close_callback(None)
        if not self._stream.closed():
            future = self._stream.write(head + body)
            future.add_done_callback(self._close_after)

    def _close_after(self, future: asyncio.Future[None]) -> None:
        future.exception()  # seen; a visitor that left needs no answer
        self._stream.close()

    # --- sending ---------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        return self._stream._total_write_index - self._stream._total_write_done_index < _HIGH_WATER

    def send(self, data: bytes, *, text: bool = False) -> asyncio.Future[None] | None:
        """Send a message. A future that is returned says when the stream has taken enough of it to send more."""
        if self._protocol.state is not State.OPEN or self._stream.closed():
            return None
        if text:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)
        return self._flush()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the connection ends when the other end answers, or in 5 s."""
        if self._protocol.state is State.OPEN and not self._stream.closed():
            text = reason.encode()[:123].decode(errors="ignore")
            try:
                if code in (1005, 0):
                    self._protocol.send_close()
                else:
                    self._protocol.send_close(code, text)
            except ProtocolError:  # a code that may not be sent (RFC 6455 §7.4)
                self._protocol.send_close(1011, "the app closed with an invalid code")
            self._flush()
            asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._stream.close)

    def abort(self) -> None:
        """Break the connection."""
        self._stream.close()

    def _flush(self) -> asyncio.Future[None] | None:
        last: asyncio.Future[None] | None = None
        for data in self._protocol.data_to_send():
            if self._stream.closed():
                return None
            if data:
                last = self._stream.write(data)
            # else: the library would half-close; the stream is closed whole once the other end has answered
        if last is None or last.done():
            return None
        last.add_done_callback(self._wrote)
        return last

    def _wrote(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and future.exception() is None and self._owner is not None:
            self._owner.socket_writable()

    # --- receiving -------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        stream, protocol = self._stream, self._protocol
        try:
            while True:
                data = await stream.read_bytes(_READ, partial=True)
                protocol.receive_data(data)
                for event in protocol.events_received():
                    waiting = self._frame(event)
                    if waiting is not None:
                        await waiting
                self._flush()
                if protocol.close_expected() and protocol.state is not State.OPEN:
                    break
        except StreamClosedError:
            pass
        except Exception:  # whatever it was, the owner must hear that the socket is gone
            logger.exception("a WebSocket failed")
        finally:
            self._end()

    def _frame(self, frame: object) -> asyncio.Future[None] | None:
        if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return None
        if frame.fin and not self._fragments:
            return self._deliver(bytes(frame.data), frame.opcode is Opcode.TEXT)
        if not self._fragments:
            self._text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._fragments)
        self._fragments = []
        return self._deliver(message, self._text)

    def _deliver(self, message: bytes, text: bool) -> asyncio.Future[None] | None:
        if text:
            try:
                message.decode()
            except UnicodeDecodeError:
                self._protocol.fail(1007, "text that is not UTF-8")
                self._flush()
                return None
        assert self._owner is not None
        return self._owner.socket_message(message, text)

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            protocol = self._protocol
            self._stream.close()
            protocol.receive_eof()
            received = protocol.close_rcvd
            owner = self._owner
            if owner is not None:
                if received is not None:
                    owner.socket_closed(int(received.code), received.reason)
                else:
                    owner.socket_closed(1006, "")


_QUIET = logging.getLogger("portico.websocket")
_QUIET.setLevel(logging.WARNING)  # the library logs every connection at INFO

_HANDSHAKE = (b"host", b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version")


def _replay(headers: Headers) -> bytes:
    """The upgrade request again, as the library reads it: what the handshake needs, and nothing else."""
    lines = [b"GET / HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers if name in _HANDSHAKE]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class LinkTransport:
    """A `portico.transports.transport.Transport` over a provider's socket."""

    def __init__(self, socket: ServerSocket) -> None:
        self._socket = socket
        self._receiver: Receiver | None = None
        self._early: list[bytes] = []
        self._closed_reason: str | None = None

    @property
    def writable(self) -> bool:
        return self._socket.writable

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for message in early:
            receiver.message_received(message)
        if self._closed_reason is not None:
            receiver.transport_closed(self._closed_reason)

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
        self._closed_reason = f"the provider's end closed (code {code}{': ' + reason if reason else ''})"
        if self._receiver is not None:
            self._receiver.transport_closed(self._closed_reason)
