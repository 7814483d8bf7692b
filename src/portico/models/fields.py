"""Reads a request's fields, and checks those that several endpoints share: their types and ranges.

Here: what a client may send. Fields that nothing is known of are let through. Source: OpenAI API reference, "Create
chat completion", "Create completion", "Create a model response".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portico.calls.body import kind, parse
from portico.errors import InvalidRequest

MAX_CHOICES = 128
"""The OpenAI API's own limit of ``n``."""

MAX_DIMENSIONS = 65_536
"""Of an embedding: far more than any model has, and few enough for one that makes what it is asked for."""

MAX_STOPS = 16
"""Stop sequences. The OpenAI API takes 4; other servers' clients send a few more."""

MAX_STOP_LENGTH = 4096
"""Characters of a stop sequence: longer than any that is meant, short enough to be made ready in a millisecond."""

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "stream": ((bool,), "a boolean"),
    "stream_options": ((dict,), "an object"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "presence_penalty": ((int, float), "a number"),
    "frequency_penalty": ((int, float), "a number"),
    "seed": ((int,), "an integer"),
    "user": ((str,), "a string"),
    "metadata": ((dict,), "an object"),
    "logit_bias": ((dict,), "an object"),
    "parallel_tool_calls": ((bool,), "a boolean"),
    "store": ((bool,), "a boolean"),
    "tools": ((list,), "an array"),
    "functions": ((list,), "an array"),
    "tool_choice": ((str, dict), "a string or an object"),
    "function_call": ((str, dict), "a string or an object"),
    "modalities": ((list,), "an array"),
    "echo": ((bool,), "a boolean"),
    "suffix": ((str,), "a string"),
    "instructions": ((str, list), "a string"),
    "previous_response_id": ((str,), "a string"),
    "background": ((bool,), "a boolean"),
    "text": ((dict,), "an object"),
    "include": ((list,), "an array"),
}

_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
}


_INTEGERS = ("n", "seed", "max_tokens", "max_completion_tokens", "max_output_tokens", "top_logprobs", "dimensions")


_MEMBER = re.compile(r"(?:messages|input)\[\d+\]")
"""Where a message or an item stands in a body."""

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def fields_of(raw: bytes | str) -> dict[str, Any]:
    """The fields of a request's body, as everybody understands them. Raises `UnusableRequest`."""
    body = parse(raw, _is_output)
    _make_plain(body)
    return body


def _is_output(path: str, value: Mapping[str, Any]) -> bool:
    """Whether *value* is what a tool or a model has given before: a program's output may hold a NUL."""
    if _MEMBER.fullmatch(path) is None:
        return False
    role = value.get("role")
    return role in ("tool", "function", "assistant") if role is not None else isinstance(value.get("type"), str)


def _make_plain(body: dict[str, Any]) -> None:
    """Write fields as everybody understands them.

    Integers of 3.0 and the like where integers are meant, as JSON has one kind of number (RFC 8259, section 6); and no
    limit of tokens where it is 0 or -1, by which clients say that they want none.
    """
    for name in _INTEGERS:
        value = body.get(name)
        if isinstance(value, float) and value.is_integer():
            body[name] = int(value)
    for name in _LIMITS:
        if body.get(name) in (0, -1) and not isinstance(body[name], bool):
            del body[name]


def check_fields(body: Mapping[str, Any]) -> None:
    """Check the types and ranges of the fields that are there; null counts as absent. Raises `InvalidRequest`."""
    for name, (types, wanted) in _TYPES.items():
        value = body.get(name)
        if value is None:
            continue
        wrong_bool = isinstance(value, bool) and bool not in types
        if wrong_bool or not isinstance(value, types):
            raise InvalidRequest(f"{name!r} must be {wanted}, not {kind(value)}.", name)
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if isinstance(value, int | float) and not low <= value <= high:
            raise InvalidRequest(f"{name!r} must be between {low:g} and {high:g}, not {value:.20g}.", name)
    for name in _LIMITS:
        integer(body, name, 1, None)
    integer(body, "n", 1, MAX_CHOICES)
    options = body.get("stream_options")
    if options is not None and not isinstance(options.get("include_usage"), bool | None):
        raise InvalidRequest("'stream_options.include_usage' must be a boolean.", "stream_options.include_usage")
    _check_tools(body)


def integer(body: Mapping[str, Any], name: str, low: int, high: int | None) -> int | None:
    """The integer field *name*, None if absent. Raises `InvalidRequest` outside *low* to *high*."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name!r} must be an integer, not {kind(value)}.", name)
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"between {low} and {high}"
        raise InvalidRequest(f"{name!r} must be {limits}.", name)
    return value


def stops_of(body: Mapping[str, Any]) -> list[str]:
    """The stop sequences: ``stop`` is a text or a list of them. Raises `InvalidRequest`."""
    stop = body.get("stop")
    if stop is None:
        return []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise InvalidRequest("'stop' must be a string or an array of strings.", "stop")
    if len(stops) > MAX_STOPS:
        raise InvalidRequest(f"'stop' may hold at most {MAX_STOPS} strings.", "stop")
    if any(len(one) > MAX_STOP_LENGTH for one in stops):
        raise InvalidRequest(f"A string of 'stop' may have at most {MAX_STOP_LENGTH} characters.", "stop")
    return [one for one in stops if one]


def limit_of(body: Mapping[str, Any]) -> int | None:
    """The limit of tokens: ``max_completion_tokens`` goes before the older ``max_tokens``."""
    for name in ("max_output_tokens", "max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return int(body[name])
    return None


def _check_tools(body: Mapping[str, Any]) -> None:
    for index, tool in enumerate(body.get("tools") or ()):
        where = f"tools[{index}]"
        if not isinstance(tool, dict):
            raise InvalidRequest(f"'{where}' must be an object, not {kind(tool)}.", where)
        if not isinstance(tool.get("type", "function"), str):
            raise InvalidRequest(f"'{where}.type' must be a string.", f"{where}.type")
        if tool.get("type", "function") == "function":
            inner = tool.get("function", tool)  # the responses API has it flat
            inner_where = f"{where}.function" if "function" in tool else where
            if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
                raise InvalidRequest(f"'{inner_where}.name' must be a string.", f"{inner_where}.name")
            if not isinstance(inner.get("parameters"), dict | None):
                raise InvalidRequest(f"'{inner_where}.parameters' must be an object.", f"{inner_where}.parameters")
    for index, function in enumerate(body.get("functions") or ()):
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InvalidRequest(f"'functions[{index}].name' must be a string.", f"functions[{index}].name")
    if isinstance(body.get("tool_choice"), str) and body["tool_choice"] not in ("none", "auto", "required", "any"):
        raise InvalidRequest("'tool_choice' must be none, auto, required or an object.", "tool_choice")
