"""Anthropic's messages and the events of their streams, as the SDK's objects or as dicts.

The SDK's stream helper gives each event, and then one more that says the same (``text``, ``input_json``). Source:
Anthropic API reference, "Messages", "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import contents
from portico.models.foreign.wording import error_of, reason_of, unusable
from portico.models.parts import Extra, Finish, Part, Reasoning, Text, ToolCall, Usage


class AnthropicReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._calls: dict[Any, str] = {}
        """The ids of calls by the index of their block."""
        self._ran: dict[Any, dict[str, Any]] = {}
        """Calls that the model's server runs itself, by the index of their block, with their input as it comes."""
        self._deltas = False
        self._id: Any = None
        """The id of the message that is streamed."""
        self._said: list[str] = []
        """Its texts. Some functions give the whole message at the end once more."""
        self._usage: dict[str, int] = {}

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        event = item if isinstance(item, Mapping) else _dumped(item)
        for part in self._parts(event, item):
            yield 0, part

    def _parts(self, event: Mapping[str, Any], item: Any) -> Iterator[Part]:
        match event.get("type"):
            case "message":
                if not self._repeats(event):
                    yield from contents(event.get("content"))
                yield from self._ending(event)
            case "message_start":
                self._calls.clear()
                self._ran.clear()
                self._said.clear()
                message = event.get("message") or {}
                self._id = message.get("id")
                yield from contents(message.get("content") or None)
                yield from self._ending({"usage": message.get("usage")})
            case "content_block_start":
                yield from self._block(event.get("index"), event.get("content_block") or {})
            case "content_block_delta":
                self._deltas = True
                yield from self._delta(event.get("index"), event.get("delta") or {})
            case "message_delta":
                yield from self._ending({**(event.get("delta") or {}), "usage": event.get("usage")})
            case "text" if isinstance(event.get("text"), str) and ("snapshot" in event or "citations" not in event):
                if "snapshot" not in event:
                    yield from contents([event])  # a block by itself
                elif not self._deltas:
                    self._said.append(event["text"])
                    yield Text(event["text"])
            case "thinking":
                if ("snapshot" not in event or not self._deltas) and event.get("thinking"):
                    yield Reasoning(event["thinking"])
            case "text" | "tool_use":
                yield from contents([event])
            case "error":
                raise error_of(event.get("error") or "The model's server failed.")
            case "content_block_stop" if event.get("index") in self._ran:
                yield from contents([_with_input(self._ran.pop(event.get("index")))])
            case "ping" | "content_block_stop" | "message_stop" | "input_json" | "citation" | "signature":
                return
            case _:
                raise unusable(item, "give a message, or what its stream yields.")

    def _repeats(self, message: Mapping[str, Any]) -> bool:
        """Whether the whole *message* has been streamed before."""
        if self._id is not None and message.get("id") is not None:
            return bool(message["id"] == self._id)
        content = message.get("content")
        texts = [part.get("text") or "" for part in content] if isinstance(content, list) else [content]
        return bool(self._said) and "".join(map(str, texts)) == "".join(self._said)

    def _block(self, index: Any, block: Mapping[str, Any]) -> Iterator[Part]:
        if block.get("type") in ("server_tool_use", "mcp_tool_use"):
            self._ran[index] = {**block, "pieces": []}
        elif block.get("type") == "tool_use":
            self._calls[index] = str(block.get("id") or f"block_{index}")
            given = block.get("input") or ""
            yield ToolCall(block.get("name"), given, self._calls[index])
        else:
            yield from contents([block])

    def _delta(self, index: Any, delta: Mapping[str, Any]) -> Iterator[Part]:
        match delta.get("type"):
            case "text_delta" if delta.get("text"):
                self._said.append(delta["text"])
                yield Text(delta["text"])
            case "thinking_delta" if delta.get("thinking"):
                yield Reasoning(delta["thinking"])
            case "input_json_delta" if index in self._ran:
                self._ran[index]["pieces"].append(delta.get("partial_json") or "")
            case "input_json_delta" if delta.get("partial_json"):
                yield ToolCall(None, delta["partial_json"], self._calls.get(index))
            case "citations_delta":
                yield Extra({"annotations": [delta.get("citation")]})
            case _:
                return  # signatures, which only their own server can read

    def _ending(self, ending: Mapping[str, Any]) -> Iterator[Part]:
        usage = ending.get("usage") or {}
        for name, value in usage.items():
            if isinstance(value, int):
                self._usage[name] = value
        if usage:
            known = self._usage
            cached = known.get("cache_read_input_tokens", 0)
            prompt = known.get("input_tokens", 0) + cached + known.get("cache_creation_input_tokens", 0)
            details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
            yield Usage(prompt, known.get("output_tokens", 0), None, details)
        if ending.get("stop_reason"):
            yield Finish(reason_of(ending["stop_reason"]))


def _with_input(block: dict[str, Any]) -> dict[str, Any]:
    """A block whose input has come in pieces, as it is in a whole message."""
    pieces = "".join(block.pop("pieces"))
    try:
        return {**block, "input": json.loads(pieces)} if pieces else block
    except (ValueError, RecursionError):
        return {**block, "input": pieces}


def _dumped(item: Any) -> Mapping[str, Any]:
    dump = getattr(item, "model_dump", None)
    dumped = dump(mode="json", exclude_none=True, warnings=False) if dump is not None else None
    return dumped if isinstance(dumped, Mapping) else {}
