"""Calls of tools as the chat API writes them: whole in a message, or as deltas of a stream.

That API knows functions and custom tools. Not here: calls as items of the responses API (`tool_items`). Source: OpenAI
API reference, "The chat completion object", "The chat completion chunk object", ``tool_calls``.
"""

from __future__ import annotations

from typing import Any

from portico.models.tool_calls import CalledTool
from portico.models.tools import CUSTOM, FUNCTION


def call_of(tool: CalledTool) -> dict[str, Any]:
    """A whole call."""
    if tool.type == CUSTOM:
        return {"id": tool.id, "type": CUSTOM, CUSTOM: {"name": tool.name, "input": tool.text}}
    return {"id": tool.id, "type": FUNCTION, FUNCTION: {"name": tool.name, "arguments": tool.text}}


def begun(tool: CalledTool) -> dict[str, Any]:
    """The first delta of a call."""
    kind, field = (CUSTOM, "input") if tool.type == CUSTOM else (FUNCTION, "arguments")
    return {"index": tool.index, "id": tool.id, "type": kind, kind: {"name": tool.name, field: ""}}


def delta_of(tool: CalledTool, piece: str) -> dict[str, Any]:
    """A further delta of a call."""
    if tool.type == CUSTOM:
        return {"index": tool.index, CUSTOM: {"input": piece}}
    return {"index": tool.index, FUNCTION: {"arguments": piece}}
