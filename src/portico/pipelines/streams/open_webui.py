"""The events that Open WebUI knows besides those of `events`, and its block of details.

Source: Open WebUI's documentation, "Events": https://docs.openwebui.com/features/plugin/events

Imports pydantic, as `events` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from pydantic import BaseModel

from portico.pipelines.streams.events import (
    NotificationEventData,
    PipelineEvent,
    StatusEventData,
    create_notification_event,
    create_status_event,
)

__all__ = [
    "MessageEventData",
    "NotificationEventData",
    "OpenWebUIEvent",
    "PipelineEvent",
    "StatusEventData",
    "create_chat_completion_event",
    "create_citation_events",
    "create_details_tag",
    "create_message_event",
    "create_notification_event",
    "create_replace_event",
    "create_source_event",
    "create_status_event",
]


class MessageEventData(BaseModel):
    """Text of the message that is being written."""

    content: str


class OpenWebUIEvent(PipelineEvent):
    """An event that only Open WebUI shows."""

    # Wider than the class above it has, which none of its own events uses.
    data: StatusEventData | MessageEventData | NotificationEventData | dict[str, Any]  # type: ignore[assignment]


def create_chat_completion_event(data: dict[str, Any]) -> OpenWebUIEvent:
    """An event with the result of a completion, as Open WebUI has it."""
    return OpenWebUIEvent(type="chat:completion", data=data)


def create_message_event(content: str) -> OpenWebUIEvent:
    """An event that adds *content* to the message."""
    return OpenWebUIEvent(type="message", data=MessageEventData(content=content))


def create_replace_event(content: str) -> OpenWebUIEvent:
    """An event that puts *content* in the place of all the message."""
    return OpenWebUIEvent(type="replace", data=MessageEventData(content=content))


def create_source_event(source_data: dict[str, Any]) -> OpenWebUIEvent:
    """An event that adds a source to the message: a citation, or the result of code."""
    return OpenWebUIEvent(type="source", data=source_data)


def create_citation_events(documents: Iterable[Any]) -> list[OpenWebUIEvent]:
    """One source event for each of *documents*, Haystack's or any with ``content`` and ``meta``.

    It is called what its metadata says first of ``name``, ``title``, ``url``, ``source`` and ``file_path``; else its
    ``id``. Give the list from ``on_pipeline_end``, with ``include_outputs_from`` the retriever.
    """
    events = []
    for document in documents:
        meta: Mapping[str, Any] = getattr(document, "meta", None) or {}
        names = (str(meta[key]) for key in ("name", "title", "url", "source", "file_path") if meta.get(key))
        name = next(names, str(getattr(document, "id", "")) or "document")
        source = {"name": name} | ({"url": str(meta["url"])} if meta.get("url") else {})
        said = {key: value for key, value in meta.items() if isinstance(value, str | int | float | bool | None)}
        data: dict[str, Any] = {
            "source": source,
            "document": [getattr(document, "content", None) or ""],
            "metadata": [{**said, "source": name}],
        }
        score = getattr(document, "score", None)
        events.append(create_source_event(data if score is None else {**data, "distances": [score]}))
    return events


def create_details_tag(tool_name: str, summary: str, content: str) -> str:
    """A text that Open WebUI folds into a block: *summary* is seen, *content* (Markdown) when it is opened."""
    name, seen = escape(tool_name), escape(summary, quote=False)
    return f'<details type="{name}" done="true">\n<summary>{seen}</summary>\n\n{content}\n</details>\n\n'


def fence(*texts: str) -> str:
    """The fence for a code block of Markdown that holds *texts*: three backticks, or more than any of them has."""
    longest = max((len(run) for text in texts for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * (longest + 1)
