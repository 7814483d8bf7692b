"""A visitor's request on its way through the hub: the stream on one side, the edge's connection on the other.

What comes in one message of the link is one write to the visitor. One write is under way at a time, and the bytes of
a stream are credited when the visitor has taken them, so a slow visitor holds back its own app and nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from portico.errors import LocalProtocolError
from portico.hub.answers import Answer, app_error, overloaded, provider_lost, reconnecting
from portico.hub.enforcer import too_large
from portico.hub.firewall.headers import BODILESS
from portico.hub.replicas import Replica
from portico.link import Stream
from portico.pieces import Pieces
from portico.protocol.events import Data, Head
from portico.protocol.frames import ResetCode
from portico.types import Headers


class Responder(Protocol):
    """The edge's end: writes to one visitor. Each method that returns a future says by it when more may be written."""

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        """Write the head and the first bytes. None if all was written at once."""

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        """Write more of the body; with *fin* the last of it."""

    def answer(self, answer: Answer) -> None:
        """Answer in the hub's own words: nothing was written yet."""

    def cut(self) -> None:
        """Break the connection, so that nobody takes what came for the whole."""


class Upload(Protocol):
    """The hub's end, as an edge sees it while a visitor's request comes in."""

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Pass *data* of the request's body on. A future that is returned says when to read more."""

    def upload_done(self) -> None:
        """The request's body is whole."""

    def visitor_left(self) -> None:
        """The visitor's connection is gone."""


_MOST_KEPT = 64 * 1024  # bytes: most forms and questions to a model are shorter, most files longer


