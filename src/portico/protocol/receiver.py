"""The receiving half of a `Connection`: messages of the transport become events.

One method a frame type. Each checks all that the other end could have got wrong, and raises `RemoteProtocolError`,
before it changes or reports anything. Frames for a stream that has ended are ignored: they crossed its end on the way.
"""

from __future__ import annotations

from collections.abc import Callable

from portico import foreign
from portico.errors import RemoteProtocolError
from portico.protocol import frames, handshake
from portico.protocol.events import Close, Data, Event, GoAway, Head, Open, Reset, Resumed
from portico.protocol.flow_control import Limits
from portico.protocol.frames import FIN, HEADER, HEADER_SIZE, MESSAGE_END, TEXT, Kind, ResetCode
from portico.protocol.lifecycle import Lifecycle
from portico.protocol.outbox import Outbox
from portico.protocol.stream import (
    ACCEPT,
    ANSWERED,
    CLOSED,
    HEAD,
    INPUT_NAMES,
    NEXT,
    REQUEST_CLOSE,
    REQUEST_DATA,
    REQUEST_FIN,
    RESPONSE_CLOSE,
    RESPONSE_DATA,
    RESPONSE_FIN,
    STATE_NAMES,
    StreamRecord,
)
from portico.protocol.streams import Streams

Handler = Callable[[int, int, bytes, float, list[Event]], None]

_BEFORE_HANDSHAKE = frozenset({frames.HELLO, frames.WELCOME, frames.GOAWAY})
MOST_IDLE = 20_000
"""A second, from a provider. At 100 MB/s it gives credit back a thousand times, and 4,096 streams may add some each."""

_KINDS = (Kind.HTTP, Kind.WEBSOCKET)


