"""What an author hears of a stream, and what they add to it: tools, reasoning, the end.

Here: the author's callbacks, called for a chunk and for the end. An exception of theirs goes to the log and ends
nothing. Not here: where the pieces that they give come in (`streaming`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

ToolCallbackReturn = Any
"""What a callback gives: None, a text, an event, or a list of them."""

OnToolCallStart = Callable[[str, dict[str, Any], str | None], ToolCallbackReturn] | None
"""Called with a tool's name, its arguments, and the call's id, if it has one."""
OnToolCallEnd = Callable[[str, dict[str, Any], str, bool], ToolCallbackReturn] | None
"""Called with a tool's name, its arguments, its result as a text, and whether it failed."""
OnReasoning = Callable[[str, dict[str, Any] | None], ToolCallbackReturn] | None
"""Called with a piece of the model's reasoning, and what the provider says besides."""
OnPipelineEnd = Callable[[Any], ToolCallbackReturn] | None
"""Called with the result of the run."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The author's functions for one stream."""

    tool_start: OnToolCallStart = None
    tool_end: OnToolCallEnd = None
    reasoning: OnReasoning = None
    end: OnPipelineEnd = None

    @property
    def hear(self) -> bool:
        """Whether the author wants to be told of any chunk."""
        return self.tool_start is not None or self.tool_end is not None or self.reasoning is not None

    def calls(self, chunk: Any) -> list[Callable[[], ToolCallbackReturn]]:
        """What is to be called before *chunk* goes out: for a ``StreamingChunk``, and no piece of another kind."""
        found: list[Callable[[], ToolCallbackReturn]] = []
        if not hasattr(chunk, "tool_call_result"):
            return found
        if (start := self.tool_start) is not None and chunk.tool_calls:
            # only the first piece of a call has its name
            found += [_of_start(start, call) for call in chunk.tool_calls if call.tool_name]
        if (end := self.tool_end) is not None and chunk.tool_call_result:
            found.append(_of_end(end, chunk.tool_call_result))
        if (reasoned := self.reasoning) is not None and getattr(chunk, "reasoning", None) is not None:
            found.append(_of_reasoning(reasoned, chunk.reasoning))
        return found

    def pieces(self, chunk: Any) -> list[Any]:
        """What the author adds before *chunk*."""
        return [piece for call in self.calls(chunk) for piece in _called(call)]

    async def pieces_async(self, chunk: Any) -> list[Any]:
        """As `pieces`, where callbacks may be coroutine functions."""
        return [piece for call in self.calls(chunk) for piece in await _awaited(call)]

    def last(self, result: Any) -> list[Any]:
        """What the author adds at the end, of the run's *result*; texts as chunks."""
        return [] if self.end is None else _called(_of_last(self.end, result), _as_chunk)

    async def last_async(self, result: Any) -> list[Any]:
        """As `last`, where the callback may be a coroutine function."""
        return [] if self.end is None else await _awaited(_of_last(self.end, result), _as_chunk)


def _of_start(start: Callable[..., ToolCallbackReturn], call: Any) -> Callable[[], ToolCallbackReturn]:
    def on_tool_call_start() -> ToolCallbackReturn:
        return start(call.tool_name, _arguments(call.arguments), call.id)

    return on_tool_call_start


def _of_end(end: Callable[..., ToolCallbackReturn], told: Any) -> Callable[[], ToolCallbackReturn]:
    def on_tool_call_end() -> ToolCallbackReturn:
        result = told.result if isinstance(told.result, str) else str(told.result)
        return end(told.origin.tool_name, told.origin.arguments, result, bool(told.error))

    return on_tool_call_end


def _of_reasoning(reasoned: Callable[..., ToolCallbackReturn], reasoning: Any) -> Callable[[], ToolCallbackReturn]:
    def on_reasoning() -> ToolCallbackReturn:
        text = getattr(reasoning, "reasoning_text", None)
        return reasoned(text if isinstance(text, str) else str(reasoning), getattr(reasoning, "extra", None))

    return on_reasoning


def _of_last(end: Callable[[Any], ToolCallbackReturn], result: Any) -> Callable[[], ToolCallbackReturn]:
    def on_pipeline_end() -> ToolCallbackReturn:
        return end(result)

    return on_pipeline_end


def _arguments(text: str | None) -> dict[str, Any]:
    """The arguments of a tool's call, as far as they have come: a piece of JSON at the start of a stream."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _called(call: Callable[[], ToolCallbackReturn], piece: Callable[[Any], Any] | None = None) -> list[Any]:
    try:
        return _pieces(call(), piece)
    except Exception:  # an author's callback may raise anything; their stream goes on without what it would have said
        log.exception("Error in %s callback of a stream", call.__name__)
        return []


async def _awaited(call: Callable[[], ToolCallbackReturn], piece: Callable[[Any], Any] | None = None) -> list[Any]:
    try:
        given = call()
        if hasattr(given, "__await__"):
            given = await given
        return _pieces(given, piece)
    except Exception:  # as above
        log.exception("Error in %s callback of a stream", call.__name__)
        return []


def _pieces(given: ToolCallbackReturn, piece: Callable[[Any], Any] | None) -> list[Any]:
    if not given:
        return []
    if hasattr(given, "__await__"):
        given.close()
        raise TypeError(
            "a callback of streaming_generator is a coroutine function: async_streaming_generator takes those"
        )
    found = [each for each in given if each] if isinstance(given, list | tuple) else [given]
    return found if piece is None else [piece(each) for each in found]


def _as_chunk(piece: Any) -> Any:
    """A text as Haystack's chunk; events and chunks as they are."""
    from haystack.dataclasses import StreamingChunk  # a pipeline has run, so it is there

    if isinstance(piece, StreamingChunk) or callable(getattr(piece, "to_event_dict", None)):
        return piece
    if not isinstance(piece, str):
        raise TypeError(f"on_pipeline_end gave {type(piece).__name__}: give a text, an event, or a list of them")
    return StreamingChunk(content=piece)
