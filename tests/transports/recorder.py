"""A receiver that keeps what its transport tells it, and a loop that nothing may block."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator


class Recorder:
    """Keeps messages, and how the transport ended."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.writable = 0
        self.closed: list[str] = []

    def message_received(self, message: bytes) -> None:
        assert not self.closed
        self.messages.append(message)

    def transport_writable(self) -> None:
        self.writable += 1

    def transport_closed(self, reason: str) -> None:
        self.closed.append(reason)


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run *work* on a fresh loop that nothing may block, and that must be left without a task or a complaint."""

    async def guarded() -> None:
        complaints: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(30):
            await work()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:  # servers' own, on their way out; a task that stays makes the time-out strike
                await asyncio.wait(others)
        assert complaints == []

    with warnings.catch_warnings(), unblocked():
        warnings.simplefilter("error")
        asyncio.run(guarded())


@contextlib.contextmanager
def unblocked() -> Iterator[None]:
    if sys.platform == "emscripten":  # nothing there to block on, and no such package
        yield
        return
    from blockbuster import blockbuster_ctx

    with blockbuster_ctx():
        yield
