"""What a wrapper's chat and response methods are called with, of the requests that the OpenAI API takes.

Here: the fields of a body, and the request's headers for those who ask for them. Not here: the endpoints (`chat`).

A wrapper gets what the client sent, and does itself what the fields ask for: stop sequences, limits and formats are
not applied a second time here. Source: Hayhooks 2.1, whose bodies have the same defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from portico.calls.body import kind, parse
from portico.calls.exchange import new_id
from portico.calls.run import runs_on_loop
from portico.errors import InvalidRequest, UnusableOutput
from portico.functions.given import headers_of, role_of
from portico.functions.hints import definition_of, resolve, signature_of
from portico.models.foreign.completions import DELTA_KEYS, is_answer

_BOOLEANS: Mapping[Any, bool] = {
    **dict.fromkeys((True, 1, "1", "true", "True", "TRUE", "t", "on", "yes", "y"), True),
    **dict.fromkeys((False, 0, "0", "false", "False", "FALSE", "f", "off", "no", "n"), False),
}
"""What is taken for a boolean, as pydantic does."""

_CHAT_DEFAULTS: Mapping[str, Any] = {"stream": False}
"""Fields that every chat body has."""

_RESPONSE_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(("input", "instructions"), None),
    "stream": False,
    **dict.fromkeys(
        (
            *("tools", "tool_choice", "top_p", "top_logprobs", "temperature", "max_output_tokens"),
            *("previous_response_id", "parallel_tool_calls", "stream_options", "text", "reasoning", "store"),
            *("service_tier", "metadata"),
        ),
        None,
    ),
}
"""Fields that every body of the responses API has: wrappers read them without asking whether they are there."""

_SPOKEN = DELTA_KEYS | {"type", "object", "message"}
"""A dict with one of these keys may be an answer, or a part of one."""

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "stream_options": ((dict,), "an object"),
    "tools": ((list,), "an array"),
    "functions": ((list,), "an array"),
    "text": ((dict,), "an object"),
    "reasoning": ((dict,), "an object"),
    "metadata": ((dict,), "an object"),
    "previous_response_id": ((str,), "a string"),
    "background": ((bool,), "a boolean"),
    "store": ((bool,), "a boolean"),
}
"""What the fields must be that the server itself looks at."""


def read(raw: bytes) -> dict[str, Any]:
    """The fields of a request's body, as they came. Raises `UnusableRequest`."""
    return parse(raw, lambda path, value: value.get("role") != "user")


def chat_body(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The body of a chat request as a wrapper gets it: all its fields, and the defaults. Raises `InvalidRequest`."""
    messages = body.get("messages")
    if "messages" not in body:
        raise InvalidRequest("Field required: 'messages', an array of objects.", "messages", "missing")
    _check_objects(messages, "messages")
    return {"model": model, "messages": messages, **_CHAT_DEFAULTS, **body, "stream": _checked(body)}


def response_body(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The same of a request for a response."""
    given = body.get("input")
    if given is not None and not isinstance(given, str):
        _check_objects(given, "input")
    return {"model": model, **_RESPONSE_DEFAULTS, **body, "stream": _checked(body)}


def input_items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The input of a checked *body*: a text is one message of the user."""
    given = body.get("input")
    if given is None:
        return []
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given


def stored_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the input as the API lists it: with an id and a type, and a text as a part."""
    kept = {**item, "type": item.get("type", "message" if "role" in item else "item")}
    kept.setdefault("id", new_id("msg_" if kept["type"] == "message" else "item_"))
    content = item.get("content")
    if isinstance(content, str):
        written = item.get("role") == "assistant"
        part: dict[str, Any] = {"type": "output_text" if written else "input_text", "text": content}
        kept["content"] = [{**part, "annotations": []} if written else part]
    return kept


def _check_objects(value: Any, field: str) -> None:
    if not isinstance(value, list):
        raise InvalidRequest(f"{field!r} must be an array of objects, not {kind(value)}.", field)
    for index, one in enumerate(value):
        if not isinstance(one, dict):
            raise InvalidRequest(f"'{field}[{index}]' must be an object, not {kind(one)}.", f"{field}[{index}]")


def _checked(body: Mapping[str, Any]) -> bool:
    """Check the fields that the server looks at, and say whether the answer is to be streamed."""
    for name, (wanted, words) in _TYPES.items():
        value = body.get(name)
        if value is not None and not isinstance(value, wanted):
            raise InvalidRequest(f"{name!r} must be {words}, not {kind(value)}.", name)
    for name in ("tools", "functions"):
        if body.get(name):
            _check_objects(body[name], name)
    stream = body.get("stream")
    if stream is None:
        return False
    known = _BOOLEANS.get(stream) if isinstance(stream, str | int | float) else None
    if known is None:
        raise InvalidRequest(f"'stream' must be a boolean, not {kind(stream)}.", "stream")
    return known


# --- calling ---------------------------------------------------------------------------------------------------------


def wants_headers(method: Callable[..., Any]) -> bool:
    """Whether *method* asks for the request's headers: ``headers: Headers | None = None``, with Starlette's type."""
    try:
        parameter = signature_of(method).parameters.get("headers")
        if parameter is None or parameter.default is not None:
            return False
        annotation = resolve(parameter.annotation, definition_of(method))
    except Exception:  # noqa: BLE001 - an annotation is code; one that cannot be read asks for nothing
        return False
    return type(None) in get_args(annotation) and role_of(annotation) == "headers"


def call_of(
    method: Callable[..., Any], fields: Mapping[str, Any], headers: list[tuple[bytes, bytes]] | None
) -> tuple[Callable[[], Any], bool]:
    """The call of a wrapper's *method*, and whether it runs on the event loop.

    *headers* are those of the request, for a method that asks for them. The call raises `UnusableOutput` where the
    method gives nothing, or a dict that no answer can be made of.
    """
    given = dict(fields) if headers is None else {**fields, "headers": headers_of(headers)}
    if inspect.iscoroutinefunction(method):

        async def run() -> Any:
            return _usable(await method(**given), method)

        return run, True
    return (lambda: _usable(method(**given), method)), runs_on_loop(method)


def _usable(result: Any, method: Callable[..., Any]) -> Any:
    name = getattr(method, "__name__", "the method")
    is_of_chats = isinstance(result, dict) and bool(is_answer(result) or _SPOKEN & result.keys())
    if result is None or (isinstance(result, dict | int | float) and not is_of_chats):
        given = "None" if result is None else f"a value of the type {type(result).__name__}"
        raise UnusableOutput(f"{name} gave {given}; it must return a text, or a generator of texts.")
    return result
