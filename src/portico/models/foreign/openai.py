"""Objects of the OpenAI SDK: completions, chunks, responses and events, and the events of its stream helpers.

A stream helper (``client.chat.completions.stream``) gives each chunk, and then events that say the same once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import DELTA_KEYS, from_answer, from_choice, from_delta, is_answer, is_choice
from portico.models.foreign.responses import ResponsesReader
from portico.models.foreign.wording import unusable
from portico.models.parts import Extra, Part, Text, ToolCall


class OpenAIReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._responses = ResponsesReader()
        self._chunks = False
        """Whether chunks came, so that the helper's other events only repeat them."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        if type(item).__name__ in _ANSWERS:  # what most streams yield needs no looking into
            yield from from_answer(item.model_dump(mode="json", exclude_none=True, warnings=False))
            return
        kind = getattr(item, "type", None)
        chunk = getattr(item, "chunk", None)
        if kind == "chunk" and chunk is not None:
            self._chunks = True
            item, kind = chunk, None
        elif isinstance(kind, str) and kind in _REPEATS:
            if not self._chunks:
                yield from _of_helper(kind, item)
            return
        dump = getattr(item, "model_dump", None)
        dumped = dump(mode="json", exclude_none=True, warnings=False) if dump is not None else None
        if not isinstance(dumped, Mapping):
            raise unusable(item, "give what its stream yields, or its text.")
        if is_answer(dumped):
            yield from from_answer(dumped)
        elif dumped.get("object") == "response" or _of_responses(dumped):
            yield from self._responses.read(dumped)
        elif is_choice(dumped):
            yield from from_choice(dumped, dumped.get("index", 0))
        elif type(item).__name__ in _DELTAS or ("role" in dumped and "content" in dumped):
            for part in from_delta({key: value for key, value in dumped.items() if key in DELTA_KEYS}):
                yield 0, part
        else:
            raise unusable(item, "give a completion, a response, or what a stream of them yields.")


def _of_responses(dumped: Mapping[str, Any]) -> bool:
    kind = dumped.get("type")
    return isinstance(kind, str) and (
        kind.startswith(("response.", "mcp_"))
        or kind.endswith(("_call", "_output"))
        or kind in ("message", "reasoning", "error")
    )


def _of_helper(kind: str, event: Any) -> Iterator[tuple[int, Part]]:
    """An event of the chat stream's helper where its chunks were left out."""
    match kind:
        case "content.delta":
            yield 0, Text(event.delta)
        case "refusal.delta":
            yield 0, Extra({"refusal": event.delta})
        case "tool_calls.function.arguments.delta":
            yield 0, ToolCall(event.name, event.arguments_delta, None, event.index)
        case _:
            pass  # what has been said by deltas


_REPEATS = frozenset(
    (
        *("content.delta", "content.done", "refusal.delta", "refusal.done"),
        *("tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"),
        *("logprobs.content.delta", "logprobs.content.done", "logprobs.refusal.delta", "logprobs.refusal.done"),
    )
)
_ANSWERS = frozenset(("ChatCompletionChunk", "ChatCompletion", "Completion"))
_DELTAS = frozenset(("ChoiceDelta", "ChatCompletionMessage", "ParsedChatCompletionMessage"))
