"""Programs that people bring along from Hypha and Hayhooks: only imports and URLs are changed, and calls of an SDK long
gone are written as today's. Each server is run as a cell, each client as a program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.chat_clients.conftest import Served, serve
from tests.live_jupyter import Kernel

REFERENCE = Path(__file__).parent / "reference"
MESSAGES = [{"role": "user", "content": "What is a portico?"}]


def cell(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def run(program: str, served: Served) -> str:
    """What the client prints."""
    settings = {"SERVER_URL": served.kernel.server.url, "TOKEN": served.key}
    command = [sys.executable, str(REFERENCE / program)]
    return subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def sdk(served: Served) -> OpenAI:
    return OpenAI(base_url=served.base_url, api_key=served.key)


def test_random_markdown(kernel: Kernel):
    served = serve(kernel, "app --name openai-chat --title OpenAIChat", cell("random_markdown.py"))
    assert run("ask.py", served).count(" ") >= 100 // 5


def test_a_web_based_client(kernel: Kernel):
    """It is given the URL with ``/v1``, and the key."""
    served = serve(kernel, "app --name openai-chat --origin https://bettergpt.chat", cell("random_markdown.py"))
    headers = {**served.headers, "Origin": "https://bettergpt.chat"}
    body = {"model": "cat-chat-model", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", served.base_url, json=body, headers=headers) as answer:
        assert answer.headers["access-control-allow-origin"] == "https://bettergpt.chat"
        assert [line for line in answer.iter_lines() if line][-1] == "data: [DONE]"


def test_several_models(kernel: Kernel):
    served = serve(kernel, "app --name openai-chat", cell("several_models.py"))
    assert run("ask.py", served).count(" ") >= 100 // 5
    with sdk(served) as client:
        answer = client.chat.completions.create(model="basic-chat-model", messages=MESSAGES)
    assert answer.choices[0].message.content in (
        *("This is a basic response.", "Hello from the chat model!", "Enjoy your conversation!"),
    )


def test_streaming_text(kernel: Kernel):
    served = serve(kernel, "app --name openai-chat", cell("streaming_text.py"))
    text = run("ask_for_a_stream.py", served)
    assert text.startswith(
        "I received your message: 'Tell me about streaming responses'. Here's my detailed response: "
    )
    assert text.endswith("3. Based on my analysis, here's what I think... ")


@pytest.mark.parametrize("wrapper", ["pipeline_wrapper.py", "pipeline_wrapper_streaming.py"])
def test_a_pipeline_wrapper(wrapper: str, kernel: Kernel):
    line = '{"chat_with_website": PipelineWrapper().run_chat_completion} --name chat-with-website'
    served = serve(kernel, line, cell(wrapper))
    with sdk(served) as client:
        whole = client.chat.completions.create(model="chat_with_website", messages=MESSAGES)
        stream = client.chat.completions.create(model="chat_with_website", messages=MESSAGES, stream=True)
        pieces = [piece for chunk in stream if (piece := chunk.choices[0].delta.content)]
    assert whole.choices[0].message.content == "".join(pieces) == "3 sites on: What is a portico?"
    assert len(pieces) == (3 if "streaming" in wrapper else 1)
    answer = httpx.post(
        f"{served.url}chat/completions",
        json={"model": "chat_with_website", "messages": MESSAGES},
        headers=served.headers,
    )
    assert answer.json()["choices"][0]["message"]["content"] == "3 sites on: What is a portico?"
