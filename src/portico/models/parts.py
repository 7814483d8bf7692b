"""What a model function may return or yield, beside text, dicts and SDK objects: five small dataclasses.

Here: plain data that authors make, with no rule of the wire. How they, and every other shape, are understood is
in `shapes`; how they are written to a client is in each endpoint's own module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Text:
    """A piece of the answer's text: a delta, never all the text so far.

    ``logprobs`` is passed on as it is: the list of the OpenAI API's ``choices[].logprobs.content``.
    """

    text: str
    logprobs: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Reasoning:
    """A piece of the model's reasoning. Clients get it as ``reasoning_content`` and as ``reasoning``."""

    text: str


@dataclass(slots=True)
class ToolCall:
    """A call of a tool, whole or in fragments.

    Whole: ``ToolCall("get_weather", {"city": "Bern"})``; ``arguments`` is a mapping, or its JSON text. In fragments:
    the first names the function and its ``index``, the next ones carry ``index`` and a piece of the JSON text each.
    ``id`` is made up where none is given. ``index`` counts the calls of one answer from 0; without it, a named
    call is the next one and an unnamed fragment belongs to the last one.
    """

    name: str | None = None
    arguments: str | Mapping[str, Any] = ""
    id: str | None = None
    index: int | None = None


@dataclass(slots=True)
class Usage:
    """How many tokens the model counted. ``details`` is merged into the usage object (``prompt_tokens_details``...)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Finish:
    """Why the answer ends: ``stop``, ``length``, ``tool_calls``, ``content_filter`` or ``function_call``.

    Without one the reason is ``tool_calls`` where tools were called, else ``stop``.
    """

    reason: str
