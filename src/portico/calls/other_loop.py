"""Explains a failure that comes of two event loops: something was made on one, and used on the other.

Here: how such a failure is known, and what its author is told. Not here: the loops themselves (`loops`).
"""

from __future__ import annotations

import re

_OTHER_LOOP = re.compile(
    r"different (?:event )?loop|bound to a different|attached to a different|same event loop|Event loop is closed"
    r"|Non-thread-safe operation invoked|no current event loop"
)
"""What asyncio, anyio, aiohttp, httpx and database clients say."""

NOTE = (
    "Portico: something that belongs to the notebook's event loop, such as an async client or a lock that a cell has "
    "made and used, was used on the loop that serves the function. Serve it with --kernel-loop (loop='kernel'), or "
    "make the client inside the function."
)

_DEPTH = 20
"""Causes of an error that are looked at."""


def explain(error: BaseException) -> None:
    """Add a note to *error*, which tracebacks end with, if it comes of two loops."""
    cause: BaseException | None = error
    for _ in range(_DEPTH):
        if cause is None:
            return
        if isinstance(cause, RuntimeError | ValueError) and _OTHER_LOOP.search(str(cause)):
            if NOTE not in getattr(error, "__notes__", ()):
                error.add_note(NOTE)
            return
        cause = cause.__cause__ or cause.__context__
