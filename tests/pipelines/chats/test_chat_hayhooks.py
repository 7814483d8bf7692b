"""The same wrappers and requests at the real Hayhooks and here: what clients of either read is the same."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from tests.environments import ROOT, python
from tests.models.conftest import uvicorn_on_loopback

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]  # the environment may have to be made first

REQUIREMENTS = ROOT / "benchmarks" / "hayhooks-requirements.txt"

BEGINNING = """
import json
from fastapi import HTTPException
from starlette.datastructures import Headers
from haystack.dataclasses import ReasoningContent, StreamingChunk
from hayhooks import BasePipelineWrapper
from hayhooks.open_webui import (
    create_message_event, create_notification_event, create_replace_event, create_source_event, create_status_event
)
"""

WRAPPERS = {
    "echo": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    def run_chat_completion(self, model, messages, body):
        return json.dumps([model, messages, body], sort_keys=True)
    def run_response(self, model, input_items, body):
        return json.dumps([model, input_items, body], sort_keys=True)
    def run_file_upload(self, filename, content_type, content, purpose):
        if purpose == "fail":
            raise ValueError("boom")
        if purpose == "odd":
            return 5
        return {"id": "file-1", "bytes": len(content), "created_at": 4, "filename": filename, "purpose": purpose}
""",
    "pieces": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    def run_chat_completion(self, model, messages, body):
        return self.give(messages[-1]["content"])
    def run_response(self, model, input_items, body):
        return self.give(input_items[-1]["content"])
    def give(self, what):
        if what == "raise":
            raise ValueError("boom")
        if what == "http":
            raise HTTPException(418, {"why": "tea"}, headers={"X-Tea": "1"})
        if what == "whole":
            return "all of it"
        return self.pieces(what)
    def pieces(self, what):
        if what == "texts":
            yield "a"
            yield StreamingChunk(content="b")
            yield StreamingChunk(content="c")
        elif what == "length":
            yield StreamingChunk(content="a")
            yield StreamingChunk(content="b", finish_reason="length")
        elif what == "reasoning":
            yield StreamingChunk(content="", reasoning=ReasoningContent(reasoning_text="think"), index=0)
            yield StreamingChunk(content="say")
        elif what == "events":
            yield create_status_event("working")
            yield "x"
            yield create_notification_event("hey", "warning")
            yield create_message_event("more")
            yield create_replace_event("other")
            yield create_source_event({"document": ["d"], "metadata": [{"source": "s"}], "source": {"name": "n"}})
""",
    "later": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    async def run_chat_completion_async(self, model, messages, body):
        async def give():
            yield "a"
            yield StreamingChunk(content="b")
        return give()
    def run_chat_completion(self, model, messages, body):
        return "the other one"
    async def run_response_async(self, model, input_items, body):
        return "text"
""",
    "headers": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    def run_chat_completion(self, model, messages, body, headers: Headers | None = None):
        return json.dumps([type(headers).__name__, headers.get("X-A"), "headers" in body])
""",
    "plain_headers": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    def run_chat_completion(self, model, messages, body, headers: dict = None, temperature=0.5, **rest):
        return json.dumps([headers, temperature, rest])
""",
    "runs": """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self): self.pipeline = None
    def run_api(self, a: int) -> int:
        return a
""",
}


