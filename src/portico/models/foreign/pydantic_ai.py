"""pydantic-ai: model responses and their parts, the events of streams, and results of runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign.common import as_json, got, reason_of, unusable
from portico.models.parts import Finish, Part, Reasoning, Text, ToolCall, Usage

_INSTEAD = "give result.output, a ModelResponse, or the events of a stream."


class Reader:
    """See `Reader` of this package."""

    def __init__(self) -> None:
        self._streamed = False
        self._calls: dict[Any, str] = {}
        """The ids of calls by the index of their part."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read` of this package."""
        for part in self._parts(item):
            yield 0, part

    def _parts(self, item: Any) -> Iterator[Part]:
        kind = got(item, "event_kind")
        if kind == "part_start":
            self._streamed = True
            yield from self._part(item.part, item.index)
        elif kind == "part_delta":
            self._streamed = True
            yield from self._delta(item.delta, item.index)
        elif kind == "agent_run_result":
            yield from self._parts(item.result)
        elif kind is not None:
            return  # the run's own steps, and what repeats the deltas
        elif got(item, "kind") == "response":
            if not self._streamed:
                for part in item.parts:
                    yield from self._part(part, None)
            usage = got(item, "usage")
            if (
                usage is not None
                and not callable(usage)
                and (got(usage, "input_tokens") or got(usage, "output_tokens"))
            ):
                yield Usage(usage.input_tokens, usage.output_tokens)
            if got(item, "finish_reason"):
                yield Finish(reason_of(item.finish_reason))
        elif got(item, "part_kind") is not None:
            yield from self._part(item, None)
        elif got(item, "part_delta_kind") is not None:
            yield from self._delta(item, None)
        elif type(item).__name__ in ("AgentRunResult", "FinalResult"):
            if not self._streamed:
                yield Text(item.output if isinstance(item.output, str) else as_json(_plain(item.output)))
        else:
            raise unusable(item, _INSTEAD)

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
                yield ToolCall(part.tool_name, part.args or "", part.tool_call_id)
            case "builtin-tool-call" | "builtin-tool-return":
                return  # the model's server has run it already
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
            case "tool_call":
                id = self._calls.get(index) or got(delta, "tool_call_id")
                if got(delta, "args_delta"):
                    yield ToolCall(None, delta.args_delta, id)
            case _:
                raise unusable(delta, _INSTEAD)


def _plain(output: Any) -> Any:
    dump = getattr(output, "model_dump", None)
    return dump(mode="json") if dump is not None else output
