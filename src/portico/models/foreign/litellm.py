"""LiteLLM: its responses and chunks, which are the OpenAI API's, and the chunks of its custom providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.openai import OpenAIReader
from portico.models.foreign.wording import reason_of, usage_of
from portico.models.parts import Finish, Part, Reasoning, Text


class LiteLLMReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._openai = OpenAIReader()

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        if not isinstance(item, Mapping):
            yield from self._openai.read(item)
            return
        # A GenericStreamingChunk. Its index says nothing: some providers count content blocks by it, or chunks.
        more = item.get("provider_specific_fields")
        thought = more.get("reasoning_content") if isinstance(more, Mapping) else None
        if isinstance(thought, str) and thought:
            yield 0, Reasoning(thought)
        if item.get("text"):
            yield 0, Text(str(item["text"]))
        if item.get("tool_use"):
            calls = item["tool_use"]
            for call in calls if isinstance(calls, list) else [calls]:
                yield 0, tool_call(call)
        if item.get("usage"):
            yield 0, usage_of(item["usage"])
        if item.get("is_finished") and item.get("finish_reason"):
            yield 0, Finish(reason_of(item["finish_reason"]))