@contextmanager
def hayhooks(folder: Path) -> Iterator[str]:
    """The real one, with the pipelines of *folder*."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python("hayhooks", REQUIREMENTS).with_name("hayhooks")), "run", "--port", str(port)]
    variables = os.environ | {"HAYSTACK_TELEMETRY_ENABLED": "False", "HAYHOOKS_PIPELINES_DIR": str(folder)}
    variables.pop("PYTHONPATH", None)  # it has its own packages
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=folder)
        try:
            url = f"http://localhost:{port}"
            for _ in range(600):
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    httpx.get(f"{url}/status")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folders = [tmp_path_factory.mktemp(name) for name in ("theirs", "ours")]
    for folder in folders:
        for name, text in WRAPPERS.items():
            (folder / name).mkdir()
            (folder / name / "pipeline_wrapper.py").write_text(BEGINNING + text)
    app = create_app(PipelinesSettings(pipelines_dir=str(folders[1]), api_key="key"))
    with hayhooks(folders[0]) as theirs, uvicorn_on_loopback(app) as ours:
        yield theirs, ours


def chat(model: str, content: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


REQUESTS: dict[str, tuple[str, Any]] = {
    "body": ("chat", chat("echo", temperature=0.3, chat_id="c", metadata={"a": [1]}, stop=["["], tools=None)),
    "parts": ("chat", chat("echo", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA..."}}])),
    "no messages": ("chat", {"model": "echo", "messages": []}),
    "odd messages": ("chat", {"model": "echo", "messages": [{"any": 1}]}),
    "stream as text": ("chat", chat("echo", stream="no")),
    "joined": ("chat", chat("pieces", "texts")),
    "streamed": ("chat", chat("pieces", "texts", stream=True)),
    "a text streamed": ("chat", chat("pieces", "whole", stream=True)),
    "a reason": ("chat", chat("pieces", "length", stream=True)),
    "reasoning": ("chat", chat("pieces", "reasoning", stream=True)),
    "events": ("chat", chat("pieces", "events", stream=True)),
    "events joined": ("chat", chat("pieces", "events")),
    "raises": ("chat", chat("pieces", "raise")),
    "raises, streamed": ("chat", chat("pieces", "raise", stream=True)),
    "HTTPException": ("chat", chat("pieces", "http")),
    "async": ("chat", chat("later")),
    "async, streamed": ("chat", chat("later", stream=True)),
    "headers": ("chat", chat("headers", headers={"x-a": "forged"})),
    "a dict of headers": ("chat", chat("plain_headers", headers={"x-a": "1"}, temperature=1)),
    "no chat": ("chat", chat("runs")),
    "no model": ("chat", {"messages": []}),
    "no list": ("chat", {"model": "echo", "messages": "x"}),
    "missing messages": ("chat", {"model": "echo"}),
    "not a boolean": ("chat", chat("echo", stream="perhaps")),
    "response": ("responses", {"model": "echo", "input": "hi", "custom": 1}),
    "response of nothing": ("responses", {"model": "echo"}),
    "response of items": (
        "responses",
        {"model": "echo", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]},
    ),
    "response joined": ("responses", {"model": "pieces", "input": "texts"}),
    "response streamed": ("responses", {"model": "pieces", "input": "texts", "stream": True}),
    "response of events": ("responses", {"model": "pieces", "input": "events", "stream": True}),
    "response raises": ("responses", {"model": "pieces", "input": "raise"}),
    "response of a text": ("responses", {"model": "later", "input": "x", "stream": True}),
    "no responses": ("responses", {"model": "runs", "input": "x"}),
    "input of a number": ("responses", {"model": "echo", "input": 5}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_clients_read_the_same(both: tuple[str, str], name: str) -> None:
    path, body = REQUESTS[name]
    path = "/v1/chat/completions" if path == "chat" else "/v1/responses"
    theirs, ours = (read(httpx.post(url + path, json=body, headers={"X-A": "1"}, timeout=30)) for url in both)
    assert ours == theirs


def read(answer: httpx.Response) -> Any:
    """What clients read of an answer: no ids, times and counts, and of a stream what it amounts to."""
    if answer.status_code != 200:
        detail = answer.json()["detail"]
        if answer.status_code == 422:  # which field is wrong; the words are each one's own
            detail = {one["loc"][1] for one in detail}
        return answer.status_code, detail, answer.headers.get("x-tea")
    if "text/event-stream" not in answer.headers["content-type"]:
        return _whole(answer.json())
    events = [
        json.loads(line.removeprefix("data:"))
        for line in answer.text.splitlines()
        if line.startswith("data:") and line != "data: [DONE]"
    ]
    return _responses(events) if "type" in events[0] else _chunks(events)


def _whole(answer: dict[str, Any]) -> Any:
    if answer["object"] == "response":
        texts = [part["text"] for item in answer["output"] for part in item["content"]]
        return answer["status"], answer["model"], answer["id"][:5], texts
    choice = answer["choices"][0]
    return answer["object"], answer["model"], choice["message"]["content"], choice["finish_reason"]


def _chunks(events: list[dict[str, Any]]) -> Any:
    read: list[Any] = []
    reasons, ids = [], set()
    for event in events:
        if "event" in event:
            read.append(event)
            continue
        ids.add(event["id"])
        choice = event["choices"][0]
        read += [(key, text) for key in ("content", "reasoning_content") if (text := choice["delta"].get(key))]
        if choice["finish_reason"]:
            reasons.append(choice["finish_reason"])
    return read, reasons, len(ids)


def _responses(events: list[dict[str, Any]]) -> Any:
    read = [(event["type"], event.get("delta"), event.get("text"), event.get("data")) for event in events]
    last = events[-1]["response"]
    return read, last["status"], [part["text"] for item in last["output"] for part in item["content"]]


@pytest.mark.parametrize("purpose", ["user_data", "fail", "odd", None])
def test_files_are_answered_the_same(both: tuple[str, str], purpose: str | None) -> None:
    answers = []
    for url in both:
        data = {"purpose": purpose} if purpose is not None else {}
        answer = httpx.post(f"{url}/v1/files", files={"file": ("a.txt", b"abc", "text/plain")}, data=data)
        answers.append(read(answer) if answer.status_code != 200 else answer.json())
    assert answers[1] == answers[0]


def test_the_list_of_models_is_the_same(both: tuple[str, str]) -> None:
    theirs, ours = (httpx.get(f"{url}/v1/models").json() for url in both)
    assert ours["object"] == theirs["object"]
    names = [sorted((model["id"], model["name"], model["object"]) for model in one["data"]) for one in (theirs, ours)]
    assert names[0] == names[1]
    assert set(theirs["data"][0]) <= set(ours["data"][0])
