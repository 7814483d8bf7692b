"""Understands what other libraries and servers give: a file for each library or format, and the table of them.

- Libraries: `anthropic`, `crewai`, `google_genai`, `haystack`, `langchain`, `litellm`, `llama_index`, `ollama`,
  `openai`, `openai_agents`, `pydantic_ai`. All other objects, the author's own among them: `objects`.
- Formats of the OpenAI API, as dicts: `completions`, `responses`.
- `wording`: what the readers share.

A reader is made once for each run of a function, so that it can tell an event that only repeats others from a new one.
Which reader is for an object is found once for its type. Nothing of a library is imported here: its objects are known
by the package that their classes come from. What no reader understands raises `UnusableOutput`, and what is in an
object of a library never becomes JSON that visitors see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol

from portico.models.parts import Part
from portico.models.tools import HOSTED

Parts = Iterable[tuple[int, Part]]
"""Parts, each with the index of the choice that it belongs to."""


class Reader(Protocol):
    """Reads what one library gives, in one run of a function."""

    def read(self, item: Any) -> Parts:
        """The parts of *item*. Raises `UnusableOutput`."""

    def rest(self) -> Parts:
        """What was held back until nothing more comes."""
        return ()


BY_PACKAGE = {
    "openai": "openai",
    "agents": "openai_agents",
    "anthropic": "anthropic",
    "langchain_core": "langchain",
    "langchain": "langchain",
    "langgraph": "langchain",
    "litellm": "litellm",
    "llama_index": "llama_index",
    "ollama": "ollama",
    "haystack": "haystack",
    "google": "google_genai",
    "pydantic_ai": "pydantic_ai",
    "crewai": "crewai",
}
"""The top-level package of an object's class, and the module here that reads it."""


def module_for(cls: type) -> str | None:
    """The module that reads objects of *cls*: by its own package first, then by those of what it is made from."""
    for base in cls.__mro__:
        found = BY_PACKAGE.get(base.__module__.partition(".")[0])
        if found is not None:
            return found
    return None


def module_of_dict(item: Mapping[str, Any], structured: bool = False) -> str | None:
    """The module that reads a dict in another server's wire format; None for the OpenAI API's own, and for deltas.

    With *structured* a dict may be an answer in JSON, which only looks a little like such a format.
    """
    kind = item.get("type")
    if isinstance(kind, str):
        if kind.startswith("response.") or (kind in _ITEMS and not structured):
            return "responses"
        if kind in _ANTHROPIC and (kind != "message" or ("content" in item and not _CHAT & item.keys())):
            return "anthropic"
    if item.get("object") == "response" and isinstance(item.get("output"), list):
        return "responses"
    if "usageMetadata" in item or _has_content(item.get("candidates")):
        return "google_genai"
    if isinstance(item.get("done"), bool) and (
        isinstance(item.get("message"), Mapping) or isinstance(item.get("response"), str)
    ):
        return "ollama"
    if "is_finished" in item and "text" in item:
        return "litellm"
    return None


def _has_content(candidates: Any) -> bool:
    return isinstance(candidates, list) and any(isinstance(one, Mapping) and "content" in one for one in candidates)


_CHAT = frozenset(("tool_calls", "finish_reason", "refusal"))
"""Keys of the chat API's messages, which Anthropic's do not have."""

_ITEMS = frozenset(
    (
        *("function_call", "custom_tool_call", "reasoning", "mcp_list_tools", "mcp_approval_request", "error"),
        *(row.call for row in HOSTED.values()),
    )
)
"""Of the responses API, without ``response.`` before: items of its output, and an error in its streams."""

_ANTHROPIC = frozenset(
    (
        *("message", "message_start", "message_delta", "message_stop", "ping"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    )
)


_CLASSES = {
    "anthropic": "AnthropicReader",
    "crewai": "CrewAIReader",
    "google_genai": "GoogleGenAIReader",
    "haystack": "HaystackReader",
    "langchain": "LangChainReader",
    "litellm": "LiteLLMReader",
    "llama_index": "LlamaIndexReader",
    "objects": "ObjectReader",
    "ollama": "OllamaReader",
    "openai": "OpenAIReader",
    "openai_agents": "OpenAIAgentsReader",
    "pydantic_ai": "PydanticAIReader",
    "responses": "ResponsesReader",
}
"""The modules that read, and the class in each, which is imported when the first such thing is given."""


def reader_of(module: str) -> Reader:
    """A new reader, of the class in *module* here."""
    made: Reader = getattr(import_module(f"{__name__}.{module}"), _CLASSES[module])()
    return made
