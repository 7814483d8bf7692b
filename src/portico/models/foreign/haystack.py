"""Haystack's ChatMessage and StreamingChunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.wording import got, reason_of, unusable, usage_of
from portico.models.parts import Finish, Part, Reasoning, Text, ToolCall


class HaystackReader(Reader):
    """See `Reader`.

    A stream holds the calls that a pipeline or an agent runs itself, too. Those are not the client's, who would run
    them a second time. So calls wait until it is known whose they are: they are the pipeline's own where their results
    follow, or more of the answer after the message with the calls has ended.
    """

    def __init__(self) -> None:
        self._calls: list[Part] = []
        """Calls that wait, in fragments as they came."""
        self._over = False
        """Whether the message that holds them has ended."""

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
            if self._calls or got(item, "tool_calls"):
                yield from self._of_calls(item, text)
                return
        elif name == "GeneratedAnswer":
            text = item.data
        else:
            raise unusable(item, "give a ChatMessage, a StreamingChunk, or a text.")
        for part in _parts(item, text):
            yield 0, part

    def _of_calls(self, chunk: Any, text: str) -> Iterator[tuple[int, Part]]:
        """The parts of a chunk that has calls, or comes after some."""
        answered = got(chunk, "tool_call_result") is not None
        if self._calls and (answered or (self._over and (text or got(chunk, "reasoning") is not None))):
            self._calls.clear()
            yield 0, Finish("stop")  # the reason of the message with the calls is not that of the answer
        for part in _parts(chunk, text):
            if isinstance(part, ToolCall):
                self._calls.append(part)
                self._over = False
            else:
                yield 0, part
        self._over = self._over or got(chunk, "finish_reason") is not None

    def rest(self) -> Iterator[tuple[int, Part]]:
        """See `Reader.rest`."""
        for call in self._calls:
            yield 0, call


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
