"""A link: one `Connection` over one transport. The only read loop, writer and timer.

Here the sans-I/O protocol meets the event loop, by callbacks: a message of the transport becomes events, each event
one call of its stream's handler; what handlers send is written once a turn of the loop. What services, visitors and
apps are is for the rooms above. All calls must come from the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from portico.errors import LinkClosed, RemoteProtocolError
from portico.log_text import shown
from portico.protocol import Connection, ResetCode
from portico.protocol.events import Close, Data, Event, GoAway, Head, LinkEvent, Open, Reset
from portico.transports.transport import Transport
from portico.types import Headers

logger = logging.getLogger(__name__)

_TICK = 1.0  # seconds between looks at the clock: the protocol's times are 5 s and more


class StreamHandler(Protocol):
    """What a stream's owner is told."""

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: Data) -> None:
        """Bytes came. `Stream.consumed` must be called for them, sooner or later."""

    def on_close(self, code: int, reason: str) -> None:
        """The WebSocket was closed. The stream has ended."""

    def on_reset(self, code: ResetCode, reason: str) -> None:
        """The other end gave the stream up, or the link is gone. The stream has ended."""

    def on_writable(self) -> None:
        """The stream takes data again, after `Stream.send_data` said False."""


class LinkHandler(Protocol):
    """What a link's owner is told."""

    def on_event(self, link: Link, event: LinkEvent) -> None: ...

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        """A visitor's request came (provider only)."""

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        """The link is gone; every stream's handler has had its ``on_reset``. Called once."""


class Stream:
    """The owner's end of one stream of a link."""

    __slots__ = ("handler", "id", "link")

    def __init__(self, link: Link, stream_id: int, handler: StreamHandler) -> None:
        self.link = link
        self.id = stream_id
        self.handler = handler

    def send_head(
        self, status: int, headers: Headers, *, accept: bool = False, subprotocol: str = "", fin: bool = False
    ) -> None:
        self.link.connection.send_head(self.id, status, headers, accept=accept, subprotocol=subprotocol, fin=fin)
        self.link.flush_soon()

    def send_data(
        self, data: bytes | memoryview, *, fin: bool = False, text: bool = False, message_end: bool = False
    ) -> bool:
        """Queue *data*, uncopied. False when the owner should wait for ``on_writable`` before sending more."""
        link = self.link
        connection = link.connection
        queued = connection.send_data(self.id, data, fin=fin, text=text, message_end=message_end)
        link.flush_data()
        if queued > connection.limits.queue_high and connection.queued(self.id) > connection.limits.queue_high:
            connection.notify_low(self.id)
            return False
        return True

    def send_close(self, code: int, reason: str = "") -> None:
        self.link.connection.send_close(self.id, code, reason)
        self.link.flush_soon()

    def reset(self, code: ResetCode, reason: str = "") -> None:
        """Give the stream up, and hear no more of it."""
        self.link.streams.pop(self.id, None)
        self.link.connection.send_reset(self.id, code, reason)
        self.link.flush_soon()

    def consumed(self, count: int) -> None:
        """Say that *count* bytes that came are used up. For an empty WebSocket message, say 0."""
        link = self.link
        link.connection.consumed(self.id, count, link.time())
        if link.connection.has_output:
            link.flush_soon()

    def keep(self, count: int, pieces: int = 1) -> bool:
        """Say that *count* bytes, which came in *pieces* frames, wait for the rest of their message, which may come.

        They are to be `consumed` with it. False if too much waits on this link: give the stream up.
        """
        link = self.link
        kept = link.connection.keep(self.id, count, pieces)
        if link.connection.has_output:
            link.flush_soon()
        return kept

    def release(self) -> None:
        """Hear no more of the stream, and consume no more. To be called for every stream, once.

        What was sent whole still goes out; a stream that has not ended is reset.
        """
        link = self.link
        link.streams.pop(self.id, None)
        link.connection.forget(self.id)  # even when it has ended: it may hold what nobody will consume now
        if link.connection.has_output:
            link.flush_soon()


