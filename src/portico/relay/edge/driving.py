"""Calling ASGI's ``send`` from a callback.

A server's ``send`` is a coroutine function that seldom waits: only while the visitor takes less than comes. To run one
step by step here, without a task, keeps a frame of the link one call away from the visitor's socket.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


def drive(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run *coroutine* as far as it goes now. None: it is through. A task: it waits, and the task is the rest of it.

    Raises what the coroutine raises before it waits.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_rest(coroutine, waits_for))


async def _rest(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _go_on(coroutine, waits_for)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Hand what the coroutine waits for to the task that this runs in, and its outcome back, to the end."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 -- a cancelling too is the coroutine's to hear of
            thrown = error
            try:
                waits_for = coroutine.throw(thrown)
            except StopIteration:
                return
        else:
            try:
                waits_for = coroutine.send(value)
            except StopIteration:
                return
