"""A visitor's request on its way through the hub: the stream on one side, the edge's connection on the other.

What comes in one message of the link is one write to the visitor. One write is under way at a time, and the bytes of
a stream are credited when the visitor has taken them, so a slow visitor holds back its own app and nobody else.
"""

from __future__ import annotations

import asyncio

from portico.errors import LocalProtocolError
from portico.hub.answers import Answer, provider_lost
from portico.hub.body_limit import too_large
from portico.hub.forward import REASONS, Admission, Forward
from portico.hub.replicas import Replica
from portico.hub.responders import GONE, Responder
from portico.hub.visits import Visit
from portico.protocol.events import Data, Head
from portico.protocol.frames import ResetCode
from portico.types import Headers

_MOST_KEPT = 64 * 1024  # bytes: most forms and questions to a model are shorter, most files longer


class HTTPForward(Forward):
    """The hub's handler of one HTTP stream."""

    __slots__ = (
        "_busy",
        "_chunks",
        "_failed",
        "_fin",
        "_finished",
        "_head",
        "_kept",
        "_responder",
        "_scheduled",
        "_size",
        "_started",
        "_uploaded",
        "_whole",
    )

    def __init__(
        self,
        visit: Visit,
        responder: Responder,
        *,
        fin: bool,
        headers: Headers | None = None,
        admission: Admission | None = None,
        alone: Replica | None = None,
    ) -> None:
        """*headers* are passed on instead of the request's own; *alone* is the only replica that may have it; the rest
        is as of a `Forward`."""
        Forward.__init__(self, visit, fin, admission)
        if headers is not None:
            self.headers = headers
        self.alone = alone
        self._responder = responder
        self._uploaded = 0
        self._kept: list[bytes] | None = None
        """What the app was sent of the request's body, while it is short and the app has not answered."""
        self._whole = False
        """The request's body has come to its end."""
        self._head: Head | None = None
        self._chunks: list[bytes] | None = None
        """What the app has sent, and the responder has not got."""
        self._size = 0
        self._fin = False
        """The answer has come to its end."""
        self._started = False
        """The head was handed to the responder."""
        self._busy = False
        self._finished = False
        self._failed: Answer | None = None
        self._scheduled = False

    # --- from the stream ----------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        self._head = head
        self._fin = head.fin
        self._kept = None
        self._schedule()

    def on_data(self, data: Data) -> None:
        if data.data:
            if self._chunks is None:
                self._chunks = [data.data]
            else:
                self._chunks.append(data.data)
            self._size += len(data.data)
        if data.fin:
            self._fin = True
        self._schedule()

    def on_close(self, code: int, reason: str) -> None:  # only WebSockets close
        pass

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self._wake_upload()
        if self._finished or self._fin:
            return  # the answer is whole; its upload is not wanted any more, or the link went after it
        if code == ResetCode.REFUSED and not self._started and self._try_again():
            return
        self._failed = REASONS.get(code, provider_lost)()
        self._schedule()

    def _schedule(self) -> None:
        """Write at the end of the message that is being received, so that what came together goes together."""
        if not self._scheduled and not self._busy and not self._finished:
            self._scheduled = True
            assert self.stream is not None
            self.stream.link.after_batch(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        if self._busy or self._finished:
            return
        head, size, fin = self._head, self._size, self._fin
        if self._failed is not None and not fin:
            self._fail(self._failed)
            return
        if head is None and not size and not (fin and self._started):
            return
        chunks = self._chunks
        if chunks is None:
            body = b""
        else:
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks = None
            self._size = 0
            self.visit.sent += size
        if head is not None:
            self._head = None
            self._started = True
            opener = self._opener
            assert opener is not None
            done = self._responder.respond(head.status, opener.clean(self, head.headers), body, fin)
        else:
            done = self._responder.write(body, fin)
        if fin:
            self._finished = True
        if done is None or done.done():
            self._written(size)
        else:
            self._busy = True
            done.add_done_callback(lambda _: self._written(size))

    def _written(self, size: int) -> None:
        self._busy = False
        stream = self.stream
        if stream is None:  # the exchange has ended meanwhile: the visitor left, or no server may write that answer
            return
        if self._finished:
            self._leave()
        else:
            if size:
                stream.consumed(size)
            if self._chunks is not None or self._fin or self._failed is not None:
                self._pump()

    def _fail(self, answer: Answer) -> None:
        self._finished = True
        if self._started:
            self._responder.cut()
        else:
            self._responder.answer(answer)
        self._leave()

    def _leave(self) -> None:
        Forward._leave(self)
        # No cycle is left behind: at thousands of requests a second the garbage collector would be felt.
        self._responder = GONE

    # --- from the gateway ---------------------------------------------------------------------------------------

    @property
    def repeatable(self) -> bool:
        """Whether the app has not answered, and all that was sent of the request's body is here still."""
        return self._head is None and not self._started and (self._uploaded == 0 or self._kept is not None)

    def moved(self) -> None:
        """The stream is open anew: send again what was sent of the body."""
        super().moved()
        if self.stream is not None:
            for piece in self._kept or ():
                self.stream.send_data(piece)
            if self._whole:
                self.upload_done()
        self._wake_upload()

    def refuse(self, answer: Answer) -> None:
        self._waiting = None
        if not self.over and not self._finished:
            self._fail(answer)

    # --- from the edge ------------------------------------------------------------------------------------------

    @property
    def uploading(self) -> bool:
        """Whether the app still wants the request's body."""
        return self.stream is not None and not self._finished and not self._fin

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Pass *data* of the request's body on. A future that is returned says when to read more."""
        if self.stream is None:
            return None
        self._keep(data)
        self._uploaded += len(data)
        self.visit.received = self._uploaded
        if self.max_body is not None and self._uploaded > self.max_body:
            self._refuse_body(self.max_body)
            return None
        if self._waiting is not None:
            return self._wait_for_room()
        try:
            writable = self.stream.send_data(data)
        except LocalProtocolError:  # the answer came before the body's end
            return None
        return None if writable else self._wait_for_room()

    def upload_done(self) -> None:
        """The request's body is whole."""
        self._whole = True
        if self.stream is not None and self._waiting is None:
            try:
                self.stream.send_data(b"", fin=True)
            except LocalProtocolError:  # as above
                pass

    def _keep(self, data: bytes) -> None:
        """Keep *data*, in case that the stream is refused."""
        if self._kept is None:
            short = len(data) <= _MOST_KEPT or self._waiting is not None
            if self._uploaded == 0 and self._head is None and not self._started and short:
                self._kept = [data]
        elif self._waiting is not None or self._uploaded + len(data) <= _MOST_KEPT:
            self._kept.append(data)
        else:
            self._kept = None

    def _refuse_body(self, most: int) -> None:
        """The body is longer than it may be, and did not say so before."""
        assert self.stream is not None
        if self._fin:
            return  # the answer is whole, or its end is being written: the rest of the body is of no use to anybody
        self._finished = True
        self.stream.reset(ResetCode.TOO_LARGE, f"the body has more than {most} bytes")
        self._fail(too_large(most))

    def visitor_left(self) -> None:
        """The visitor's connection is gone: the app is told, and cancelled."""
        if not self.over:
            self._finished = True
            if self.stream is not None:
                self.stream.reset(ResetCode.CANCEL, "the visitor left")
            self._leave()
