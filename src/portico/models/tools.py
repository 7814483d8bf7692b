"""The types of tools, and which of the offered ones a call means.

Here: the tools of a request, by what a model calls them, and one table of the tools that the responses API knows by
their type alone (shells, patches, searches...). Not here: how calls look (`tool_deltas`, `tool_items`). Source: OpenAI
API reference, "Create a model response", ``tools``; "Create chat completion", ``tools``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FUNCTION = "function"
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A type of tool that has no name of its own. Its calls are items of a type of their own.

    ``payload`` is the item's field that holds what the model wants done; empty where that is spread over the item.
    ``runs`` says that whoever makes the answer runs it, so that clients are told of it and send nothing back.
    """

    name: str
    payload: str
    runs: bool

    @property
    def call(self) -> str:
        """The type of an item that calls it."""
        return f"{self.name}_call"


HOSTED = {
    one.name: one
    for one in (
        Hosted("local_shell", "action", runs=False),
        Hosted("shell", "action", runs=False),
        Hosted("apply_patch", "operation", runs=False),
        Hosted("computer", "action", runs=False),
        Hosted("tool_search", "arguments", runs=False),
        Hosted("web_search", "action", runs=True),
        Hosted("file_search", "", runs=True),
        Hosted("code_interpreter", "", runs=True),
        Hosted("image_generation", "", runs=True),
        Hosted("mcp", "", runs=True),
    )
}

_OTHER_NAMES = {"computer_use_preview": "computer", "computer_use": "computer"}


def hosted(type_: Any) -> Hosted | None:
    """The row of a tool's *type_*, whose versions have names of their own: ``web_search_preview_2025_03_11``."""
    if not isinstance(type_, str):
        return None
    known = HOSTED.get(_OTHER_NAMES.get(type_, type_))
    return HOSTED["web_search"] if known is None and type_.startswith("web_search") else known


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool that the client offers: its type (``function``, ``custom``, or one of `HOSTED`), name and namespace."""

    type: str
    name: str
    namespace: str | None = None


Offers = Mapping[str, Offered]


def offers_of(tools: Any) -> Offers:
    """The tools of a request by the names that a model may call them by; in the shape of either API.

    A tool of a namespace has its own name, if that is the only one, and always ``namespace.name``.
    """
    offers: dict[str, Offered] = {}
    if isinstance(tools, list):
        _add(offers, tools, None)
        for tool in tools:
            row = hosted(tool.get("type")) if isinstance(tool, Mapping) else None
            if row is not None:
                offers.setdefault(row.name, Offered(row.name, row.name))
                offers.setdefault(tool["type"], Offered(row.name, row.name))
    return offers


def _add(offers: dict[str, Offered], tools: Iterable[Any], namespace: str | None) -> None:
    for tool in tools:
        if not isinstance(tool, Mapping):
            continue
        type_ = tool.get("type", FUNCTION)
        inner = tool.get(type_) if isinstance(type_, str) else None
        name = (inner if isinstance(inner, Mapping) else tool).get("name")
        if not isinstance(name, str):
            continue
        if type_ == "namespace" and isinstance(tool.get("tools"), list):
            _add(offers, tool["tools"], name)
        elif type_ in (FUNCTION, CUSTOM):
            offer = Offered(type_, name, namespace)
            if namespace is not None:
                offers[f"{namespace}.{name}"] = offer
            offers.setdefault(name, offer)