class Link:
    """A connection that lives on a transport, from `start` to ``handler.on_closed``."""

    def __init__(self, connection: Connection, transport: Transport, handler: LinkHandler) -> None:
        self.connection = connection
        self.transport = transport
        self.handler = handler
        self.streams: dict[int, Stream] = {}
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        self._flush_scheduled = False
        self._alone = True
        """Nothing was written at once in this turn yet."""
        self._deferred: list[Callable[[], None]] = []
        self._receiving = False
        self._timer: asyncio.TimerHandle | None = None
        self._said_goaway = ""
        self._last_begun: int | None = None
        """The newest stream of which the other end had heard when it said GOAWAY."""
        self.closed = False

    def start(self) -> None:
        """Begin to receive."""
        self._timer = self._loop.call_later(_TICK, self._tick)
        self.transport.start(self)
        self.flush_soon()

    def adopt(self, stream_id: int, handler: StreamHandler) -> Stream:
        """Deliver the events of *stream_id*, just opened on ``connection``, to *handler*."""
        stream = self.streams[stream_id] = Stream(self, stream_id, handler)
        self.flush_data()
        return stream

    def after_batch(self, callback: Callable[[], None]) -> None:
        """Call *callback* once the message that is being received is through, or now if none is.

        So a handler can join what came together: a head and its body are one write to the visitor.
        """
        if self._receiving:
            self._deferred.append(callback)
        else:
            callback()

    # --- writing ------------------------------------------------------------------------------------------------

    def flush_soon(self) -> None:
        """Write what waits, at the end of this turn of the loop."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def flush_data(self) -> None:
        """Write what waits: at once where one stream is alone on the link, else at the end of this turn.

        A lone request or message should not wait for a turn of the loop; what follows it in the same turn does, so
        that many small writes still become one message.
        """
        if self._alone and len(self.streams) <= 1:
            self._alone = False
            self.flush_soon()
            self._write()
        else:
            self.flush_soon()

    def _flush(self) -> None:
        self._flush_scheduled = False
        self._alone = True
        self._write()

    def _write(self) -> None:
        connection, transport = self.connection, self.transport
        while transport.writable:
            message = connection.data_to_send()
            if not message:
                break
            transport.send(message)
        for stream_id in connection.low_streams():
            stream = self.streams.get(stream_id)
            if stream is not None:
                try:
                    stream.handler.on_writable()
                except Exception:  # one stream's handler must not end the link for the others
                    logger.exception("a handler failed on being writable")
                    self._give_up(stream_id)

    def _write_last(self) -> None:
        """Hand over what a closed connection still says, a GOAWAY above all, full or not."""
        while message := self.connection.data_to_send():
            self.transport.send(message)

    def transport_writable(self) -> None:
        self._write()

    # --- reading ------------------------------------------------------------------------------------------------

    def message_received(self, message: bytes) -> None:
        try:
            events = self.connection.receive_message(message, self.time())
        except RemoteProtocolError as error:
            self._fail(error)
            return
        self._receiving = True
        try:
            for event in events:
                try:
                    self._deliver(event)
                except Exception:  # one stream's handler must not end the link for the others
                    logger.exception("a handler failed on %s", type(event).__name__)
                    if isinstance(event, Open | Head | Data | Close | Reset):
                        self._give_up(event.stream_id)
        finally:
            self._receiving = False
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            for callback in deferred:
                try:
                    callback()
                except Exception:  # as above
                    logger.exception("a handler failed after a batch")
        if self.connection.has_output:
            self.flush_soon()

    def _deliver(self, event: Event) -> None:
        if self.closed:  # by a handler, in this very batch: all have been told
            return
        if isinstance(event, Data):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.handler.on_data(event)
        elif isinstance(event, Head):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.handler.on_head(event)
        elif isinstance(event, Open):
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id, NOBODY)
            stream.handler = self.handler.on_open(stream, event)
        elif isinstance(event, Close):
            stream = self.streams.pop(event.stream_id, None)
            if stream is not None:
                stream.handler.on_close(event.code, event.reason)
        elif isinstance(event, Reset):
            stream = self.streams.pop(event.stream_id, None)
            if stream is not None:
                stream.handler.on_reset(event.code, event.reason)
        else:
            if isinstance(event, GoAway):
                self._said_goaway = event.reason
                if self._last_begun is None:
                    self._last_begun = event.last_stream
            self.handler.on_event(self, event)

    def _give_up(self, stream_id: int) -> None:
        """Reset a stream whose handler raised; it is told, so that what waits for the stream ends."""
        self.connection.send_reset(stream_id, ResetCode.APP_ERROR, "internal error")
        self.flush_soon()
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            try:
                stream.handler.on_reset(ResetCode.APP_ERROR, "internal error")
            except Exception:  # it had its chance
                logger.exception("a handler failed on the reset of its stream")

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick)
        try:
            events = self.connection.handle_timer(self.time())
        except RemoteProtocolError as error:
            self._fail(error)
            return
        for event in events:
            try:
                self._deliver(event)
            except Exception:  # as in message_received
                logger.exception("a handler failed on %s", type(event).__name__)
        if self.connection.has_output:
            self.flush_soon()

    # --- the end ------------------------------------------------------------------------------------------------

    def _fail(self, error: RemoteProtocolError) -> None:
        logger.warning("a link is closed for a protocol error: %s", shown(str(error)))
        self._write_last()
        self.transport.close(1002, str(error)[:100])
        self._end(str(error))

    def close(self, code: ResetCode = ResetCode.NO_ERROR, reason: str = "", *, retry_jitter: float = 0.0) -> None:
        """Close at once: streams are reset, a GOAWAY goes out, the transport closes."""
        if not self.closed:
            self.connection.send_goaway(code, reason, retry_jitter=retry_jitter)
            self.connection.close()
            self._write_last()
            self.transport.close(1000, reason)
            self._end(reason or "closed by this end")

    def transport_closed(self, reason: str) -> None:
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        unsent = self.connection.unsent_streams
        self.connection.close()
        if self._timer is not None:
            self._timer.cancel()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            try:
                never = stream.id in unsent or (self._last_begun is not None and stream.id > self._last_begun)
                code = ResetCode.REFUSED if never else ResetCode.CANCEL  # never started, or perhaps
                stream.handler.on_reset(code, f"the link is gone: {reason}")
            except Exception:  # the others must hear of it too
                logger.exception("a handler failed on the link's end")
        self.handler.on_closed(self, LinkClosed(reason, self._said_goaway))


class Nobody:
    """The handler of a stream that has no other: its own is being made, or it was turned away."""

    def on_head(self, head: Head) -> None: ...
    def on_data(self, data: Data) -> None: ...
    def on_close(self, code: int, reason: str) -> None: ...
    def on_reset(self, code: ResetCode, reason: str) -> None: ...
    def on_writable(self) -> None: ...


NOBODY = Nobody()
