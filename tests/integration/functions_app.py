"""Typed functions for the tests: some end only when their visitor has left, and note when they did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from portico.calls.run import Cancel
from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function

begun: set[str] = set()
ended: dict[str, float] = {}


def add(a: int, b: int = 1) -> int:
    return a + b


async def wait(id: str) -> None:
    begun.add(id)
    try:
        await asyncio.Event().wait()
    finally:
        ended[id] = time.time()


def wait_on_a_thread(id: str, cancel: Cancel) -> None:
    begun.add(id)
    while not cancel.is_set():
        time.sleep(0.01)
    ended[id] = time.time()


def pieces(id: str) -> Iterator[str]:
    try:
        while True:
            yield "piece "
            time.sleep(0.01)
    finally:
        ended[id] = time.time()


async def pieces_on_the_loop(id: str) -> AsyncIterator[str]:
    try:
        while True:
            yield "piece "
            await asyncio.sleep(0.01)
    finally:
        ended[id] = time.time()


def fails_late() -> Iterator[str]:
    yield "piece "
    raise ValueError("a secret of the author's")


def size(file: Path, note: str = "") -> dict[str, Any]:
    return {"size": file.stat().st_size, "note": note}


def has_begun(id: str) -> bool:
    return id in begun


def noted(id: str) -> float | None:
    return ended.get(id)


FUNCTIONS = (has_begun, add, wait, wait_on_a_thread, pieces, pieces_on_the_loop, fails_late, size, noted)


def app() -> FunctionsServer:
    return FunctionsServer({one.__name__: typed_function(one) for one in FUNCTIONS})
