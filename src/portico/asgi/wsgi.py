"""WSGI apps as ASGI apps (PEP 3333). What PEP 3333 leaves open is done as gunicorn does it.

An app runs on a thread of its service's pool, from its call to the ``close()`` of what it returned. Thread and loop
meet in `_Exchange`: the thread hands over what it writes, and waits while the visitor takes it slower than it comes; it
asks for the body piece by piece. When the visitor leaves, the thread's next step raises `VisitorLeft`, its iterable is
closed, and it is free. A browser has no threads: there the body is read first, and the app runs inline.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from portico.asgi.carrier import app_headers
from portico.asgi.wsgi_environ import Environ, VisitorLeft, WSGIInput, environ_of
from portico.calls.owner import OWNER
from portico.errors import InvalidOption, LocalError
from portico.types import Headers, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from portico.calls.workers import Job, Workers

HAS_THREADS = sys.platform != "emscripten"
if HAS_THREADS:
    import threading

logger = logging.getLogger(__name__)

THREADS = 40
"""Requests that one app works on at a time, unless its author says otherwise: as many as AnyIO gives to the synchronous
endpoints of a process."""
MOST_THREADS = 1000
"""More is taken for a slip: each has a stack, and an app for so many waits in coroutines."""

_AHEAD = 256 * 1024
"""Bytes that an app may be ahead of its visitor: the first window of a stream."""
_GIVE_UP_AFTER = 5.0
"""Seconds after its visitor's leaving for which a request may hold its thread, before another stands in for that."""
_MAX_INLINE = 64 * 1024 * 1024
"""Bytes of the longest body where there are no threads, and it is held whole."""

# A server's own business (PEP 3333, "Other HTTP Features"): that of each hop of the connection (RFC 9110 §7.6.1).
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)

WSGIApplication = Callable[[Environ, Callable[..., Callable[[bytes], None]]], Iterable[bytes]]


def check_threads(threads: int) -> int:
    """*threads* as it was given. Raises `InvalidOption` for what is no number of threads."""
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
        raise InvalidOption(f"threads is a number from 1 to {MOST_THREADS}, not {threads!r}")
    return threads


class WSGIApp:
    """*app* as an ASGI app, with a pool of *threads* of its own."""

    def __init__(self, app: WSGIApplication, *, threads: int = THREADS) -> None:
        self.app = app
        self._threads = check_threads(threads)
        self._workers: Workers | None = None
        self.has_told = False
        """Whether its author has been told of a thread that does not come back."""

    @property
    def workers(self) -> Workers:
        if self._workers is None:
            from portico.calls.workers import Workers

            self._workers = Workers(self._threads, "portico-wsgi")
        return self._workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await (_Exchange(self, scope).run if HAS_THREADS else _Inline(self, scope).run)(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "WSGI knows no WebSocket"})
        elif kind == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})


