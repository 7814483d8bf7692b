"""`SSEStream`: how a wrapper says that what it gives is to be sent as server-sent events.

Here: the mark alone. Not here: how it is sent (`runs`). It imports nothing, since `run_api` may be annotated with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass
class SSEStream:
    """What ``run_api`` returns to answer with ``text/event-stream``, and not with ``text/plain``."""

    stream: Iterable[Any] | AsyncIterable[Any]
    """A generator or an async generator of pieces: texts, Haystack's chunks, and what JSON can say."""
