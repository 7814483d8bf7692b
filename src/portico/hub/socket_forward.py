"""A visitor's WebSocket on its way through the hub: the app is asked before the visitor is accepted.

As with an HTTP request (`portico.hub.http_forward`), one message is written at a time, and credited when it is taken.
An app's message that is too long is refused here. A visitor's is refused in `portico.asgi.websocket`, which puts
messages together, or by the edge's own WebSocket.
"""

from __future__ import annotations

import asyncio
from collections import deque

from portico.errors import LocalProtocolError
from portico.hub.answers import Answer, overloaded, provider_lost
from portico.hub.firewall.headers import BODILESS
from portico.hub.forward import REASONS, Admission, Forward, Opener
from portico.hub.replicas import Replica
from portico.hub.responders import SocketResponder
from portico.hub.visits import Visit
from portico.link import Stream
from portico.pieces import Pieces
from portico.protocol.events import Data, Head
from portico.protocol.frames import ResetCode

_MAX_DENIAL = 1024 * 1024  # bytes; a denial's body is written whole

_TOO_MUCH = "too much waits of messages whose end has not come"

_OF_THE_HANDSHAKE = (b"sec-websocket-", b"content-length")
"""How the names of fields begin that an app cannot give to the answer that accepts a WebSocket."""


class SocketForward(Forward):
    """The hub's handler of one WebSocket stream."""

    __slots__ = (
        "_accepted",
        "_busy",
        "_closing",
        "_denial",
        "_max_message",
        "_queue",
        "_responder",
        "_unfinished",
        "_unkept",
        "_unkept_pieces",
    )

    def __init__(
        self,
        visit: Visit,
        responder: SocketResponder,
        *,
        subprotocols: tuple[str, ...] | None = None,
        admission: Admission | None = None,
        alone: Replica | None = None,
    ) -> None:
        """*subprotocols* are offered to the app instead of the visitor's; *alone* is the only replica that may have the
        request; the rest is as of a `Forward`."""
        Forward.__init__(self, visit, False, admission)
        self.alone = alone
        if subprotocols is not None:
            self.subprotocols = subprotocols
        self._responder = responder
        self._max_message = 0
        """Bytes of a message from the app."""
        self._accepted = False
        self._denial: Head | None = None
        self._unfinished = Pieces()
        """What has come of the app's message, or of its denial, whose end has not."""
        self._unkept = 0
        """Bytes of it that the link was not told of as kept (`Stream.keep`): they hold the app back."""
        self._unkept_pieces = 0
        self._queue: deque[tuple[bytes, bool, int]] = deque()
        self._busy = False
        self._closing: tuple[int, str] | None = None

    # --- from the stream ----------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        if head.accept:
            self._accepted = True
            # a length would make a proxy wait for a body (RFC 9110 §8.6), the others are the handshake's own
            kept = [
                pair
                for pair in self._clean(head.headers)
                if not pair[0].replace(b"_", b"-").startswith(_OF_THE_HANDSHAKE)
            ]
            self._responder.accept(head.subprotocol, kept)
        else:
            self._denial = head
            if head.fin:
                self._deny()

    def on_data(self, data: Data) -> None:
        stream, message, unfinished = self.stream, data.data, self._unfinished
        if stream is None:
            return
        size = unfinished.size + len(message)
        if self._denial is not None:
            unfinished.add(message)
            if data.fin or size > _MAX_DENIAL:
                self._deny()
            elif not stream.keep(len(message)):
                stream.reset(ResetCode.OVERLOAD, _TOO_MUCH)
                self.refuse(overloaded())
            return
        if size > self._max_message:
            self._give_up(1009, ResetCode.TOO_LARGE, f"a message of the app has more than {self._max_message} bytes")
            return
        if not data.message_end:
            unfinished.add(message)
            self._unkept += len(message)
            self._unkept_pieces += 1
            self._keep()
            return
        if unfinished.begun:
            unfinished.add(message)
            message = unfinished.take()
            self._unkept = self._unkept_pieces = 0
        if self._busy:
            self._queue.append((message, data.text, size))
        else:
            self._send(message, data.text, size)

    def _keep(self) -> None:
        """Let the rest of the app's message come, once the visitor has taken all that came before it."""
        stream = self.stream
        if stream is None or self._busy or self._queue or self._closing is not None or not self._unkept_pieces:
            return
        kept = stream.keep(self._unkept, self._unkept_pieces)
        self._unkept = self._unkept_pieces = 0
        if not kept:
            self._give_up(1013, ResetCode.OVERLOAD, _TOO_MUCH)

    def _give_up(self, close_code: int, code: ResetCode, reason: str) -> None:
        self._responder.close(close_code, reason)
        if self.stream is not None:
            self.stream.reset(code, reason)
        self._leave()

    def _send(self, message: bytes, text: bool, credit: int) -> None:
        visit = self.visit
        visit.messages_sent += 1
        visit.sent += len(message)
        done = self._responder.message(message, text)
        if done is None or done.done():
            if self.stream is not None:
                self.stream.consumed(credit)
        else:
            self._busy = True
            done.add_done_callback(lambda _: self._sent(credit))

    def _sent(self, credit: int) -> None:
        self._busy = False
        if self.stream is not None:
            self.stream.consumed(credit)
        while self._queue and not self._busy:
            self._send(*self._queue.popleft())
        self._keep()
        if self._closing is not None and not self._queue and not self._busy:
            self._close(*self._closing)

    def on_close(self, code: int, reason: str) -> None:
        if self._busy or self._queue:
            self._closing = (code, reason)
        else:
            self._close(code, reason)

    def _close(self, code: int, reason: str) -> None:
        self._responder.close(code, reason)
        self._leave()

    def on_reset(self, code: ResetCode, reason: str) -> None:
        if self._accepted:
            self._responder.cut()
            self._leave()
            return
        if code == ResetCode.REFUSED and self._denial is None and self._try_again():
            return
        self._responder.answer(REASONS.get(code, provider_lost)())
        self._leave()

    # --- from the gateway ---------------------------------------------------------------------------------------

    @property
    def repeatable(self) -> bool:
        """As `HTTPForward.repeatable`: a visitor says nothing before it was let in."""
        return not self._accepted and self._denial is None

    def opened(self, replica: Replica, stream: Stream, opener: Opener) -> None:
        super().opened(replica, stream, opener)
        self._max_message = opener.max_message

    def refuse(self, answer: Answer) -> None:
        self._waiting = None
        if not self.over:
            self._responder.answer(answer)
            self._leave()

    def _deny(self) -> None:
        head = self._denial
        assert head is not None
        body = b"" if head.status in BODILESS else self._unfinished.take()
        self._responder.deny(head.status, self._clean(head.headers), body)
        self._leave()

    def _leave(self) -> None:
        Forward._leave(self)
        self._unfinished.clear()  # an edge may know this object for as long as its visitor stays
        self._queue.clear()  # nobody is told more once the write that is under way has ended
        self._closing = None

    # --- from the edge ------------------------------------------------------------------------------------------

    def visitor_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Pass a visitor's message on. A future that is returned says when to read the next."""
        if self.stream is None:
            return None
        visit = self.visit
        visit.messages_received += 1
        visit.received += len(data)
        try:
            writable = self.stream.send_data(data, text=text, message_end=True)
        except LocalProtocolError:  # the app has closed meanwhile
            return None
        return None if writable else self._wait_for_room()

    def visitor_closed(self, code: int, reason: str) -> None:
        """The visitor closed, or (1006) its connection is gone."""
        if self.over:
            return
        stream = self.stream
        if stream is not None:
            if self._accepted:
                try:
                    stream.send_close(code, reason)
                except LocalProtocolError:  # both closed at once
                    pass
            else:
                stream.reset(ResetCode.CANCEL, "the visitor left")
        self._leave()
