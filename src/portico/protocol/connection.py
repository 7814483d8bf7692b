"""One end of a link, without I/O.

The owner feeds it each message of the transport (`Connection.receive_message`) and the time, gets events, calls the
``send_*`` methods, and writes what `Connection.data_to_send` returns until that is empty. Whatever the other end
sends gives events or a `RemoteProtocolError`, after which the connection is closed and the owner should write what
is left (a GOAWAY) and close the transport. Calls that the state forbids raise `LocalProtocolError` and change nothing.

What may be added here: what an owner may ask or say. How bytes become events is in `receiver`, how frames become
batches in `outbox`, how far the link has come in `lifecycle`, what streams hold in `streams`. What may not be added to
any of them: a clock, a callback, what an app or a user is.

It has more than 400 lines, half of them docstrings, since it is the whole surface that an owner sees. Cut in two, that
would be two objects to hold for one link, or one more call for each frame.
"""

from __future__ import annotations

from enum import Enum

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.protocol import frames, handshake
from portico.protocol.events import Ack, Event, Hello, Register, Unregister, Welcome
from portico.protocol.flow_control import Limits
from portico.protocol.frames import FIN, HEADER_SIZE, MESSAGE_END, TEXT, Kind, ResetCode
from portico.protocol.lifecycle import Lifecycle
from portico.protocol.outbox import Outbox
from portico.protocol.receiver import Receiver
from portico.protocol.stream import (
    ACCEPT,
    CLOSE_MARK,
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
        self._is_hub = is_hub = role is Role.HUB
        self._outbox = Outbox(limits)
        self._life = Lifecycle(is_hub, limits, self._outbox, now)
        self._streams = Streams(is_hub, limits, self._outbox)
        self._receiver = Receiver(limits, self._life, self._streams, self._outbox)
        # the inputs of stream.TRANSITIONS that this end's frames stand for
        if is_hub:
            self._data, self._fin, self._close = REQUEST_DATA, REQUEST_FIN, REQUEST_CLOSE
        else:
            self._data, self._fin, self._close = RESPONSE_DATA, RESPONSE_FIN, RESPONSE_CLOSE

    # --- what the owner may ask ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the link has ended: by `close`, or for what the other end did."""
        return self._life.closed

    @property
    def ready(self) -> bool:
        """Whether the handshake is done and the link takes new streams."""
        life = self._life
        return life.welcomed and not life.closed and not life.going_away

    @property
    def can_open(self) -> bool:
        """Whether `open_stream` would be let through now: by what the other end takes, and by this end's own limits."""
        life, streams, limits = self._life, self._streams, self.limits
        peer, count = life.peer, len(streams.by_id)
        return (
            peer is not None
            and life.welcomed
            and not life.closed
            and not life.going_away
            and count < peer.max_streams
            and count < limits.max_streams
            and streams.held < limits.max_held
            and self._outbox.control_size * 2 < limits.max_control
        )

    @property
    def going_away(self) -> bool:
        """Whether either end said GOAWAY."""
        return self._life.going_away

    @property
    def streams(self) -> int:
        """How many streams have not ended, or ended with bytes that are still unsent or unconsumed."""
        return len(self._streams.by_id)

    @property
    def held(self) -> int:
        """Bytes that came on streams and are not consumed."""
        return self._streams.held

    def silence(self, now: float) -> float:
        """Seconds since the last bytes came."""
        return now - self._life.last_received

    @property
    def unsent_streams(self) -> set[int]:
        """The streams of which the other end cannot have heard: their OPEN still waits."""
        return self._outbox.unsent_opens()

    def queued(self, stream_id: int) -> int:
        """Bytes of a stream that wait to be sent; for a WebSocket with 64 more for each message."""
        stream = self._streams.by_id.get(stream_id)
        return stream.waiting if stream else 0

    # --- the handshake and registrations ------------------------------------------------------------------------

    def send_hello(self, hello: Hello) -> None:
        """Introduce the provider. Must be its first call; `Welcome` or `GoAway` comes back."""
        life = self._life
        if self._is_hub or life.introduced or life.closed:
            raise LocalProtocolError("HELLO is a provider's first frame, and sent once")
        frame = handshake.pack_hello(hello, self.limits)
        if len(frame) > self.limits.max_hello:
            raise LocalProtocolError(f"HELLO is {len(frame)} bytes long; at most {self.limits.max_hello} are read")
        life.introduced = True
        self._outbox.control(frame)

    def send_welcome(self, welcome: Welcome) -> None:
        """Let the provider in, after `Hello`."""
        life = self._life
        if not self._is_hub or not life.introduced or life.welcomed or life.closed:
            raise LocalProtocolError("WELCOME answers a HELLO, once")
        self._send_control(handshake.pack_welcome(welcome, self.limits))
        life.welcomed = True

    def send_register(self, register: Register) -> None:
        """Ask to publish a service (provider only); `Ack` comes back."""
        if self._is_hub:
            raise LocalProtocolError("services are registered by a provider")
        self._check_welcomed()
        self._send_control(handshake.pack_register(register))

    def check_register(self, register: Register) -> None:
        """Raise `LocalProtocolError` if *register* is longer than what the other end reads, once that is known."""
        self._check_control(handshake.pack_register(register))

    def send_unregister(self, unregister: Unregister) -> None:
        """Take a service back: a provider's wish, or a hub's decision that the provider is told of."""
        self._check_welcomed()
        self._send_control(handshake.pack_unregister(unregister))

    def send_ack(self, ack: Ack) -> None:
        """Answer a `Register` or an `Unregister` (hub only)."""
        if not self._is_hub:
            raise LocalProtocolError("an ACK is a hub's answer")
        self._check_welcomed()
        self._send_control(handshake.pack_ack(ack))

    def _check_welcomed(self) -> None:
        if not self._life.welcomed or self._life.closed:
            raise LocalProtocolError("services are registered and taken back after WELCOME")

    def _send_control(self, frame: bytes) -> None:
        self._check_control(frame)
        self._outbox.control(frame)

    def _check_control(self, frame: bytes) -> None:
        peer = self._life.peer  # known for what is sent: WELCOME and what comes after it follow its settings
        if peer is not None and len(frame) - HEADER_SIZE > peer.max_control_frame:
            raise LocalProtocolError(
                f"a control frame of {len(frame)} bytes: the other end reads at most {peer.max_control_frame}"
            )

    def send_goaway(self, code: ResetCode, reason: str, *, retry_jitter: float = 0.0) -> None:
        """Say that no new streams are taken, and that the link is to be closed.

        *retry_jitter* (seconds) spreads the other end's return. Streams in flight may end.
        """
        if not self._life.closed:
            self._life.go_away(self._streams.last_id, code, reason, retry_jitter)

    def close(self, code: ResetCode = ResetCode.NO_ERROR, reason: str = "") -> None:
        """End the link: a GOAWAY is queued, all streams are forgotten, and what still comes is ignored."""
        if not self._life.closed:
            self.send_goaway(code, reason)
            self._life.closed = True
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

        Raises `LocalProtocolError` when `can_open` is False, or when the request's head is longer than the provider
        reads (64 KiB by default).
        """
        if not self._is_hub or not self.can_open:
            raise LocalProtocolError("no stream can be opened on this link now")
        peer = self._life.peer
        assert peer is not None  # or `can_open` would be False
        stream_id = self._streams.last_id + 1
        try:
            frame = frames.pack_open(
                stream_id,
                FIN if fin else 0,
                kind=kind,
                service=service.encode(),
                method=method.encode("latin-1"),
                scheme=scheme.encode("latin-1"),
                http_version=http_version.encode("latin-1"),
                raw_path=raw_path,
                query=query,
                root_path=root_path.encode(),
                client=(client[0].encode(), client[1]) if client else (b"", 0),
                server=(server[0].encode(), server[1]) if server else (b"", 0),
                subprotocols=",".join(subprotocols).encode(),
                identity=identity,
                headers=headers,
            )
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"a field of the request cannot be written: {error}") from None
        if len(frame) - HEADER_SIZE > peer.max_header_block:
            raise LocalProtocolError(f"the request's head exceeds the {peer.max_header_block} bytes that are read")
        self._outbox.control(frame)
        self._streams.add(stream_id, kind, fin, peer.stream_window, now)
        if stream_id == frames.MAX_STREAM_ID:
            self.send_goaway(ResetCode.NO_ERROR, "the link has used up its stream ids")
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
        peer = self._life.peer
        if self._is_hub or peer is None:
            raise LocalProtocolError("only a provider sends HEAD")
        state = self._next(stream.state, ACCEPT if accept else HEAD)
        if fin:
            state = self._next(state, RESPONSE_FIN)
        try:
            name = subprotocol.encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError(f"{subprotocol!r} is no subprotocol") from None
        frame = frames.pack_head(stream_id, FIN if fin else 0, status, headers, accept, name)
        if len(frame) - HEADER_SIZE > peer.max_header_block:
            raise LocalProtocolError(f"the response's headers exceed the {peer.max_header_block} bytes that are read")
        self._outbox.control(frame)
        stream.state = state
        if fin:
            self._streams.sent_all(stream)

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

        Returns how many bytes of this stream wait now, as `queued` counts them; above ``limits.queue_high`` the owner
        should wait until `low_streams` names the stream (see `notify_low`).
        """
        stream = self._sendable(stream_id)
        state, overhead = stream.state, stream.overhead
        if data or not fin:
            state = self._next(state, self._data)
        if fin:
            state = self._next(state, self._fin)
        stream.state = state
        if overhead:
            flags = (FIN if fin else 0) | (TEXT if text else 0) | (MESSAGE_END if message_end else 0)
            self._outbox.enqueue(stream, data, flags)
            return stream.queued + overhead * len(stream.queue)
        if data or fin:  # an empty piece of a body means nothing; an empty message does
            self._outbox.enqueue(stream, data, FIN if fin else 0)  # a body has neither text nor messages
        return stream.queued

    def send_close(self, stream_id: int, code: int, reason: str = "") -> None:
        """Close a WebSocket stream, after what is queued on it. The stream ends."""
        stream = self._sendable(stream_id)
        state = self._next(stream.state, self._close)
        frame = frames.pack_close(stream_id, code, reason)
        stream.state = state
        self._outbox.enqueue(stream, frame, CLOSE_MARK)

    def send_reset(self, stream_id: int, code: ResetCode, reason: str = "") -> None:
        """Give a stream up; what waits on it is dropped. Nothing happens if it has ended."""
        stream = self._streams.by_id.get(stream_id)
        if stream is not None:
            self._streams.reset(stream, code, reason)

    def consumed(self, stream_id: int, count: int, now: float) -> None:
        """Say that *count* bytes of the stream's `Data` are used up, so that the other end may send more.

        To be called for an empty WebSocket message too (with 0): it takes some of the window, as every message does.
        Nothing happens if the stream is over or forgotten; `LocalProtocolError` if it does not hold as much.
        """
        stream = self._streams.by_id.get(stream_id)
        if stream is not None:
            self._streams.consumed(stream, count, now)

    def keep(self, stream_id: int, count: int, pieces: int = 1) -> bool:
        """Say that *count* bytes, which came in *pieces* frames, are kept until the rest of their message has come.

        The other end may send as much more; the bytes still count as held, until they are `consumed`. False if the
        link's streams hold more than ``limits.max_held`` together: then the rest will not come, and the stream should
        be given up. True if the stream is over.
        """
        stream = self._streams.by_id.get(stream_id)
        return stream is None or self._streams.keep(stream, count, pieces)

    def forget(self, stream_id: int) -> None:
        """Say that nothing more of the stream will be consumed.

        What was queued on one that this end has finished still goes out; one that it has not is reset.
        """
        stream = self._streams.by_id.get(stream_id)
        if stream is not None:
            self._streams.forget(stream)

    def notify_low(self, stream_id: int) -> None:
        """Ask that `low_streams` names the stream once at most ``limits.queue_low`` bytes wait on it."""
        stream = self._streams.by_id.get(stream_id)
        if stream is not None:
            self._outbox.notify_low(stream)

    def _sendable(self, stream_id: int) -> StreamRecord:
        stream = self._streams.by_id.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"stream {stream_id} is not open")
        return stream

    def _next(self, state: int, given: int) -> int:
        following = NEXT[state][given]
        if following < 0:
            raise LocalProtocolError(f"{INPUT_NAMES[given]} in state {STATE_NAMES[state]}")
        return following

    # --- input, output, time ------------------------------------------------------------------------------------

    def receive_message(self, message: bytes, now: float) -> list[Event]:
        """Take one message of the transport and return what it means.

        Raises `RemoteProtocolError`, and closes the connection, for anything the protocol does not allow.
        """
        if self._life.closed:
            return []
        try:
            return self._receiver.receive(message, now)
        except RemoteProtocolError as error:
            self._fail(error)
            raise

    def data_to_send(self) -> bytes:
        """The next message for the transport, or b"". Call again until it is empty or the transport is full."""
        outbox = self._outbox
        message = outbox.batch()
        if outbox.finished:
            finished, outbox.finished = outbox.finished, []
            for stream in finished:
                self._streams.sent_all(stream)
        return message

    @property
    def has_output(self) -> bool:
        """Whether `data_to_send` may have something to return."""
        return bool(self._outbox)

    def low_streams(self) -> list[int]:
        """The streams whose queue ran low since the last call, of those that `notify_low` named."""
        low = self._outbox.low
        if low:
            self._outbox.low = []
        return low

    def handle_timer(self, now: float) -> list[Event]:
        """Do what the time asks for; raises `RemoteProtocolError` if the handshake took too long.

        To be called about once a second.
        """
        if self._life.closed:
            return []
        try:
            self._receiver.check_reading()
            return self._life.handle_timer(now)
        except RemoteProtocolError as error:
            self._fail(error)
            raise

    def _fail(self, error: RemoteProtocolError) -> None:
        """Leave nothing to send but the reason."""
        self._streams.clear()
        self._outbox.clear()
        self._life.said_goaway = False
        self.close(self._receiver.blame, str(error))
