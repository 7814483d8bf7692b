"""What a wrapper may put into its stream for the page that shows it: a line of status, a notification.

Here: the events that any page knows. Not here: those of Open WebUI alone (`open_webui`), and how an event goes out
(``data: {"event": {"type": ..., "data": ...}}``, which is for whoever sends the stream and finds ``to_event_dict``).

Imports pydantic, so that it is imported only by what makes an event.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

NotificationKind = Literal["info", "success", "warning", "error"]


class StatusEventData(BaseModel):
    """What happens at present."""

    description: str
    done: bool = False
    """Whether it has ended."""
    hidden: bool = False
    """Whether the page takes the line away."""


class NotificationEventData(BaseModel):
    """A message that the page shows for a moment."""

    type: NotificationKind = "info"
    content: str


class PipelineEvent(BaseModel):
    """Something for the page, and no part of the answer's text."""

    type: str
    data: StatusEventData | NotificationEventData | dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON says it."""
        return self.model_dump()

    def to_event_dict(self) -> dict[str, Any]:
        """The event as it is sent. An object of any class that has this method is an event."""
        return self.model_dump()


def create_status_event(description: str, done: bool = False, hidden: bool = False) -> PipelineEvent:
    """An event that says what happens at present; *done* where it has ended, *hidden* to take the line away."""
    return PipelineEvent(type="status", data=StatusEventData(description=description, done=done, hidden=hidden))


def create_notification_event(content: str, notification_type: NotificationKind = "info") -> PipelineEvent:
    """An event that shows a message for a moment."""
    return PipelineEvent(type="notification", data=NotificationEventData(type=notification_type, content=content))
