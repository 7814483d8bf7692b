"""pydantic-ai: model responses and their parts, the events of streams, and results of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.wording import as_json, got, reason_of, unusable
from portico.models.parts import Finish, Part, Reasoning, Text, ToolCall, Usage

_INSTEAD = "give result.output, a ModelResponse, or the events of a stream."


class PydanticAIReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._streamed = False
        self._output = False
        """Whether the output is the arguments of a call, not a text that was streamed."""
        self._calls: dict[Any, str] = {}
        """The ids of calls by the index of their part."""

        self._held: list[ToolCall] = []
        """The pieces of calls in a stream, until it is known whether the agent's run answers them itself."""
        self._ran: set[Any] = set()
        """The indexes of calls that are no business of the client's."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        for part in self._parts(item):
            yield 0, part

    def rest(self) -> Iterator[tuple[int, Part]]:
        """See `Reader.rest`."""
        for call in self._held:
            yield 0, call

    def _parts(self, item: Any) -> Iterator[Part]:
        kind = got(item, "event_kind")
        if kind == "part_start":
            self._streamed = True
            if item.index == 0:
                self._held.clear()  # a new response: what the one before called was answered
            yield from self._hold(self._part(item.part, item.index))
        elif kind == "part_delta":
            self._streamed = True
            yield from self._hold(self._delta(item.delta, item.index))
        elif kind == "agent_run_result":
            yield from self._result(item.result)
        elif kind == "function_tool_call":
            self._drop(item.part.tool_call_id)
        elif kind == "final_result" and got(item, "tool_call_id") is not None:
            self._drop(item.tool_call_id)  # the output comes with the result
            self._output = True
        elif kind is not None:
            return  # the run's own steps, and what repeats the deltas
        elif got(item, "kind") == "response":
            if not self._streamed:
                for part in item.parts:
                    yield from self._part(part, None)
            yield from _usage(item)
            if got(item, "finish_reason"):
                yield Finish(reason_of(item.finish_reason))
        elif got(item, "part_kind") is not None:
            yield from self._part(item, None)
        elif got(item, "part_delta_kind") is not None:
            yield from self._delta(item, None)
        elif type(item).__name__ in ("AgentRunResult", "FinalResult"):
            yield from self._result(item)
        else:
            raise unusable(item, _INSTEAD)

    def _hold(self, parts: Iterator[Part]) -> Iterator[Part]:
        for part in parts:
            if isinstance(part, ToolCall):
                self._held.append(part)
            else:
                yield part

    def _drop(self, id: str) -> None:
        """Forget a call that the agent's run answers itself, with what still comes of it."""
        self._held = [call for call in self._held if call.id != id]
        self._ran |= {index for index, known in self._calls.items() if known == id}

    def _result(self, result: Any) -> Iterator[Part]:
        output = got(result, "output")
        if type(output).__name__ == "DeferredToolRequests":  # calls that are the client's to answer
            for call in (*output.calls, *output.approvals):
                yield from self._part(call, None)
        elif not isinstance(output, str):
            yield Text(as_json(_plain(output)))
        elif not self._streamed or self._output:
            yield Text(output)
        yield from _usage(result)

    def _part(self, part: Any, index: Any) -> Iterator[Part]:
        match got(part, "part_kind"):
            case "text":
                if part.content:
                    yield Text(part.content)
            case "thinking":
                if part.content:
                    yield Reasoning(part.content)
            case "tool-call":
                if index is not None:
                    self._calls[index] = part.tool_call_id
                    self._ran.discard(index)
                yield ToolCall(part.tool_name, part.args or "", part.tool_call_id)
            case "builtin-tool-call" | "builtin-tool-return":
                self._ran.add(index)  # the model's server has run it already
            case "compaction":
                return  # what only the model's server can read
            case _:
                raise unusable(part, _INSTEAD)

    def _delta(self, delta: Any, index: Any) -> Iterator[Part]:
        match got(delta, "part_delta_kind"):
            case "text":
                if delta.content_delta:
                    yield Text(delta.content_delta)
            case "thinking":
                if got(delta, "content_delta"):
                    yield Reasoning(delta.content_delta)
            case "tool_call" if index is not None and index in self._ran:
                return
            case "tool_call":
                id = self._calls.get(index) or got(delta, "tool_call_id")
                name = got(delta, "tool_name_delta")
                if name or got(delta, "args_delta"):
                    yield ToolCall(name, got(delta, "args_delta", ""), id)
            case _:
                raise unusable(delta, _INSTEAD)


def _plain(output: Any) -> Any:
    dump = getattr(output, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    return asdict(output) if is_dataclass(output) and not isinstance(output, type) else output


def _usage(thing: Any) -> Iterator[Part]:
    usage = got(thing, "usage")
    if callable(usage) and not hasattr(usage, "input_tokens"):  # a method, in older releases
        usage = usage()
    if got(usage, "input_tokens") or got(usage, "output_tokens"):
        yield Usage(got(usage, "input_tokens", 0), got(usage, "output_tokens", 0))
