"""crewAI: what a crew or a task gives, and the chunks of its streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.models.foreign import Reader
from portico.models.foreign.completions import tool_call
from portico.models.foreign.wording import got, unusable
from portico.models.parts import Part, Text


class CrewAIReader(Reader):
    """See `Reader`."""

    def read(self, item: Any) -> Iterator[tuple[int, Part]]:
        """See `Reader.read`."""
        name = type(item).__name__
        if name in ("CrewOutput", "TaskOutput", "LiteAgentOutput"):
            text = got(item, "raw", "")
        elif name == "StreamChunk":
            text = got(item, "content", "")
            call = got(item, "tool_call")
            if call is not None and got(call, "tool_name"):
                yield 0, tool_call(call)
        else:
            raise unusable(item, "give result.raw, or a text.")
        if text:
            yield 0, Text(text)
