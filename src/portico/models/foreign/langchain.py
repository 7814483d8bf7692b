"""LangChain's messages and their chunks, and what LangGraph streams of them.

``tool_call_chunks`` of a chunk is what is new; its ``tool_calls`` is LangChain's guess at the whole, and is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import contents, from_delta, tool_call
from portico.models.foreign.wording import got, reason_of, unusable, usage_of
from portico.models.parts import Extra, Finish, Part, Reasoning, Text, ToolCall, Usage

_INSTEAD = "give an AIMessage, its chunks, or a text."


class LangChainReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        message = got(item, "message", item)  # of a ChatGeneration
        if hasattr(message, "content") and hasattr(message, "additional_kwargs"):
            if getattr(message, "type", None) not in ("ai", "AIMessageChunk"):
                raise unusable(message, _INSTEAD)
            for part in self._message(message):
                yield 0, part
        elif type(message).__name__ in ("Generation", "GenerationChunk"):
            if message.text:
                yield 0, Text(message.text)
        else:
            raise unusable(item, _INSTEAD)

    def _message(self, message: Any) -> Iterator[Part]:
        more = message.additional_kwargs
        thought = more.get("reasoning_content") or more.get("reasoning")
        if isinstance(thought, str) and thought:
            yield Reasoning(thought)
        pieces = getattr(message, "tool_call_chunks", None)
        whole = getattr(message, "tool_calls", None)
        for part in contents(message.content):
            # Calls are in lists of their own, unless the message has none of these.
            if not (isinstance(part, ToolCall) and (pieces or whole)):
                yield part
        if pieces is not None:
            for piece in pieces:
                index = piece.get("index")
                yield ToolCall(
                    piece.get("name"),
                    piece.get("args") or "",
                    piece.get("id"),
                    index if isinstance(index, int) else None,
                )
        else:
            for call in whole or ():
                yield tool_call(call)
        for call in getattr(message, "invalid_tool_calls", None) or () if pieces is None else ():
            yield tool_call(call)
        if not pieces and not whole and more.get("function_call"):
            yield from from_delta({"function_call": more["function_call"]})
        if more.get("refusal"):
            yield Extra({"refusal": more["refusal"]})
        yield from self._ending(message)

    def _ending(self, message: Any) -> Iterator[Part]:
        given = getattr(message, "usage_metadata", None)
        if given:
            usage, before = usage_of(given), self._usage
            if before is not None:  # the usages of chunks are deltas, too
                usage.prompt_tokens += before.prompt_tokens
                usage.completion_tokens += before.completion_tokens
                usage.total_tokens = (usage.total_tokens or 0) + (before.total_tokens or 0) or None
                usage.details = {**before.details, **usage.details}
            self._usage = usage
            details = {_DETAILS.get(key, key): value for key, value in usage.details.items()}
            yield Usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, details)
        ending = getattr(message, "response_metadata", None) or {}
        reason = next((ending[n] for n in ("finish_reason", "stop_reason", "done_reason") if ending.get(n)), None)
        if reason is None and ending.get("status") == "incomplete":  # of the responses API
            reason = got(ending.get("incomplete_details"), "reason", "length")
        if reason is not None:
            yield Finish(reason_of(reason))


_DETAILS = {"input_token_details": "prompt_tokens_details", "output_token_details": "completion_tokens_details"}
