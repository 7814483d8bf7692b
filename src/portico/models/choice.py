"""One choice of an answer: takes the parts that a model gives and says what is new in them.

Here: stop sequences, the limit of tokens, the numbering of tool calls, and everything that a whole answer needs at
its end. Not here: shapes of items (`shapes`) and the wire (each endpoint's module).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.errors import UnusableOutput
from portico.models.parts import Finish, Reasoning, Text, ToolCall, Usage
from portico.models.registry import AnyTokenizer
from portico.models.shapes import Extra, Meta, Part
from portico.models.stop import StopFilter
from portico.models.tokens import count, longest_start

CUMULATIVE = 4
"""Items at the start that are looked at: so many, each beginning with the whole one before, are no deltas."""

CUMULATIVE_LENGTH = 8
"""Characters. Shorter growing texts ("1", "10", "100") may well be deltas."""


@dataclass(slots=True)
class Tool:
    """A tool call as it grows. ``arguments`` are the pieces of its JSON text."""

    index: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.arguments)


@dataclass(slots=True)
class ToolBegin:
    """A tool call begins: its name and id are known, its arguments come next."""

    tool: Tool


@dataclass(slots=True)
class ToolArguments:
    """A piece of a tool call's arguments."""

    tool: Tool
    piece: str


Event = Text | Reasoning | ToolBegin | ToolArguments | Extra
"""What is new for the client."""


class Choice:
    """Gathers one choice. ``take`` is given each part, then ``end`` is called once."""

    def __init__(self, stops: list[str], limit: int | None, tokenizer: AnyTokenizer | None) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.tools: list[Tool] = []
        self.extra: dict[str, Any] = {}
        self.logprobs: list[dict[str, Any]] = []
        self.reason: str | None = None
        self.touched = False
        """Whether the model has given anything for this choice."""
        self.done = False
        """Whether a stop sequence or the limit has ended it."""
        self.plain = False
        """Whether a text may be passed on as it is, without being looked at."""
        self._stop = StopFilter(stops) if stops else None
        self._limit = limit if tokenizer is not None else None
        self._tokenizer = tokenizer
        self._tokens = 0
        self._positions: dict[int, Tool] = {}
        self._pieces = 0
        self._growing = 0
        self._last = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def finish_reason(self) -> str:
        return self.reason or ("tool_calls" if self.tools else "stop")

    def take(self, part: Part) -> list[Event]:
        """What is new for the client in *part*."""
        self.touched = True
        if self.done:
            return []
        if isinstance(part, Text):
            return self._take_text(part)
        if isinstance(part, Reasoning):
            self.reasoning.append(part.text)
            return [part]
        if isinstance(part, ToolCall):
            return self._take_tool(part)
        if isinstance(part, Finish):
            self.reason = part.reason
        elif isinstance(part, Extra):
            _merge(self.extra, part.delta)
            return [part]
        elif not isinstance(part, Usage | Meta):
            raise AssertionError(part)
        return []

    def end(self) -> list[Event]:
        """What was held back, as no more parts come."""
        held = self._stop.end() if self._stop and not self.done else ""
        return self._limited(Text(held)) if held else []

    def _take_text(self, part: Text) -> list[Event]:
        if self._pieces < CUMULATIVE:
            self._look_for_cumulative(part.text)
        if self._stop is not None:
            part = Text(self._stop.feed(part.text), part.logprobs)
            if self._stop.hit is not None:
                self.reason, self.done = "stop", True
        return self._limited(part)

    def _limited(self, part: Text) -> list[Event]:
        if self._limit is not None and self._tokenizer is not None and part.text:
            tokens = count(part.text, self._tokenizer)
            if self._tokens + tokens > self._limit:
                part = Text(longest_start(part.text, self._limit - self._tokens, self._tokenizer), part.logprobs)
                self.reason, self.done = "length", True
            self._tokens += tokens
        if not part.text:
            return []
        self.texts.append(part.text)
        if part.logprobs:
            self.logprobs.extend(part.logprobs)
        return [part]

    def _look_for_cumulative(self, text: str) -> None:
        self._pieces += 1
        grows = bool(self._last) and len(text) > len(self._last) and text.startswith(self._last)
        self._growing = self._growing + 1 if grows else 0
        self._last = text
        if self._pieces == CUMULATIVE:
            if self._growing == CUMULATIVE - 1 and len(text.strip()) >= CUMULATIVE_LENGTH:
                raise UnusableOutput(
                    "The model gave cumulative text: each item repeats the whole text so far. Yield only what is new."
                )
            self.plain = self._stop is None and self._limit is None

    def _take_tool(self, call: ToolCall) -> list[Event]:
        events: list[Event] = []
        tool = self._tool_for(call)
        if tool is None:
            if not call.name:
                raise UnusableOutput("The model gave arguments of a tool call before its name.")
            tool = Tool(len(self.tools), call.id or f"call_{os.urandom(12).hex()}", call.name)
            self.tools.append(tool)
            self._positions[tool.index if call.index is None else call.index] = tool
            events.append(ToolBegin(tool))
        piece = call.arguments
        if isinstance(piece, Mapping):
            try:
                piece = json.dumps(piece, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                raise UnusableOutput("The model gave a tool call whose arguments are no JSON.") from error
        if not isinstance(piece, str):
            raise UnusableOutput("A tool call's arguments are a dict, or its JSON text.")
        if piece:
            tool.arguments.append(piece)
            events.append(ToolArguments(tool, piece))
        return events

    def _tool_for(self, call: ToolCall) -> Tool | None:
        """The call that *call* goes on with; None if it is a new one."""
        if call.index is None:
            return None if call.name else self.tools[-1] if self.tools else None
        tool = self._positions.get(call.index)
        if tool is not None and call.name and call.id and call.id != tool.id:
            return None  # whole calls that all say index 0, as some servers send them
        return tool


def _merge(into: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Add a delta's keys: texts and lists grow (``refusal``, ``audio.data``, ``annotations``), others are replaced."""
    for key, value in delta.items():
        old = into.get(key)
        if isinstance(old, str) and isinstance(value, str):
            into[key] = value if key in ("id", "type", "role") else old + value
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + value
        elif isinstance(old, dict) and isinstance(value, Mapping):
            _merge(old, value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
