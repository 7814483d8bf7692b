"""An event loop for tests in Pyodide: `asyncio`'s own, with nothing outside to listen to.

The tests are synchronous functions that run a loop of their own. The page's loop cannot be run from within Python where
there is no JSPI, as in Node.js 20, and a selector's wants sockets. The tests that run here reach nothing outside of the
process, so what wakes this loop is its own callbacks and timers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Nothing:
    """A selector on which nothing ever happens."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("a test waits for what will never come: nothing is scheduled on its loop")
        time.sleep(timeout)
        return []

    def get_map(self) -> dict[Any, Any]:
        return {}


class ClosedLoop(asyncio.BaseEventLoop):
    """`asyncio.BaseEventLoop` without input."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing()

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...


@contextmanager
def installed() -> Iterator[None]:
    """Let `asyncio.run` make loops of this kind; the page's stands back meanwhile."""
    page, make = asyncio.get_running_loop(), asyncio.new_event_loop
    task = asyncio.tasks._swap_current_task(page, None)  # type: ignore[attr-defined]
    asyncio._set_running_loop(None)
    asyncio.events.new_event_loop = asyncio.new_event_loop = ClosedLoop  # type: ignore[assignment]
    try:
        yield
    finally:
        asyncio.events.new_event_loop = asyncio.new_event_loop = make
        asyncio._set_running_loop(page)
        asyncio.tasks._swap_current_task(page, task)  # type: ignore[attr-defined]