class HTTPForward:
    """The hub's handler of one HTTP stream."""

    __slots__ = (
        "_busy",
        "_caller",
        "_chunks",
        "_clean",
        "_failed",
        "_fin",
        "_finished",
        "_head",
        "_kept",
        "_loop",
        "_max_body",
        "_on_done",
        "_responder",
        "_retry",
        "_scheduled",
        "_size",
        "_started",
        "_upload_waiter",
        "_uploaded",
        "_waiting",
        "_whole",
        "replica",
        "stream",
    )

    def __init__(
        self,
        responder: Responder,
        caller: str,
        clean: Callable[[Headers], Headers],
        on_done: Callable[[], None],
        retry: Callable[[], bool],
        max_body: int | None = None,
    ) -> None:
        """*caller* is who the stream counts for; *max_body* is in bytes, of the request; None for no limit."""
        self.stream: Stream | None = None
        self.replica: Replica | None = None
        """Where the request is under way, and is counted."""
        self._responder = responder
        self._caller = caller
        self._clean = clean
        self._on_done = on_done
        self._retry = retry
        self._max_body = max_body
        self._uploaded = 0
        self._kept: list[bytes] | None = None
        """What the app was sent of the request's body, while it is short and the app has not answered."""
        self._whole = False
        """The request's body has come to its end."""
        self._waiting: asyncio.Task[None] | None = None
        """Opens the stream anew, which was refused; there is no other yet."""
        self._head: Head | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._fin = False
        self._started = False
        """The head was handed to the responder."""
        self._busy = False
        self._finished = False
        self._failed: Answer | None = None
        self._scheduled = False
        self._upload_waiter: asyncio.Future[None] | None = None

    # --- from the stream ----------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        self._head = head
        self._fin = head.fin
        self._kept = None
        self._schedule()

    def on_data(self, data: Data) -> None:
        if data.data:
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
        if code == ResetCode.REFUSED and not self._started:
            retry, self._retry = self._retry, _never
            if retry():
                return
        self._failed = _ANSWERS.get(code, provider_lost)()
        self._schedule()

    def on_writable(self) -> None:
        self._wake_upload()

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
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if chunks:
            self._chunks = []
            self._size = 0
        if head is not None:
            self._head = None
            self._started = True
            done = self._responder.respond(head.status, self._clean(head.headers), body, fin)
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
            if self._chunks or self._fin or self._failed is not None:
                self._pump()

    def _fail(self, answer: Answer) -> None:
        self._finished = True
        if self._started:
            self._responder.cut()
        else:
            self._responder.answer(answer)
        self._leave()

    @property
    def responder(self) -> Responder:
        """The edge's end."""
        return self._responder

    def refuse(self, answer: Answer) -> None:
        """The stream was refused, and there is no other for it."""
        self._waiting = None
        if self.stream is not None and not self._finished:
            self._fail(answer)

    @property
    def repeatable(self) -> bool:
        """Whether the app has not answered, and all that was sent of the request's body is here still."""
        return self._head is None and not self._started and (self._uploaded == 0 or self._kept is not None)

    def wait(self, opening: asyncio.Task[None]) -> None:
        """The stream was refused; *opening* opens it anew (`opened`, `moved`), or gives it up (`refuse`), later."""
        self._waiting = opening

    def opened(self, replica: Replica, stream: Stream) -> None:
        """The request is under way on *stream*, and counts for *replica*; where it was refused it counts no more."""
        if self.stream is not None:
            self._give_back(self.stream)
        self.replica, self.stream = replica, stream
        replica.begin(self._caller)

    def _give_back(self, stream: Stream) -> None:
        assert self.replica is not None
        self.replica.end(self._caller)
        stream.release()

    def moved(self) -> None:
        """The stream is open anew: send again what was sent of the body."""
        self._waiting = None
        if self.stream is not None:
            for piece in self._kept or ():
                self.stream.send_data(piece)
            if self._whole:
                self.upload_done()
        self._wake_upload()

    def _leave(self) -> None:
        """The exchange is over: give the stream back."""
        stream, self.stream = self.stream, None
        if stream is not None:
            self._give_back(stream)
            self._on_done()
            if self._waiting is not None:  # the visitor left, or its body is too long
                self._waiting.cancel()
            # No cycle is left behind: at thousands of requests a second the garbage collector would be felt.
            self._responder = _GONE
            self._retry = _never
        self._wake_upload()

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
        if self._max_body is not None and self._uploaded > self._max_body:
            self._refuse_body(self._max_body)
            return None
        if self._waiting is not None:
            self._upload_waiter = asyncio.get_running_loop().create_future()
            return self._upload_waiter
        try:
            writable = self.stream.send_data(data)
        except LocalProtocolError:  # the answer came before the body's end
            return None
        if writable:
            return None
        self._upload_waiter = asyncio.get_running_loop().create_future()
        return self._upload_waiter

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
        if self.stream is not None:
            self._finished = True
            self.stream.reset(ResetCode.CANCEL, "the visitor left")
            self._leave()

    def _wake_upload(self) -> None:
        if self._upload_waiter is not None and not self._upload_waiter.done():
            self._upload_waiter.set_result(None)


class _Gone:
    """The responder of an exchange that is over."""

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> None: ...
    def write(self, body: bytes, fin: bool) -> None: ...
    def answer(self, answer: Answer) -> None: ...
    def cut(self) -> None: ...


_GONE = _Gone()


def _never() -> bool:
    return False


_ANSWERS: dict[ResetCode, Callable[[], Answer]] = {
    ResetCode.APP_ERROR: app_error,
    ResetCode.OVERLOAD: overloaded,
    ResetCode.REFUSED: reconnecting,
    ResetCode.TIMEOUT: lambda: Answer(504, "timeout", "The app did not answer in time."),
    ResetCode.TOO_LARGE: lambda: Answer(413, "too_large", "The request is larger than the app takes."),
}


class SocketResponder(Protocol):
    """The edge's end of a visitor's WebSocket."""

    def accept(self, subprotocol: str, headers: Headers) -> None: ...

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the upgrade request with an HTTP response instead."""

    def answer(self, answer: Answer) -> None:
        """The same in the hub's own words."""

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Send a message; a future that is returned says when the next may follow."""

    def close(self, code: int, reason: str) -> None: ...

    def cut(self) -> None:
        """Break the connection without a closing handshake."""


class VisitorSocket(Protocol):
    """The hub's end of a visitor's WebSocket, as an edge sees it."""

    def visitor_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Pass a visitor's message on. A future that is returned says when to read the next."""

    def visitor_closed(self, code: int, reason: str) -> None:
        """The visitor closed, or (1006) its connection is gone."""


