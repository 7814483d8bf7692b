"""Responses and their events, as dicts, and the output items in them.

An event that only repeats what others have said (``...done``, the whole response at the end) gives what of it has not
been given before; so a function may hand on all events, or those that it picks. Source: OpenAI API reference,
"The response object", "Streaming events".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from portico.errors import APIError, UnusableOutput
from portico.models.foreign import Reader
from portico.models.foreign.wording import error_of, reason_of, usage_of
from portico.models.parts import Extra, Finish, Item, Part, Reasoning, Text, ToolCall
from portico.models.tools import CUSTOM

_CALLS = frozenset(("function_call", "custom_tool_call"))


class ResponsesReader(Reader):
    """Reads the events of one stream, or whole responses and items."""

    def __init__(self) -> None:
        self._ended: set[Any] = set()
        """The ids of the responses that have been read to their end."""
        self._begin_response()

    def _begin_response(self) -> None:
        self._keys: dict[Any, object] = {}
        """Items, by id, and by place and kind: some servers' ids change with each event, others' places never do."""
        self._seen: dict[object, str] = {}
        """Items that parts were given of; with what reasoning was given of: ``text`` or ``summary``."""
        self._calls: dict[object, str] = {}
        """The ids of calls."""
        self._parts: set[tuple[Any, ...]] = set()
        """Texts, refusals, arguments and summaries that something was given of."""

    def _key(self, id: Any, place: Any, kind: str, new: bool = False) -> object:
        """The item of an event. *new* says that it begins with this event, if its id is new."""
        names = [(id, "id"), (place, kind)] if id is not None else [(place, kind)]
        key = self._keys.get(names[0])
        if key is None and not (new and id is not None):
            key = self._keys.get((place, kind)) or self._keys.get((None, kind))
        if key is None:
            key = object()
        for name in names:
            self._keys[name] = key
        return key

    def read(self, item: Mapping[str, Any]) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        kind = str(item.get("type") or "")
        if item.get("object") == "response":
            parts = self._response(item)
        elif kind.startswith("response."):
            parts = self._event(kind.removeprefix("response."), item)
        elif kind == "error":
            raise error_of(item.get("error") or item)
        else:
            parts = self._item(item)
        for part in parts:
            yield 0, part

    def _event(self, kind: str, event: Mapping[str, Any]) -> Iterator[Part]:
        delta = event.get("delta")
        id = self._key(event.get("item_id"), event.get("output_index"), _kind_of(kind))
        match kind:
            case "output_text.delta" | "refusal.delta" | "reasoning_text.delta" | "reasoning_summary_text.delta":
                yield from self._text(kind.partition(".")[0], id, event, delta, event.get("logprobs"))
            case "output_text.done" | "reasoning_text.done" | "reasoning_summary_text.done":
                yield from self._rest(kind.partition(".")[0], id, event, event.get("text"))
            case "refusal.done":
                yield from self._rest("refusal", id, event, event.get("refusal"))
            case "reasoning.delta" | "reasoning_summary.delta":  # other servers' names of them
                text = delta.get("text") if isinstance(delta, Mapping) else delta
                yield from self._text("reasoning_text", id, event, text)
            case "output_text.annotation.added" | "output_text_annotation.added":
                self._seen.setdefault(id, "")
                self._parts.add(("annotations", id, event.get("content_index", 0)))
                yield Extra({"annotations": [event.get("annotation")]})
            case "function_call_arguments.delta" | "custom_tool_call_input.delta":
                yield from self._arguments(id, delta, kind.startswith("custom"))
            case "function_call_arguments.done":
                yield from self._whole_arguments(id, event.get("arguments"), event.get("name"))
            case "custom_tool_call_input.done":
                yield from self._whole_arguments(id, event.get("input"), event.get("name"))
            case "created":
                self._begin_response()
            case "output_item.added" if _is_call(event.get("item")):
                item = event["item"]
                id = self._key(item.get("id"), event.get("output_index"), _kind_of(item["type"]), new=True)
                yield self._begin(id, item)
            case "output_item.done":
                yield from self._item(event.get("item") or {}, event.get("output_index"))
            case "audio.delta":
                yield Extra({"audio": {"data": delta}})
            case "audio.transcript.delta" | "audio_transcript.delta":
                yield Extra({"audio": {"transcript": delta}})
            case "completed" | "incomplete" | "failed" | "cancelled" | "done":
                yield from self._response(event.get("response") or {}, kind)
            case _:
                pass  # signs of progress; what they announce comes with the item's end, or with the response's

    def _text(
        self, channel: str, id: object, event: Mapping[str, Any], text: Any, logprobs: Any = None
    ) -> Iterator[Part]:
        if not isinstance(text, str) or not text:
            return
        if channel.startswith("reasoning"):
            form = "summary" if channel == "reasoning_summary_text" else "text"
            known = self._seen.setdefault(id, form) or form
            self._seen[id] = known
            if known != form:
                return  # the same reasoning a second time, as a summary
            place = (channel, id, event.get("summary_index", event.get("content_index", 0)))
            follows = place not in self._parts and any(key[:2] == place[:2] for key in self._parts)
            self._parts.add(place)
            yield Reasoning("\n\n" + text if follows else text)
            return
        self._seen.setdefault(id, "")
        self._parts.add((channel, id, event.get("content_index", 0)))
        yield Extra({"refusal": text}) if channel == "refusal" else Text(text, logprobs or None)

    def _rest(self, channel: str, id: object, event: Mapping[str, Any], text: Any) -> Iterator[Part]:
        place = (channel, id, event.get("summary_index", event.get("content_index", 0)))
        if place not in self._parts:
            yield from self._text(channel, id, event, text, event.get("logprobs"))

    def _begin(self, id: object, item: Mapping[str, Any]) -> ToolCall:
        """A call begins; its arguments may be there already."""
        call = str(item.get("call_id") or item.get("id") or "")
        self._seen[id], self._calls[id] = "", call
        given = item.get("arguments", item.get("input")) or ""
        if given:
            self._parts.add(("arguments", id))
        custom = CUSTOM if item.get("type") == "custom_tool_call" else None
        return ToolCall(item.get("name"), given, call, None, custom, item.get("namespace"))

    def _arguments(self, id: object, piece: Any, custom: bool) -> Iterator[Part]:
        if isinstance(piece, str) and piece:
            self._parts.add(("arguments", id))
            yield ToolCall(None, piece, self._calls.get(id), None, CUSTOM if custom else None)

    def _whole_arguments(self, id: object, arguments: Any, name: Any) -> Iterator[Part]:
        if ("arguments", id) in self._parts or not isinstance(arguments, str) or not arguments:
            return
        if id not in self._calls:
            return  # its item, which has all, is still to come
        self._parts.add(("arguments", id))
        yield ToolCall(name if isinstance(name, str) else None, arguments, self._calls[id])

    def _response(self, response: Mapping[str, Any], kind: str = "") -> Iterator[Part]:
        status = response.get("status") or kind
        name = response.get("id")
        if name is not None and name in self._ended:
            return  # the whole of what was read already
        self._ended.add(name)
        if status in ("failed", "cancelled") or response.get("error"):
            error = response.get("error") or {"message": f"The model's response has {status}.", "code": status}
            raise error_of(error) if status != "cancelled" else APIError("The model's response was cancelled.", 500)
        for place, item in enumerate(response.get("output") or ()):
            yield from self._item(item, place)
        if response.get("usage"):
            yield usage_of(response["usage"])
        if status == "incomplete":
            yield Finish(reason_of((response.get("incomplete_details") or {}).get("reason") or "length"))
        self._begin_response()

    def _item(self, item: Mapping[str, Any], place: Any = None) -> Iterator[Part]:
        kind, name = item.get("type"), item.get("id") or item.get("call_id")
        id = object() if name is None and place is None else self._key(name, place, _kind_of(str(kind)))
        seen = id in self._seen
        self._seen.setdefault(id, "")
        match kind:
            case "message":
                yield from self._message(id, item)
            case "function_call" | "custom_tool_call":
                if not seen:
                    yield self._begin(id, item)
                elif id in self._calls:
                    yield from self._whole_arguments(id, item.get("arguments", item.get("input")), None)
            case "reasoning":
                yield from self._reasoning(id, item)
            case "function_call_output" | "custom_tool_call_output":
                raise UnusableOutput(f"The model gave a {kind}, which clients send; give a text, or a call of a tool.")
            case str():
                if not seen:
                    yield Item(dict(item))
            case _:
                raise UnusableOutput("The model gave a response whose output holds something without a type.")

    def _message(self, id: object, item: Mapping[str, Any]) -> Iterator[Part]:
        content = item.get("content") or ()
        if isinstance(content, str):
            content = ({"type": "output_text", "text": content},)
        for index, part in enumerate(content):
            place = {"content_index": index}
            match part.get("type"):
                case "output_text" | "text":
                    yield from self._rest("output_text", id, {**place, "logprobs": part.get("logprobs")}, part["text"])
                    if part.get("annotations") and ("annotations", id, index) not in self._parts:
                        self._parts.add(("annotations", id, index))
                        yield Extra({"annotations": part["annotations"]})
                case "refusal":
                    yield from self._rest("refusal", id, place, part.get("refusal"))
                case _:
                    yield Extra({"content_parts": [part]})

    def _reasoning(self, id: object, item: Mapping[str, Any]) -> Iterator[Part]:
        for index, part in _texts(item.get("content")):
            yield from self._rest("reasoning_text", id, {"content_index": index}, part)
        if self._seen.get(id) != "text":
            for index, part in _texts(item.get("summary")):
                yield from self._rest("reasoning_summary_text", id, {"summary_index": index}, part)
        if item.get("encrypted_content") and ("encrypted", id) not in self._parts:
            self._parts.add(("encrypted", id))
            yield Extra({"encrypted_reasoning": item["encrypted_content"]})


def _texts(parts: Iterable[Any] | None) -> Iterator[tuple[int, Any]]:
    for index, part in enumerate(parts or ()):
        yield index, part.get("text") if isinstance(part, Mapping) else part


def _is_call(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") in _CALLS


def _kind_of(type_: str) -> str:
    """The kind of item that an event, or an item of that type, is about."""
    if type_.startswith(("function_call", "custom_tool_call")):
        return "call"
    if type_.startswith("reasoning"):
        return "reasoning"
    return "message" if type_.startswith(("message", "output_text", "refusal")) else type_.partition(".")[0]
