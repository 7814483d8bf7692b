"""Chat models: any Python function behind the whole OpenAI API, as a plain ASGI app.

Here: the public names. The server: `app` has the routes, `engine` is what the endpoints share, `wire` the API's own
forms, `openapi` describes it and `page` is its page for people.

- The endpoints: `chat_completions`, `completions`, `embeddings`, `responses`. Those of the responses API are written by
  `response_events` and `response_parts`, read by `response_input`, kept by `response_store` and `response_tape`, and
  come over a WebSocket by `response_socket`. `fields` and `messages` check requests, `structured` JSON answers.
- The function: `registry` says which models there are, `injection` and `annotations` what a function gets.
- The answer: `generation` makes one, `delivery` delivers it. `shapes` understands what a function gives, by the
  readers in `foreign`, as `parts`; `choice` keeps one choice of an answer, with `stop` sequences, `tokens`, `halves` of
  pairs, and `tool_calls` of the `tools` that the client offers, which look as `tool_deltas` and `tool_items` say.

How a function is run for a request is in `portico.calls`.
Nothing here knows of Portico's links, hubs and notebooks: the app runs under any ASGI server, and in a browser.

The server itself is imported when it is first asked for, so that a notebook which only marks a model stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from portico.errors import APIError
from portico.models.parts import Finish, Reasoning, Text, ToolCall, Usage
from portico.models.registry import Live, model

if TYPE_CHECKING:
    from portico.calls.run import Cancel
    from portico.models.app import ChatServer, chat_server
    from portico.models.app import chat_server as create_openai_chat_server
    from portico.models.messages import get_last_user_message

__all__ = [
    "APIError",
    "Cancel",
    "ChatServer",
    "Finish",
    "Live",
    "Reasoning",
    "Text",
    "ToolCall",
    "Usage",
    "chat_server",
    "create_openai_chat_server",
    "get_last_user_message",
    "model",
]

_LATER = {
    "Cancel": ("portico.calls.run", "Cancel"),
    "ChatServer": ("portico.models.app", "ChatServer"),
    "chat_server": ("portico.models.app", "chat_server"),
    "create_openai_chat_server": ("portico.models.app", "chat_server"),
    "get_last_user_message": ("portico.models.messages", "get_last_user_message"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for the first time (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LATER[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value
