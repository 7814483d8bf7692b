"""Chat models: any Python function behind the whole OpenAI API, as a plain ASGI app.

Here: the public names. The server itself is imported when it is first asked for, so that a notebook which only marks a
model stays quick.

The server:

- `app`: the routes. `engine`: what the endpoints share: settings, models, how a failure is told.
- `wire`: the API's error object and the end of a stream. `openapi`: the server's own description.
- `page`: its page for people.

The endpoints, a module each: `chat_completions`, `completions`, `embeddings`, `responses`. For them:

- `fields`, `messages`: check a request. `structured`: answers in JSON, as ``response_format`` asks.
- The responses API: `response_input` reads a request, `response_events` and `response_parts` write an answer,
  `response_store` and `response_tape` keep it, `response_socket` is its WebSocket.

The function:

- `registry`: which models there are. `injection`: which arguments a function gets. `annotations`: what its annotations
  ask for.

The answer:

- `generation`: makes one. `delivery`: delivers it, whole or streamed. `choice`: one choice of it.
- `shapes`: understands whatever a function gives, by the readers in `foreign`, as `parts`.
- `stop`: stop sequences. `tokens`: counts tokens. `surrogates`: a character that came in two pieces.
- `tools`: the tools that a client offers. `tool_calls`: the calls of them. `tool_deltas`: how those look in the chat
  API. `tool_items`: how they look in the responses API.

How a function is run for a request is in `portico.calls`. Nothing here knows Portico's links, hubs and notebooks: the
app runs under any ASGI server, and in a browser.
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
