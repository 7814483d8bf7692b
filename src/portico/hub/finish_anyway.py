"""A change that was begun is finished, though whoever asked for it is gone: what is written is known here as well."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*. A cancelled caller stops waiting, and the work goes on to its end."""
    return await asyncio.shield(asyncio.ensure_future(work))
