"""WebSockets of the relay's own server: uvicorn's protocol over websockets, made fit for strangers and for speed.

What the other end does not take, and what it does not end, is bounded. A message that comes whole in one frame is read
past the parser, and messages pass without ASGI between where the edge asks for it
(`portico.relay.edge.past_asgi.OwnSocket`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from portico.pieces import Pieces
from portico.relay.edge.deadlines import TakingDeadline
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.past_asgi import OWN_MESSAGES
from portico.transports.sansio import MOST_UNREAD, forget, limit_messages, unparsed
from portico.transports.whole_frames import read_whole, written_whole

_SLICE = 16 * 1024
"""Bytes of a WebSocket that are read before its app is asked whether it takes more: of small messages there are
thousands in one read, and each costs far more to keep than its bytes."""
_LAST_WORDS = 15.0  # seconds for the other end to take what waits when a WebSocket is over; a close has 10 of uvicorn's


class SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket, a visitor's or a provider's, once it has been asked for. `for_edge` makes the class to be used."""

    edge: RelayEdge

    @classmethod
    def for_edge(cls, edge: RelayEdge) -> type[SocketProtocol]:
        return type("SocketProtocol", (cls,), {"edge": edge})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._taking = TakingDeadline(self.edge.state)
        self.counted = ""
        """The address that this connection counts for."""
        self._take: Callable[[bytes], None] | None = None
        self._rest = b""
        """What has come and is not read yet: the app takes no more."""
        self._pieces = Pieces()
        """What has come of a message in several frames."""
        self._holds = False
        """Something has come of a message that is not whole."""
        self._roomless = False
        """There is no room for more of an unfinished message."""
        self._unread = 0
        """Bytes of pongs that were written while the other end took nothing."""
        self._last: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), OWN_MESSAGES: self}  # type: ignore[dict-item]

    def hand_over(self, take: Callable[[bytes], None]) -> Callable[[int], None]:
        """Give each binary message to *take* as it comes, and not to ASGI's ``receive``.

        So a message costs no turn of the loop, and reading is not paused for it: links have windows of their own.
        Returns what bounds the length of a message.
        """
        self._take = take
        self.edge.unfinished.free(self)
        return lambda size: limit_messages(self.conn, size)

    def say(self, data: bytes, *, text: bool = False) -> bool:
        """Send a message now, past ASGI's ``send``. False: it is not sent, and is to go that way, which may wait."""
        if not self.handshake_complete or self.close_sent or self.disconnected or not self.writable.is_set():
            return False
        frame = written_whole(self.conn, data, text=text)
        if frame is None:
            return False
        self.transport.write(frame)
        return True

    def send_receive_event_to_app(self) -> None:
        take = self._take
        if take is None or self.curr_msg_data_type == "text" or self.close_sent:
            super().send_receive_event_to_app()
            return
        pieces, self.frames = self.frames, []
        take(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def data_received(self, data: bytes) -> None:
        take = self._take
        if take is not None:
            whole = read_whole(self.conn, data)
            if whole is None or whole[1] or self.close_sent:
                super().data_received(data)
            else:
                take(whole[0])
        elif self.read_paused or self._rest:
            self._rest += data
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        whole = read_whole(self.conn, data) if len(data) <= _SLICE and not self.transport.is_closing() else None
        if whole is not None and not self._holds:
            message, text = whole
            if text:
                self.handle_text(Frame(Opcode.TEXT, message))
            else:
                self.handle_bytes(Frame(Opcode.BINARY, message))
            return
        for position in range(0, len(data), _SLICE):
            if self.read_paused:
                self._rest = data[position:]
                break
            if self.transport.is_closing():
                return
            super().data_received(data[position : position + _SLICE])
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # websockets will not read such a head (a line of more than 8 KiB); uvicorn leaves its answer lying
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        held = unparsed(self.conn) + self._pieces.size + (len(self.frames[0]) if self.frames else 0)
        if not held and not self._holds:
            return
        self._holds = held > 0
        if not self.edge.unfinished.hold(self, held) and not self._roomless:
            self._roomless = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        message = await super().receive()
        if self._rest and not self.read_paused:
            rest, self._rest = self._rest, b""
            self._read(rest)
        if self._roomless:  # uvicorn has read on
            self.transport.pause_reading()
        return message

    def handle_cont(self, event: Any) -> None:
        """Join the pieces of a message as they come: empty ones would each cost an entry of a list."""
        if not self._pieces.begun:
            self._pieces.add(bytes(self.frames[0]))
            self.frames = [b""]
        self._pieces.add(bytes(event.data))
        if event.fin:
            self.frames = [self._pieces.take()]
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        pongs = b"".join(self.conn.data_to_send())
        if not self.writable.is_set():
            self._unread += len(pongs)
            if self._unread > MOST_UNREAD:
                self._taking.cut(self.transport)
                return
        self.transport.write(pongs)

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # before the handshake is answered nothing may come (RFC 6455 §4.1)
            self.transport.abort()
        else:
            super().handle_parser_exception()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        # A transport that is closed waits until what was written is taken, however long.
        self._last = self.loop.call_later(_LAST_WORDS, self.transport.abort)

    def send_500_response(self) -> None:
        if self.conn.eof_sent:  # the visitor broke the rules before it was answered, and can be told nothing more
            self.transport.abort()
        else:
            super().send_500_response()

    # as a `portico.hub.unfinished.Holder`

    def read_on(self) -> None:
        self._roomless = False
        if not self.read_paused:
            self.transport.resume_reading()

    def cut_off(self) -> None:
        if not self.handshake_complete or self.close_sent:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.conn.fail(1013, "a message did not come to its end, and others wait")
            self.handle_parser_exception()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking.begin(self.transport)

    def resume_writing(self) -> None:
        self._taking.forget()
        self._unread = 0
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._taking.forget()
        if self._last is not None:
            self._last.cancel()
        self.edge.unfinished.free(self)
        self.frames, self._rest = [], b""
        self._pieces.clear()
        forget(self.conn)
        if self.counted:
            self.edge.addresses.disconnect(self.counted)
        super().connection_lost(exc)