_MAX_DENIAL = 1024 * 1024  # bytes; a denial's body is written whole

_TOO_MUCH = "too much waits of messages whose end has not come"

_OF_THE_HANDSHAKE = (b"sec-websocket-", b"content-length")
"""How the names of fields begin that an app cannot give to the answer that accepts a WebSocket."""


class SocketForward:
    """The hub's handler of one WebSocket stream."""

    def __init__(
        self,
        responder: SocketResponder,
        caller: str,
        clean: Callable[[Headers], Headers],
        on_done: Callable[[], None],
        retry: Callable[[], bool],
        max_message: int,
    ) -> None:
        self.stream: Stream | None = None
        self.replica: Replica | None = None
        """Where the request is under way, and is counted."""
        self._responder = responder
        self._caller = caller
        self._clean = clean
        self._on_done = on_done
        self._retry = retry
        self._max_message = max_message
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
        self._upload_waiter: asyncio.Future[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        """As of an `HTTPForward`."""

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
        else:
            if code == ResetCode.REFUSED and self._denial is None:
                retry, self._retry = self._retry, _never
                if retry():
                    return
            self._responder.answer(_ANSWERS.get(code, provider_lost)())
        self._leave()

    def on_writable(self) -> None:
        self._wake_upload()

    @property
    def responder(self) -> SocketResponder:
        """The edge's end."""
        return self._responder

    @property
    def repeatable(self) -> bool:
        """As `HTTPForward.repeatable`: a visitor says nothing before it was let in."""
        return not self._accepted and self._denial is None

    def wait(self, opening: asyncio.Task[None]) -> None:
        """As `HTTPForward.wait`."""
        self._waiting = opening

    def refuse(self, answer: Answer) -> None:
        """As `HTTPForward.refuse`."""
        self._waiting = None
        if self.stream is not None:
            self._responder.answer(answer)
            self._leave()

    def opened(self, replica: Replica, stream: Stream) -> None:
        """As `HTTPForward.opened`."""
        if self.stream is not None:
            self._give_back(self.stream)
        self.replica, self.stream = replica, stream
        replica.begin(self._caller)

    def _give_back(self, stream: Stream) -> None:
        assert self.replica is not None
        self.replica.end(self._caller)
        stream.release()

    def moved(self) -> None:
        """As `HTTPForward.moved`."""
        self._waiting = None

    def _deny(self) -> None:
        head = self._denial
        assert head is not None
        body = b"" if head.status in BODILESS else self._unfinished.take()
        self._responder.deny(head.status, self._clean(head.headers), body)
        self._leave()

    def _leave(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            self._give_back(stream)
            self._on_done()
            if self._waiting is not None:  # the visitor left
                self._waiting.cancel()
        self._unfinished.clear()  # an edge may know this object for as long as its visitor stays
        self._wake_upload()

    # --- from the edge ------------------------------------------------------------------------------------------

    def visitor_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Pass a visitor's message on. A future that is returned says when to read the next."""
        if self.stream is None:
            return None
        try:
            writable = self.stream.send_data(data, text=text, message_end=True)
        except LocalProtocolError:  # the app has closed meanwhile
            return None
        if writable:
            return None
        self._upload_waiter = asyncio.get_running_loop().create_future()
        return self._upload_waiter

    def visitor_closed(self, code: int, reason: str) -> None:
        """The visitor closed, or (1006) its connection is gone."""
        stream = self.stream
        if stream is None:
            return
        if self._accepted:
            try:
                stream.send_close(code, reason)
            except LocalProtocolError:  # both closed at once
                pass
        else:
            stream.reset(ResetCode.CANCEL, "the visitor left")
        self._leave()

    def _wake_upload(self) -> None:
        if self._upload_waiter is not None and not self._upload_waiter.done():
            self._upload_waiter.set_result(None)
