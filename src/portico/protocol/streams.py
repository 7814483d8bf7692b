"""The streams of one link, and the book-keeping that the sending and the receiving half share: who is there, what they
hold together, what their windows may still grow by, and when a stream is over for good.

Nothing here reads a frame; which input a state allows is the table's to say (`portico.protocol.stream`).
"""

from __future__ import annotations

from portico.errors import LocalProtocolError
from portico.protocol import frames
from portico.protocol.flow_control import Limits
from portico.protocol.frames import Kind, ResetCode
from portico.protocol.outbox import Outbox
from portico.protocol.stream import ANSWERED, CLOSED, NEXT, REQUEST_FIN, StreamRecord

_HTTP = int(Kind.HTTP)


class Streams:
    """The streams of one link that are not over."""

    __slots__ = ("_is_hub", "_limits", "_outbox", "by_id", "growth_left", "held", "last_id")

    def __init__(self, is_hub: bool, limits: Limits, outbox: Outbox) -> None:
        self._is_hub = is_hub
        self._limits = limits
        self._outbox = outbox
        self.by_id: dict[int, StreamRecord] = {}
        self.last_id = 0
        """The newest stream's. Ids count up from 1, without gaps."""
        self.held = 0
        """Bytes that came on all of them and are not consumed."""
        self.growth_left = limits.max_held
        """What their receiving windows may grow by, in all."""

    @property
    def full(self) -> bool:
        """Whether no stream more can be let in."""
        return len(self.by_id) >= self._limits.max_streams or self.held >= self._limits.max_held

    def add(self, stream_id: int, kind: int, fin: bool, send_credit: int, now: float) -> None:
        stream = StreamRecord(stream_id, kind, send_credit, self._limits.stream_window, now)
        if fin and kind == _HTTP:
            stream.state = NEXT[stream.state][REQUEST_FIN]
        self.by_id[stream_id] = stream
        self.last_id = stream_id

    def consumed(self, stream: StreamRecord, count: int, now: float) -> None:
        """Give credit back, or end *stream* if this was all that it waited for."""
        window = stream.receive
        if not 0 <= count <= window.held:
            if window.held == 0 and stream.state in (ANSWERED, CLOSED):  # forgotten, while its last bytes go out
                return
            raise LocalProtocolError(f"{count} bytes consumed of the {window.held} that stream {stream.id} holds")
        self.held -= count
        limits = self._limits
        maximum = limits.max_stream_window if stream.state != CLOSED else 0
        allowance = self.growth_left if self.held * 2 <= limits.max_held else 0
        credit, growth = window.consumed(count, now, maximum, allowance)
        self.growth_left -= growth
        self._end_or_credit(stream, credit)

    def keep(self, stream: StreamRecord, count: int, pieces: int) -> bool:
        """Let the rest of a message come, of which *count* bytes in *pieces* frames stay held. False: too much is."""
        if self.held > self._limits.max_held:
            return False
        credit = stream.receive.keep(count, pieces * stream.overhead)
        if credit and stream.state != CLOSED:
            self._outbox.control(frames.pack_window(stream.id, credit))
        return True

    def throw_away(self, stream: StreamRecord, size: int) -> bool:
        """*size* bytes came that nobody will read: *stream* was closed here. False if its window does not allow them.

        Their credit goes back all the same: the other end's CLOSE may wait behind them, and ours behind what it has
        closed its ears to.
        """
        window = stream.receive
        if not window.received(size, stream.overhead):
            return False
        credit, _ = window.consumed(size, window.since, 0, 0)
        self._end_or_credit(stream, credit)
        return True

    def forget(self, stream: StreamRecord) -> None:
        """Throw away what *stream* holds. What this end has said whole still goes out; else *stream* is reset."""
        window = stream.receive
        if stream.state == CLOSED:
            if not stream.queue:
                self.end(stream)
                return
            self.held -= window.held
            credit, _ = window.consumed(window.held, window.since, 0, 0)
            self._end_or_credit(stream, credit)
        elif stream.state == ANSWERED and not self._is_hub:
            self.held -= window.held
            window.held = 0
        else:
            self.reset(stream, ResetCode.CANCEL, "")

    def _end_or_credit(self, stream: StreamRecord, credit: int) -> None:
        if stream.state == CLOSED and not stream.queue:
            self.settle(stream)
        elif credit:
            self._outbox.control(frames.pack_window(stream.id, credit))

    def reset(self, stream: StreamRecord, code: ResetCode, reason: str) -> None:
        """End *stream* at both ends, unless the other end has nothing to learn from it."""
        if stream.state != CLOSED or stream.queue:
            self._outbox.control(frames.pack_reset(stream.id, code, reason))
        self.end(stream)

    def sent_all(self, stream: StreamRecord) -> None:
        """This end's last frame on *stream* has gone out."""
        if stream.state == ANSWERED and not self._is_hub:
            # the response is whole: nobody needs the rest of the upload
            self.reset(stream, ResetCode.NO_ERROR, "")
        else:
            self.settle(stream)

    def settle(self, stream: StreamRecord) -> None:
        """Drop *stream* if it is closed and nothing of it waits on either side."""
        if stream.state == CLOSED and not stream.queue and stream.receive.held == 0:
            self.end(stream)

    def end(self, stream: StreamRecord) -> None:
        """Drop *stream* and all that it holds."""
        if self.by_id.pop(stream.id, None) is None:
            return
        stream.state = CLOSED
        if stream.queue:
            self._outbox.drop(stream)
        window = stream.receive
        self.held -= window.held
        window.held = 0
        self.growth_left += window.size - self._limits.stream_window

    def clear(self) -> None:
        for stream in list(self.by_id.values()):
            self.end(stream)
