"""How chat pages ask, replayed as they do it: Open WebUI and BetterChatGPT."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.chat_clients.conftest import Served, serve
from tests.live_jupyter import Kernel
from tests.waiting import eventually

MESSAGES = [{"role": "user", "content": "Hello"}]
TEXT = "Hello from a notebook"


@pytest.fixture
def page(zoo: Served) -> Iterator[httpx.Client]:
    """A page's connection to the service."""
    with httpx.Client(headers=zoo.headers, timeout=10) as client:
        yield client


def contents(lines: Iterator[str]) -> list[str]:
    """The pieces of text in a stream, which must end as it should."""
    *events, last = [line for line in lines if line]
    assert last == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    return [piece for piece in pieces if piece]


def test_open_webui_begins(zoo: Served, page: httpx.Client):
    """Its settings page checks the connection by the list of models, which it then shows for choice."""
    listed = page.get(f"{zoo.base_url}/models", headers={"Content-Type": "application/json"}).json()
    assert [model["id"] for model in listed["data"]] == ["assistant", "org/thinker:1", "slow", "lengths"]
    assert {model["object"] for model in listed["data"]} == {"model"}


def test_open_webui_asks_for_a_title_beside_a_stream(zoo: Served, page: httpx.Client):
    """An answer is streamed, with fields of its own; title, tags and follow-ups are asked for meanwhile."""
    body: dict[str, Any] = {
        "stream": True,
        "model": "slow",
        "messages": MESSAGES,
        "stream_options": {"include_usage": True},
        "temperature": 0.8,
        "frequency_penalty": 0,
        "metadata": {"chat_id": "1", "features": {"web_search": False}},
    }
    task = "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history."
    with page.stream("POST", f"{zoo.base_url}/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        while "tick" not in next(lines):
            pass
        for _ in range(3):
            ask = {"model": "assistant", "messages": [{"role": "user", "content": task}], "stream": False}
            ask |= {"max_completion_tokens": 1000}
            answer = httpx.post(f"{zoo.base_url}/chat/completions", json=ask, headers=zoo.headers)
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
        while "tick" not in next(lines):  # the stream went on
            pass
    assert zoo.evaluate("zoo.asked[-1]") == body, "a function sees every field"


@pytest.mark.parametrize("stream", [True, False])
def test_a_stop_button_closes_the_generator(stream: bool, zoo: Served):
    """The page drops its connection: while an answer streams, and while a whole one is awaited."""
    asked, closed = zoo.evaluate("[len(zoo.asked), len(zoo.closed_at)]")
    body = {"model": "slow", "messages": MESSAGES, "stream": stream}
    url = httpx.URL(f"{zoo.base_url}/chat/completions")
    with httpx.Client(headers=zoo.headers, timeout=10) as client:
        if stream:
            with client.stream("POST", url, json=body) as answer:
                lines = answer.iter_lines()
                while "tick" not in next(lines):
                    pass
                left = time.time()
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(url, json=body, timeout=0.5)
            left = time.time()
    assert zoo.evaluate("len(zoo.asked)") == asked + 1
    eventually(lambda: zoo.evaluate("len(zoo.closed_at)") > closed, what="the generator's end")
    assert zoo.evaluate("zoo.closed_at[-1]") - left < 1


def test_betterchatgpt_posts_to_its_endpoint_as_it_stands(zoo: Served, page: httpx.Client):
    settings = {"max_tokens": 4000, "temperature": 1, "presence_penalty": 0, "top_p": 1, "frequency_penalty": 0}
    body = {"messages": MESSAGES, "model": "assistant", **settings}
    for url in (zoo.base_url, f"{zoo.base_url}/", f"{zoo.base_url}/chat/completions", zoo.url):
        answer = page.post(url, json=body)
        assert answer.json()["choices"][0]["message"]["content"] == TEXT, url
        with page.stream("POST", url, json={**body, "stream": True}) as stream:
            assert "".join(contents(stream.iter_lines())) == TEXT, url


def test_a_page_of_another_origin(kernel: Kernel):
    """As a browser does it: a preflight that shows no key, then the request, whose answer the page may read."""
    origin = "https://chat.example"
    served = serve(kernel, f"zoo.MODELS --name far-zoo --chat --origin {origin}", "from tests.chat_clients import zoo")
    wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
    preflight = httpx.options(
        served.base_url,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": wanted,
        },
    )
    assert preflight.is_success
    assert preflight.headers.get_list("access-control-allow-origin") == [origin]
    assert set(preflight.headers["access-control-allow-headers"].replace(" ", "").split(",")) == set(wanted.split(","))
    for stream in (False, True):
        body = {"messages": MESSAGES, "model": "assistant", "stream": stream}
        answer = httpx.post(served.base_url, json=body, headers={**served.headers, "Origin": origin})
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert "access-control-allow-credentials" not in answer.headers
