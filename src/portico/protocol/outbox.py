"""What waits to be sent, and in which order: control frames first, then the streams in turn, as credit allows.

Nothing here knows what a frame means; streams come with payloads that their table has already let through.
"""

from __future__ import annotations

from collections import deque

from portico.protocol.flow_control import Limits
from portico.protocol.frames import DATA, FIN, HEADER, HEADER_SIZE, MESSAGE_END, OPEN
from portico.protocol.stream import CLOSE_MARK, StreamRecord

# Below this much room a batch is full: slices of a few bytes would cost a frame each.
_SMALLEST_SLICE = 1024


class Outbox:
    """The frames of one link that wait to be written."""

    __slots__ = (
        "_control",
        "_queue_low",
        "_ready",
        "_starved",
        "control_size",
        "finished",
        "link_credit",
        "low",
        "max_batch",
        "max_data",
    )

    def __init__(self, limits: Limits) -> None:
        self._control: deque[bytes] = deque()
        self.control_size = 0
        self._ready: deque[StreamRecord] = deque()
        self._starved: deque[StreamRecord] = deque()
        self.max_batch = limits.max_batch
        self._queue_low = limits.queue_low
        self.link_credit = 0
        self.max_data = limits.max_data
        self.low: list[int] = []
        """Streams whose queue ran low and that asked to hear of it."""
        self.finished: list[StreamRecord] = []
        """Streams that this end has finished, and whose last frame has gone out."""

    def __bool__(self) -> bool:
        return bool(self._control or self._ready)

    def control(self, frame: bytes) -> None:
        """Queue *frame* before all data."""
        self._control.append(frame)
        self.control_size += len(frame)

    def enqueue(self, stream: StreamRecord, payload: bytes | memoryview, flags: int) -> None:
        stream.queue.append((payload, flags))
        stream.queued += len(payload)
        if not stream.ready:
            stream.ready = True
            self._ready.append(stream)

    def credited(self, stream: StreamRecord) -> None:
        """*stream* got credit: give it its turn."""
        if stream.queue and not stream.ready:
            stream.ready = True
            self._ready.append(stream)

    def link_credited(self, credit: int) -> None:
        self.link_credit += credit
        self._ready.extend(self._starved)
        self._starved.clear()

    def notify_low(self, stream: StreamRecord) -> None:
        """Put *stream* into ``low`` once at most ``queue_low`` bytes of it wait."""
        if stream.waiting <= self._queue_low:
            self.low.append(stream.id)
        else:
            stream.notify = True

    def drop(self, stream: StreamRecord) -> None:
        """Forget what *stream* had to send."""
        stream.queue.clear()
        stream.queued = 0  # it leaves the round-robin when its turn comes

    def clear(self) -> None:
        """Forget all that waits."""
        self._control.clear()
        self.control_size = 0
        for stream in (*self._ready, *self._starved):
            self.drop(stream)
            stream.ready = False
        self._ready.clear()
        self._starved.clear()

    def unsent_opens(self) -> set[int]:
        """The streams whose OPEN still waits: nobody has begun them."""
        headers = (HEADER.unpack_from(frame) for frame in self._control)
        return {stream_id for frame_type, _, _, stream_id, _ in headers if frame_type == OPEN}

    def batch(self) -> bytes:
        """The next message for the transport: whole frames, at most ``max_batch`` bytes; b"" if there is none."""
        control, ready = self._control, self._ready
        if not ready and self.control_size <= self.max_batch:
            message = b"".join(control)
            control.clear()
            self.control_size = 0
            return message
        parts: list[bytes | memoryview] = []
        room = self.max_batch
        while control and (len(control[0]) <= room or not parts):
            frame = control.popleft()
            parts.append(frame)
            room -= len(frame)
            self.control_size -= len(frame)
        if not control:
            while ready and room >= _SMALLEST_SLICE:
                room -= self._take(ready.popleft(), parts, room)
        return b"".join(parts)

    def _take(self, stream: StreamRecord, parts: list[bytes | memoryview], room: int) -> int:
        """Put one frame of *stream* into *parts*; returns the bytes it took of *room*."""
        queue = stream.queue
        if not queue:  # dropped
            stream.ready = False
            return 0
        payload, flags = queue[0]
        if flags == CLOSE_MARK:
            queue.clear()
            stream.ready = False
            stream.queued = 0
            parts.append(payload)
            self.finished.append(stream)
            return len(payload)
        overhead = stream.overhead
        allowed = min(self.max_data, room - HEADER_SIZE, stream.send_credit - overhead, self.link_credit)
        if allowed < 0 or (allowed == 0 and len(payload)):
            if stream.send_credit > overhead:
                self._starved.append(stream)  # stays `ready`: it stands in this line instead
            else:
                stream.ready = False
            return 0
        frame_header = len(parts)
        parts.append(b"")  # its place
        size = 0
        if not overhead:
            sent_flags = 0
            while True:  # small writes of one turn go as one frame: a body has no borders
                length = len(payload)
                if size + length > allowed:
                    if size < allowed:
                        view = memoryview(payload)
                        cut = allowed - size
                        parts.append(view[:cut])
                        queue[0] = (view[cut:], flags)
                        size = allowed
                    break
                queue.popleft()
                parts.append(payload)
                size += length
                if flags:
                    sent_flags = flags & FIN
                    break
                if not queue:
                    break
                payload, flags = queue[0]
        else:
            sent_flags = flags
            length = len(payload)
            if length > allowed:
                view = memoryview(payload)
                parts.append(view[:allowed])
                queue[0] = (view[allowed:], flags)
                size = allowed
                sent_flags = flags & ~MESSAGE_END
            else:
                queue.popleft()
                parts.append(payload)
                size = length
        parts[frame_header] = HEADER.pack(DATA, sent_flags, 0, stream.id, size)
        stream.send_credit -= size + overhead
        self.link_credit -= size
        stream.queued -= size
        if stream.notify and stream.waiting <= self._queue_low:
            stream.notify = False
            self.low.append(stream.id)
        if queue:
            self._ready.append(stream)
        else:
            stream.ready = False
            if sent_flags & FIN:
                self.finished.append(stream)
        return size + HEADER_SIZE
