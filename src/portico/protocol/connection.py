"""One end of a link, without I/O.

The owner feeds it each message of the transport (`Connection.receive_message`) and the time, gets events, calls the
``send_*`` methods, and writes what `Connection.data_to_send` returns until that is empty. Whatever the other end
sends gives events or a `RemoteProtocolError`, after which the connection is closed and the owner should write what
is left (a GOAWAY) and close the transport. Calls that the state forbids raise `LocalProtocolError` and change nothing.

What may be added here: what both ends must agree on. What may not: a clock, a callback, what an app or a user is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.protocol import frames, handshake
from portico.protocol.events import (
    Ack,
    Close,
    Data,
    Event,
    GoAway,
    Head,
    Hello,
    Open,
    Register,
    Reset,
    Resumed,
    Stalled,
    Unregister,
    Welcome,
)
from portico.protocol.flow_control import Limits
from portico.protocol.frames import FIN, HEADER, HEADER_SIZE, MESSAGE_END, TEXT, Kind, ResetCode
from portico.protocol.outbox import Outbox
from portico.protocol.stream import (
    ACCEPT,
    ANSWERED,
    CLOSE_MARK,
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
    Stream,
)
from portico.types import Headers


class Role(Enum):
    """Which end of the link this is."""

    PROVIDER = "provider"
    HUB = "hub"


class Connection:
    """The protocol's state at one end of a link.

    ``now`` is the time in seconds of any clock that never goes back, the same clock in every call.
    """

    def __init__(self, role: Role, limits: Limits | None = None, *, now: float = 0.0) -> None:
        self.role = role
        self.limits = limits = limits or Limits()
        self._is_hub = role is Role.HUB
        # the inputs of stream.TRANSITIONS that this end's frames and the other's stand for
        ours = (REQUEST_DATA, REQUEST_FIN, REQUEST_CLOSE)
        theirs = (RESPONSE_DATA, RESPONSE_FIN, RESPONSE_CLOSE)
        self._sent = ours if self._is_hub else theirs
        self._got = theirs if self._is_hub else ours
        self._streams: dict[int, Stream] = {}
        self._last_stream = 0
        self._outbox = Outbox(limits)
        self._handshaken = False
        self._said_hello = False
        self._peer: handshake.Settings | None = None
        self._link_credit = limits.link_window
        """What the other end may still send on the link."""
        self._link_owed = 0
        self._growth_left = limits.max_held
        self._held = 0
        self._started = now
        self._last_received = now
        self._last_ping = now
        self._ping_pending = False
        self._stalled = False
        self._going_away = False
        self._handlers: Mapping[int, Callable[[int, int, bytes, float, list[Event]], None]] = (
            {
                frames.HELLO: self._got_hello,
                frames.REGISTER: self._got_register,
                frames.UNREGISTER: self._got_unregister,
                frames.HEAD: self._got_head,
            }
            if self._is_hub
            else {
                frames.WELCOME: self._got_welcome,
                frames.UNREGISTER: self._got_unregister,
                frames.ACK: self._got_ack,
                frames.OPEN: self._got_open,
            }
        ) | {
            frames.DATA: self._got_data,
            frames.CLOSE: self._got_close,
            frames.WINDOW: self._got_window,
            frames.RESET: self._got_reset,
            frames.PING: self._got_ping,
            frames.PONG: self._got_pong,
            frames.GOAWAY: self._got_goaway,
        }
        self.closed = False

    # --- what the owner may ask ---------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the handshake is done and the link takes new streams."""
        return self._handshaken and not self.closed and not self._going_away

    @property
    def can_open(self) -> bool:
        """Whether `open_stream` would be let through now."""
        return (
            self.ready
            and self._peer is not None
            and len(self._streams) < self._peer.max_streams
            and self._outbox.control_size * 2 < self.limits.max_control
        )

    @property
    def streams(self) -> int:
        """How many streams have not ended, or ended with bytes that are still unconsumed."""
        return len(self._streams)

    @property
    def held(self) -> int:
        """Bytes that came on streams and are not consumed."""
        return self._held

    def silence(self, now: float) -> float:
        """Seconds since the last bytes came."""
        return now - self._last_received

    def queued(self, stream_id: int) -> int:
        """Bytes of a stream that wait to be sent."""
        stream = self._streams.get(stream_id)
        return stream.queued if stream else 0

    # --- the handshake and registrations ------------------------------------------------------------------------

    def send_hello(self, hello: Hello) -> None:
        """Introduce the provider. Must be its first call; `Welcome` or `GoAway` comes back."""
        if self._is_hub or self._said_hello or self.closed:
            raise LocalProtocolError("HELLO is a provider's first frame, and sent once")
        self._said_hello = True
        frame = handshake.pack_hello(hello, self.limits)
        if len(frame) > self.limits.max_hello:
            raise LocalProtocolError(f"HELLO is {len(frame)} bytes long; at most {self.limits.max_hello} are read")
        self._outbox.control(frame)

    def send_welcome(self, welcome: Welcome) -> None:
        """Let the provider in, after `Hello`."""
        if not self._is_hub or not self._said_hello or self._handshaken or self.closed:
            raise LocalProtocolError("WELCOME answers a HELLO, once")
        self._outbox.control(handshake.pack_welcome(welcome, self.limits))
        self._handshaken = True

    def send_register(self, register: Register) -> None:
        self._check_provider_ready()
        self._send_control(handshake.pack_register(register))

    def send_unregister(self, unregister: Unregister) -> None:
        """Take a service back: a provider's wish, or a hub's decision that the provider is told of."""
        if not self._handshaken or self.closed:
            raise LocalProtocolError("services are unregistered after WELCOME")
        self._send_control(handshake.pack_unregister(unregister))

    def send_ack(self, ack: Ack) -> None:
        if not self._is_hub or not self._handshaken or self.closed:
            raise LocalProtocolError("an ACK answers a REGISTER or UNREGISTER")
        self._send_control(handshake.pack_ack(ack))

    def _check_provider_ready(self) -> None:
        if self._is_hub or not self._handshaken or self.closed:
            raise LocalProtocolError("services are registered by a provider, after WELCOME")

    def _send_control(self, frame: bytes) -> None:
        if len(frame) - HEADER_SIZE > self.limits.max_control_frame:
            raise LocalProtocolError(
                f"a control frame of {len(frame)} bytes: at most {self.limits.max_control_frame} are read"
            )
        self._outbox.control(frame)

    def send_goaway(self, code: ResetCode, reason: str, *, retry_jitter: float = 0.0) -> None:
        """Say that no new streams are taken, and that the link is to be closed.

        *retry_jitter* (seconds) spreads the other end's return. Streams in flight may end.
        """
        if not self.closed and not self._going_away:
            self._going_away = True
            self._outbox.control(frames.pack_goaway(self._last_stream, code, int(retry_jitter * 1000), reason))

    def close(self, code: ResetCode = ResetCode.NO_ERROR, reason: str = "") -> None:
        """End the link: a GOAWAY is queued, all streams are forgotten, and what still comes is ignored."""
        if not self.closed:
            self.send_goaway(code, reason)
            self.closed = True
            self._streams.clear()

    # --- streams ------------------------------------------------------------------------------------------------

    def open_stream(
        self,
        *,
        kind: Kind,
        service: str,
        method: str,
        scheme: str,
        http_version: str,
        raw_path: bytes,
        query: bytes,
        root_path: str,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        subprotocols: tuple[str, ...] = (),
        identity: bytes = b"{}",
        headers: Headers,
        fin: bool,
        now: float,
    ) -> int:
        """Pass a visitor's request to the provider (hub only); returns the stream's id.

        Raises `LocalProtocolError` when `can_open` is False or a field is longer than 64 KiB.
        """
        if not self._is_hub or not self.can_open:
            raise LocalProtocolError("no stream can be opened on this link now")
        assert self._peer is not None
        stream_id = self._last_stream + 1
        frame = frames.pack_open(
            stream_id,
            FIN if fin else 0,
            kind=kind,
            service=service.encode(),
            method=method.encode("latin-1"),
            scheme=scheme.encode(),
            http_version=http_version.encode(),
            raw_path=raw_path,
            query=query,
            root_path=root_path.encode(),
            client=(client[0].encode(), client[1]) if client else (b"", 0),
            server=(server[0].encode(), server[1]) if server else (b"", 0),
            subprotocols=",".join(subprotocols).encode(),
            identity=identity,
            headers=headers,
        )
        self._outbox.control(frame)
        self._last_stream = stream_id
        stream = Stream(stream_id, kind, self._peer.stream_window, self.limits.stream_window, now)
        if fin and kind == Kind.HTTP:
            stream.state = NEXT[stream.state][REQUEST_FIN]
        self._streams[stream_id] = stream
        return stream_id

    def send_head(
        self,
        stream_id: int,
        status: int,
        headers: Headers,
        *,
        accept: bool = False,
        subprotocol: str = "",
        fin: bool = False,
    ) -> None:
        """Answer a request, or accept or deny a WebSocket (provider only)."""
        stream = self._sendable(stream_id)
        if self._is_hub:
            raise LocalProtocolError("only a provider sends HEAD")
        state = self._advance(stream, ACCEPT if accept else HEAD)
        if fin:
            state = NEXT[state][RESPONSE_FIN]
            if state < 0:
                raise LocalProtocolError("an accepted WebSocket is ended by CLOSE")
        frame = frames.pack_head(stream_id, FIN if fin else 0, status, headers, accept, subprotocol.encode())
        if len(frame) > self.limits.max_header_block:
            raise LocalProtocolError(f"the response's headers exceed {self.limits.max_header_block} bytes")
        self._outbox.control(frame)
        stream.state = state
        if state == CLOSED:
            self._settle(stream)

    def send_data(
        self,
        stream_id: int,
        data: bytes | memoryview,
        *,
        fin: bool = False,
        text: bool = False,
        message_end: bool = False,
    ) -> int:
        """Queue bytes of a body or of a WebSocket message. *data* is not copied: it must not change.

        Returns how many bytes of this stream wait now; above ``limits.queue_high`` the owner should wait until
        `data_to_send` reports the stream low (see `notify_low`).
        """
        stream = self._sendable(stream_id)
        data_input, fin_input, _ = self._sent
        state = stream.state
        if data or not fin:
            state = self._advance(stream, data_input)
        if fin:
            following = NEXT[state][fin_input]
            if following < 0:
                raise LocalProtocolError(f"{INPUT_NAMES[fin_input]} in state {STATE_NAMES[state]}")
            state = following
        flags = (FIN if fin else 0) | (TEXT if text else 0) | (MESSAGE_END if message_end else 0)
        stream.state = state
        self._outbox.enqueue(stream, data, flags)
        return stream.queued

    def send_close(self, stream_id: int, code: int, reason: str = "") -> None:
        """Close a WebSocket stream, after what is queued on it. The stream ends."""
        stream = self._sendable(stream_id)
        stream.state = self._advance(stream, self._sent[2])
        self._outbox.enqueue(stream, frames.pack_close(stream_id, code, reason), CLOSE_MARK)

    def send_reset(self, stream_id: int, code: ResetCode, reason: str = "") -> None:
        """Give a stream up; what waits on it is dropped. Nothing happens if it has ended."""
        stream = self._streams.get(stream_id)
        if stream is not None and not self.closed:
            if stream.state != CLOSED or stream.queue:
                self._outbox.control(frames.pack_reset(stream_id, code, reason))
            self._end(stream)

    def consumed(self, stream_id: int, count: int, now: float) -> None:
        """Say that *count* bytes of the stream's `Data` are used up, so that the other end may send more."""
        stream = self._streams.get(stream_id)
        if stream is None or self.closed:
            return
        self._held -= count
        window = stream.receive
        if stream.state == CLOSED:
            window.held -= count
            self._settle(stream)
            return
        allowance = self._growth_left if self._held * 2 <= self.limits.max_held else 0
        credit, growth = window.consumed(count, now, self.limits.max_stream_window, allowance)
        if credit:
            self._growth_left -= growth
            self._outbox.control(frames.pack_window(stream_id, credit))

    def forget(self, stream_id: int) -> None:
        """Say that nothing more of the stream will be consumed.

        What was queued on one that this end has finished still goes out; one that it has not is reset.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.state == CLOSED or (stream.state == ANSWERED and not self._is_hub):
            self._held -= stream.receive.held
            stream.receive.held = 0
            self._settle(stream)
        else:
            self.send_reset(stream_id, ResetCode.CANCEL)

    def notify_low(self, stream_id: int) -> None:
        """Ask that `low_streams` names the stream once less than ``limits.queue_low`` bytes wait on it."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.notify = True

    def _sendable(self, stream_id: int) -> Stream:
        stream = self._streams.get(stream_id)
        if stream is None or self.closed:
            raise LocalProtocolError(f"stream {stream_id} is not open")
        return stream

    def _advance(self, stream: Stream, given: int) -> int:
        state = NEXT[stream.state][given]
        if state < 0:
            raise LocalProtocolError(f"{INPUT_NAMES[given]} in state {STATE_NAMES[stream.state]}")
        return state

    def _settle(self, stream: Stream) -> None:
        """Drop a closed stream once nothing of it waits at either side."""
        if stream.state == CLOSED and not stream.queue and stream.receive.held == 0:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        stream.state = CLOSED
        self._outbox.drop(stream)
        window = stream.receive
        self._held -= window.held
        window.held = 0
        self._growth_left += window.size - self.limits.stream_window
        self._streams.pop(stream.id, None)

    # --- output -------------------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """The next message for the transport, or b"". Call again until it is empty or the transport is full."""
        message = self._outbox.batch()
        finished = self._outbox.finished
        if finished:
            self._outbox.finished = []
            for stream in finished:
                if stream.state == ANSWERED and not self._is_hub:  # the response is out: stop the upload that nobody reads any more
                    self._outbox.control(frames.pack_reset(stream.id, ResetCode.NO_ERROR, ""))
                    self._end(stream)
                else:
                    self._settle(stream)
        return message

    @property
    def has_output(self) -> bool:
        """Whether `data_to_send` has something to return."""
        return bool(self._outbox)

    def low_streams(self) -> list[int]:
        """The streams whose queue ran low since the last call, of those that `notify_low` named."""
        low = self._outbox.low
        if low:
            self._outbox.low = []
        return low

    # --- time ---------------------------------------------------------------------------------------------------

    def handle_timer(self, now: float) -> list[Event]:
        """Do what the time asks for; raises `RemoteProtocolError` if the handshake took too long.

        To be called about once a second.
        """
        if self.closed:
            return []
        limits = self.limits
        if not self._handshaken:
            if now - self._started > limits.hello_timeout:
                raise self._fail(f"no {'HELLO' if self._is_hub else 'WELCOME'} within {limits.hello_timeout:g} s")
            return []
        self._check_reading()
        silence = now - self._last_received
        if silence >= limits.ping_interval:
            if not self._ping_pending or now - self._last_ping >= limits.ping_interval:
                self._ping_pending = True
                self._last_ping = now
                self._outbox.control(frames.pack(frames.PING, 0, 0, b"\0" * 8))
            elif not self._stalled and now - self._last_ping >= limits.pong_timeout:
                self._stalled = True
                return [Stalled(silence)]
        return []

    # --- input --------------------------------------------------------------------------------------------------

    def receive_message(self, message: bytes, now: float) -> list[Event]:
        """Take one message of the transport and return what it means.

        Raises `RemoteProtocolError`, and closes the connection, for anything the protocol does not allow.
        """
        if self.closed:
            return []
        events: list[Event] = []
        self._last_received = now
        self._ping_pending = False
        if self._stalled:
            self._stalled = False
            events.append(Resumed())
        size = len(message)
        if size > (self.limits.max_batch if self._handshaken else self.limits.max_hello):
            raise self._fail(f"a message of {size} bytes is too long")
        position = 0
        handlers = self._handlers
        try:
            while position < size:
                if size - position < HEADER_SIZE:
                    raise RemoteProtocolError("a message ends within a frame's header")
                frame_type, flags, _, stream_id, length = HEADER.unpack_from(message, position)
                position += HEADER_SIZE
                end = position + length
                if end > size:
                    raise RemoteProtocolError("a message ends within a frame")
                if not self._handshaken and frame_type not in _BEFORE_HANDSHAKE:
                    raise RemoteProtocolError("a frame came before the handshake was done")
                handler = handlers.get(frame_type)
                if handler is not None:
                    handler(stream_id, flags, message[position:end], now, events)
                elif frame_type < frames.FIRST_EXTENSION:
                    name = frames.NAMES.get(frame_type, hex(frame_type))
                    raise RemoteProtocolError(f"a {name} frame has no place in this direction")
                position = end
        except RemoteProtocolError as error:
            raise self._fail(str(error)) from None
        self._check_reading()
        owed = self._link_owed
        if owed * 2 >= self.limits.link_window:
            self._link_owed = 0
            self._link_credit += owed
            self._outbox.control(frames.pack_window(0, owed))
        return events

    def _fail(self, reason: str, code: ResetCode = ResetCode.PROTOCOL) -> RemoteProtocolError:
        if not self.closed:
            self.closed = True
            self._streams.clear()
            self._outbox = Outbox(self.limits)
            self._outbox.control(frames.pack_goaway(self._last_stream, code, 0, reason))
        return RemoteProtocolError(reason)

    def _check_reading(self) -> None:
        waiting = self._outbox.control_size
        if waiting > self.limits.max_control:
            raise self._fail(
                f"{waiting} bytes of control frames wait: the other end is not reading", ResetCode.OVERLOAD
            )

    def _meet(self, peer: handshake.Settings) -> None:
        self._peer = peer
        self._outbox.max_data = min(self.limits.max_data, peer.max_data)
        self._outbox.link_credit = peer.link_window

    def _got_hello(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if self._said_hello:
            raise RemoteProtocolError("HELLO came twice")
        self._said_hello = True
        hello, peer = handshake.unpack_hello(payload)
        self._meet(peer)
        events.append(hello)

    def _got_welcome(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if self._handshaken or not self._said_hello:
            raise RemoteProtocolError("WELCOME came twice, or before HELLO")
        welcome, peer = handshake.unpack_welcome(payload)
        self._meet(peer)
        self._handshaken = True
        events.append(welcome)

    def _check_control(self, payload: bytes) -> None:
        if len(payload) > self.limits.max_control_frame:
            raise RemoteProtocolError(f"a control frame of {len(payload)} bytes is too long")

    def _got_register(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.unpack_register(payload))

    def _got_unregister(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.unpack_unregister(payload))

    def _got_ack(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        self._check_control(payload)
        events.append(handshake.unpack_ack(payload))

    def _got_open(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if stream_id != self._last_stream + 1 or stream_id > frames.MAX_STREAM_ID:
            raise RemoteProtocolError(f"OPEN of stream {stream_id} after {self._last_stream}")
        self._last_stream = stream_id
        kind, fields, client_port, server_port, headers = frames.unpack_open(payload)
        limits = self.limits
        if self._going_away or len(self._streams) >= limits.max_streams or self._held >= limits.max_held:
            self._outbox.control(frames.pack_reset(stream_id, ResetCode.REFUSED, "the provider is full"))
            return
        assert self._peer is not None
        if sum(len(name) + len(value) for name, value in headers) > limits.max_header_block:
            raise RemoteProtocolError("an OPEN frame's headers are too long")
        stream = Stream(stream_id, kind, self._peer.stream_window, limits.stream_window, now)
        fin = bool(flags & FIN)
        if fin and kind == Kind.HTTP:
            stream.state = NEXT[stream.state][REQUEST_FIN]
        try:
            service, method, scheme, http_version = (field.decode("latin-1") for field in fields[:4])
            event = Open(
                stream_id,
                Kind.WEBSOCKET if kind else Kind.HTTP,
                service,
                method,
                scheme,
                http_version,
                fields[4],
                fields[5],
                fields[6].decode(),
                (fields[7].decode(), client_port) if fields[7] else None,
                (fields[8].decode(), server_port) if fields[8] else None,
                tuple(fields[9].decode().split(",")) if fields[9] else (),
                fields[10],
                headers,
                fin,
            )
        except UnicodeDecodeError:
            raise RemoteProtocolError("an OPEN frame's text is not UTF-8") from None
        self._streams[stream_id] = stream
        events.append(event)

    def _known(self, stream_id: int) -> Stream | None:
        """The stream, or None if it has ended; what crosses its end on the way is ignored."""
        stream = self._streams.get(stream_id)
        if stream is None and not 0 < stream_id <= self._last_stream:
            raise RemoteProtocolError(f"a frame for stream {stream_id}, which was never opened")
        return stream

    def _receive(self, stream: Stream, given: int) -> int:
        state = NEXT[stream.state][given]
        if state < 0:
            raise RemoteProtocolError(
                f"{INPUT_NAMES[given]} for stream {stream.id} in state {STATE_NAMES[stream.state]}"
            )
        return state

    def _got_head(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        status, accept, subprotocol, headers = frames.unpack_head(payload)
        if len(payload) > self.limits.max_header_block:
            raise RemoteProtocolError("a HEAD frame's headers are too long")
        if stream is None or stream.state == CLOSED:
            return
        state = self._receive(stream, ACCEPT if accept else HEAD)
        fin = bool(flags & FIN)
        if fin:
            stream.state = state
            state = self._receive(stream, RESPONSE_FIN)
        stream.state = state
        events.append(Head(stream_id, status, headers, accept, subprotocol.decode("latin-1"), fin))
        if state == CLOSED:
            self._settle(stream)

    def _got_data(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        size = len(payload)
        self._link_credit -= size
        self._link_owed += size
        if size > self.limits.max_data or self._link_credit < 0:
            raise self._fail("more bytes came than the link's window allows", ResetCode.FLOW)
        stream = self._known(stream_id)
        if stream is None or stream.state == CLOSED:
            return
        data_input, fin_input, _ = self._got
        fin = bool(flags & FIN)
        if stream.state == ANSWERED and not self._is_hub:  # nobody reads it; a RESET is on its way
            stream.state = CLOSED if fin else ANSWERED
            self._settle(stream)
            return
        if size or not fin:
            stream.state = self._receive(stream, data_input)
        if fin:
            stream.state = self._receive(stream, fin_input)
        if size:
            if not stream.receive.received(size):
                raise self._fail(f"more bytes came than stream {stream_id}'s window allows", ResetCode.FLOW)
            self._held += size
        events.append(Data(stream_id, payload, fin, bool(flags & TEXT), bool(flags & MESSAGE_END)))
        if stream.state == CLOSED:
            self._settle(stream)

    def _got_close(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        code, reason = frames.unpack_close(payload)
        if stream is None or stream.state == CLOSED:
            return
        stream.state = self._receive(stream, self._got[2])
        self._outbox.drop(stream)
        events.append(Close(stream_id, code, reason))
        self._settle(stream)

    def _got_window(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        credit = frames.unpack_window(payload)
        if stream_id == 0:
            if self._outbox.link_credit + credit > frames.MAX_STREAM_ID:
                raise RemoteProtocolError("the link's window is too large")
            self._outbox.link_credited(credit)
            return
        stream = self._known(stream_id)
        if stream is not None:
            stream.send_credit += credit
            if stream.send_credit > frames.MAX_STREAM_ID:
                raise RemoteProtocolError(f"stream {stream_id}'s window is too large")
            self._outbox.credited(stream)

    def _got_reset(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        stream = self._known(stream_id)
        code, reason = frames.unpack_reset(payload)
        if stream is not None and (stream.state != CLOSED or stream.queue):
            stream.state = CLOSED
            self._outbox.drop(stream)
            events.append(Reset(stream_id, code, reason))
            self._settle(stream)

    def _got_ping(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if len(payload) != 8:
            raise RemoteProtocolError("a PING's payload is not 8 bytes long")
        self._outbox.control(frames.pack(frames.PONG, 0, 0, payload))

    def _got_pong(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        if len(payload) != 8:
            raise RemoteProtocolError("a PONG's payload is not 8 bytes long")

    def _got_goaway(self, stream_id: int, flags: int, payload: bytes, now: float, events: list[Event]) -> None:
        last_stream, code, jitter, reason = frames.unpack_goaway(payload)
        self._going_away = True
        events.append(GoAway(last_stream=last_stream, code=code, retry_jitter=jitter / 1000, reason=reason))


_BEFORE_HANDSHAKE = frozenset({frames.HELLO, frames.WELCOME, frames.GOAWAY})
