"""Reads what OpenAI's chat and responses APIs send: the user's last words, the files, the messages for Haystack.

Here: functions that wrappers call. Everything is taken as it comes from outside: what has another shape is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4


def is_user_message(message: Any) -> bool:
    """Whether the user wrote *message*: a dict, or an object with a ``role``."""
    return bool(_field(message, "role") == "user")


def get_content(message: Any) -> str:
    """The text of a chat message: a dict, or an object with ``content`` (or ``text``, as Haystack's have).

    Of a message in parts, the texts of its parts, a line each.
    """
    content = _field(message, "content")
    if content is None and not isinstance(message, dict):
        content = getattr(message, "text", None)
    return _text_of(content)


def get_last_user_message(messages: Sequence[Any]) -> str | None:
    """The text of the last message by the user; None if there is none."""
    for message in reversed(messages):
        if is_user_message(message):
            return get_content(message)
    return None


def get_last_user_input_text(input_items: Sequence[Any]) -> str | None:
    """The last text by the user among a response's *input_items*; None if there is none.

    A message whose ``content`` is a text gives that; one in parts gives its last ``input_text``.
    """
    for item in reversed(input_items):
        if not _is_by_user(item) or item.get("type") not in ("message", None):
            continue
        content = item.get("content")
        if isinstance(content, str):
            return content
        for part in reversed([*_parts(content)]):
            if part.get("type") == "input_text":
                text = part.get("text")
                return text if isinstance(text, str) else None
    return None


def get_input_files(input_items: Sequence[Any]) -> list[dict[str, Any]]:
    """The ``input_file`` parts with a ``file_id`` of all messages by the user, in order and as they came."""
    return [
        part
        for item in input_items
        if _is_by_user(item)
        for part in _parts(item.get("content"))
        if part.get("type") == "input_file" and part.get("file_id")
    ]


def chat_messages_from_openai_response(input_items: Sequence[Any]) -> list[Any]:
    """A response's *input_items* as Haystack's ``ChatMessage`` objects.

    Messages become those of their role (``developer`` is ``system``), if they have a text; ``function_call`` an
    assistant's message with a ``ToolCall``, and ``function_call_output`` a tool's, whose origin is the call of the same
    id. Other items are left out.
    """
    from haystack.dataclasses import ChatMessage, ToolCall

    makers = {
        "user": ChatMessage.from_user,
        "assistant": ChatMessage.from_assistant,
        "system": ChatMessage.from_system,
        "developer": ChatMessage.from_system,
    }
    messages: list[Any] = []
    calls: dict[str, Any] = {}
    for item in input_items:
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind == "function_call":
            key = _call_id(item) or f"call_{uuid4().hex[:24]}"
            name = item.get("name") or "function"
            calls[key] = ToolCall(tool_name=name, arguments=_arguments(item.get("arguments")), id=key)
            messages.append(ChatMessage.from_assistant(tool_calls=[calls[key]]))
        elif kind == "function_call_output":
            found = _call_id(item)
            origin = calls.get(found or "") or ToolCall(tool_name="function", arguments={}, id=found)
            output = item.get("output", "")
            result = output if isinstance(output, str) else json.dumps(output)
            messages.append(ChatMessage.from_tool(tool_result=result, origin=origin))
        elif (make := makers.get(str(item.get("role")))) and (text := _text_of(item.get("content"))):
            messages.append(make(text))
    return messages


def _field(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _is_by_user(item: Any) -> bool:
    return isinstance(item, dict) and item.get("role") == "user"


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, dict))


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _parts(content))
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return {}
    return given if isinstance(given, dict) else {}


def _call_id(item: dict[str, Any]) -> str | None:
    found = (item.get(key) for key in ("call_id", "id"))
    return next((value for value in found if isinstance(value, str) and value), None)
