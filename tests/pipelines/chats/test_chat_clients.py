"""Programs that chat with pipelines, each by its own library, over a real server."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.utils import Secret
from langchain_openai import ChatOpenAI

from portico.pipelines.chats.chat import PipelineModels
from tests.models.conftest import uvicorn_on_loopback
from tests.models.visitor import MESSAGES
from tests.pipelines.openai_wrappers import Event, Wrapper, request, table


class Speaks(Wrapper):
    """Says what it is told, word by word, with an event for the page before."""

    def run_chat_completion(self, model, messages, body):
        if messages[-1]["content"] == "fail":
            raise ValueError("boom")
        yield Event("status", description="thinking", done=False)
        for word in messages[-1]["content"].split():
            yield StreamingChunk(f"{word} ")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with uvicorn_on_loopback(PipelineModels(table(speaks=Speaks(), other=Speaks()))) as url:
        yield f"{url}/v1"


ASKED = [{"role": "user", "content": "one two"}]


def test_openais_client(url):
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["speaks", "other"]
        assert client.models.retrieve("speaks").owned_by == "portico"
        whole = client.chat.completions.create(model="speaks", messages=ASKED, extra_body={"chat_id": "c"})
        assert whole.choices[0].message.content == "one two "
        stream = client.chat.completions.create(
            model="speaks", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two "
        assert len({chunk.id for chunk in chunks}) == 1
        assert chunks[-1].usage.total_tokens > 0
        events = [event for chunk in chunks if (event := (chunk.model_extra or {}).get("event"))]
        assert events == [{"type": "status", "data": {"description": "thinking", "done": False}}]
        with client.chat.completions.stream(model="speaks", messages=ASKED) as helper:
            assert helper.get_final_completion().choices[0].message.content == "one two "


def test_openais_client_is_told_of_failures(url):
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        failing = [{"role": "user", "content": "fail"}]
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="Pipeline execution failed: boom"):
                client.chat.completions.create(model="speaks", messages=failing, stream=stream)
        with pytest.raises(openai.NotFoundError, match="Pipeline 'none' not found") as none:
            client.chat.completions.create(model="none", messages=ASKED)
        assert none.value.code == "model_not_found"
        with pytest.raises(openai.InternalServerError, match="Responses endpoint not implemented for this model"):
            client.responses.create(model="speaks", input="x")


def test_openais_client_on_an_event_loop(url):
    async def many():
        async with openai.AsyncOpenAI(base_url=url, api_key="any") as client:

            async def one(number):
                asked = [{"role": "user", "content": f"say {number} and no other"}]
                stream = await client.chat.completions.create(model="speaks", messages=asked, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

            return await asyncio.gather(*map(one, range(64)))

    assert asyncio.run(many()) == [f"say {number} and no other " for number in range(64)]


def test_haystacks_own_generator_as_a_client(url):
    streamed = []
    for callback in (None, lambda chunk: streamed.append(chunk.content)):
        generator = OpenAIChatGenerator(
            api_key=Secret.from_token("any"), model="speaks", api_base_url=url, streaming_callback=callback
        )
        (reply,) = generator.run([ChatMessage.from_user("one two")])["replies"]
        assert reply.text == "one two "
        assert reply.meta["finish_reason"] == "stop"
    assert "".join(streamed) == "one two "


def test_langchain(url):
    model = ChatOpenAI(model="speaks", base_url=url, api_key="any")
    assert model.invoke("one two").content == "one two "
    assert "".join(chunk.content for chunk in model.stream("one two")) == "one two "


def test_events_are_bare_for_clients_that_read_them():
    """Exactly ``{"event": {...}}``, as Open WebUI takes it; what OpenAI's SDKs read is a chunk without choices."""
    app = PipelineModels(table(p=Speaks()))
    body = {"model": "p", "messages": MESSAGES, "stream": True}
    event = {"type": "status", "data": {"description": "thinking", "done": False}}
    bare = request(app, "/chat/completions", body)
    assert {"event": event} in bare.events
    by_sdk = request(app, "/chat/completions", body, headers=[(b"x-stainless-lang", b"python")])
    (chunk,) = [one for one in by_sdk.events[:-1] if "event" in one]
    assert (chunk["event"], chunk["choices"], chunk["id"]) == (event, [], by_sdk.events[0]["id"])
