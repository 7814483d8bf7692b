"""A WebSocket that a provider in CPython opens to a hub, by the ``websockets`` library.

Messages go straight from the library's protocol object to the link, with no queue and no task between.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol

from portico import foreign
from portico.errors import LinkClosed, Refused
from portico.pieces import Pieces
from portico.transports.sansio import MOST_UNREAD, limit_messages
from portico.transports.transport import LinkReceiver
from portico.transports.whole_frames import read_whole, written_whole

_OPEN_TIMEOUT = 10.0  # seconds for TCP, TLS and the upgrade
_CLOSE_TIMEOUT = 2.0  # seconds for what is buffered and for the other end's answer to our close
_MOST_EARLY = 64 * 1024  # bytes that may come before the link is there, which is a turn of the loop or two
_EARLY_MESSAGE = 64  # bytes that an empty message counts for: about what it costs to keep
_WRITE_HIGH = 512 * 1024  # bytes: two batches, so that one is written while the next is made


class _Connection(ClientConnection):
    """Hands each message to ``link_transport`` instead of to a queue for ``recv()``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.link_transport = WebSocketTransport(self)

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self.link_transport._frame_received(event)
        else:
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.link_transport._answered(len(event.data))
            super().process_event(event)

    def data_received(self, data: bytes) -> None:
        if self.link_transport._received_whole(data):
            return
        super().data_received(data)
        if self.protocol.close_expected():
            self.link_transport._end_soon()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link_transport._writable_again()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.link_transport._lost(exc)


