"""The parts of a response object: an item that is being written, its content part, and the usage.

Source: OpenAI API reference, "The response object".
"""

from __future__ import annotations

from typing import Any


class OpenItem:
    """An output item that has begun: its place, and the text of its one part so far."""

    def __init__(self, kind: str, index: int, item: dict[str, Any]) -> None:
        self.kind = kind
        self.index = index
        self.item = item
        self.pieces: list[str] = []
        self.logprobs: list[Any] = []
        self.annotations: list[Any] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def part_of(opened: OpenItem) -> dict[str, Any]:
    """The one content part of an item, as it is now."""
    match opened.kind:
        case "text":
            return {
                "type": "output_text",
                "text": opened.text,
                "annotations": opened.annotations,
                "logprobs": opened.logprobs,
            }
        case "refusal":
            return {"type": "refusal", "refusal": opened.text}
        case _:
            return {"type": "reasoning_text", "text": opened.text}


def summary_part(text: str) -> dict[str, Any]:
    """A part of a reasoning item's summary."""
    return {"type": "summary_text", "text": text}


def response_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """This API's usage, from the chat API's."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    known = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details")
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, **prompt},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0, **completion},
        "total_tokens": usage["total_tokens"],
        **{key: value for key, value in usage.items() if key not in known},
    }
