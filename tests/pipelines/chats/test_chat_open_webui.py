"""What Open WebUI asks of a connection to an OpenAI API, replayed, and its answers read as it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from portico.pipelines.chats.openai_messages import get_last_user_message
from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.streams.callbacks import default_on_tool_call_end, default_on_tool_call_start
from portico.pipelines.streams.open_webui import (
    create_message_event,
    create_notification_event,
    create_replace_event,
    create_source_event,
    create_status_event,
)
from tests.pipelines.chats.test_chat_haystack import AgentWrapper
from tests.pipelines.openai_wrappers import Wrapper, deployed

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

OF_A_USER = {
    "authorization": "Bearer sk-any",
    "content-type": "application/json",
    "x-openwebui-user-name": "Ada",
    "x-openwebui-user-id": "u-1",
    "x-openwebui-user-email": "ada@example.org",
    "x-openwebui-user-role": "user",
    "x-openwebui-chat-id": "chat-1",
}
"""What it sends with each request, where it forwards who asks."""

METADATA = {
    "user_id": "u-1",
    "chat_id": "chat-1",
    "message_id": "m-1",
    "session_id": "s-1",
    "tool_ids": None,
    "files": None,
    "features": {"web_search": False, "image_generation": False, "code_interpreter": False, "memory": False},
    "variables": {"{{USER_NAME}}": "Ada", "{{CURRENT_DATE}}": "2026-01-01"},
    "model": {"id": "helper", "name": "helper", "object": "model", "owned_by": "openai", "openai": {"id": "helper"}},
    "direct": False,
}
"""What older versions and filters leave in a body."""

TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: hello
</chat_history>"""

TASKS = [
    {"task": "title_generation", "prompt": TITLE, "more": {"max_completion_tokens": 1000}},
    {"task": "tags_generation", "prompt": "### Task:\nGenerate 1-3 broad tags", "more": {}},
    {"task": "follow_up_generation", "prompt": "### Task:\nSuggest 3-5 follow-up questions", "more": {}},
    {"task": "emoji_generation", "prompt": "Your task is to reflect the speaker's", "more": {"max_tokens": 4}},
    {"task": "query_generation", "prompt": "### Task:\nAnalyze the chat history", "more": {}},
]


class Helper(Wrapper):
    """A chat with all that Open WebUI's interface shows, and answers to its own small tasks."""

    given: dict[str, Any]

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Any:
        self.given = {"messages": messages, "body": body}
        question = get_last_user_message(messages) or ""
        if question.startswith(("### Task", "Your task")):
            return json.dumps({"title": "Greetings"})
        return self.shown()

    def shown(self) -> Iterator[Any]:
        yield create_status_event("Looking", done=False)
        yield "It says "
        yield create_source_event(
            {
                "source": {"name": "Guide", "url": "https://example.org/guide"},
                "document": ["The text that is cited."],
                "metadata": [{"source": "https://example.org/guide", "page": 3}],
                "distances": [0.1],
            }
        )
        yield "hello [1]."
        yield create_message_event(" More.")
        yield create_replace_event("All anew.")
        yield create_notification_event("Saved", "success")
        yield create_status_event("Done", done=True, hidden=True)


@dataclass
class Shown:
    """What Open WebUI makes of a stream: it emits events, puts text together, and runs calls of tools."""

    events: list[dict[str, Any]] = field(default_factory=list)
    content: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    errors: list[Any] = field(default_factory=list)
    done: bool = False

    def line(self, line: str) -> None:
        """Read one line of the stream."""
        if not line.startswith("data:"):
            return
        text = line.removeprefix("data:").strip()
        if text == "[DONE]":
            self.done = True
            return
        data = json.loads(text)
        if "event" in data:
            self.events.append(data["event"])
            return
        if data.get("error"):
            self.errors.append(data["error"])
        self.usage = data.get("usage") or self.usage
        choices = data.get("choices", [])
        if not choices:
            return
        delta = choices[0].get("delta", {})
        self.calls += delta.get("tool_calls") or []
        self.content += delta.get("content") or ""
        self.reasoning += delta.get("reasoning_content") or ""


@dataclass
class Connection:
    """A connection of Open WebUI's to a server of pipelines."""

    client: TestClient
    helper: Helper

    def stream(self, body: dict[str, Any]) -> Shown:
        shown = Shown()
        with self.client.stream("POST", "/chat/completions", json=body, headers=OF_A_USER) as answer:
            assert answer.status_code == 200
            assert "text/event-stream" in answer.headers["content-type"]
            for line in answer.iter_lines():
                shown.line(line)
        assert shown.done
        return shown


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    app = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key="key"))
    agent, helper = AgentWrapper(), Helper()
    agent.setup()
    app.pipelines.deployments.add(deployed("helper", helper))
    app.pipelines.deployments.add(deployed("agent", agent))
    with TestClient(app, base_url="http://127.0.0.1:1416", client=("127.0.0.1", 5)) as client:
        yield Connection(client, helper)


