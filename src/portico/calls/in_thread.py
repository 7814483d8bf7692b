"""Blocking work of Portico's own beside the event loop: imports, files, descriptions.

Not here: the code of users, which `portico.calls.run` runs, and their large values (`portico.functions.values`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from portico.calls.run import THREADS

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What *work* returns, or raises; done at once where there are no threads."""
    return await asyncio.to_thread(work, *args, **kwargs) if THREADS else work(*args, **kwargs)