class Receiver:
    """Reads one link's messages."""

    def __init__(self, limits: Limits, life: Lifecycle, streams: Streams, outbox: Outbox) -> None:
        self._limits = limits
        self._life = life
        self._streams = streams
        self._outbox = outbox
        self._link_credit = limits.link_window
        """What the other end may still send on the link."""
        self._link_owed = 0
        self._idle = 0
        """Frames since `_idle_since` that move nothing."""
        self._idle_since = 0.0
        self.blame = ResetCode.PROTOCOL
        """The code that goes with the `RemoteProtocolError` that was raised."""
        # the inputs of stream.TRANSITIONS that the other end's frames stand for
        if life.is_hub:
            self._data, self._fin, self._close = RESPONSE_DATA, RESPONSE_FIN, RESPONSE_CLOSE
        else:
            self._data, self._fin, self._close = REQUEST_DATA, REQUEST_FIN, REQUEST_CLOSE
        self._handlers: dict[int, Handler] = {
            frames.UNREGISTER: self._got_unregister,
            frames.DATA: self._got_data,
            frames.CLOSE: self._got_close,
            frames.WINDOW: self._got_window,
            frames.RESET: self._got_reset,
            frames.PING: self._got_ping,
            frames.PONG: self._got_pong,
            frames.GOAWAY: self._got_goaway,
        }
        if life.is_hub:
            self._handlers |= {
                frames.HELLO: self._got_hello,
                frames.REGISTER: self._got_register,
                frames.HEAD: self._got_head,
            }
        else:
            self._handlers |= {
                frames.WELCOME: self._got_welcome,
                frames.ACK: self._got_ack,
                frames.OPEN: self._got_open,
            }

    def receive(self, message: bytes, now: float) -> list[Event]:
        size = len(message)
        life, handlers = self._life, self._handlers
        events: list[Event] = [Resumed()] if life.received(size, now) else []
        position = 0
        while position < size:
            if size - position < HEADER_SIZE:
                raise RemoteProtocolError("a message ends within a frame's header")
            frame_type, flags, _, stream_id, length = HEADER.unpack_from(message, position)
            position += HEADER_SIZE
            end = position + length
            if end > size:
                raise RemoteProtocolError("a message ends within a frame")
            if not life.welcomed and frame_type not in _BEFORE_HANDSHAKE:
                raise RemoteProtocolError("a frame came before the handshake was done")
            handler = handlers.get(frame_type)
            if handler is not None:
                handler(stream_id, flags, message[position:end], now, events)
            elif frame_type < frames.FIRST_EXTENSION:
                name = frames.NAMES.get(frame_type, hex(frame_type))
                raise RemoteProtocolError(f"a {name} frame has no place in this direction")
            position = end
        self.check_reading()
        owed = self._link_owed
        if owed * 2 >= self._limits.link_window:
            self._link_owed = 0
            self._link_credit += owed
            self._outbox.control(frames.pack_window(0, owed))
        return events

    def check_reading(self) -> None:
        """Raise if the other end makes us answer without reading the answers."""
        waiting = self._outbox.control_size
        if waiting > self._limits.max_control:
            self.blame = ResetCode.OVERLOAD
            raise RemoteProtocolError(f"{waiting} bytes of control frames wait: the other end is not reading")

    # --- the link -----------------------------------------------------------------------------------------------

    def _got_hello(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if self._life.introduced:
            raise RemoteProtocolError("HELLO came twice")
        hello, peer = handshake.unpack_hello(payload)
        self._life.introduced = True
        self._life.meet(peer)
        events.append(handshake.presentable_hello(hello))

    def _got_welcome(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if self._life.welcomed or not self._life.introduced:
            raise RemoteProtocolError("WELCOME came twice, or before HELLO")
        self._check_control(payload)
        welcome, peer = handshake.unpack_welcome(payload)
        welcome = handshake.presentable_welcome(welcome)
        self._life.welcomed = True
        self._life.meet(peer)
        events.append(welcome)

    def _got_register(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.unpack_register(payload))

    def _got_unregister(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.unpack_unregister(payload))

    def _got_ack(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.presentable_ack(handshake.unpack_ack(payload)))

    def _check_control(self, payload: bytes) -> None:
        if len(payload) > self._limits.max_control_frame:
            raise RemoteProtocolError(f"a control frame of {len(payload)} bytes is too long")

    def _count_idle(self, now: float) -> None:
        """Raise if frames that move nothing come by tens of thousands: each costs this end more than its sender.

        A provider has chosen its hub; a hub's callers are strangers.
        """
        if not self._life.is_hub:
            return
        if now - self._idle_since >= 1.0:
            self._idle_since, self._idle = now, 0
        self._idle += 1
        if self._idle > MOST_IDLE:
            self.blame = ResetCode.OVERLOAD
            raise RemoteProtocolError(f"more than {MOST_IDLE} PING, PONG, WINDOW and GOAWAY frames came in a second")

    def _got_ping(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._count_idle(now)
        if len(payload) != 8:
            raise RemoteProtocolError("a PING's payload is not 8 bytes long")
        self._outbox.control(frames.pack(frames.PONG, 0, 0, payload))

    def _got_pong(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._count_idle(now)
        if len(payload) != 8:
            raise RemoteProtocolError("a PONG's payload is not 8 bytes long")

    def _got_goaway(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._count_idle(now)
        last_stream, code, jitter, reason = frames.unpack_goaway(payload)
        reason = foreign.text(reason)
        self._life.going_away = True
        events.append(GoAway(last_stream=last_stream, code=code, retry_jitter=jitter / 1000, reason=reason))

    # --- streams ------------------------------------------------------------------------------------------------

    def _known(self, stream_id: int) -> StreamRecord | None:
        """The stream, or None if it is over."""
        stream = self._streams.by_id.get(stream_id)
        if stream is None and not 0 < stream_id <= self._streams.last_id:
            raise RemoteProtocolError(f"a frame for stream {stream_id}, which was never opened")
        return stream

    def _got_open(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        streams, peer = self._streams, self._life.peer
        assert peer is not None  # both came with WELCOME
        if stream_id != streams.last_id + 1 or stream_id > frames.MAX_STREAM_ID:
            raise RemoteProtocolError(f"OPEN of stream {stream_id} after {streams.last_id}")
        if len(payload) > self._limits.max_header_block:
            raise RemoteProtocolError(f"an OPEN frame of {len(payload)} bytes is too long")
        kind, fields, client_port, server_port, headers = frames.unpack_open(payload)
        service, method, scheme, http_version, raw_path, query, root_path, client, server, offered, identity = fields
        fin = bool(flags & FIN) and not kind
        try:
            event = Open(
                stream_id,
                _KINDS[kind],
                service.decode(),
                method.decode("latin-1"),
                scheme.decode("latin-1"),
                http_version.decode("latin-1"),
                raw_path,
                query,
                root_path.decode(),
                (client.decode(), client_port) if client else None,
                (server.decode(), server_port) if server else None,
                tuple(offered.decode().split(",")) if offered else (),
                identity,
                headers,
                fin,
            )
        except UnicodeDecodeError:
            raise RemoteProtocolError("an OPEN frame's text is not UTF-8") from None
        if self._life.going_away or streams.full:
            streams.last_id = stream_id
            why = "the link is going away" if self._life.going_away else "the provider is full"
            self._outbox.control(frames.pack_reset(stream_id, ResetCode.REFUSED, why))
            return
        streams.add(stream_id, kind, fin, peer.stream_window, now)
        events.append(event)

    def _next(self, stream: StreamRecord, state: int, given: int) -> int:
        following = NEXT[state][given]
        if following < 0:
            raise RemoteProtocolError(f"{INPUT_NAMES[given]} for stream {stream.id} in state {STATE_NAMES[state]}")
        return following

    def _got_head(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        if len(payload) > self._limits.max_header_block:
            raise RemoteProtocolError(f"a HEAD frame of {len(payload)} bytes is too long")
        status, accept, subprotocol, headers = frames.unpack_head(payload)
        if stream is None or stream.state == CLOSED:
            return
        state = self._next(stream, stream.state, ACCEPT if accept else HEAD)
        fin = bool(flags & FIN)
        if fin:
            state = self._next(stream, state, RESPONSE_FIN)
        stream.state = state
        events.append(Head(stream_id, status, headers, accept, subprotocol.decode("latin-1"), fin))
        if state == CLOSED:
            self._streams.settle(stream)

    def _got_data(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        size = len(payload)
        self._link_credit -= size
        self._link_owed += size
        if size > self._limits.max_data or self._link_credit < 0:
            self.blame = ResetCode.FLOW
            raise RemoteProtocolError("more bytes came than the link's window allows")
        stream = self._known(stream_id)
        if stream is None:
            return
        state = stream.state
        if state == CLOSED:
            if not self._streams.throw_away(stream, size):
                raise self._too_much(stream_id)
            return
        fin = bool(flags & FIN)
        if size or not fin:
            state = self._next(stream, state, self._data)
        if fin:
            state = self._next(stream, state, self._fin)
        if stream.state == ANSWERED and not self._life.is_hub:  # nobody reads it; a RESET is on its way
            stream.state = state
            self._streams.settle(stream)
            return
        if not stream.receive.received(size, stream.overhead):
            raise self._too_much(stream_id)
        stream.state = state
        if size or fin or stream.overhead:  # an empty piece of a body means nothing
            self._streams.held += size
            events.append(Data(stream_id, payload, fin, bool(flags & TEXT), bool(flags & MESSAGE_END)))
        if state == CLOSED:
            self._streams.settle(stream)

    def _too_much(self, stream_id: int) -> RemoteProtocolError:
        self.blame = ResetCode.FLOW
        return RemoteProtocolError(f"more bytes came than stream {stream_id}'s window allows")

    def _got_close(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        code, reason = frames.unpack_close(payload)
        if stream is None:
            return
        if stream.state != CLOSED:
            stream.state = self._next(stream, stream.state, self._close)
            events.append(Close(stream_id, code, reason))
        self._outbox.drop(stream)  # nobody reads it, so no credit would come for it
        self._streams.settle(stream)

    def _got_window(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._count_idle(now)
        credit = frames.unpack_window(payload)
        if stream_id == 0:
            if self._outbox.link_credit + credit > frames.MAX_CREDIT:
                raise RemoteProtocolError("the link's window is too large")
            self._outbox.link_credited(credit)
            return
        stream = self._known(stream_id)
        if stream is not None:
            if stream.send_credit + credit > frames.MAX_CREDIT:
                raise RemoteProtocolError(f"stream {stream_id}'s window is too large")
            stream.send_credit += credit
            self._outbox.credited(stream)

    def _got_reset(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        code, reason = frames.unpack_reset(payload)
        if stream is not None and (stream.state != CLOSED or stream.queue):
            stream.state = CLOSED
            self._outbox.drop(stream)
            events.append(Reset(stream_id, code, foreign.text(reason)))
            self._streams.settle(stream)