def asked(text: Any = "hello", model: str = "helper", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": True, **more}


def test_the_connection_is_verified_by_its_list_of_models(connection: Connection) -> None:
    for path in ("/models", "/v1/models"):
        listed = connection.client.get(path, headers=OF_A_USER).json()
        assert listed["object"] == "list"
        assert [(model["id"], model["name"]) for model in listed["data"]] == [("helper", "helper"), ("agent", "agent")]


def test_a_chat_with_what_it_leaves_in_a_body(connection: Connection) -> None:
    body = asked(
        stream_options={"include_usage": True},
        metadata=METADATA,
        chat_id="chat-1",
        id="m-1",
        session_id="s-1",
        params={"temperature": 0.7},
        background_tasks={"title_generation": True, "tags_generation": True, "follow_up_generation": True},
        user={"name": "Ada", "id": "u-1", "email": "ada@example.org", "role": "user"},
        files=[{"type": "file", "id": "f-1", "name": "a.pdf"}],
        temperature=0.7,
        top_k=40,
        num_ctx=None,
    )
    shown = connection.stream(body)
    assert connection.helper.given["body"] == body
    assert shown.content == "It says hello [1]."
    assert shown.usage is not None
    assert shown.usage["total_tokens"] > 0
    assert shown.errors == shown.calls == []


def test_events_of_its_interface_come_in_order(connection: Connection) -> None:
    events = connection.stream(asked()).events
    assert [event["type"] for event in events] == ["status", "source", "message", "replace", "notification", "status"]
    by_type = {event["type"]: event["data"] for event in events}
    assert by_type["source"]["source"]["name"] == "Guide"
    assert by_type["source"]["metadata"][0]["page"] == 3
    assert by_type["notification"] == {"type": "success", "content": "Saved"}
    assert by_type["status"] == {"description": "Done", "done": True, "hidden": True}
    assert by_type["replace"] == {"content": "All anew."}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["task"])
def test_its_own_small_tasks_are_answered_at_once(connection: Connection, task: dict[str, Any]) -> None:
    metadata = {**METADATA, "task": task["task"], "task_body": asked(), "chat_id": "chat-1"}
    body = {**asked(task["prompt"], metadata=metadata, **task["more"]), "stream": False}
    answer = connection.client.post("/chat/completions", json=body, headers=OF_A_USER)
    content = answer.json()["choices"][0]["message"]["content"]
    assert json.loads(content) == {"title": "Greetings"}
    assert connection.helper.given["body"] == body


def test_a_picture_in_the_question(connection: Connection) -> None:
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    connection.stream(asked(parts))
    assert connection.helper.given["messages"][0]["content"] == parts


def test_a_long_chat_with_a_system_prompt(connection: Connection) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": '<details type="reasoning" done="true">...</details>\nyes'},
        {"role": "user", "content": "two"},
    ]
    connection.stream({**asked(), "messages": messages})
    assert connection.helper.given["messages"] == messages


def test_an_agents_tools_are_shown_and_not_run_a_second_time(connection: Connection) -> None:
    shown = connection.stream(asked(model="agent", tell=True))
    assert [event["data"]["description"] for event in shown.events] == [
        "Calling 'weather' tool...",
        "Called 'weather' tool",
    ]
    assert shown.content.endswith("</details>\n\nIt is sunny.")
    assert shown.calls == []


def test_a_failed_tool_is_told_as_a_notification() -> None:
    hidden, notice = default_on_tool_call_end("weather", {}, "no", True)
    assert hidden.to_event_dict()["data"]["hidden"] is True
    assert notice.to_event_dict()["data"] == {"type": "error", "content": "Error calling 'weather' tool"}
    assert default_on_tool_call_start("weather", None, None).to_event_dict()["type"] == "status"


def test_an_error_is_told_where_it_looks_for_it(connection: Connection) -> None:
    answer = connection.client.post("/chat/completions", json=asked(model="gone"), headers=OF_A_USER)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Pipeline 'gone' not found"


def test_the_url_of_a_pipeline_that_is_not_there_says_so(connection: Connection) -> None:
    for path in ("/gone/chat", "/gone/chat/completions"):
        answer = connection.client.post(path, json=asked(), headers=OF_A_USER)
        assert (answer.status_code, answer.json()["detail"]) == (404, "Pipeline 'gone' not found")
