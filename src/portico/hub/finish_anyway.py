"""Ends a change that was begun, even if its caller is cancelled meanwhile.

Otherwise a key could be written to the store and be unknown to the memory beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*. A cancelled caller stops waiting, and the work goes on to its end."""
    return await asyncio.shield(asyncio.ensure_future(work))
