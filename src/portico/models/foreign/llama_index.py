"""LlamaIndex's chat messages and responses, and what its streams and agents give.

In a stream ``delta`` is new, and ``message`` (or ``text``) is all so far, its calls too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.wording import got, reason_of, unusable, usage_of
from portico.models.parts import Finish, Part, Reasoning, Text, ToolCall


class LlamaIndexReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._calls: list[str] = []
        """How much of each call's arguments was given."""
        self._given: list[str] = []
        """The texts that were given, of which streams give the whole at their end, or each time, without a delta."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
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
            role = got(message, "role")
            if getattr(role, "value", role) not in (None, "assistant"):
                raise unusable(item, "give a message of the assistant, or a text.")
            if delta is not None:
                yield from self._text(str(delta))
            else:
                yield from self._whole(message)
            yield from self._new_calls(message)
            yield from _ending(item)
        elif isinstance(got(item, "delta"), str) and hasattr(item, "delta"):  # CompletionResponse, AgentStream
            if getattr(item, "thinking_delta", None):
                yield Reasoning(item.thinking_delta)
            yield from self._text(item.delta)
            yield from _ending(item)
        elif name == "AgentOutput":
            yield from self._parts(item.response)
        elif name in ("CompletionResponse", "Response", "AgentChatResponse"):
            text = got(item, "text") if name == "CompletionResponse" else got(item, "response")
            yield from self._rest(str(text or ""))
            yield from _ending(item)
        elif name in _ON_THE_WAY:
            return
        else:
            raise unusable(item, "give its text, what its response_gen yields, or a ChatResponse.")

    def _text(self, new: str) -> Iterator[Part]:
        if new:
            self._given.append(new)
            yield Text(new)

    def _rest(self, text: str) -> Iterator[Part]:
        """What is new in the whole *text*."""
        yield from self._text(text.removeprefix("".join(self._given)))

    def _whole(self, message: Any) -> Iterator[Part]:
        for block in got(message, "blocks", ()):
            kind = type(block).__name__
            if kind == "ThinkingBlock" and got(block, "content"):
                if not self._given:
                    yield Reasoning(block.content)
            elif kind in _NO_TEXT:
                raise unusable(block, "answers are texts: it has no place in one.")
        yield from self._rest(str(got(message, "content", "")))

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


def _ending(item: Any) -> Iterator[Part]:
    """The usage and the finish reason: beside the text, or in the raw answer of the model's server."""
    raw, more = got(item, "raw"), got(item, "additional_kwargs", {})
    usage = more if "prompt_tokens" in more else got(raw, "usage")
    if usage:
        yield usage_of({name: value for name in _COUNTS if (value := got(usage, name)) is not None})
    choices = got(raw, "choices")
    reason = got(choices[0], "finish_reason") if isinstance(choices, list) and choices else None
    reason = reason or got(raw, "done_reason") or got(raw, "stop_reason")
    if isinstance(reason, str):
        yield Finish(reason_of(reason))


_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
_NO_TEXT = frozenset(("ImageBlock", "AudioBlock", "VideoBlock", "DocumentBlock"))
_ON_THE_WAY = frozenset(("AgentInput", "AgentSetup", "ToolCall", "ToolCallResult", "AgentStreamStructuredOutput"))
"""Events of an agent's run that are not its answer."""
