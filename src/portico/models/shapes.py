"""Understands whatever a model function gives: one item of any shape becomes a few parts.

Here: every shape that authors use, and the errors for those that cannot be used. Not here: what an answer keeps of
the parts (`choice`), and how they look on the wire. Shapes of dicts are those of the OpenAI API reference ("The chat
completion object", "The chat completion chunk object", "The completion object", "The response object").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from portico.errors import APIError, UnusableOutput
from portico.models.parts import Finish, Reasoning, Text, ToolCall, Usage


@dataclass(slots=True)
class Extra:
    """Keys of a delta that are passed on as they are: ``refusal``, ``audio``, ``annotations``, and unknown ones."""

    delta: dict[str, Any]


@dataclass(slots=True)
class Meta:
    """Keys of a whole answer that are passed on as they are: ``system_fingerprint``, ``service_tier``, unknown ones."""

    fields: dict[str, Any]


Part = Text | Reasoning | ToolCall | Usage | Finish | Extra | Meta

_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    # what other servers' objects say, as authors pass them through
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
}

_UNDERSTOOD = frozenset(
    [
        "role",
        "content",
        "text",
        "reasoning",
        "reasoning_content",
        "tool_calls",
        "function_call",
        "finish_reason",
        "usage",
        "logprobs",
        "object",
    ]
)
_DELTA_KEYS = (_UNDERSTOOD - {"object"}) | {"refusal", "audio", "annotations", "error"}
_ANSWER_KEYS = frozenset(("id", "object", "created", "model", "choices", "usage", "error"))


def parts_of(item: Any, structured: bool = False) -> Iterator[tuple[int, Part]]:
    """The parts of *item*, each with the index of the choice it belongs to.

    *structured* says that the client asked for JSON: a dict that is no delta is then the answer itself. Raises
    `UnusableOutput`, saying what to give instead, for anything that no answer can be made of.
    """
    if item is None:
        return
    if isinstance(item, str):
        if item:
            yield 0, Text(item)
    elif isinstance(item, Text | Reasoning | ToolCall | Usage):
        yield 0, item
    elif isinstance(item, Finish):
        yield 0, Finish(reason_of(item.reason))
    elif isinstance(item, Mapping):
        yield from _from_mapping(item, structured)
    elif (dump := getattr(item, "model_dump", None)) is not None and not isinstance(item, type):
        yield from _from_model(item, dump)
    elif isinstance(item, bytes | bytearray | memoryview):
        raise UnusableOutput("The model gave bytes; give text, for example data.decode().")
    elif _has_text_content(item):
        yield from _from_object(item)
    elif is_dataclass(item) and not isinstance(item, type):
        yield 0, Text(_as_json(asdict(item)))
    else:
        raise UnusableOutput(
            f"The model gave {_article(type(item).__name__)}, which no answer can be made of; give text, a delta "
            f"as a dict, an OpenAI object, or Text, Reasoning, ToolCall, Usage or Finish."
        )


def gives_choices(item: Any) -> bool:
    """Whether *item* is a completion or a chunk, as a dict or an object, which can hold several choices."""
    choices = item.get("choices") if isinstance(item, Mapping) else getattr(item, "choices", None)
    return isinstance(choices, list | tuple)


def reason_of(reason: Any) -> str:
    """The finish_reason of the OpenAI API for what an author gave; what is unknown counts as ``stop``."""
    return _REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"


def usage_of(value: Any) -> Usage:
    """A `Usage` from a usage object of the chat, the completions or the responses API."""
    if not isinstance(value, Mapping):
        value = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else None
    if value is None:
        raise UnusableOutput("The model gave a usage that is no dict with prompt_tokens and completion_tokens.")
    known = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
    numbers = {key: value.get(key) for key in known}
    if any(not isinstance(number, int | None) for number in numbers.values()):
        raise UnusableOutput("The model gave a usage whose numbers of tokens are not integers.")
    details = {key: entry for key, entry in value.items() if key not in known and entry is not None}
    for ours, theirs in (("prompt", "input"), ("completion", "output")):
        if f"{theirs}_tokens_details" in details:
            details.setdefault(f"{ours}_tokens_details", details.pop(f"{theirs}_tokens_details"))
    return Usage(
        numbers["prompt_tokens"] or numbers["input_tokens"] or 0,
        numbers["completion_tokens"] or numbers["output_tokens"] or 0,
        numbers["total_tokens"],
        details,
    )


def _from_mapping(item: Mapping[str, Any], structured: bool) -> Iterator[tuple[int, Part]]:
    choices = item.get("choices")
    if isinstance(choices, list):
        yield from _from_answer(item, choices)
    elif item.get("object") == "response" and isinstance(item.get("output"), list):
        yield from _from_response(item)
    elif structured and not (_DELTA_KEYS & item.keys()):
        yield 0, Text(_as_json(item))
    else:
        for part in _from_delta(item):
            yield 0, part


def _from_answer(item: Mapping[str, Any], choices: list[Any]) -> Iterator[tuple[int, Part]]:
    if item.get("error"):
        raise _error_of(item["error"])
    for position, choice in enumerate(choices):
        if not isinstance(choice, Mapping):
            raise UnusableOutput("The model gave a completion whose choices are not dicts.")
        given = choice.get("index")
        index = given if isinstance(given, int) else position
        logprobs = choice.get("logprobs")
        content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        inner = choice.get("delta") or choice.get("message")
        if isinstance(inner, Mapping):
            for part in _from_delta(inner):
                if isinstance(part, Text) and content:
                    part.logprobs = content
                yield index, part
        elif isinstance(choice.get("text"), str):
            if choice["text"]:
                yield index, Text(choice["text"])
            if isinstance(logprobs, Mapping) and content is None:
                yield index, Extra({"logprobs": logprobs})
        if choice.get("finish_reason") is not None:
            yield index, Finish(reason_of(choice["finish_reason"]))
    if item.get("usage"):
        yield 0, usage_of(item["usage"])
    rest = {key: value for key, value in item.items() if key not in _ANSWER_KEYS and value is not None}
    if rest:
        yield 0, Meta(rest)


def _from_delta(delta: Mapping[str, Any]) -> Iterator[Part]:
    if delta.get("error"):
        raise _error_of(delta["error"])
    if not delta:
        return
    if not (_DELTA_KEYS & delta.keys()):
        keys = ", ".join(repr(str(key)) for key in list(delta)[:5])
        raise UnusableOutput(
            f"The model gave a dict with the keys {keys}, which is neither a delta nor a completion; "
            f"give {{'content': ...}}, or json.dumps(...) for an answer in JSON."
        )
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        yield Reasoning(reasoning)
    yield from _contents(delta.get("content", delta.get("text")), delta.get("logprobs"))
    calls = delta.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise UnusableOutput("The model gave tool_calls that are no list.")
    for call in calls:
        yield _tool_call(call)
    legacy = delta.get("function_call")
    if isinstance(legacy, Mapping):
        yield ToolCall(legacy.get("name"), legacy.get("arguments") or "", None, 0)
    rest = {key: value for key, value in delta.items() if key not in _UNDERSTOOD and value not in (None, [])}
    if rest:
        yield Extra(rest)
    if delta.get("usage"):
        yield usage_of(delta["usage"])
    if delta.get("finish_reason") is not None:
        yield Finish(reason_of(delta["finish_reason"]))


def _contents(content: Any, logprobs: Any) -> Iterator[Part]:
    if isinstance(logprobs, Mapping):
        logprobs = logprobs.get("content")
    if isinstance(content, str):
        if content:
            yield Text(content, logprobs or None)
    elif isinstance(content, list):
        for part in content:  # content parts, as some SDKs give them: {"type": "text", "text": ...}
            text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                if text:
                    yield Text(text)
            elif isinstance(part, Mapping):
                yield Extra({"content_parts": [part]})
    elif content is not None:
        raise UnusableOutput(f"The model gave a content that is {_article(type(content).__name__)}, not text.")


def _tool_call(call: Any) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    if not isinstance(call, Mapping):
        call = call.model_dump(exclude_none=True) if hasattr(call, "model_dump") else vars(call)
    inner = call.get("function")
    source = inner if isinstance(inner, Mapping) else call
    name = source.get("name") or source.get("tool_name")
    arguments = source.get("arguments", source.get("args"))
    index = call.get("index")
    return ToolCall(
        name, "" if arguments is None else arguments, call.get("id"), index if isinstance(index, int) else None
    )


def _from_model(item: Any, dump: Callable[..., Any]) -> Iterator[tuple[int, Part]]:
    dumped = dump(mode="json", exclude_none=True)
    if isinstance(dumped, Mapping):
        if isinstance(dumped.get("choices"), list) or dumped.get("object") == "response":
            yield from _from_mapping(dumped, structured=False)
            return
        if dumped.get("type") == "response.output_text.delta" and isinstance(dumped.get("delta"), str):
            yield 0, Text(dumped["delta"])
            return
        if str(dumped.get("type")).startswith("response."):  # a Responses event that carries no text
            return
        if isinstance(dumped.get("content"), str | list) or "tool_calls" in dumped:  # a message, or a delta
            known = {key: value for key, value in dumped.items() if key in _DELTA_KEYS}
            yield from _from_mapping(known, structured=False)
            return
    # The author's own model: the answer is its JSON, as structured output has it.
    yield 0, Text(_as_json(dumped))


def _from_response(item: Mapping[str, Any]) -> Iterator[tuple[int, Part]]:
    for output in item["output"]:
        if output.get("type") == "message":
            for content in output.get("content") or []:
                if content.get("type") == "output_text" and content.get("text"):
                    yield 0, Text(content["text"])
                elif content.get("type") == "refusal":
                    yield 0, Extra({"refusal": content.get("refusal")})
        elif output.get("type") == "function_call":
            yield 0, ToolCall(output.get("name"), output.get("arguments") or "", output.get("call_id"))
        elif output.get("type") == "reasoning":
            for content in (output.get("content") or []) + (output.get("summary") or []):
                if content.get("text"):
                    yield 0, Reasoning(content["text"])
    if item.get("usage"):
        yield 0, usage_of(item["usage"])
    if item.get("status") == "incomplete":
        yield 0, Finish(reason_of((item.get("incomplete_details") or {}).get("reason")))


def _has_text_content(item: Any) -> bool:
    return isinstance(getattr(item, "content", None), str) or bool(getattr(item, "tool_calls", None))


def _from_object(item: Any) -> Iterator[tuple[int, Part]]:
    """An object with ``content``, ``reasoning``, ``tool_calls`` or ``finish_reason``, as Haystack's chunks have."""
    reasoning = getattr(item, "reasoning", None)
    reasoning = getattr(reasoning, "reasoning_text", reasoning)
    if isinstance(reasoning, str) and reasoning:
        yield 0, Reasoning(reasoning)
    if isinstance(item.content, str) and item.content:
        yield 0, Text(item.content)
    for call in getattr(item, "tool_calls", None) or []:
        yield 0, _tool_call(call)
    if isinstance(getattr(item, "finish_reason", None), str):
        yield 0, Finish(reason_of(item.finish_reason))


def _error_of(error: Any) -> APIError:
    """The error that an author gives as ``{"error": {...}}``, to be answered as if it had been raised."""
    if not isinstance(error, Mapping):
        error = {"message": str(error)}
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return APIError(
        str(error.get("message") or "The model answered with an error."),
        status,
        type=error["type"] if isinstance(error.get("type"), str) else None,
        code=None if code is None else str(code),
        param=error["param"] if isinstance(error.get("param"), str) else None,
    )


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutput("The model gave a dict that cannot be written as JSON.") from error


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
