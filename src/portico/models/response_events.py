"""Writes an answer as the events of the responses API, and keeps the response object up to date with them.

Here: the sequence of events. What parts and items look like is in `response_parts` and `tool_items`. Source: OpenAI
API reference, "Streaming events"; Open Responses specification, "Streaming".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

from portico.calls.exchange import new_id, now
from portico.calls.json_text import compact, quoted
from portico.errors import PorticoError
from portico.models.choice import Event
from portico.models.generation import Aborted, Generation
from portico.models.parts import Extra, Item, PageEvent, Reasoning, Text
from portico.models.response_parts import OpenItem, part_of, response_usage, summary_part
from portico.models.tool_calls import CalledTool, ToolArguments, ToolBegin, is_whole
from portico.models.tool_items import begun_item, hosted_item
from portico.models.tools import CUSTOM, HOSTED
from portico.models.wire import DONE

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish_reasons that leave a response incomplete, and what this API calls them."""


_PLACED = frozenset(("refusal", "annotations", "content_parts", "encrypted_reasoning", "logprobs", "role", "content"))
"""Keys of a delta that have a place in an item, or none here."""


class ResponseEvents:
    """A `Writer` of one choice.

    ``response`` is the response object, whole at the end. Without *lines*, frames are bare JSON, as WebSocket messages
    are; with them, server-sent events. *stream_id* is the WebSocket's lane, repeated in each event. With *summary*,
    reasoning is told as a summary too, as it is where the request asks for that. *done*: whether lines end as
    those of a chat do.
    """

    def __init__(
        self,
        response: dict[str, Any],
        lines: bool = True,
        stream_id: str | None = None,
        summary: bool = False,
        done: bool = True,
    ) -> None:
        self.response = response
        self.ended: Callable[[], None] = _nothing
        """Called when ``response`` has come to its end, before the event that says so goes out."""
        self._lines = lines
        self._last = [DONE] if lines and done else []
        self._lane = f',"stream_id":{quoted(stream_id)}' if stream_id is not None else ""
        self._tail = "\n\n" if lines else ""
        self._sequence = 0
        self._message: OpenItem | None = None
        self._reasoning: OpenItem | None = None
        self._calls: dict[int, OpenItem] = {}
        self._hosted: list[CalledTool] = []
        """Calls whose items go out whole, when all of their arguments have come."""
        self._summary = summary or bool(response["reasoning"].get("summary"))
        """Whether the client wants reasoning as a summary too: some read nothing else of it."""
        self._before = ""
        # Written now, as they go out with the first item, when the response already holds it.
        self._opening = [
            self._write("response.created", {"response": response}),
            self._write("response.in_progress", {"response": response}),
        ]

    def opening(self) -> list[bytes]:
        """``response.created`` and ``response.in_progress``."""
        return self._opening

    def renderer(self, index: int) -> Callable[[str], bytes | list[bytes]]:
        """See `Writer.renderer`."""
        tail = f"{self._lane}}}{self._tail}"

        def render(text: str) -> bytes | list[bytes]:
            message = self._message
            if message is None or message.kind != "text":
                return self.event(index, Text(text))
            message.pieces.append(text)
            self._sequence = sequence = self._sequence + 1
            return f'{self._before}{sequence - 1},"delta":{encode_basestring_ascii(text)}{tail}'.encode()

        return render

    def event(self, index: int, event: Event) -> list[bytes]:
        """See `Writer.event`."""
        if isinstance(event, Text):
            return self._text(event)
        if isinstance(event, Reasoning):
            return self._think(event.text)
        if isinstance(event, ToolBegin):
            return self._begin_call(event.tool)
        if isinstance(event, ToolArguments):
            return self._go_on_with_call(event)
        if isinstance(event, Item):
            return self._whole_item(event.item)
        if isinstance(event, PageEvent):
            return [self._page_event(event.fields)]
        return self._other(event)

    def finish(self, index: int, generation: Generation) -> list[bytes]:
        """The events that end the items which are still open."""
        reason = generation.choices[index].finish_reason
        return self._close_hosted(last=True) + self._close_all("incomplete" if reason in _REASONS else "completed")

    def closing(self, generation: Generation) -> list[bytes]:
        """``response.completed`` or ``response.incomplete``, and the end."""
        self._complete(generation)
        last = self._write(f"response.{self.response['status']}", {"response": self.response})
        return [last, *self._last]

    def _complete(self, generation: Generation) -> None:
        reason = generation.choices[0].finish_reason
        response = self.response
        response["status"] = "incomplete" if reason in _REASONS else "completed"
        if reason in _REASONS:
            response["incomplete_details"] = {"reason": _REASONS[reason]}
        else:
            response["completed_at"] = now()
        response["usage"] = response_usage(generation.usage())
        extra = {key: value for key, value in generation.choices[0].extra.items() if key not in _PLACED}
        for key, value in (*generation.meta.items(), *extra.items()):
            response.setdefault(key, value)
        self.ended()

    def failure(self, error: PorticoError) -> list[bytes]:
        """``response.failed``, and the end."""
        frames = self._close_all("incomplete")
        self._fail(error)
        frames.append(self._write("response.failed", {"response": self.response}))
        return [*frames, *self._last]

    def cancelled(self) -> None:
        """Bring the response object to its end where nobody wants it any more; one that has ended stays as it is.

        A server may tell that the client has left while the last frame is still on its way out.
        """
        if self.response["status"] != "in_progress":
            return
        self._close_all("incomplete")
        self.response["status"] = "cancelled"
        self.ended()

    def _fail(self, error: PorticoError) -> None:
        if isinstance(error, Aborted):
            self.response["status"] = "cancelled"
        else:
            self.response["status"] = "failed"
            code = "rate_limit_exceeded" if error.status == 429 else "server_error"
            self.response["error"] = {"code": code, "message": str(error)}
        self.ended()

    def beat(self) -> bytes:
        """An empty delta, or, before there is an item, ``response.in_progress`` once more."""
        message = self._message
        if message is None or message.kind != "text":
            return self._write("response.in_progress", {"response": self.response})
        return self._write(
            "response.output_text.delta",
            {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
            | {"delta": "", "logprobs": []},
        )

    def _text(self, event: Text) -> list[bytes]:
        frames = self._begin_message("text")
        message = self._message
        assert message is not None
        place = {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
        delta = {**place, "delta": event.text, "logprobs": event.logprobs or []}
        frames.append(self._write("response.output_text.delta", delta))  # first, as it fails where JSON has no word
        message.pieces.append(event.text)
        if event.logprobs:
            message.logprobs += event.logprobs
        return frames

    def _other(self, extra: Extra) -> list[bytes]:
        """The keys of a delta that have a place in an item; the others go into the response at its end."""
        frames: list[bytes] = []
        refusal = extra.delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            frames += self._refuse(refusal)
        annotations = extra.delta.get("annotations")
        for annotation in annotations if isinstance(annotations, list) else ():
            frames += self._annotate(annotation)
        parts = extra.delta.get("content_parts")
        for part in parts if isinstance(parts, list) else ():
            frames += self._add_part(part)
        sealed = extra.delta.get("encrypted_reasoning")
        if sealed:
            frames += self._begin_thought()
            assert self._reasoning is not None
            self._reasoning.item["encrypted_content"] = sealed
        return frames

    def _refuse(self, text: str) -> list[bytes]:
        frames = self._begin_message("refusal")
        message = self._message
        assert message is not None
        message.pieces.append(text)
        place = {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
        return [*frames, self._write("response.refusal.delta", {**place, "delta": text})]

    def _annotate(self, annotation: Any) -> list[bytes]:
        frames = self._begin_message("text")
        message = self._message
        assert message is not None
        if isinstance(annotation, dict) and isinstance(annotation.get(annotation.get("type")), dict):
            annotation = {"type": annotation["type"], **annotation[annotation["type"]]}  # the chat API nests it
        place = {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
        event = {**place, "annotation_index": len(message.annotations), "annotation": annotation}
        message.annotations.append(annotation)
        return [*frames, self._write("response.output_text.annotation.added", event)]

    def _add_part(self, part: Any) -> list[bytes]:
        """A content part of no known type: a message of its own, which is whole."""
        frames = self._close_texts("completed")
        item = {"id": new_id("msg_"), "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        opened, added = self._begin("message", item)
        place = {"item_id": item["id"], "output_index": opened.index, "content_index": 0}
        begun = self._write("response.content_part.added", {**place, "part": part})
        ended = self._write("response.content_part.done", {**place, "part": part})
        item |= {"content": [part], "status": "completed"}
        done = self._write("response.output_item.done", {"output_index": opened.index, "item": item})
        return [*frames, added, begun, ended, done]

    def _whole_item(self, given: dict[str, Any]) -> list[bytes]:
        """An item that is whole from its beginning, and what the API tells of one that it runs itself."""
        frames = self._close_texts("completed")
        item = {"id": new_id("item_"), **given}
        status = item.get("status") if item.get("status") not in (None, "in_progress") else "completed"
        opened, added = self._begin("item", {**item, "status": "in_progress"})
        place = {"item_id": item["id"], "output_index": opened.index}
        row = HOSTED.get(str(item["type"]).removesuffix("_call"))
        signs = (
            [self._write(f"response.{row.call}.{sign}", place) for sign in ("in_progress", "completed")]
            if row is not None and row.runs
            else []
        )
        item["status"] = status
        self.response["output"][opened.index] = item
        done = self._write("response.output_item.done", {"output_index": opened.index, "item": item})
        return [*frames, added, *signs, done]

    def _begin_message(self, kind: str) -> list[bytes]:
        if self._message is not None and self._message.kind == kind:
            return []
        frames = self._close_texts("completed")
        item = {"id": new_id("msg_"), "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        opened, added = self._begin(kind, item)
        self._message = opened
        event = "response.output_text.delta"
        self._before = (
            (f"event: {event}\ndata: " if self._lines else "")
            + f'{{"type":"{event}","item_id":"{item["id"]}","output_index":{opened.index}'
            + ',"content_index":0,"logprobs":[],"sequence_number":'
        )
        return [*frames, added, self._part_event("added", opened)]

    def _think(self, text: str) -> list[bytes]:
        frames = self._begin_thought()
        thought = self._reasoning
        assert thought is not None
        thought.pieces.append(text)
        place = {"item_id": thought.item["id"], "output_index": thought.index}
        frames.append(self._write("response.reasoning_text.delta", {**place, "content_index": 0, "delta": text}))
        if self._summary:
            delta = {**place, "summary_index": 0, "delta": text}
            frames.append(self._write("response.reasoning_summary_text.delta", delta))
        return frames

    def _begin_thought(self) -> list[bytes]:
        if self._reasoning is not None:
            return []
        frames = self._close_texts("completed")
        item = {"id": new_id("rs_"), "type": "reasoning", "status": "in_progress", "summary": [], "content": []}
        self._reasoning, added = self._begin("reasoning", item)
        frames += [added, self._part_event("added", self._reasoning)]
        if self._summary:
            frames.append(self._summary_event("part.added", self._reasoning, part=summary_part("")))
        return frames

    def _begin_call(self, tool: CalledTool) -> list[bytes]:
        frames = self._close_texts("completed")
        if tool.type in HOSTED:
            self._hosted.append(tool)
            return frames
        self._calls[tool.index], added = self._begin("call", begun_item(tool))
        return [*frames, added]

    def _go_on_with_call(self, event: ToolArguments) -> list[bytes]:
        call = self._calls.get(event.tool.index)
        if call is None:
            return []  # its item goes out whole
        call.pieces.append(event.piece)
        place = {"item_id": call.item["id"], "output_index": call.index}
        name = "custom_tool_call_input" if event.tool.type == CUSTOM else "function_call_arguments"
        return [self._write(f"response.{name}.delta", {**place, "delta": event.piece})]

    def _close_hosted(self, last: bool) -> list[bytes]:
        """The items of calls whose arguments have come; at the *last*, of all. Raises `UnusableOutput`."""
        frames: list[bytes] = []
        for tool in tuple(self._hosted):
            if last or is_whole(tool.text):
                self._hosted.remove(tool)
                frames += self._whole_item(hosted_item(tool, HOSTED[tool.type]))
        return frames

    def _begin(self, kind: str, item: dict[str, Any]) -> tuple[OpenItem, bytes]:
        opened = OpenItem(kind, len(self.response["output"]), item)
        added = self._write("response.output_item.added", {"output_index": opened.index, "item": item})
        self.response["output"].append(item)
        return opened, added

    def _close_texts(self, status: str) -> list[bytes]:
        """End what other output ends. Calls stay open, as models go back to them."""
        frames = self._close(self._reasoning, status) + self._close(self._message, status)
        self._reasoning = self._message = None
        return frames + self._close_hosted(last=False) if self._hosted else frames

    def _close_all(self, status: str) -> list[bytes]:
        frames = self._close_texts(status)
        for call in self._calls.values():
            frames += self._close(call, status)
        self._calls.clear()
        return frames

    def _close(self, opened: OpenItem | None, status: str) -> list[bytes]:
        """Write the events that end an item, and put its whole text into it."""
        if opened is None:
            return []
        item, text = opened.item, opened.text
        place = {"item_id": item["id"], "output_index": opened.index}
        frames: list[bytes] = []
        if opened.kind == "call":
            custom = item["type"] == "custom_tool_call"
            name, field = ("custom_tool_call_input", "input") if custom else ("function_call_arguments", "arguments")
            item[field] = text
            frames.append(self._write(f"response.{name}.done", {**place, "name": item["name"], field: text}))
        else:
            inner = {**place, "content_index": 0}
            if opened.kind == "text":
                done = {**inner, "text": text, "logprobs": opened.logprobs}
                frames.append(self._write("response.output_text.done", done))
            elif opened.kind == "refusal":
                frames.append(self._write("response.refusal.done", {**inner, "refusal": text}))
            else:
                frames.append(self._write("response.reasoning_text.done", {**inner, "text": text}))
            item["content"] = [part_of(opened)]
            frames.append(self._part_event("done", opened))
            if opened.kind == "reasoning" and self._summary:
                item["summary"] = [summary_part(text)]
                frames.append(self._summary_event("text.done", opened, text=text))
                frames.append(self._summary_event("part.done", opened, part=summary_part(text)))
        item["status"] = status
        frames.append(self._write("response.output_item.done", {"output_index": opened.index, "item": item}))
        return frames

    def _part_event(self, what: str, opened: OpenItem) -> bytes:
        place = {"item_id": opened.item["id"], "output_index": opened.index, "content_index": 0}
        return self._write(f"response.content_part.{what}", {**place, "part": part_of(opened)})

    def _page_event(self, fields: Mapping[str, Any]) -> bytes:
        name = fields.get("type")
        name = name if isinstance(name, str) and name.isprintable() else "event"
        return self._write(name, {key: value for key, value in fields.items() if key != "type"})

    def _summary_event(self, what: str, opened: OpenItem, **fields: Any) -> bytes:
        place = {"item_id": opened.item["id"], "output_index": opened.index, "summary_index": 0}
        return self._write(f"response.reasoning_summary_{what}", {**place, **fields})

    def _write(self, event: str, fields: dict[str, Any]) -> bytes:
        sequence = self._sequence
        self._sequence += 1
        body = compact({"type": event, "sequence_number": sequence, **fields})[:-1] + self._lane + "}"
        return (f"event: {event}\ndata: {body}\n\n" if self._lines else body).encode("ascii")


def _nothing() -> None:
    return None