class _Dial(connect):
    """Follows no redirect: the token of a HELLO goes to the host that was named, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class WebSocketTransport:
    """A `Transport` over one open connection; made by `dial`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._receiver: LinkReceiver | None = None
        self._early: list[bytes] = []
        self._early_size = 0
        self._unfinished = Pieces()
        """What has come of a message in several frames."""
        self._unread = 0
        """Bytes of pongs that were written while the other end took nothing."""
        self._lost_reason: str | None = None
        self._ending = False
        self._said_close = False

    @property
    def writable(self) -> bool:
        return not self._connection.paused

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for message in early:
            receiver.message_received(message)
        if self._lost_reason is not None:
            receiver.transport_closed(self._lost_reason)

    def allow(self, size: int) -> None:
        limit_messages(self._connection.protocol, size)

    def send(self, message: bytes) -> None:
        connection = self._connection
        frame = written_whole(connection.protocol, message)
        if frame is not None:
            connection.transport.write(frame)
        elif connection.protocol.state is State.OPEN:
            connection.protocol.send_binary(message)
            connection.send_data()

    def close(self, code: int = 1000, reason: str = "") -> None:
        connection = self._connection
        self._said_close = True
        if connection.protocol.state is State.OPEN:
            connection.protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            connection.send_data()
        self._end_soon()

    def cut(self) -> None:
        """End the connection at once, with nothing said. Works without the event loop, which may be gone."""
        connection = self._connection.transport.get_extra_info("socket")
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is not connected any more
                pass

    async def wait_closed(self) -> None:
        """Wait until the connection has ended: after `close` a moment, or `_CLOSE_TIMEOUT`."""
        await self._connection.wait_closed()

    def _end_soon(self) -> None:
        """The other end may be gone without a word: do not wait long for it to close the connection."""
        if not self._ending and self._lost_reason is None:
            self._ending = True
            self._connection.loop.call_later(_CLOSE_TIMEOUT, self._connection.transport.abort)

    def _received_whole(self, data: bytes) -> bool:
        """Take *data* if it is one message. False: the library is to read it."""
        if self._receiver is None or self._said_close:
            return False
        whole = read_whole(self._connection.protocol, data)
        if whole is None or whole[1]:
            return False
        self._receiver.message_received(whole[0])
        return True

    def _frame_received(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.close(1003, "a link's messages are binary")
        if self._said_close:
            return
        if not frame.fin or self._unfinished.begun:  # rare: hubs send batches whole
            self._unfinished.add(bytes(frame.data))
            if not frame.fin:
                return
            message = self._unfinished.take()
        else:
            message = bytes(frame.data)
        if self._receiver is not None:
            self._receiver.message_received(message)
            return
        self._early.append(message)
        self._early_size += len(message) + _EARLY_MESSAGE
        if self._early_size > _MOST_EARLY:
            self.close(1008, "a hub says nothing before it is spoken to")

    def _answered(self, size: int) -> None:
        """A pong of *size* bytes was sent."""
        if self._connection.paused:
            self._unread += size + 2
            if self._unread > MOST_UNREAD:
                self._connection.transport.abort()

    def _writable_again(self) -> None:
        self._unread = 0
        if self._receiver is not None:
            self._receiver.transport_writable()

    def _lost(self, exc: Exception | None) -> None:
        if self._lost_reason is None:
            protocol = self._connection.protocol
            close = protocol.close_rcvd or protocol.close_sent
            if exc is not None:
                self._lost_reason = f"the connection broke: {exc}"
            elif close is None:
                self._lost_reason = "the connection ended without a word"
            else:
                said = f"code {close.code}{': ' + foreign.text(close.reason) if close.reason else ''}"
                self._lost_reason = f"the connection was closed, {said}"
            if self._receiver is not None:
                self._receiver.transport_closed(self._lost_reason)


async def dial(
    url: str,
    *,
    subprotocol: str,
    headers: dict[str, str] | None = None,
    max_size: int,
    tls: ssl.SSLContext | None = None,
    unix: str = "",
    direct: bool = False,
) -> WebSocketTransport:
    """Open a WebSocket to *url* (``ws://`` or ``wss://``), through the environment's proxy if it names one.

    *headers* go with the upgrade request; *max_size* is the longest message to take, in bytes; *tls* replaces the
    default settings of ``wss://``; *unix* is the path of a socket to connect to instead of the URL's host; *direct*
    passes the proxy by. Raises `Refused` when the server answers the upgrade with an HTTP status that coming back would
    not change, `LinkClosed` otherwise.
    """
    options: dict[str, Any] = {"ssl": tls} if tls is not None and url.startswith("wss:") else {}
    if unix:
        options |= {"unix": True, "path": unix}
    if direct or unix:
        options["proxy"] = None
    try:
        connection = await _Dial(
            url,
            create_connection=_Connection,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            compression=None,
            max_size=max_size,
            ping_interval=None,  # the link has its own
            open_timeout=_OPEN_TIMEOUT,
            write_limit=_WRITE_HIGH,
            **options,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if 300 <= status < 400:
            raise Refused(f"{url} redirects to {_location(error)}: use that URL") from error
        if status in _ADVICE:
            raise Refused(f"{url} answered {status}: {_ADVICE[status]}") from error
        raise LinkClosed(f"{url} answered {status}") from error
    except (InvalidHandshake, InvalidProxy) as error:
        raise LinkClosed(f"{url}: {foreign.text(error)}") from error
    except (InvalidURI, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
        raise Refused(f"{url} is no WebSocket URL") from error
    except (OSError, TimeoutError) as error:
        raise LinkClosed(f"{url} cannot be reached: {str(error) or 'no answer in time'}") from error
    if connection.subprotocol != subprotocol:
        await connection.close()
        raise Refused(f"{url} is a WebSocket, but not a hub's link (it does not speak {subprotocol})")
    return cast(_Connection, connection).link_transport


def _location(error: InvalidStatus) -> str:
    given = error.response.headers.get_all("Location")
    return foreign.text(given[0]) if given else "nowhere"


_NO_HUB = "no hub lives there; is the Portico server extension enabled (jupyter server extension list)?"
_ADVICE = {
    401: "the token was not accepted",
    403: "the token may not publish here",
    421: "the server does not answer under that host name; use its own, or have it allowed there (allowed_hosts)",
    404: _NO_HUB,
    405: _NO_HUB,
}
