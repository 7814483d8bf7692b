"""Completions, chunks, messages and deltas of the OpenAI API as dicts, with what other servers add to them.

Source: OpenAI API reference, "The chat completion object", "The chat completion chunk object", "The completion object".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.errors import UnusableOutput
from portico.models.foreign.wording import article, as_json, error_of, got, reason_of, usage_of
from portico.models.parts import Extra, Finish, Item, Meta, Part, Reasoning, Text, ToolCall
from portico.models.tools import CUSTOM

_UNDERSTOOD = frozenset(
    [
        *("role", "content", "text", "reasoning", "reasoning_content", "reasoning_details", "thinking"),
        *("tool_calls", "function_call", "finish_reason", "usage", "logprobs", "object"),
        *("parsed", "type", "index"),
    ]
)
DELTA_KEYS = (_UNDERSTOOD - {"object", "parsed", "type", "index"}) | {"refusal", "audio", "annotations", "error"}
"""A dict with one of these keys is a delta or a message; one without is neither."""

_ANSWER_KEYS = frozenset(("id", "object", "created", "model", "choices", "usage", "error"))

_CHOICE_KEYS = frozenset(("index", "delta", "message", "text", "finish_reason", "logprobs", "stop_reason"))


def is_answer(item: Mapping[str, Any]) -> bool:
    """Whether *item* is a completion or a chunk. The last chunk of some servers has no list of choices, but usage."""
    if isinstance(item.get("choices"), list | tuple):
        return True
    return "choices" in item or str(item.get("object")).startswith(("chat.completion", "text_completion"))


def is_choice(item: Mapping[str, Any]) -> bool:
    """Whether *item* is one choice of a completion or a chunk."""
    inner = item.get("delta", item.get("message"))
    return isinstance(inner, Mapping) and ("finish_reason" in item or item.keys() <= _CHOICE_KEYS)


def from_answer(item: Mapping[str, Any]) -> Iterator[tuple[int, Part]]:
    """The parts of a completion or a chunk."""
    if item.get("error"):
        raise error_of(item["error"])
    for position, choice in enumerate(item.get("choices") or ()):
        if not isinstance(choice, Mapping):
            raise UnusableOutput("The model gave a completion whose choices are not dicts.")
        given = choice.get("index")
        yield from from_choice(choice, given if isinstance(given, int) else position)
    usage = item.get("usage")
    groq = item.get("x_groq")
    if not usage and isinstance(groq, Mapping):
        usage = groq.get("usage")
    if usage:
        yield 0, usage_of(usage)
    rest = {key: value for key, value in item.items() if key not in _ANSWER_KEYS and value is not None}
    if rest:
        yield 0, Meta(rest)


def from_choice(choice: Mapping[str, Any], index: int) -> Iterator[tuple[int, Part]]:
    """The parts of one choice."""
    if choice.get("error"):
        raise error_of(choice["error"])
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    inner = choice.get("delta") or choice.get("message")
    if isinstance(inner, Mapping):
        for part in from_delta(inner):
            if isinstance(part, Text) and content:
                part.logprobs = content
            yield index, part
    elif isinstance(choice.get("text"), str):
        if choice["text"]:
            yield index, Text(choice["text"])
        if isinstance(logprobs, Mapping) and content is None:
            yield index, Extra({"logprobs": logprobs})
    if choice.get("finish_reason"):
        yield index, Finish(reason_of(choice["finish_reason"]))


def from_delta(delta: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a delta or a message. Raises `UnusableOutput` for a dict that is neither."""
    if delta.get("error"):
        raise error_of(delta["error"])
    if not delta:
        return
    if not (DELTA_KEYS & delta.keys()):
        keys = ", ".join(repr(str(key)) for key in list(delta)[:5])
        raise UnusableOutput(
            f"The model gave a dict with the keys {keys}, which is neither a delta nor a completion; "
            f"give {{'content': ...}}, or json.dumps(...) for an answer in JSON."
        )
    reasoning = delta.get("reasoning_content") or delta.get("reasoning") or delta.get("thinking")
    if isinstance(reasoning, str) and reasoning:
        yield Reasoning(reasoning)
    elif not reasoning and isinstance(delta.get("reasoning_details"), list):
        for detail in delta["reasoning_details"]:
            text = (detail.get("text") or detail.get("summary")) if isinstance(detail, Mapping) else None
            if isinstance(text, str):
                yield Reasoning(text)
    yield from contents(delta.get("content", delta.get("text")), delta.get("logprobs"))
    calls = delta.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise UnusableOutput("The model gave tool_calls that are no list.")
    for call in calls:
        yield tool_call(call)
    legacy = delta.get("function_call")
    if isinstance(legacy, Mapping):
        yield ToolCall(legacy.get("name"), legacy.get("arguments") or "", None, 0)
    rest = {key: value for key, value in delta.items() if key not in _UNDERSTOOD and value not in (None, [])}
    if rest:
        yield Extra(rest)
    if delta.get("usage"):
        yield usage_of(delta["usage"])
    if delta.get("finish_reason"):
        yield Finish(reason_of(delta["finish_reason"]))


