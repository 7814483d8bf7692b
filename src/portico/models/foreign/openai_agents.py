"""openai-agents: results, and the events of a streamed run.

A run's raw events are the model's own; its other events say the same once more, and hold the agents themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign.common import unusable
from portico.models.foreign.openai import Reader as OpenAI
from portico.models.parts import Part, Text


class Reader:
    """See `Reader` of this package."""

    def __init__(self) -> None:
        self._openai = OpenAI()
        self._raw = False

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read` of this package."""
        kind = getattr(item, "type", None)
        if kind == "raw_response_event":
            self._raw = True
            yield from self._openai.read(item.data)
        elif kind == "run_item_stream_event" and not self._raw:
            raw = getattr(item.item, "raw_item", None)
            if getattr(item, "name", "") == "message_output_created" and raw is not None:
                yield from self._openai.read(raw)
        elif kind in ("run_item_stream_event", "agent_updated_stream_event"):
            return
        elif type(item).__name__ == "RunResult" and isinstance(item.final_output, str):
            if item.final_output:
                yield 0, Text(item.final_output)
        else:
            raise unusable(item, "give result.final_output, or yield what result.stream_events() yields.")
