"""A function's result in pieces: as plain text, or as events, with how far the call is and what its result is.

Here: what pieces and events look like. Not here: how an answer is streamed and every way it ends
(`portico.calls.sse`), and which form a visitor asks for (`run_route`).

As text, a piece that is a ``str`` is written as it is, and any other as JSON, with the end of a line. As events, the
same text is an event's data, and there are ``event: progress`` (``{"progress", "total", "message"}``), and at last
``event: result`` (``{"result": ...}``: what a generator returned, or a plain function) or ``event: error``
(``{"detail": ..., "status": ...}``).

Source: WHATWG HTML §9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from portico.calls.exchange import Exchange
from portico.calls.json_text import compact
from portico.calls.run import Frames, Sink
from portico.calls.sse import ClientLeft, Write
from portico.errors import PorticoError
from portico.functions.calling import Opened
from portico.functions.given import Listener
from portico.types import Headers

KEEP_ALIVE = 10.0
"""Seconds of silence after which a stream of events is given a sign of life: proxies give up after 30 or 60."""

TEXT_HEADERS: Headers = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx must not hold pieces back
]

_AHEAD = 100
"""Steps of progress that wait to be written, at most; of more the oldest are not told."""

_LINE_END = re.compile("\r\n|\r|\n")
_BEAT = b": \n\n"

TextOf = Callable[[Any], str]
"""What is written for one piece."""


class Make(Protocol):
    """Runs the function: hands its pieces to a sink, and how far it is to a listener."""

    def __call__(self, sink: Sink, listener: Listener | None, opened: Opened | None = None) -> Awaitable[None]: ...


Give = Callable[[Any], Coroutine[Any, Any, None]]
"""Answers with a result, at once."""

Failed = Callable[[BaseException], PorticoError]
"""What to tell the visitor of an error. Raises it again if it is a defect of ours."""

Refuse = Callable[[PorticoError], Coroutine[Any, Any, None]]
"""Answers with an error, where nothing has gone out yet."""


def event(data: str, name: str = "") -> bytes:
    """One event, of any text: each of its lines is a line of data."""
    lines = _LINE_END.split(data) if "\n" in data or "\r" in data else (data,)
    head = f"event: {name}\n" if name else ""
    return (head + "".join([f"data: {line}\n" for line in lines]) + "\n").encode("utf-8", "replace")


class TextStream:
    """Pieces as text, as `portico.calls.sse.deliver` wants it. It is its own sink (`portico.calls.run.Sink`)."""

    done = False
    write: Write

    def __init__(self, make: Make, text_of: TextOf, failed: Failed, refuse: Refuse) -> None:
        self.failed = failed
        self.refuse = refuse
        self._make = make
        self._text_of = text_of
        self._some = False

    def opening(self) -> list[bytes]:
        return []

    async def make(self, write: Write) -> list[bytes]:
        self.write = write
        await self._make(self, None)
        return [b""]

    def feed(self, item: Any) -> Frames:
        self._some = True
        return self._text_of(item).encode("utf-8", "replace") or None

    def final(self, value: Any) -> Frames:
        """What is no piece: the result of a function that gave none. What a generator returned after some is not."""
        return None if self._some or value is None else self.feed(value)

    def failure(self, error: PorticoError) -> list[bytes]:
        raise error

    def beat(self) -> bytes:
        raise AssertionError("text has no sign of life")


class AsGiven(TextStream):
    """Pieces as text where the function gives an iterator; where it gives anything else, that at once."""

    def __init__(self, exchange: Exchange, make: Make, failed: Failed, refuse: Refuse, give: Give) -> None:
        super().__init__(make, str, failed, refuse)
        self.headers: Headers = [*TEXT_HEADERS]
        """Those of the stream, until its first piece has come."""
        self.exchange = exchange
        self._give = give
        self._value: Any = None
        self._is_value = False

    def opened(self, produced: Any) -> Any:
        """What is iterated, or given, in the place of what the function gave."""
        return produced

    async def give(self, value: Any) -> None:
        """Answer with *value*, which is no iterator."""
        await self._give(value)

    async def make(self, write: Write) -> list[bytes]:
        self.write = write
        await self._make(self, None, self.opened)
        if not self._is_value:
            return [b""]
        await self.give(self._value)
        return []

    def final(self, value: Any) -> Frames:
        """The result of a function that gave no pieces."""
        if not self._some:
            self._value, self._is_value = value, True
        return None


class EventStream:
    """Pieces, progress and a result as events, as `portico.calls.sse.deliver` wants it. It is its own sink."""

    done = False

    def __init__(
        self,
        make: Make,
        text_of: TextOf,
        result_of: Callable[[Any], Awaitable[str]],
        failed: Failed,
        refuse: Refuse,
        line_ends: bool = False,
    ) -> None:
        """*result_of* gives the data of ``event: result``: JSON.

        With *line_ends*, a piece that is not a ``str`` keeps the end of its line, by which a page knows it from one.
        """
        self.failed = failed
        self.refuse = refuse
        self._make = make
        self._text_of = text_of
        self._result_of = result_of
        self._line_ends = line_ends
        self._value: Any = None
        self._steps: deque[bytes] = deque(maxlen=_AHEAD)
        self._telling: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def opening(self) -> list[bytes]:
        return []

    async def make(self, write: Write) -> list[bytes]:
        self._write = write
        try:
            await self._make(self, self._heard)
            while self._telling is not None:
                await asyncio.wait([self._telling])
        finally:
            if self._telling is not None:
                self._telling.cancel()
        return [event(await self._result_of(self._value), "result")]

    def feed(self, item: Any) -> Frames:
        text = self._text_of(item)
        frame = event(text if self._line_ends or isinstance(item, str) else text.removesuffix("\n"))
        if not self._steps:
            return frame
        frames = [*self._steps, frame]
        self._steps.clear()
        return frames

    def final(self, value: Any) -> Frames:
        self._value = value
        return None

    async def write(self, frame: bytes) -> None:
        async with self._turn:  # one frame at a time: progress is written beside the pieces
            await self._write(frame)

    def failure(self, error: PorticoError) -> list[bytes]:
        detail = getattr(error, "detail", None) or str(error)
        return [*self._steps, event(compact({"detail": detail, "status": error.status}), "error")]

    def beat(self) -> bytes:
        return _BEAT

    def _heard(self, done: float, total: float | None, message: str | None) -> None:
        self._steps.append(event(compact({"progress": done, "total": total, "message": message}), "progress"))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._steps:
                async with self._turn:
                    if self._steps:  # a piece may have taken them along meanwhile
                        await self._write(self._steps.popleft())
        except ClientLeft:
            self._steps.clear()
        finally:
            self._telling = None
