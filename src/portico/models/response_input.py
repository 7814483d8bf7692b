"""Turns a request of the responses API into what a model function gets: a chat request.

Here: input items to messages, and the fields that have other names. Source: OpenAI API reference, "Create a model
response"; Open Responses specification, "Items".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico.calls.body import kind
from portico.calls.exchange import new_id
from portico.errors import InvalidRequest
from portico.models.messages import arguments_text, check_content
from portico.models.tool_items import history_of

_ROLES = frozenset(("user", "assistant", "system", "developer"))


def items_of(given: Any, referenced: Callable[[str], dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The input as a list of items, each with an id and a type, as the API lists them.

    *referenced* finds an item of a stored response by its id. Raises `InvalidRequest`.
    """
    if given is None:
        return []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise InvalidRequest(f"'input' must be a string or an array, not {kind(given)}.", "input")
    items = []
    for index, item in enumerate(given):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise InvalidRequest(f"'{where}' must be an object, not {kind(item)}.", where)
        if item.get("type") == "item_reference":
            found = referenced(str(item.get("id")))
            if found is None:
                raise InvalidRequest(f"'{where}.id' refers to an item that is not stored.", f"{where}.id")
            items.append(found)
        else:
            items.append(_checked(item, where))
    return items


def _checked(item: dict[str, Any], where: str) -> dict[str, Any]:
    type_ = item.get("type", "message" if "role" in item else None)
    if not isinstance(type_, str):
        raise InvalidRequest(f"'{where}.type' must be a string.", f"{where}.type")
    if type_ == "message":
        if item.get("role") not in _ROLES:
            raise InvalidRequest(f"'{where}.role' must be one of {', '.join(sorted(_ROLES))}.", f"{where}.role")
        content = item.get("content")
        if content is None:
            raise InvalidRequest(f"'{where}.content' is missing.", f"{where}.content")
        check_content(content, f"{where}.content")
        if isinstance(content, str):
            written = item["role"] == "assistant"
            part: dict[str, Any] = {"type": "output_text" if written else "input_text", "text": content}
            content = [{**part, "annotations": []} if written else part]
        return {
            **item,
            "id": _id(item, "msg_"),
            "type": "message",
            "status": item.get("status") or "completed",
            "content": content,
        }
    item = _made_plain(type_, item)
    wanted = {
        "function_call": ("call_id", "name", "arguments"),
        "function_call_output": ("call_id",),
        "custom_tool_call": ("call_id", "name", "input"),
        "custom_tool_call_output": ("call_id",),
    }.get(type_, ())
    for name in wanted:
        if not isinstance(item.get(name), str):
            raise InvalidRequest(f"'{where}.{name}' must be a string.", f"{where}.{name}")
    if type_ in ("function_call_output", "custom_tool_call_output"):
        if item.get("output") is None:
            raise InvalidRequest(f"'{where}.output' is missing.", f"{where}.output")
        check_content(item["output"], f"{where}.output")
    return {**item, "id": _id(item, "fc_" if "call" in type_ else "item_"), "status": item.get("status") or "completed"}


def _made_plain(type_: str, item: dict[str, Any]) -> dict[str, Any]:
    """A call whose arguments are JSON text, and whose input is a text, whatever the client made of them."""
    if type_ == "function_call":
        return {**item, "arguments": arguments_text(item.get("arguments"))}
    if type_ == "custom_tool_call" and item.get("input") is None:
        return {**item, "input": ""}
    return item


def _id(item: Mapping[str, Any], prefix: str) -> str:
    given = item.get("id")
    return given if isinstance(given, str) and given else new_id(prefix)


def messages_of(items: Sequence[Mapping[str, Any]], instructions: Any) -> list[dict[str, Any]]:
    """The chat API's messages for *items*, the instructions first.

    Calls of every type become ``tool_calls`` of the assistant's message before them, outputs ``tool`` messages,
    reasoning the ``reasoning_content`` of the message after it. What is none of these has no message; functions find it
    in ``request["input"]``.
    """
    messages: list[dict[str, Any]] = []
    if isinstance(instructions, str) and instructions:
        messages.append({"role": "system", "content": instructions})
    elif isinstance(instructions, list):
        messages += messages_of(items_of(instructions, lambda id: None), None)
    reasoning = ""
    for item in items:
        match item["type"]:
            case "message":
                message = {"role": item["role"], "content": _content(item["content"])}
                if reasoning and item["role"] == "assistant":
                    message["reasoning_content"], reasoning = reasoning, ""
                messages.append(message)
            case "reasoning":
                parts = item.get("content") or item.get("summary")
                reasoning += "".join(_texts(parts))
            case _:
                call, id, result = history_of(item)
                if call is not None:
                    if not messages or messages[-1]["role"] != "assistant":
                        messages.append({"role": "assistant", "content": None})
                    if reasoning:
                        messages[-1]["reasoning_content"], reasoning = reasoning, ""
                    messages[-1].setdefault("tool_calls", []).append(call)
                if result is not None:
                    messages.append({"role": "tool", "tool_call_id": id, "content": _content(result)})
    return messages


def _texts(parts: Any) -> list[str]:
    """The texts of a reasoning item's parts, which nobody has checked."""
    dicts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return [part["text"] for part in dicts if isinstance(part.get("text"), str)]


def _content(content: Any) -> Any:
    """A message's content: a text where there is nothing but text, else the chat API's parts."""
    if isinstance(content, str):
        return content
    parts = [_part(part) for part in content]
    if all(part.get("type") == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": part["text"]}
        case "refusal":
            return {"type": "text", "text": str(part.get("refusal", ""))}
        case "input_image" if part.get("image_url"):
            image = {"url": part["image_url"], **({"detail": part["detail"]} if part.get("detail") else {})}
            return {"type": "image_url", "image_url": image}
        case "input_file":
            return {"type": "file", "file": {key: value for key, value in part.items() if key != "type"}}
        case _:
            return dict(part)


def chat_request(body: Mapping[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The request as a function gets it: the body as it came, and the chat API's fields beside its own."""
    request = {**body, "messages": messages}
    if body.get("max_output_tokens") is not None:
        request.setdefault("max_tokens", body["max_output_tokens"])
    if body.get("tools"):
        request["tools"] = [_tool(tool) for tool in body["tools"]]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        request["tool_choice"] = _choice(choice)
    form = (body.get("text") or {}).get("format")
    if isinstance(form, dict) and "response_format" not in body:
        if form.get("type") == "json_schema":
            inner = {key: value for key, value in form.items() if key != "type"}
            request["response_format"] = {"type": "json_schema", "json_schema": inner}
        else:
            request["response_format"] = form
    effort = body["reasoning"].get("effort") if isinstance(body.get("reasoning"), dict) else None
    if effort is not None:
        request.setdefault("reasoning_effort", effort)
    return request


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice of tools in the chat API's shape."""
    match choice.get("type"):
        case "function" | "custom" as kind if kind not in choice:
            return {"type": kind, kind: {"name": choice.get("name")}}
        case "allowed_tools" if "allowed_tools" not in choice:
            tools = choice.get("tools")
            allowed = (
                [_choice(one) if isinstance(one, dict) else one for one in tools] if isinstance(tools, list) else []
            )
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": allowed}}
        case _:
            return choice


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool in the chat API's shape, which knows functions and custom tools; others as they are."""
    kind = tool.get("type", "function")
    if kind not in ("function", "custom") or kind in tool:
        return tool
    inner = {key: value for key, value in tool.items() if key != "type"}
    form = inner.get("format")
    if kind == "custom" and isinstance(form, dict) and form.get("type") == "grammar" and "grammar" not in form:
        grammar = {key: value for key, value in form.items() if key != "type"}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": kind, kind: inner}
