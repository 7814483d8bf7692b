"""What the result of ``run_api`` is checked against: what its author says, but for what is no value.

Streams and whole responses go out as they are, and are known when they come: a generator, an `SSEStream`, a Starlette
response. They are said in a return annotation, alone or as one of several types.
"""

from __future__ import annotations

import collections.abc
import types
from typing import Any, Union, get_args, get_origin

from portico.packages import loaded

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


def checked_result(annotation: Any) -> Any:
    """The type that a result is checked against; `Any` where there is nothing to check."""
    if _is_whole(annotation):
        return Any
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    values = tuple(one for one in get_args(annotation) if not _is_whole(one) and not _is_stream(one))
    if len(values) == len(get_args(annotation)):
        return annotation
    return Union[values] if values else Any  # noqa: UP007 -- not each type has an operator for it


def _is_stream(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return any(origin is one for one in _STREAMS)


def _is_whole(annotation: Any) -> bool:
    """Whether it is a stream that says how it goes out, or a response."""
    if not isinstance(annotation, type):
        return False
    stream = loaded("portico.pipelines.streams.sse_stream", "SSEStream")  # who names it has imported it
    response = loaded("starlette.responses", "Response")
    return any(one is not None and issubclass(annotation, one) for one in (stream, response))
