"""The messages of a chat request: checked, and read.

Here: the messages format of the chat API, which every model function gets. Source: OpenAI API reference, "Create
chat completion", ``messages``. The responses API's input is turned into it in `response_input`.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from portico.calls.body import kind
from portico.errors import InvalidRequest

ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))


def get_last_user_message(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The text of the last message whose role is ``user``; its text parts are joined. None if there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
            return content if isinstance(content, str) else None
    return None


def history_before_last(messages: Any) -> list[Any]:
    """The messages before the last one whose role is ``user``, as gradio's ``history``; all if there is none."""
    if not isinstance(messages, list):
        return []
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]  # of an embeddings request, where nobody has looked at it
        if isinstance(message, Mapping) and message.get("role") == "user":
            return messages[:index]
    return list(messages)


def check_messages(messages: Any) -> list[dict[str, Any]]:
    """Check ``messages`` and return it. Raises `InvalidRequest`, whose ``param`` is the path of what is wrong."""
    if messages is None:
        raise InvalidRequest("You must provide 'messages'.", "messages")
    if not isinstance(messages, list):
        raise InvalidRequest(f"'messages' must be an array, not {kind(messages)}.", "messages")
    if not messages:
        raise InvalidRequest("'messages' must not be empty.", "messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise InvalidRequest(f"'{where}' must be an object, not {kind(message)}.", where)
        role = message.get("role")
        if role not in ROLES if isinstance(role, str) else True:
            known = ", ".join(sorted(ROLES))
            raise InvalidRequest(f"'{where}.role' must be one of {known}.", f"{where}.role")
        check_content(message.get("content"), f"{where}.content")
        if role == "tool" and message.get("content") is None and "content" in message:
            message["content"] = ""  # of a tool that gives nothing
        if message.get("content") is None and role not in ("assistant", "function"):
            raise InvalidRequest(f"'{where}.content' is missing.", f"{where}.content")
        _check_calls(message, where)
        if role == "tool" and not isinstance(message.get("tool_call_id"), str | None):
            raise InvalidRequest(f"'{where}.tool_call_id' must be a string.", f"{where}.tool_call_id")
    return messages


def check_content(content: Any, where: str) -> None:
    """Check a message's content: a text, or an array of parts, of which images, audio and files are passed through."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequest(f"'{where}' must be a string or an array, not {kind(content)}.", where)
    for index, part in enumerate(content):
        at = f"{where}[{index}]"
        if not isinstance(part, dict):
            raise InvalidRequest(f"'{at}' must be an object, not {kind(part)}.", at)
        if not isinstance(part.get("type"), str):
            raise InvalidRequest(f"'{at}.type' must be a string.", f"{at}.type")
        _check_part(part, at)


def _check_part(part: dict[str, Any], at: str) -> None:
    match part["type"]:
        case "text" | "input_text" | "output_text":
            if not isinstance(part.get("text"), str):
                raise InvalidRequest(f"'{at}.text' must be a string.", f"{at}.text")
        case "image_url":
            image = part.get("image_url")
            if isinstance(image, dict):
                image["url"] = _checked_url(image.get("url"), f"{at}.image_url.url")
            else:
                part["image_url"] = _checked_url(image, f"{at}.image_url.url")
        case "input_image":
            if part.get("image_url") is not None:
                part["image_url"] = _checked_url(part["image_url"], f"{at}.image_url")
        case "input_audio":
            audio = part.get("input_audio")
            if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
                raise InvalidRequest(f"'{at}.input_audio.data' must be a string.", f"{at}.input_audio.data")
            audio["data"] = _checked_base64(audio["data"], f"{at}.input_audio.data")
        case "file" | "input_file":
            inner = part.get("file") if part["type"] == "file" else part
            data = inner.get("file_data") if isinstance(inner, dict) else None
            if isinstance(inner, dict) and isinstance(data, str):
                where = f"{at}.file_data"
                inner["file_data"] = (
                    _checked_url(data, where) if data.startswith("data:") else _checked_base64(data, where)
                )


def _checked_url(url: Any, where: str) -> str:
    """*url*, whose base64, if it has any, is valid."""
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"'{where}' must be a URL.", where)
    if url[:5].lower() == "data:":
        head, comma, data = url.partition(",")
        if not comma:
            raise InvalidRequest(f"'{where}' is a data URL without data.", where)
        if head.lower().endswith(";base64"):
            return f"{head},{_checked_base64(data, where)}"
    return url


def _checked_base64(data: str, where: str) -> str:
    """*data*, with the padding that some clients leave out, as functions decode it by strict rules."""
    bare = data.translate(_WHITE)
    padding = "" if bare.endswith("=") else "=" * (-len(bare) % 4)
    try:
        binascii.a2b_base64((bare + padding).encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are both of it
        raise InvalidRequest(f"'{where}' is not valid base64.", where) from None
    return data + padding


_WHITE = {ord(space): None for space in " \t\r\n"}


def _check_calls(message: dict[str, Any], where: str) -> None:
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        legacy["arguments"] = arguments_text(legacy.get("arguments"))
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise InvalidRequest(f"'{where}.tool_calls' must be an array, not {kind(calls)}.", f"{where}.tool_calls")
    for index, call in enumerate(calls):
        at = f"{where}.tool_calls[{index}]"
        if not isinstance(call, dict):
            raise InvalidRequest(f"'{at}' must be an object, not {kind(call)}.", at)
        inner = call.get("function")
        if inner is None and "custom" in call:
            if isinstance(call["custom"], dict) and call["custom"].get("input") is None:
                call["custom"]["input"] = ""
            continue
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise InvalidRequest(f"'{at}.function.name' must be a string.", f"{at}.function.name")
        inner["arguments"] = arguments_text(inner.get("arguments"))
        if not isinstance(inner["arguments"], str):
            raise InvalidRequest(f"'{at}.function.arguments' must be a string.", f"{at}.function.arguments")


def arguments_text(arguments: Any) -> Any:
    """A call's arguments as JSON text, where a client sends null, nothing, or the object itself; else as they are."""
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return "{}"
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments
