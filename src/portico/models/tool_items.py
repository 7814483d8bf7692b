"""Calls of tools as items of the responses API, and such items as messages of the chat API.

Here: the shapes of items, both ways, for every type of tool in `tools`. When an item is written is the business of
`response_events`. Source: OpenAI API reference, "The response object", ``output``; "Create a model response",
``input``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico.calls.exchange import new_id
from portico.errors import UnusableOutput
from portico.models.tool_calls import CalledTool
from portico.models.tools import CUSTOM, FUNCTION, Hosted, hosted

_SEEN_ELSEWHERE = frozenset(("id", "type", "status", "call_id", "created_by", "caller"))
"""Fields of a call's item that say nothing of what is to be done."""

_RESULTS = ("output", "results", "result", "outputs", "error", "tools")
"""Where items hold what came of a call, in those types that hold it with the call."""


def begun_item(tool: CalledTool) -> dict[str, Any]:
    """The item of a call of a function or a custom tool whose arguments are still to come."""
    if tool.type == CUSTOM:
        item = {"id": new_id("ctc_"), "type": "custom_tool_call", "status": "in_progress", "call_id": tool.id}
        item |= {"name": tool.name, "input": ""}
    else:
        item = {"id": new_id("fc_"), "type": "function_call", "status": "in_progress", "call_id": tool.id}
        item |= {"name": tool.name, "arguments": ""}
    return item if tool.namespace is None else {**item, "namespace": tool.namespace}


def hosted_item(tool: CalledTool, row: Hosted) -> dict[str, Any]:
    """The whole item of a call of a tool that has a type of its own. Raises `UnusableOutput`."""
    try:
        given = json.loads(tool.text or "{}")
    except (ValueError, RecursionError):
        given = tool.text
    if isinstance(given, str) and row.name in _OF_TEXT:
        given = _OF_TEXT[row.name](given)
    if not isinstance(given, dict):
        raise UnusableOutput(
            f"The model called the tool {row.name!r} with arguments that are not a JSON object; give the fields of "
            f"the item {row.call!r}, as ToolCall({row.name!r}, {{...}})."
        )
    item: dict[str, Any] = {"id": new_id(f"{row.name}_"), "type": row.call, "status": "in_progress"}
    if not row.runs:
        item["call_id"] = tool.id
    if not row.payload:
        return {**item, **_FLAT.get(row.name, _same)(given)}
    if row.name == "computer":
        item["pending_safety_checks"] = given.pop("pending_safety_checks", [])
        if isinstance(given.get("actions"), list):
            return {**item, "actions": given["actions"]}
    if row.name == "tool_search":
        return {**item, "arguments": given, "execution": "client"}
    inner = given[row.payload] if isinstance(given.get(row.payload), dict) else given
    return {**item, row.payload: {**_DEFAULTS.get(row.name, {}), **_commands(row, inner)}}


def _commands(row: Hosted, action: dict[str, Any]) -> dict[str, Any]:
    """A shell's action, whose commands are a list whatever the model made of them."""
    if row.name == "shell" and "commands" not in action and "command" in action:
        action = {**action, "commands": action["command"]}
        del action["command"]
    field = {"shell": "commands", "local_shell": "command"}.get(row.name)
    if field is not None and isinstance(action.get(field), str):
        action = {**action, **_OF_TEXT[row.name](action[field])}
    return action


_OF_TEXT: dict[str, Callable[[str], dict[str, Any]]] = {
    "shell": lambda text: {"commands": [text]},
    "local_shell": lambda text: {"command": ["bash", "-lc", text]},
    "web_search": lambda text: {"query": text},
    "file_search": lambda text: {"queries": [text]},
    "code_interpreter": lambda text: {"code": text},
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "local_shell": {"type": "exec", "env": {}},
    "shell": {"max_output_length": None, "timeout_ms": None},
    "web_search": {"type": "search"},
}


def _same(given: dict[str, Any]) -> dict[str, Any]:
    return given


_FLAT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "file_search": lambda given: {"results": None, **_queries(given)},
    "code_interpreter": lambda given: {"container_id": "", "outputs": None, "code": None, **given},
    "image_generation": lambda given: {"result": None, **given},
    "mcp": lambda given: {
        "server_label": given.get("server_label", ""),
        "name": given.get("name", ""),
        "arguments": text_of(given.get("arguments", {})),
        "output": given.get("output"),
        "error": given.get("error"),
    },
}


def _queries(given: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in given.items() if key != "query"}
    return {"queries": [given["query"]] if "query" in given else [], **rest}


def found_tools(items: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The tools that a search among them has found: they are offered from then on."""
    found = [item.get("tools") for item in items if item.get("type") == "tool_search_output"]
    return [tool for tools in found if isinstance(tools, list) for tool in tools]


# --- items of a request's input ------------------------------------------------------------------------------------


def history_of(item: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str, Any]:
    """What an item of any type means to the chat API: a call, or None; and the id and the content of a result, or None.

    A type whose items hold a call and what came of it gives both.
    """
    type_ = item["type"]
    id = str(item.get("call_id") or item.get("approval_request_id") or item.get("id") or "")
    if type_ in ("function_call_output", "custom_tool_call_output"):
        return None, id, item["output"]
    if type_ == "custom_tool_call":
        return {"id": id, "type": CUSTOM, CUSTOM: {"name": item["name"], "input": item["input"]}}, id, None
    if type_ == "function_call":
        return _call(id, item["name"], item["arguments"]), id, None
    if type_.endswith("_output"):
        return None, id, _result(item, item.get("output", item.get("tools")))
    if type_ == "mcp_approval_response":
        return None, id, text_of({key: item[key] for key in ("approve", "reason") if item.get(key) is not None})
    if not (type_.endswith("_call") or type_ == "mcp_approval_request"):
        return None, id, None
    row = hosted(type_.removesuffix("_call"))
    wanted = _wanted(item, row)
    found = next((item[name] for name in _RESULTS if item.get(name) is not None), None)
    if not wanted and found is None:
        return None, id, None  # a sign that there was one, and nothing of what it was
    named = type_.startswith("mcp") and isinstance(item.get("name"), str)
    call = _call(id, item["name"] if named else type_.removesuffix("_call"), text_of(wanted))
    return call, id, _result(item, found) if row is not None and row.runs else None


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": FUNCTION, FUNCTION: {"name": name, "arguments": arguments}}


def _wanted(item: Mapping[str, Any], row: Hosted | None) -> Any:
    """What a call's item asks for."""
    if row is not None and row.payload and item.get(row.payload) is not None:
        return item[row.payload]
    if item["type"].startswith("mcp"):
        return item.get("arguments") or {}
    left_out = _SEEN_ELSEWHERE | set(_RESULTS)
    return {key: value for key, value in item.items() if key not in left_out and value not in (None, [], {})}


def _result(item: Mapping[str, Any], found: Any) -> Any:
    """What came of a call as a message's content; at least how far it came, as each call has a result in that API."""
    if item["type"] == "image_generation_call" and isinstance(found, str):
        return [{"type": "input_image", "image_url": f"data:image/png;base64,{found}"}]
    if isinstance(found, str | list):
        parts = isinstance(found, list) and bool(found) and all(_is_content(part) for part in found)
        return found if isinstance(found, str) or parts else text_of(found)
    if isinstance(found, Mapping) and found.get("type") == "computer_screenshot":
        image = found.get("image_url")
        return [{"type": "input_image", "image_url": image}] if image else text_of(found)
    return str(item.get("status") or "completed") if found is None else text_of(found)


def _is_content(part: Any) -> bool:
    """Whether *part* is a content part, such as a message or a function's result holds."""
    if not isinstance(part, Mapping) or part.get("type") not in _CONTENT:
        return False
    return isinstance(part.get("text"), str) or not str(part["type"]).endswith("text")


_CONTENT = frozenset(("input_text", "output_text", "text", "input_image", "input_file", "input_audio", "refusal"))


def text_of(value: Any) -> str:
    """*value* as JSON text; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
