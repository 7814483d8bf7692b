"""openai-agents: results, and the events of a streamed run.

A run's raw events are the model's own; its other events say the same once more, and hold the agents themselves. The
calls in them are of the agents' own tools, which the run calls itself, so the client is not asked to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.openai import OpenAIReader
from portico.models.foreign.wording import got, unusable
from portico.models.parts import Item, Part, Text, ToolCall, Usage
from portico.models.tools import hosted


class OpenAIAgentsReader(Reader):
    """See `Reader`."""

    def __init__(self) -> None:
        self._openai = OpenAIReader()
        self._raw = False
        self._usage: Usage | None = None

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        kind = getattr(item, "type", None)
        if kind == "raw_response_event":
            self._raw = True
            yield from self._of_run(self._openai.read(item.data))
        elif kind == "run_item_stream_event" and not self._raw:
            raw = getattr(item.item, "raw_item", None)
            if getattr(item, "name", "") == "message_output_created" and raw is not None:
                yield from self._openai.read(raw)
        elif kind in ("run_item_stream_event", "agent_updated_stream_event"):
            return
        elif type(item).__name__ == "RunResult" and isinstance(item.final_output, str):
            if item.final_output:
                yield 0, Text(item.final_output)
            usage = got(got(item, "context_wrapper"), "usage")
            if got(usage, "total_tokens"):
                yield 0, Usage(usage.input_tokens, usage.output_tokens, usage.total_tokens)
        else:
            raise unusable(item, "give result.final_output, or yield what result.stream_events() yields.")

    def _of_run(self, parts: Iterable[tuple[int, Part]]) -> Iterator[tuple[int, Part]]:
        for index, part in parts:
            if isinstance(part, Usage):  # of one of the run's responses
                before = self._usage or Usage(total_tokens=0)
                self._usage = Usage(
                    before.prompt_tokens + part.prompt_tokens,
                    before.completion_tokens + part.completion_tokens,
                    (before.total_tokens or 0) + (part.total_tokens or 0) or None,
                    {**before.details, **part.details},
                )
                yield index, self._usage
            elif not isinstance(part, ToolCall) and not (isinstance(part, Item) and _is_the_runs_own(part)):
                yield index, part


def _is_the_runs_own(part: Item) -> bool:
    """Whether an item calls a tool that has no name: a shell, a patch..., which the run answers."""
    row = hosted(str(part.item.get("type")).removesuffix("_call"))
    return row is not None and not row.runs
