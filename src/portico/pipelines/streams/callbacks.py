"""What a stream shows of tools and of its end, where its author wants no words of their own.

Here: functions to be given to `streaming_generator`. The texts are part of the wire: pages and tests look for them.
"""

from __future__ import annotations

from typing import Any

from portico.pipelines.streams.events import PipelineEvent, create_notification_event, create_status_event
from portico.pipelines.streams.open_webui import create_details_tag, fence


def default_on_tool_call_start(tool_name: str, arguments: Any, tool_call_id: str | None) -> PipelineEvent | None:
    """A status that says which tool is called; None for a tool with no name."""
    return create_status_event(f"Calling '{tool_name}' tool...") if tool_name else None


def default_on_tool_call_end(
    tool_name: str, arguments: dict[str, Any], result: str, error: bool
) -> list[PipelineEvent | str]:
    """A status that the tool was called, and a block with its *arguments* and *result*.

    Of one that failed: the status is hidden, and a notification says so.
    """
    called = f"Called '{tool_name}' tool"
    if error:
        return [
            create_status_event(called, done=True, hidden=True),
            create_notification_event(f"Error calling '{tool_name}' tool", "error"),
        ]
    given = str(arguments)
    marks = fence(given, result)
    content = f"{marks}\nArguments:\n{given}\n\nResponse:\n{result}\n{marks}"
    summary = f"Tool call result for '{tool_name}'"
    return [create_status_event(called, done=True), create_details_tag(tool_name, summary, content)]


def default_on_pipeline_end(result: Any) -> str:
    """The pipeline's *result* as a text: JSON, where its values can be said so."""
    from haystack.tracing.utils import coerce_tag_value  # a pipeline has run, so it is there

    return str(coerce_tag_value(result))
