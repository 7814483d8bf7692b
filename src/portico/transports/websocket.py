"""A WebSocket that a provider in CPython opens to a hub, by the ``websockets`` library.

Messages go straight from the library's protocol object to the link, with no queue and no task between.
"""

from __future__ import annotations

import ssl
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.frames import DATA_OPCODES, Frame
from websockets.typing import Subprotocol

from portico.errors import LinkClosed, Refused
from portico.transports.transport import Receiver

_OPEN_TIMEOUT = 10.0  # seconds for TCP, TLS and the upgrade
_WRITE_HIGH = 512 * 1024  # bytes: two batches, so that one is written while the next is made


class _Connection(ClientConnection):
    """Hands each message to ``transport`` instead of to a queue for ``recv()``."""

    link_transport: WebSocketTransport | None = None

    def process_event(self, event: Any) -> None:
        if self.link_transport is not None and isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self.link_transport._frame_received(event)
        else:
            super().process_event(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.link_transport is not None and self.link_transport._receiver is not None:
            self.link_transport._receiver.transport_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.link_transport is not None:
            self.link_transport._lost(exc)


class WebSocketTransport:
    """A `Transport` over one open connection; made by `dial`."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._receiver: Receiver | None = None
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._lost_reason: str | None = None

    @property
    def writable(self) -> bool:
        return not self._connection.paused

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for message in early:
            receiver.message_received(message)
        if self._lost_reason is not None:
            receiver.transport_closed(self._lost_reason)

    def send(self, message: bytes) -> None:
        if self._lost_reason is None and self._connection.close_code is None:
            self._connection.protocol.send_binary(message)
            self._connection.send_data()

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._lost_reason is None and self._connection.close_code is None:
            protocol = self._connection.protocol
            if protocol.state.name == "OPEN":
                protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
                self._connection.send_data()
            # The other end may be gone without a word: do not wait for its answer for long.
            self._connection.loop.call_later(1.0, self._connection.transport.abort)

    def _frame_received(self, frame: Frame) -> None:
        if not frame.fin or self._fragments:  # rare: hubs send batches whole
            self._fragments.append(bytes(frame.data))
            if not frame.fin:
                return
            message = b"".join(self._fragments)
            self._fragments = []
        else:
            message = bytes(frame.data)
        if self._receiver is None:
            self._early.append(message)
        else:
            self._receiver.message_received(message)

    def _lost(self, exc: Exception | None) -> None:
        if self._lost_reason is None:
            code, reason = self._connection.close_code, self._connection.close_reason
            said = f"code {code}{': ' + reason if reason else ''}" if code is not None else "without a word"
            self._lost_reason = f"the hub's end closed, {said}" if exc is None else f"the connection broke: {exc}"
            if self._receiver is not None:
                self._receiver.transport_closed(self._lost_reason)


async def dial(
    url: str,
    *,
    subprotocol: str,
    headers: dict[str, str] | None = None,
    max_size: int,
    tls: ssl.SSLContext | None = None,
) -> WebSocketTransport:
    """Open a WebSocket to *url* (``ws://`` or ``wss://``), through the environment's proxy if it names one.

    *headers* go with the upgrade request; *max_size* is the longest message to take, in bytes. Raises `Refused` when
    the server answers the upgrade with an HTTP status that coming back would not change, `LinkClosed` otherwise.
    """
    try:
        connection = await connect(
            url,
            create_connection=_Connection,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            compression=None,
            max_size=max_size,
            ping_interval=None,  # the link has its own
            open_timeout=_OPEN_TIMEOUT,
            write_limit=_WRITE_HIGH,
            ssl=tls,
        )
    except InvalidHandshake as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", 0)
        if status in (401, 403, 404, 405):
            raise Refused(f"{url} answered {status}: {_ADVICE.get(status, 'is this the right URL?')}") from error
        raise LinkClosed(f"{url}: {error}") from error
    except InvalidURI as error:
        raise Refused(f"{url} is no WebSocket URL") from error
    except (OSError, TimeoutError) as error:
        raise LinkClosed(f"{url} cannot be reached: {error or 'no answer in time'}") from error
    if connection.subprotocol != subprotocol:
        await connection.close()
        raise Refused(f"{url} is a WebSocket, but not a hub's link (it does not speak {subprotocol})")
    transport = WebSocketTransport(cast(_Connection, connection))
    cast(_Connection, connection).link_transport = transport
    return transport


_ADVICE = {
    401: "the token was not accepted",
    403: "the token may not publish here",
    404: "no hub lives there; is the Portico server extension enabled (jupyter server extension list)?",
    405: "no hub lives there; is the Portico server extension enabled (jupyter server extension list)?",
}