class _Response:
    """The app's side: ``start_response``, ``write()``, and what it returned. Subclasses carry off what it gives."""

    def __init__(self, app: WSGIApp, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._doing = f"{scope['method']} {scope['path']}"
        self._started: tuple[int, Headers] | None = None
        self._begun = False
        """Whether the head is out of the app's hands."""
        self._over = False
        self._left: int | None = None
        """Bytes that are still to come, by the app's Content-Length."""

    def carry(self, data: bytes, over: bool) -> None:
        """Take bytes of the body, which may be the last; before the first of them, ``_started`` is the head."""
        raise NotImplementedError

    def receive(self) -> Message:
        """Wait for the next message of the request."""
        raise NotImplementedError

    def steps(self) -> Iterator[None]:
        """Call the app and iterate what it returns, a step for each block, then close that."""
        result = self._app.app(environ_of(self._scope, WSGIInput(self.receive)), self.start_response)
        try:
            for block in result:
                self.write(block)
                if self._over and block and self._left is None:
                    break  # it has more than its Content-Length, which nobody wants
                yield
            if not self._over:
                self._take(b"", True)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Take the head, which goes out with the first bytes of the body. With *exc_info* it replaces one before."""
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: it holds the frame that holds it
        elif self._started is not None:
            raise AssertionError("start_response was called twice, without exc_info")
        code = status[:3]
        if not (code.isascii() and code.isdigit()) or status[3:4] not in ("", " "):
            raise ValueError(f"{status!r} is not a status; one is like '200 OK'")
        pairs = [(name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, value in headers]
        kept = [pair for pair in app_headers(pairs) if pair[0] not in _HOP_BY_HOP]
        self._left = next((int(value) for name, value in kept if name == b"content-length" and value.isdigit()), None)
        self._started = int(code), kept
        return self.write

    def write(self, block: bytes) -> None:
        """Send *block*; waits if the visitor is behind. What is beyond Content-Length is dropped, as by gunicorn."""
        if not isinstance(block, bytes):
            if not isinstance(block, (bytearray, memoryview)):
                raise TypeError(f"a WSGI app gives bytes, not {type(block).__name__}: {block!r:.60}")
            block = bytes(block)
        if not block:
            return
        left = self._left
        if left is None:
            self._take(block, False)
        elif len(block) < left:
            self._left = left - len(block)
            self._take(block, False)
        elif not self._over and self._scope["method"] != "HEAD":
            more, self._left = len(block) - left, 0
            self._take(block[:left] if more else block, True)
            if more:
                self._tell_of_more()
        elif self._over and self._left is not None:
            self._tell_of_more()

    def _tell_of_more(self) -> None:
        self._left = None
        self._tell(LocalError("the app gave more than its Content-Length says; the visitor got as much as that"))

    def _take(self, data: bytes, over: bool) -> None:
        if self._over:
            return
        if self._started is None:
            raise AssertionError("the app sent a body and did not call start_response")
        self._begun, self._over = True, over
        self.carry(data, over)

    def _tell(self, error: BaseException) -> None:
        owner = OWNER.get()
        if owner is not None:
            owner.report(self._doing, error)
        else:
            logger.error("%s", self._doing, exc_info=error)


class _Exchange(_Response):
    """One request: the app on a thread, ASGI on the loop."""

    def __init__(self, app: WSGIApp, scope: Scope) -> None:
        super().__init__(app, scope)
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._out: list[bytes] = []
        self._ahead = 0
        self._out_over = False
        self._asked = False
        self._answer: Message | None = None
        self._done = False
        self._gone = False
        self._error: BaseException | None = None

    # --- on the loop --------------------------------------------------------------------------------------------

    async def run(self, receive: Receive, send: Send) -> None:
        """Run the app to its end, or until the visitor leaves. Raises what the app raised."""
        context, head_sent = copy_context(), False
        job = self._app.workers.submit(lambda: context.run(self._work))
        try:
            while True:
                waiter = None
                with self._changed:
                    blocks, over = self._out, self._out_over
                    if blocks or over or self._asked or self._done:
                        self._out, self._out_over = [], False
                    else:
                        waiter = self._waiter = self._loop.create_future()
                if waiter is not None:
                    await waiter
                elif blocks or over:
                    if not head_sent:
                        head_sent = True
                        assert self._started is not None
                        status, headers = self._started
                        await send({"type": "http.response.start", "status": status, "headers": headers})
                    last = blocks.pop() if blocks else b""
                    for block in blocks:
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                    await send({"type": "http.response.body", "body": last, "more_body": not over})
                    with self._changed:
                        self._ahead -= sum(map(len, blocks)) + len(last)
                        self._changed.notify()
                elif self._asked:
                    message = await receive()
                    with self._changed:
                        self._asked, self._answer = False, message
                        self._gone = message["type"] == "http.disconnect" and not self._over
                        self._changed.notify()
                else:
                    break
        except BaseException:  # the visitor left, or what the app gave cannot be sent: either way nobody wants the rest
            self._leave(job)
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame

    def _leave(self, job: Job) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify()
        if not self._app.workers.leave(job):
            self._loop.call_later(_GIVE_UP_AFTER, self._give_up, job)

    def _give_up(self, job: Job) -> None:
        if self._app.workers.give_up(job) and not self._app.has_told:
            self._app.has_told = True
            self._tell(
                TimeoutError(
                    f"this view still runs, {_GIVE_UP_AFTER:g} s after its visitor left. Python cannot end a thread: "
                    f"another stands in for it, for up to {self._app.workers.size} such views. This is said once"
                )
            )

    # --- on the thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for _ in self.steps():
                pass
        except BaseException as raised:  # noqa: BLE001 - the app's: `run` raises it, whose caller knows what it means
            error = raised
        with self._changed:
            gone = self._gone
            self._error = None if gone else error
            self._done = True
            self._wake()
        if gone and error is not None and not isinstance(error, VisitorLeft):
            self._tell(error)

    def _wake(self) -> None:
        """Let the loop look; holding the lock. One wake serves all that comes before it has looked."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            try:
                self._loop.call_soon_threadsafe(_resolve, waiter)
            except RuntimeError:  # the loop is closed: its visitors have left
                self._gone = True

    def carry(self, data: bytes, over: bool) -> None:
        with self._changed:
            if self._gone:
                raise VisitorLeft
            if data:
                self._out.append(data)
                self._ahead += len(data)
            self._out_over = over
            self._wake()
            while self._ahead > _AHEAD and not over and not self._gone:
                self._changed.wait()
            if self._gone and not over:
                raise VisitorLeft

    def receive(self) -> Message:
        with self._changed:
            if self._gone:
                raise VisitorLeft
            self._asked = True
            self._wake()
            while self._answer is None and not self._gone:
                self._changed.wait()
            answer, self._answer = self._answer, None
        if answer is None:
            raise VisitorLeft
        return answer


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Inline(_Response):
    """One request where there are no threads: the body first, then the app, with a turn of the loop a block."""

    def __init__(self, app: WSGIApp, scope: Scope) -> None:
        super().__init__(app, scope)
        self._messages: list[Message] = []
        self._out: list[bytes] = []
        self._head_sent = False

    async def run(self, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # an app is never called with a part of what was to come
            self._messages.append(message)
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            if size > _MAX_INLINE:
                await send({"type": "http.response.start", "status": 413, "headers": []})
                await send({"type": "http.response.body"})
                return
        context = copy_context()
        steps = self.steps()
        done = object()
        try:
            while context.run(next, steps, done) is not done:
                await self._flush(send)
            await self._flush(send)
        finally:
            context.run(steps.close)  # type: ignore[attr-defined]

    async def _flush(self, send: Send) -> None:
        if not self._begun:
            return
        if not self._head_sent:
            self._head_sent = True
            assert self._started is not None
            status, headers = self._started
            await send({"type": "http.response.start", "status": status, "headers": headers})
        data, self._out = b"".join(self._out), []
        await send({"type": "http.response.body", "body": data, "more_body": not self._over})

    def carry(self, data: bytes, over: bool) -> None:
        self._out.append(data)

    def receive(self) -> Message:
        return self._messages.pop(0)
