"""Events for the page: what they hold, and how they are sent."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from portico.pipelines.streams.events import (
    NotificationEventData,
    PipelineEvent,
    StatusEventData,
    create_notification_event,
    create_status_event,
)


def test_a_status_says_all_its_fields() -> None:
    event = create_status_event("Reading...")
    assert isinstance(event.data, StatusEventData)
    assert event.to_event_dict() == {
        "type": "status",
        "data": {"description": "Reading...", "done": False, "hidden": False},
    }
    assert create_status_event("x", done=True, hidden=True).to_dict()["data"] == {
        "description": "x",
        "done": True,
        "hidden": True,
    }


def test_a_notification_is_an_info_unless_another_kind_is_asked_for() -> None:
    assert create_notification_event("Hm").to_event_dict() == {
        "type": "notification",
        "data": {"type": "info", "content": "Hm"},
    }
    assert create_notification_event("No", notification_type="error").data == NotificationEventData(
        type="error", content="No"
    )
    with pytest.raises(ValidationError):
        create_notification_event("Hm", "loud")  # type: ignore[arg-type]


def test_an_event_takes_data_of_any_shape_as_a_dict() -> None:
    assert PipelineEvent(type="mine", data={"a": [1]}).to_event_dict() == {"type": "mine", "data": {"a": [1]}}
    assert PipelineEvent(type="status", data={"description": "x"}).data == StatusEventData(description="x")  # type: ignore[arg-type]
