"""What is iterated of the things that user code returns, how it is closed, and how long it may go without a pause.

Here: one thing and its iterator. Not here: who iterates it (`run` on the loop, `pump` on a thread).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

NOTHING: Any = object()
"""Stands for "no value", where None is one."""

TURN = 0.006
"""Seconds for which code that never awaits may keep the event loop to itself.

More than CPython's switch interval of 5 ms, or the process's other threads starve: a loop's turn lets the interpreter
lock go for an instant, too short for them to take it, but which starts anew the 5 ms after which they insist on it.
"""


def iterator_of(produced: Any) -> Any:
    """An iterator over *produced*, or None if it is one single item (a text, a dict, an SDK's object, a dataclass)."""
    cls = type(produced)  # where Python looks: a class has the methods of its instances, and some objects any name
    if hasattr(cls, "__next__"):
        return produced
    if isinstance(produced, str | bytes | bytearray | memoryview | Mapping):
        return None
    if hasattr(produced, "model_dump") or is_dataclass(produced) or not hasattr(cls, "__iter__"):
        return None
    return iter(produced)


def close_iterator(iterator: Any, produced: Any) -> None:
    """Close an iterator, and what it was made from: an SDK's stream holds its connection itself."""
    for thing in (iterator, produced) if iterator is not produced else (iterator,):
        close = getattr(thing, "close", None)
        if close is not None:
            close()


async def close_async(thing: Any) -> None:
    """Close an async iterator, or what it was made from, by ``aclose`` or ``close``, whichever it has."""
    close = getattr(thing, "aclose", None) or getattr(thing, "close", None)
    if close is not None:
        closing = close()
        if inspect.isawaitable(closing):
            await closing
