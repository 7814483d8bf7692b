"""Haystack's ChatMessage and StreamingChunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.wording import got, reason_of, unusable, usage_of
from portico.models.parts import Finish, Part, Reasoning, Text


class HaystackReader(Reader):
    """See `Reader`."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        name = type(item).__name__
        if name == "ChatMessage":
            role = got(item, "role")
            if getattr(role, "value", role) != "assistant":
                raise unusable(item, "give a message of the assistant, or a text.")
            text = "".join(item.texts)
        elif name == "StreamingChunk":
            text = item.content
        elif name == "GeneratedAnswer":
            text = item.data
        else:
            raise unusable(item, "give a ChatMessage, a StreamingChunk, or a text.")
        for part in _parts(item, text):
            yield 0, part


def _parts(item: Any, text: str | None) -> Iterator[Part]:
    thought = got(got(item, "reasoning"), "reasoning_text")
    if thought:
        yield Reasoning(thought)
    if text:
        yield Text(text)
    for call in got(item, "tool_calls", ()):
        yield tool_call(call)
    meta = got(item, "meta", {})
    if meta.get("usage"):
        yield usage_of(meta["usage"])
    reason = got(item, "finish_reason") or meta.get("finish_reason")
    if reason:
        yield Finish(reason_of(reason))
