"""One call of a tool while it runs: a task of its own, news of how far it is, and how it is stopped.

Here: what is the same for every client. Knows no library of MCP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from portico.calls.endings import as_exception
from portico.calls.sse import ClientLeft
from portico.tools.tool import Tool, ToolCaller, ToolResult

log = logging.getLogger(__name__)

SendProgress = Callable[[float, float | None, str | None], Awaitable[None]]
"""Tells the client, and waits until that is written. Raises `ClientLeft`."""

BETWEEN = 0.05
"""Seconds between two notes of progress: more than a person can see, and a loop that tells of each step costs little.
MCP asks both sides not to flood each other ("Progress", Implementation Notes)."""

TO_END = 1.0
"""Seconds that calls have to end when the server closes."""


class Closed(Exception):
    """The call was cancelled since the server closes."""


class Calls:
    """The calls that run."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[ToolResult]] = set()
        self._closed = False

    async def run(self, tool: Tool, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        """Call *tool*. To cancel the task that waits here cancels the call, and does not wait for its end.

        The call has a task of its own, which is cancelled once: the SDK's way, again and again until the task ends,
        would let no function clean up. Raises what the call raises, and `Closed`.
        """
        task = asyncio.get_running_loop().create_task(_awaited(tool.call(arguments, caller)))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as error:
            waiting = asyncio.current_task()
            if task.cancelled() and waiting is not None and not waiting.cancelling():
                raise (Closed() if self._closed else as_exception(error)) from None
            task.cancel()
            raise

    async def close(self) -> None:
        """Cancel what runs."""
        self._closed = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=TO_END)

    def _ended(self, task: asyncio.Task[ToolResult]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("A call ended with an error", exc_info=error)  # whoever waits is told; else nobody wants to know


async def _awaited(result: Awaitable[ToolResult]) -> ToolResult:
    return await result


class Reporter:
    """What a call tells of its progress, on its way to the client: the newest only, and never backwards.

    Called from any thread, and never waits. `settle` waits until the last of it is written.
    """

    def __init__(self, send: SendProgress) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._newest: tuple[float, float | None, str | None] | None = None
        self._told = float("-inf")
        self._woken = False
        self._pausing = False
        self._sending: asyncio.Task[None] | None = None
        self._over = False

    def __call__(self, done: float, total: float | None = None, message: str | None = None) -> None:
        self._newest = (done, total, message)
        if not self._woken and not self._over:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop is closed, so nobody listens any more
                self._over = True

    def _wake(self) -> None:
        self._woken = False
        if self._sending is None and not self._over:
            self._sending = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            while not self._over and await self._tell():
                self._pausing = True
                await asyncio.sleep(BETWEEN)
                self._pausing = False
        except (ClientLeft, OSError):
            self._over = True
        self._sending = None

    async def _tell(self) -> bool:
        newest, self._newest = self._newest, None
        if newest is None:
            return False
        if newest[0] > self._told:  # it must grow with each note (MCP, "Progress")
            self._told = newest[0]
            await self._send(*newest)
        return True

    async def settle(self) -> None:
        """Write what is left, and nothing after that."""
        self._over = True
        sending = self._sending
        if sending is not None:
            if self._pausing:
                sending.cancel()
            await asyncio.wait([sending])
        await self._tell()

    def drop(self) -> None:
        """Write nothing any more: the call was cancelled, or its client has left."""
        self._over = True
        if self._sending is not None:
            self._sending.cancel()
