"""One choice of an answer: takes the parts that a model gives and says what is new in them.

Here: stop sequences, the limit of tokens, text that is given whole each time, and everything that a whole answer needs
at its end. Not here: shapes of items (`shapes`), which call a piece belongs to (`tool_calls`), and the wire (each
endpoint's module).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.errors import UnusableOutput
from portico.models.parts import Extra, Finish, Item, Meta, PageEvent, Part, Reasoning, Text, ToolCall, Usage
from portico.models.registry import AnyTokenizer
from portico.models.stop import StopFilter
from portico.models.surrogates import Halves
from portico.models.tokens import count, longest_start
from portico.models.tool_calls import CalledTool, ToolArguments, ToolBegin, ToolCalls
from portico.models.tools import Offers

CUMULATIVE = 4
"""Items at the start that are looked at: so many, each beginning with the whole one before, are no deltas."""

CUMULATIVE_LENGTH = 8
"""Characters. Shorter growing texts ("1", "10", "100") may well be deltas."""

CUMULATIVE_AT_END = 3
"""Items that are enough where no more of them come."""

LOOKED_AT = 64
"""Items after which the same text again and again counts as deltas, not as a text that does not grow yet."""


_DELTA = "delta."
"""What the channels of texts in other keys of a delta begin with, as `Halves` knows them."""

Event = Text | Reasoning | ToolBegin | ToolArguments | Extra | Item | PageEvent
"""What is new for the client."""


class Choice:
    """Gathers one choice. ``take`` is given each part, then ``end`` is called once."""

    def __init__(
        self, stops: list[str], limit: int | None, tokenizer: AnyTokenizer | None, offers: Offers | None = None
    ) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.items: list[dict[str, Any]] = []
        """Output items of the responses API, whole, that are neither text, reasoning nor calls for the client."""
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
        self._calls = ToolCalls(offers or {})
        self._halves = Halves()
        self._waits = False
        """Whether texts are not passed on as they are only because a half waits for the next."""
        self._pieces = 0
        self._growing = 0
        self._last = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def tools(self) -> list[CalledTool]:
        return self._calls.tools

    @property
    def finish_reason(self) -> str:
        return self.reason or ("tool_calls" if self.tools else "stop")

    def take(self, part: Part) -> list[Event]:
        """What is new for the client in *part*."""
        self.touched = True
        if self.done:
            return []
        if isinstance(part, Text):
            if not part.text.isascii() or self._halves.held:
                part = Text(self._halves.joined("text", part.text), part.logprobs)
                if self._halves.held:  # the next text must be looked at
                    self._waits, self.plain = self._waits or self.plain, False
                elif self._waits:
                    self._waits, self.plain = False, True
            return self._take_text(part) if part.text else []
        if isinstance(part, Reasoning):
            text = self._halves.joined("reasoning", part.text)
            if not text:
                return []
            self.reasoning.append(text)
            return [Reasoning(text)]
        if isinstance(part, ToolCall):
            return [*self._calls.take(part)]
        if isinstance(part, Finish):
            self.reason = part.reason
        elif isinstance(part, Extra):
            part = Extra(self._halves.joined_in(part.delta, _DELTA))
            _merge(self.extra, part.delta)
            return [part]
        elif isinstance(part, Item):
            self.items.append(part.item)
            return [part]
        elif isinstance(part, PageEvent):
            return [part]
        elif not isinstance(part, Usage | Meta):
            raise AssertionError(part)
        return []

    def end(self) -> list[Event]:
        """What was held back, as no more parts come."""
        events: list[Event] = []
        if not self.done:
            if thought := self._halves.rest("reasoning"):
                self.reasoning.append(thought)
                events.append(Reasoning(thought))
            for delta in self._halves.rest_in(_DELTA):
                _merge(self.extra, delta)
                events.append(Extra(delta))
            held = self._halves.rest("text")
            if self._stop is not None:
                held = self._stop.feed(held) + self._stop.end()
            events += self._limited(Text(held)) if held else []
            # A text that grew with each item; a few are enough now that no more of them come.
            if self._growing >= CUMULATIVE_AT_END - 1 and len(self._last.strip()) >= CUMULATIVE_LENGTH:
                raise _cumulative()
        return [*events, *self._calls.end()]

    def _take_text(self, part: Text) -> list[Event]:
        if not self.plain and self._growing >= 0:
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
        """Count the items that begin with the whole one before, as long as all of them do."""
        self._pieces += 1
        last, self._last = self._last, text
        if self._pieces == 1 or text == last:
            pass  # it may go on to grow
        elif len(text) > len(last) and text.startswith(last):
            self._growing += 1
        else:
            self._growing = -1
        if self._growing >= CUMULATIVE - 1 and len(text.strip()) >= CUMULATIVE_LENGTH:
            raise _cumulative()
        if self._growing < 0 or self._pieces >= LOOKED_AT:
            self._growing = -1
            self.plain = self._stop is None and self._limit is None


def _cumulative() -> UnusableOutput:
    return UnusableOutput(
        "The model gave cumulative text: each item repeats the whole text so far. Yield only what is new, as "
        "text[len(before):]."
    )


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
