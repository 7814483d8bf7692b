"""The words for tools and for the end, where an author wants none of their own: part of the wire, so exact."""

from __future__ import annotations

import json

from haystack.dataclasses import ChatMessage

from portico.pipelines.streams.callbacks import (
    default_on_pipeline_end,
    default_on_tool_call_end,
    default_on_tool_call_start,
)


def test_the_start_of_a_tool() -> None:
    event = default_on_tool_call_start("weather", {"city": "Rome"}, "call_1")
    assert event is not None
    assert event.to_event_dict() == {
        "type": "status",
        "data": {"description": "Calling 'weather' tool...", "done": False, "hidden": False},
    }
    assert default_on_tool_call_start("", {}, None) is None


def test_the_end_of_a_tool() -> None:
    status, details = default_on_tool_call_end("weather", {"city": "Rome"}, "sunny", False)
    assert not isinstance(status, str)
    assert status.to_event_dict()["data"] == {"description": "Called 'weather' tool", "done": True, "hidden": False}
    assert details == (
        '<details type="weather" done="true">\n'
        "<summary>Tool call result for 'weather'</summary>\n\n"
        "```\nArguments:\n{'city': 'Rome'}\n\nResponse:\nsunny\n```\n"
        "</details>\n\n"
    )


def test_the_end_of_a_tool_that_failed() -> None:
    status, notification = default_on_tool_call_end("weather", {}, "boom", True)
    assert not isinstance(status, str)
    assert not isinstance(notification, str)
    assert status.to_event_dict() == {
        "type": "status",
        "data": {"description": "Called 'weather' tool", "done": True, "hidden": True},
    }
    assert notification.to_event_dict() == {
        "type": "notification",
        "data": {"type": "error", "content": "Error calling 'weather' tool"},
    }


def test_a_result_with_code_in_it_stays_in_its_block() -> None:
    details = default_on_tool_call_end("t", {}, "```\n</details>\n```", False)[1]
    assert isinstance(details, str)
    assert "\n````\nArguments:\n{}\n\nResponse:\n```\n</details>\n```\n````\n" in details


def test_the_end_of_a_pipeline_is_its_result_as_json() -> None:
    assert default_on_pipeline_end("as it is") == "as it is"
    assert default_on_pipeline_end(None) == ""
    assert json.loads(default_on_pipeline_end({"n": [1, 2]})) == {"n": [1, 2]}
    assert "Hello" in default_on_pipeline_end({"llm": {"replies": [ChatMessage.from_assistant("Hello")]}})
