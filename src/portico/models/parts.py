"""What an answer is made of: five small dataclasses that a model function may give, and four that others become.

Here: plain data, with no rule of the wire. How they, and every other shape, are understood is in `shapes`; how they
are written to a client is in each endpoint's own module.
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
    ``id`` is made up where none is given. ``index`` counts the calls of one answer from 0. A fragment belongs to the
    call of its ``id``; else to that of its ``index``; else a named one begins the next call, and an unnamed one belongs
    to the last.

    A call of a tool that the client offers as ``custom`` has the tool's input, a text, as its ``arguments``; a tool
    without a name (``local_shell``, ``apply_patch``, ``web_search``...) is called by its type. ``type`` and
    ``namespace`` are those of the tool that is offered under this name, unless given.
    """

    name: str | None = None
    arguments: str | Mapping[str, Any] = ""
    id: str | None = None
    index: int | None = None
    type: str | None = None
    namespace: str | None = None


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


@dataclass(slots=True)
class Extra:
    """Keys of a delta that are passed on as they are: ``refusal``, ``audio``, ``annotations``, and unknown ones."""

    delta: dict[str, Any]


@dataclass(slots=True)
class Meta:
    """Keys of a whole answer that are passed on as they are: ``system_fingerprint``, ``service_tier``, unknown ones."""

    fields: dict[str, Any]


@dataclass(slots=True)
class Item:
    """A whole output item of the responses API that is passed on as it is: a search, an image, another server's call.

    The chat API has no place for it, so its clients get it as ``output_items`` beside the message.
    """

    item: dict[str, Any]


@dataclass(slots=True)
class PageEvent:
    """An event for the page that shows the answer (Open WebUI's, say), as an object with ``to_event_dict()`` gives it.

    It is no part of the answer: streams pass it on, whole answers leave it out.
    """

    fields: dict[str, Any]


Part = Text | Reasoning | ToolCall | Usage | Finish | Extra | Meta | Item | PageEvent
"""What is understood of an item that a function gives."""
