"""Chat models: any Python function behind the whole OpenAI API, as a plain ASGI app.

Here: the public names. `app` has the routes, one module each the endpoints; `registry` the models, `injection` and
`function` how they are called, `shapes` and `choice` what becomes of what they give, `sse` and `exchange` the wire.
Nothing here knows of Portico's links, hubs and notebooks: the app runs under any ASGI server, and in a browser.
"""

from portico.errors import APIError
from portico.models.app import ChatServer, chat_server
from portico.models.function import Cancel
from portico.models.messages import get_last_user_message
from portico.models.parts import Finish, Reasoning, Text, ToolCall, Usage
from portico.models.registry import Live, model

create_openai_chat_server = chat_server

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
