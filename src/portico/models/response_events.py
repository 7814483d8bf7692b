"""Writes an answer as the events of the responses API, and keeps the response object up to date with them.

Here: output items, their parts, and the sequence of events. Source: OpenAI API reference, "Streaming events";
Open Responses specification, "Streaming".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.errors import PorticoError
from portico.models.choice import Event, Tool, ToolArguments, ToolBegin
from portico.models.exchange import new_id, now
from portico.models.generation import Aborted, Generation
from portico.models.parts import Reasoning, Text
from portico.models.sse import DONE, compact, quoted

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish_reasons that leave a response incomplete, and what this API calls them."""


class Open:
    """An output item that has begun: its place, and the text of its one part so far."""

    def __init__(self, kind: str, index: int, item: dict[str, Any]) -> None:
        self.kind = kind
        self.index = index
        self.item = item
        self.pieces: list[str] = []
        self.logprobs: list[Any] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseEvents:
    """A `Writer` of one choice.

    ``response`` is the response object, whole at the end. Without *lines*, frames are bare JSON, as WebSocket messages
    are; with them, server-sent events. *stream_id* is the WebSocket's lane, repeated in each event.
    """

    def __init__(self, response: dict[str, Any], lines: bool = True, stream_id: str | None = None) -> None:
        self.response = response
        self.ended: Callable[[], None] = _nothing
        """Called when ``response`` has come to its end, before the event that says so goes out."""
        self._lines = lines
        self._lane = f',"stream_id":{quoted(stream_id)}' if stream_id is not None else ""
        self._tail = "\n\n" if lines else ""
        self._sequence = 0
        self._message: Open | None = None
        self._reasoning: Open | None = None
        self._calls: dict[int, Open] = {}
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
            return f'{self._before}{sequence - 1},"delta":{quoted(text)}{tail}'.encode("ascii")

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
        refusal = event.delta.get("refusal")
        return self._refuse(refusal) if isinstance(refusal, str) and refusal else []

    def finish(self, index: int, generation: Generation) -> list[bytes]:
        """The events that end the items which are still open."""
        reason = generation.choices[index].finish_reason
        return self._close_all("incomplete" if reason in _REASONS else "completed")

    def closing(self, generation: Generation) -> list[bytes]:
        """``response.completed`` or ``response.incomplete``, and the end."""
        self._complete(generation)
        last = self._write(f"response.{self.response['status']}", {"response": self.response})
        return [last, DONE] if self._lines else [last]

    def _complete(self, generation: Generation) -> None:
        reason = generation.choices[0].finish_reason
        response = self.response
        response["status"] = "incomplete" if reason in _REASONS else "completed"
        if reason in _REASONS:
            response["incomplete_details"] = {"reason": _REASONS[reason]}
        else:
            response["completed_at"] = now()
        response["usage"] = response_usage(generation.usage())
        for key, value in generation.meta.items():
            response.setdefault(key, value)
        self.ended()

    def failure(self, error: PorticoError) -> list[bytes]:
        """``response.failed``, and the end."""
        frames = self._close_all("incomplete")
        self._fail(error)
        frames.append(self._write("response.failed", {"response": self.response}))
        return [*frames, DONE] if self._lines else frames

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
        message.pieces.append(event.text)
        if event.logprobs:
            message.logprobs += event.logprobs
        place = {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
        delta = {**place, "delta": event.text, "logprobs": event.logprobs or []}
        return [*frames, self._write("response.output_text.delta", delta)]

    def _refuse(self, text: str) -> list[bytes]:
        frames = self._begin_message("refusal")
        message = self._message
        assert message is not None
        message.pieces.append(text)
        place = {"item_id": message.item["id"], "output_index": message.index, "content_index": 0}
        return [*frames, self._write("response.refusal.delta", {**place, "delta": text})]

    def _begin_message(self, kind: str) -> list[bytes]:
        if self._message is not None and self._message.kind == kind:
            return []
        frames = self._close_all("completed")
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
        frames: list[bytes] = []
        if self._reasoning is None:
            frames = self._close_all("completed")
            item = {"id": new_id("rs_"), "type": "reasoning", "status": "in_progress", "summary": [], "content": []}
            self._reasoning, added = self._begin("reasoning", item)
            frames += [added, self._part_event("added", self._reasoning)]
        thought = self._reasoning
        thought.pieces.append(text)
        place = {"item_id": thought.item["id"], "output_index": thought.index, "content_index": 0}
        return [*frames, self._write("response.reasoning_text.delta", {**place, "delta": text})]

    def _begin_call(self, tool: Tool) -> list[bytes]:
        frames = self._close(self._reasoning, "completed") + self._close(self._message, "completed")
        self._reasoning = self._message = None
        item = {"id": new_id("fc_"), "type": "function_call", "status": "in_progress"}
        item |= {"call_id": tool.id, "name": tool.name, "arguments": ""}
        self._calls[tool.index], added = self._begin("call", item)
        return [*frames, added]

    def _go_on_with_call(self, event: ToolArguments) -> list[bytes]:
        call = self._calls.get(event.tool.index)
        if call is None:  # the model went back to a call that other output had ended; the item has it all at the end
            return []
        call.pieces.append(event.piece)
        place = {"item_id": call.item["id"], "output_index": call.index}
        return [self._write("response.function_call_arguments.delta", {**place, "delta": event.piece})]

    def _begin(self, kind: str, item: dict[str, Any]) -> tuple[Open, bytes]:
        opened = Open(kind, len(self.response["output"]), item)
        added = self._write("response.output_item.added", {"output_index": opened.index, "item": item})
        self.response["output"].append(item)
        return opened, added

    def _close_all(self, status: str) -> list[bytes]:
        frames = self._close(self._reasoning, status) + self._close(self._message, status)
        for call in self._calls.values():
            frames += self._close(call, status)
        self._reasoning = self._message = None
        self._calls.clear()
        return frames

    def _close(self, opened: Open | None, status: str) -> list[bytes]:
        """Write the events that end an item, and put its whole text into it."""
        if opened is None:
            return []
        item, text = opened.item, opened.text
        place = {"item_id": item["id"], "output_index": opened.index}
        frames: list[bytes] = []
        if opened.kind == "call":
            item["arguments"] = text
            done = {**place, "name": item["name"], "arguments": text}
            frames.append(self._write("response.function_call_arguments.done", done))
        else:
            inner = {**place, "content_index": 0}
            if opened.kind == "text":
                done = {**inner, "text": text, "logprobs": opened.logprobs}
                frames.append(self._write("response.output_text.done", done))
            elif opened.kind == "refusal":
                frames.append(self._write("response.refusal.done", {**inner, "refusal": text}))
            else:
                frames.append(self._write("response.reasoning_text.done", {**inner, "text": text}))
            item["content"] = [_part(opened)]
            frames.append(self._part_event("done", opened))
        item["status"] = status
        frames.append(self._write("response.output_item.done", {"output_index": opened.index, "item": item}))
        return frames

    def _part_event(self, what: str, opened: Open) -> bytes:
        place = {"item_id": opened.item["id"], "output_index": opened.index, "content_index": 0}
        return self._write(f"response.content_part.{what}", {**place, "part": _part(opened)})

    def _write(self, event: str, fields: dict[str, Any]) -> bytes:
        sequence = self._sequence
        self._sequence += 1
        body = compact({"type": event, "sequence_number": sequence, **fields})[:-1] + self._lane + "}"
        return (f"event: {event}\ndata: {body}\n\n" if self._lines else body).encode("ascii")


def _part(opened: Open) -> dict[str, Any]:
    match opened.kind:
        case "text":
            return {"type": "output_text", "text": opened.text, "annotations": [], "logprobs": opened.logprobs}
        case "refusal":
            return {"type": "refusal", "refusal": opened.text}
        case _:
            return {"type": "reasoning_text", "text": opened.text}


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


def _nothing() -> None:
    return None
