"""The events that only Open WebUI knows, and its block of details."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from haystack.dataclasses import Document

from portico.pipelines.streams import events, open_webui


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (open_webui.create_message_event("more"), {"type": "message", "data": {"content": "more"}}),
        (open_webui.create_replace_event("all"), {"type": "replace", "data": {"content": "all"}}),
        (
            open_webui.create_source_event({"source": {"name": "a"}}),
            {"type": "source", "data": {"source": {"name": "a"}}},
        ),
        (open_webui.create_chat_completion_event({"done": True}), {"type": "chat:completion", "data": {"done": True}}),
    ],
)
def test_each_kind_is_sent_as_open_webui_reads_it(event: open_webui.OpenWebUIEvent, sent: dict) -> None:
    assert isinstance(event, events.PipelineEvent)
    assert event.to_event_dict() == event.to_dict() == sent


def test_the_events_for_any_page_are_found_here_too() -> None:
    assert open_webui.create_status_event is events.create_status_event
    assert open_webui.create_notification_event is events.create_notification_event


def test_a_block_of_details() -> None:
    assert open_webui.create_details_tag("search", "What it found", "**2** pages") == (
        '<details type="search" done="true">\n<summary>What it found</summary>\n\n**2** pages\n</details>\n\n'
    )


def test_a_name_cannot_end_the_tag() -> None:
    tag = open_webui.create_details_tag('"><script>', "</summary><b>", "x")
    assert "<script>" not in tag
    assert tag.count("</summary>") == 1


def test_documents_become_citations() -> None:
    found = Document(
        content="Jean lives in Paris.", meta={"title": "People", "url": "https://a.example", "x": [1]}, score=0.5
    )
    (event,) = open_webui.create_citation_events([found])
    assert event.to_event_dict() == {
        "type": "source",
        "data": {
            "source": {"name": "People", "url": "https://a.example"},
            "document": ["Jean lives in Paris."],
            "metadata": [{"title": "People", "url": "https://a.example", "source": "People"}],
            "distances": [0.5],
        },
    }
    (bare,) = open_webui.create_citation_events([SimpleNamespace(content=None, meta=None)])
    assert bare.to_event_dict()["data"] == {
        "source": {"name": "document"},
        "document": [""],
        "metadata": [{"source": "document"}],
    }


def test_a_fence_is_longer_than_any_that_it_holds() -> None:
    assert open_webui.fence("no marks", "`one` ``two``") == "```"
    assert open_webui.fence("```py\n```", "a") == "````"
    assert open_webui.fence("a", "`````") == "``````"
