"""One HTTP request and its answer, over ASGI: heads, whole answers in JSON, pieces of a body, and a visitor who leaves.

Here: what every route needs. Not here: reading the body (`body`), streams of events (`sse`), and how an error looks:
each room has a form of its own for that. Source: ASGI HTTP specification.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from portico.calls.json_text import compact
from portico.types import Headers, Message, Receive, Scope, Send


def new_id(prefix: str) -> str:
    """An id that cannot be guessed: *prefix* and 96 random bits."""
    return f"{prefix}{os.urandom(12).hex()}"


def now() -> int:
    """Unix time in whole seconds."""
    return int(time.time())


class Exchange:
    """A request. ``headers`` have lower-case names; of duplicates the last one counts, as in most frameworks."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, always: Headers) -> None:
        """*always* are headers that each answer has: those of CORS, say."""
        self.scope = scope
        self.receive = receive
        self.send = send
        self.id = new_id("req_")
        self.started = False
        self._own = [*always, (b"x-request-id", self.id.encode())]
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])
        }
        self.identity: dict[str, Any] | None = (scope.get("extensions") or {}).get("portico")
        """The visitor as the hub has verified it, or None."""

    async def head(self, status: int, headers: Headers) -> None:
        """Send the head. *headers* come before those that every answer has."""
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *self._own]})

    def frame(self, frame: bytes) -> Awaitable[None]:
        """Send a piece of the body. It is the server's own awaitable that is returned, as this runs once a token."""
        return self.send({"type": "http.response.body", "body": frame, "more_body": True})

    async def end(self, frame: bytes = b"") -> None:
        """Send the last piece of the body."""
        await self.send({"type": "http.response.body", "body": frame, "more_body": False})

    async def json(self, value: Any, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with JSON."""
        await self.json_text(compact(value), status, headers)

    async def json_text(self, text: str, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with JSON that is written already, in ASCII."""
        await self.whole(text.encode("ascii"), b"application/json", status, headers)

    async def whole(self, body: bytes, media_type: bytes, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with *body*; if a HEAD asked, with its head alone."""
        extra = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *(headers or [])]
        await self.head(status, extra)
        await self.end(b"" if self.scope.get("method") == "HEAD" else body)


class Leaving:
    """Ends the ``async with`` body, by cancelling its task, when the client leaves.

    That cancellation does not get out of the body; any other does. ``left`` tells whether it happened. ASGI has no
    other news of a client that goes than ``http.disconnect``, so the request's body must have been read before.
    Without *receive*, only `leave` ends the body.

    With *after*, in seconds, looking for the client begins that late: most bodies are over before, and then nothing
    but a timer was spent on it.
    """

    def __init__(
        self, receive: Receive | None, left: Callable[[Message], bool] | None = None, *, after: float = 0.0
    ) -> None:
        self.left = False
        self._receive = receive
        self._after = after
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._says_so = left or _disconnected

    async def __aenter__(self) -> Leaving:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        if self._receive is not None and self._after:
            self._timer = asyncio.get_running_loop().call_later(self._after, self._begin, self._receive)
        elif self._receive is not None:
            self._begin(self._receive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if not self.left or task is None:
            return False
        # As asyncio.timeout does: only where ours was the only cancellation does it end here.
        return task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError)

    def leave(self) -> None:
        """Do as if the client had left. Nothing happens outside the body."""
        if not self.left and self._task is not None:
            self.left = True
            self._task.cancel()

    def _begin(self, receive: Receive) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while not self._says_so(await receive()):  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0)  # a receive() that never waits must not keep the loop
        self.leave()


def _disconnected(message: Message) -> bool:
    return message["type"] in ("http.disconnect", "websocket.disconnect")
