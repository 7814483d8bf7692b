"""Ollama's chat and generate answers, whole or streamed, as its client's objects or as dicts.

Source: Ollama API reference, "Generate a chat completion", "Generate a completion".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.wording import got, reason_of, unusable
from portico.models.parts import Finish, Part, Reasoning, Text, Usage


class OllamaReader(Reader):
    """See `Reader`."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        message = got(item, "message")
        if message is None and got(item, "response") is None:
            if not isinstance(item, Mapping) and hasattr(item, "role"):
                message = item
            else:
                raise unusable(item, "give what chat() or generate() gives, or yields.")
        for part in _parts(item, message):
            yield 0, part


def _parts(item: Any, message: Any) -> Iterator[Part]:
    thought = got(message if message is not None else item, "thinking")
    if thought:
        yield Reasoning(thought)
    text = got(message, "content") if message is not None else got(item, "response")
    if text:
        yield Text(text)
    for call in got(message, "tool_calls", ()):
        made = tool_call(call)
        made.index = None  # each is whole, and another one
        yield made
    if got(item, "done"):
        prompt, completion = got(item, "prompt_eval_count"), got(item, "eval_count")
        if prompt is not None or completion is not None:
            yield Usage(prompt or 0, completion or 0)
        if got(item, "done_reason") not in (None, "stop"):
            yield Finish(reason_of(got(item, "done_reason")))
