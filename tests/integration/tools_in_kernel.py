"""What a cell serves for `test_tools`: tools of typed functions, one of which changes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import portico
from portico.functions.as_tools import tools_of
from portico.functions.given import Progress, User
from portico.functions.signature import typed_function
from portico.tools.server import ToolServer

began: list[str] = []
stopped: list[str] = []
"""The calls that have ended because their client wanted no more."""


def add(a: float, b: float) -> float:
    """Add two."""
    return a + b


def who(user: User) -> dict[str, str]:
    return {"id": user.id, "access": user.access}


def steps(progress: Progress) -> str:
    for step in range(1, 4):
        progress(step, 3, f"step {step}")
        time.sleep(0.1)
    return "done"


async def wait() -> str:
    began.append("wait")
    try:
        await asyncio.Event().wait()
    finally:
        stopped.append("wait")
    return ""


def count() -> Iterator[str]:
    """A thread that is asked to end."""
    began.append("count")
    try:
        while True:
            time.sleep(0.01)
            yield "x"
    finally:
        stopped.append("count")


def change() -> None:
    server.replace(tools_of([typed_function(add, "sum")]))


def listeners() -> int:
    """Clients that listen now."""
    endpoint = server._endpoint
    return 0 if endpoint is None else len(endpoint._changes)


server = ToolServer(tools_of([typed_function(one) for one in (add, who, steps, wait, count, change)]), name="flats")


def serve() -> portico.Service:
    return portico.serve(server, "tools-in-a-kernel")
