"""What readers share: finish reasons, usage, errors, and attributes of objects or keys of dicts.

Here: the words of other servers, put into those of the OpenAI API.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any

from portico.errors import APIError, UnusableOutput
from portico.models.parts import Usage

log = logging.getLogger(__name__)

_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    # what other servers' objects say, as authors pass them through
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "image_safety": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}

_COUNTS = {
    "prompt": ("prompt_tokens", "input_tokens", "prompt_token_count", "promptTokenCount", "prompt_eval_count"),
    "completion": (
        "completion_tokens",
        "output_tokens",
        "candidates_token_count",
        "candidatesTokenCount",
        "eval_count",
    ),
    "total": ("total_tokens", "total_token_count", "totalTokenCount"),
}


def reason_of(reason: Any) -> str:
    """The finish_reason of the OpenAI API for what an author gave; what is unknown counts as ``stop``."""
    if isinstance(reason, Enum):
        reason = reason.value if isinstance(reason.value, str) else reason.name
    return _REASONS.get(reason.lower(), "stop") if isinstance(reason, str) else "stop"


def usage_of(value: Any) -> Usage:
    """A `Usage` from a usage object of the chat, the completions or the responses API, or of another server's."""
    if isinstance(value, Usage):
        return value
    if not isinstance(value, Mapping):
        dump = getattr(value, "model_dump", None)
        value = dump(exclude_none=True) if dump is not None else getattr(value, "__dict__", None)
    if not isinstance(value, Mapping):
        raise UnusableOutput("The model gave a usage that is no dict with prompt_tokens and completion_tokens.")
    numbers = {
        what: next((value[n] for n in names if value.get(n) is not None), None) for what, names in _COUNTS.items()
    }
    if any(isinstance(number, bool) or not isinstance(number, int | None) for number in numbers.values()):
        raise UnusableOutput("The model gave a usage whose numbers of tokens are not integers.")
    known = {name for names in _COUNTS.values() for name in names}
    details = {key: entry for key, entry in value.items() if key not in known and entry is not None}
    for ours, theirs in (("prompt", "input"), ("completion", "output")):
        if f"{theirs}_tokens_details" in details:
            details.setdefault(f"{ours}_tokens_details", details.pop(f"{theirs}_tokens_details"))
    return Usage(numbers["prompt"] or 0, numbers["completion"] or 0, numbers["total"], details)


def error_of(error: Any) -> APIError:
    """The error that an author gives as ``{"error": {...}}``, to be answered as if it had been raised."""
    if not isinstance(error, Mapping):
        error = {"message": str(error)}
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 429 if code == "rate_limit_exceeded" else 500
    return APIError(
        str(error.get("message") or "The model answered with an error."),
        status,
        type=error["type"] if isinstance(error.get("type"), str) else None,
        code=None if code is None else str(code),
        param=error["param"] if isinstance(error.get("param"), str) else None,
    )


def as_json(value: Any) -> str:
    """*value* as JSON text. Raises `UnusableOutput`."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutput("The model gave a dict that cannot be written as JSON.") from error


def check_json(fields: Mapping[str, Any]) -> None:
    """Raise `UnusableOutput` if one of *fields*, which go out as they are, cannot be written as JSON; it names it."""
    for name, value in fields.items():
        if value.__class__ in (str, int, bool):
            continue
        try:
            json.dumps({name: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnusableOutput(
                f"The model gave {str(name)[:100]!r} with a value that cannot be written as JSON; leave it out, or "
                "give texts, numbers, lists and dicts."
            ) from error


def article(name: str) -> str:
    """*name* with its article."""
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def got(thing: Any, name: str, default: Any = None) -> Any:
    """An attribute of an object, or a key of a dict; *default* for None too."""
    if isinstance(thing, Mapping):
        value = thing.get(name)
    else:
        try:
            value = getattr(thing, name, None)
        except Exception as error:  # a property of someone else's object may raise anything
            log.debug("%s has no %s", type(thing).__name__, name, exc_info=error)
            value = None
    return default if value is None else value


def unusable(item: Any, instead: str) -> UnusableOutput:
    """The error for *item*, saying what to give *instead*."""
    cls = type(item)
    name = f"{cls.__module__.partition('.')[0]}.{cls.__name__}" if cls.__module__ != "builtins" else cls.__name__
    return UnusableOutput(f"The model gave {article(name)}, which no answer can be made of; {instead}")
