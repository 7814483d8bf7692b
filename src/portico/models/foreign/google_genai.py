"""Answers of google-genai, whole or streamed, as its objects, or as dicts in either of their spellings.

Source: Gemini API reference, "GenerateContentResponse".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.wording import got, reason_of, unusable
from portico.models.parts import Extra, Finish, Part, Reasoning, Text, ToolCall, Usage


class GoogleGenAIReader(Reader):
    """See `Reader`."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        name = type(item).__name__
        if not isinstance(item, Mapping) and name not in ("GenerateContentResponse", "Content", "Candidate", "Part"):
            raise unusable(item, "give what generate_content() gives, or what its stream yields.")
        if name == "Part":
            candidates: Any = [{"content": {"parts": [item]}}]
        elif name == "Content":
            candidates = [{"content": item}]
        else:
            candidates = [item] if name == "Candidate" else got(item, "candidates", ())
        for place, candidate in enumerate(candidates):
            index = got(candidate, "index", place)
            called = False
            for part in got(got(candidate, "content"), "parts", ()):
                for one in _of_part(part):
                    called = called or isinstance(one, ToolCall)
                    yield index, one
            reason = _either(candidate, "finish_reason", "finishReason")
            if reason is not None:
                found = reason_of(reason)
                if not (called and found == "stop"):
                    yield index, Finish(found)
        yield from _of_all(item)


def _of_part(part: Any) -> Iterator[Part]:
    text, call = got(part, "text"), _either(part, "function_call", "functionCall")
    if call is not None:
        yield ToolCall(got(call, "name"), dict(got(call, "args", {})), got(call, "id"))
    if text:
        yield Reasoning(text) if got(part, "thought") else Text(text)
    code = _either(part, "executable_code", "executableCode")
    if got(code, "code"):
        yield Text(f"\n```{str(got(code, 'language', '')).rpartition('.')[2].lower()}\n{got(code, 'code')}\n```\n")
    result = _either(part, "code_execution_result", "codeExecutionResult")
    if got(result, "output"):
        yield Text(f"\n```\n{got(result, 'output')}\n```\n")
    for name, other in _NO_TEXT:
        if _either(part, name, other) is not None:
            raise unusable(part, f"answers are texts: its {name} has no place in one.")


_NO_TEXT = (("inline_data", "inlineData"), ("file_data", "fileData"), ("function_response", "functionResponse"))


def _of_all(item: Any) -> Iterator[tuple[int, Part]]:
    usage = _either(item, "usage_metadata", "usageMetadata")
    if usage is not None:
        thoughts = _either(usage, "thoughts_token_count", "thoughtsTokenCount") or 0
        completion = (_either(usage, "candidates_token_count", "candidatesTokenCount") or 0) + thoughts
        details: dict[str, Any] = {"completion_tokens_details": {"reasoning_tokens": thoughts}} if thoughts else {}
        cached = _either(usage, "cached_content_token_count", "cachedContentTokenCount")
        if cached:
            details["prompt_tokens_details"] = {"cached_tokens": cached}
        prompt = _either(usage, "prompt_token_count", "promptTokenCount") or 0
        yield 0, Usage(prompt, completion, _either(usage, "total_token_count", "totalTokenCount"), details)
    blocked = _either(_either(item, "prompt_feedback", "promptFeedback"), "block_reason", "blockReason")
    if blocked is not None:
        yield 0, Extra({"refusal": "The request was blocked by the model's server."})
        yield 0, Finish("content_filter")


def _either(thing: Any, name: str, other: str) -> Any:
    found = got(thing, name)
    return got(thing, other) if found is None else found