def contents(content: Any, logprobs: Any = None) -> Iterator[Part]:
    """The parts of a content: a text, or a list of content parts of the OpenAI API, of Anthropic's or of Mistral's."""
    if isinstance(logprobs, Mapping):
        logprobs = logprobs.get("content")
    if isinstance(content, str):
        if content:
            yield Text(content, logprobs or None)
    elif isinstance(content, list | tuple):
        for part in content:
            yield from _content_part(part)
    elif content is not None:
        raise UnusableOutput(
            f"The model gave a content that is {article(type(content).__name__)}, not text; give a text, or a list of "
            f"{{'type': 'text', 'text': ...}}."
        )


def _content_part(part: Any) -> Iterator[Part]:
    if isinstance(part, str):
        if part:
            yield Text(part)
        return
    if not isinstance(part, Mapping):
        dump = getattr(part, "model_dump", None)
        part = dump(mode="json", exclude_none=True) if dump is not None else None
        if not isinstance(part, Mapping):
            raise UnusableOutput("The model gave a content that holds something else than texts and content parts.")
    kind = part.get("type")
    match kind:
        case "refusal":
            yield Extra({"refusal": part.get("refusal")})
        case "thinking" | "reasoning" | "reasoning_text" | "summary_text" | "reasoning_content":
            yield from _thoughts(part)
        case "redacted_thinking" | "non_standard":
            return  # a blob that only its own server can read
        case "function_call" | "custom_tool_call":  # an item of the responses API, as LangChain has it in a content
            yield tool_call(part)
        case "tool_use" | "tool_call" | "invalid_tool_call":
            arguments = part.get("input", part.get("args"))
            yield ToolCall(part.get("name"), {} if arguments is None else arguments, part.get("id"))
        case "tool_call_chunk":
            yield ToolCall(part.get("name"), part.get("args") or "", part.get("id"), _index(part.get("index")))
        case "input_json_delta":
            piece = part.get("partial_json") or part.get("input") or ""
            yield ToolCall(None, piece if isinstance(piece, str) else as_json(piece), None, _index(part.get("index")))
        case _ if isinstance(part.get("text"), str):
            if part["text"]:
                yield Text(part["text"])
            if part.get("annotations"):
                yield Extra({"annotations": part["annotations"]})
        case "text" | "output_text" if part.get("text") is None:
            return  # without a text, as the last of some streams
        case "text" | "output_text":
            value = got(part["text"], "value")  # as a message of the assistants API has it
            if not isinstance(value, str):
                raise UnusableOutput(
                    f"The model gave a content part whose text is {article(type(part['text']).__name__)}, not a text."
                )
            if value:
                yield Text(value)
        case "web_search_call" | "file_search_call" | "code_interpreter_call" | "image_generation_call" | "mcp_call":
            yield Item(dict(part))
        case _:
            yield Extra({"content_parts": [part]})


def _thoughts(part: Mapping[str, Any]) -> Iterator[Part]:
    """The texts of a content part that holds reasoning, which is a text or a list of such."""
    found = next(
        (part[n] for n in ("thinking", "reasoning", "text", "reasoning_content", "summary") if part.get(n)), ""
    )
    for one in found if isinstance(found, list) else [found]:
        text = one.get("text") if isinstance(one, Mapping) else one
        if isinstance(text, str) and text:
            yield Reasoning(text)


def _index(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def tool_call(call: Any) -> ToolCall:
    """A call of any library: of the chat API, or with its name and arguments at the top. Raises `UnusableOutput`."""
    if isinstance(call, ToolCall):
        return call
    if not isinstance(call, Mapping):
        if hasattr(call, "model_dump"):
            call = call.model_dump(exclude_none=True)
        else:
            names = ("name", "tool_name", "arguments", "args", "id", "index", "function", "type")
            call = {name: getattr(call, name) for name in names if hasattr(call, name)}
    custom = call.get("custom")
    if isinstance(custom, Mapping):
        return ToolCall(
            custom.get("name"), custom.get("input") or "", call.get("id"), _index(call.get("index")), "custom"
        )
    inner = call.get("function")
    if inner is not None and not isinstance(inner, Mapping):  # an object of some library
        inner = {name: got(inner, name) for name in ("name", "arguments")}
    source = inner or call
    arguments = source.get("arguments", source.get("args", source.get("input")))
    return ToolCall(
        source.get("name") or source.get("tool_name"),
        "" if arguments is None else arguments,
        call.get("call_id") or call.get("id"),
        _index(call.get("index")),
        CUSTOM if call.get("type") in (CUSTOM, "custom_tool_call") else None,
    )
