"""LlamaIndex's chat messages and responses, and what its streams and agents give.

In a stream ``delta`` is new, and ``message`` (or ``text``) is all so far, its calls too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign.common import got, unusable
from portico.models.foreign.completions import tool_call
from portico.models.parts import Part, Reasoning, Text, ToolCall


class Reader:
    """See `Reader` of this package."""

    def __init__(self) -> None:
        self._calls: list[str] = []
        """How much of each call's arguments was given."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read` of this package."""
        for part in self._parts(item):
            yield 0, part

    def _parts(self, item: Any) -> Iterator[Part]:
        name = type(item).__name__
        message = item if name == "ChatMessage" else got(item, "message")
        if message is not None and hasattr(message, "additional_kwargs"):
            delta = got(item, "delta") if message is not item else None
            thought = got(message, "additional_kwargs", {}).get("thinking_delta")
            if thought:
                yield Reasoning(str(thought))
            if delta is not None:
                if delta:
                    yield Text(str(delta))
            else:
                yield from _whole(message)
            yield from self._new_calls(message)
        elif isinstance(got(item, "delta"), str) and hasattr(item, "delta"):  # CompletionResponse, AgentStream
            if getattr(item, "thinking_delta", None):
                yield Reasoning(item.thinking_delta)
            if item.delta:
                yield Text(item.delta)
        elif name == "AgentOutput":
            yield from self._parts(item.response)
        elif name in ("CompletionResponse", "Response", "AgentChatResponse"):
            text = got(item, "text") if name == "CompletionResponse" else got(item, "response")
            if text:
                yield Text(str(text))
        elif name in _ON_THE_WAY:
            return
        else:
            raise unusable(item, "give its text, what its response_gen yields, or a ChatResponse.")

    def _new_calls(self, message: Any) -> Iterator[Part]:
        """The calls that came, or grew, since the last time."""
        calls = list(message.additional_kwargs.get("tool_calls") or ())
        blocks = [block for block in got(message, "blocks", ()) if type(block).__name__ == "ToolCallBlock"]
        made = [tool_call(call) for call in calls] or [
            ToolCall(block.tool_name, block.tool_kwargs or "", block.tool_call_id) for block in blocks
        ]
        for place, call in enumerate(made):
            if place == len(self._calls):
                self._calls.append(call.arguments if isinstance(call.arguments, str) else "{}")
                yield ToolCall(call.name, call.arguments, call.id, place)
            elif isinstance(call.arguments, str) and call.arguments.startswith(self._calls[place]):
                rest = call.arguments[len(self._calls[place]) :]
                self._calls[place] = call.arguments
                if rest:
                    yield ToolCall(None, rest, None, place)


def _whole(message: Any) -> Iterator[Part]:
    for block in got(message, "blocks", ()):
        if type(block).__name__ == "ThinkingBlock" and got(block, "content"):
            yield Reasoning(block.content)
    text = got(message, "content")
    if text:
        yield Text(str(text))


_ON_THE_WAY = frozenset(("AgentInput", "AgentSetup", "ToolCall", "ToolCallResult", "AgentStreamStructuredOutput"))
"""Events of an agent's run that are not its answer."""
