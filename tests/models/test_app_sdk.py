"""OpenAI's own SDK, sync and async, against a real server; and the programs that people bring along."""

import asyncio
import json
import random

import httpx
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from portico.models import ToolCall, chat_server, create_openai_chat_server, get_last_user_message
from tests.models.visitor import MESSAGES

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def assistant(messages, tools=None):
    if tools and messages[-1]["role"] == "user":
        yield ToolCall("weather", {"city": "Bern"})
    elif messages[-1]["role"] == "tool":
        yield f"It is {messages[-1]['content']}."
    else:
        for word in ("Hello", " ", "there"):
            yield word


def test_chat_whole_and_streamed(sdk):
    client = sdk(chat_server({"m": assistant}))
    whole = client.chat.completions.create(model="m", messages=MESSAGES)
    assert whole.choices[0].message.content == "Hello there"
    stream = client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there"
    assert chunks[-1].usage.total_tokens > 0


def test_a_round_of_tools(sdk):
    client = sdk(chat_server({"m": assistant}))
    first = client.chat.completions.create(model="m", messages=MESSAGES, tools=[TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    call = first.message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Bern"}
    messages = [*MESSAGES, first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client.chat.completions.create(model="m", messages=messages, tools=[TOOL])
    assert second.choices[0].message.content == "It is sunny."


def test_the_streaming_helper_puts_tool_calls_together(sdk):
    client = sdk(chat_server({"m": assistant}))
    with client.chat.completions.stream(model="m", messages=MESSAGES, tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "weather"
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"city": "Bern"}


class Cat(BaseModel):
    name: str
    lives: int


def test_structured_output_is_parsed(sdk):
    client = sdk(chat_server({"m": lambda messages: Cat(name="Tom", lives=9)}))
    parsed = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Cat)
    assert parsed.choices[0].message.parsed == Cat(name="Tom", lives=9)
    assert client.responses.parse(model="m", input="x", text_format=Cat).output_parsed == Cat(name="Tom", lives=9)


def test_completions(sdk):
    client = sdk(chat_server({"m": lambda prompt: f"<{prompt}>"}))
    whole = client.completions.create(model="m", prompt=["a", "b"], n=2, echo=True)
    assert [choice.text for choice in whole.choices] == ["a<a>", "a<a>", "b<b>", "b<b>"]
    chunks = list(client.completions.create(model="m", prompt="a", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "<a>"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_responses(sdk):
    client = sdk(chat_server({"m": assistant}))
    first = client.responses.create(model="m", input="hi")
    assert first.output_text == "Hello there"
    assert client.responses.retrieve(first.id).output_text == "Hello there"
    assert len(client.responses.input_items.list(first.id).data) == 1
    with client.responses.stream(model="m", input="again", previous_response_id=first.id) as stream:
        types = [event.type for event in stream]
        assert stream.get_final_response().output_text == "Hello there"
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    client.responses.delete(first.id)


def test_async_clients_beside_each_other(serve):
    url = serve(chat_server({"m": assistant}))

    async def run():
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:

            async def one():
                stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*(one() for _ in range(20)))

    assert asyncio.run(run()) == ["Hello there"] * 20


async def random_markdown_generator(request):
    """Takes the whole request, as its only parameter."""
    words = ["hello", "world", "foo", "bar"]
    for _ in range(request.get("max_tokens", 50) // 5):
        text = f"{random.choice(words)} "
        if random.random() < 0.3:
            text += f"\n![A random cat](https://cataas.com/cat?{random.randint(1, 1000)})\n"
        yield text


async def basic_text_generator(request):
    yield random.choice(["This is a basic response.", "Hello from the chat model!"])


async def streaming_text_generator(request):
    message = request.get("messages", [])[-1]["content"]
    for word in f"I received your message: '{message}'.".split():
        yield word + " "
        await asyncio.sleep(0)


def test_a_registry_of_generators(sdk):
    """Functions of the whole request behind `create_openai_chat_server`, asked by today's SDK."""
    models = {
        "cat-chat-model": random_markdown_generator,
        "basic-chat-model": basic_text_generator,
        "streaming-model": streaming_text_generator,
    }
    client = sdk(create_openai_chat_server(models))
    assert [one.id for one in client.models.list()] == list(models)
    whole = client.chat.completions.create(model="cat-chat-model", messages=MESSAGES, temperature=0.7, max_tokens=100)
    assert whole.choices[0].message.content.count(" ") >= 20
    basic = client.chat.completions.create(model="basic-chat-model", messages=MESSAGES)
    assert basic.choices[0].message.content
    stream = client.chat.completions.create(model="streaming-model", messages=MESSAGES, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == "I received your message: 'hello'. "


class PipelineWrapper:
    """A method that takes the model, the messages and the body, and returns a text or a generator."""

    def setup(self) -> None:
        self.prefix = "Answer to "

    def run_chat_completion(self, model: str, messages: list[dict], body: dict):
        question = get_last_user_message(messages)
        if body.get("stream"):
            return (piece for piece in (self.prefix, question))
        return self.prefix + question


@pytest.mark.parametrize("stream", [True, False])
def test_a_pipelines_wrapper(sdk, stream):
    wrapper = PipelineWrapper()
    wrapper.setup()
    client = sdk(chat_server({"chat_with_website": wrapper.run_chat_completion}))
    answer = client.chat.completions.create(model="chat_with_website", messages=MESSAGES, stream=stream)
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == "Answer to hello"
    else:
        assert answer.choices[0].message.content == "Answer to hello"


def test_the_request_patterns_of_chat_pages(serve):
    """The list of models first; then a task for a title beside a stream; and a POST to the base URL itself."""
    url = serve(chat_server({"m": assistant}))
    with httpx.Client(headers={"Origin": "https://chat.example"}) as client:
        assert client.get(f"{url}/v1/models").json()["data"][0]["id"] == "m"
        body = {"model": "m", "messages": MESSAGES, "stream": True, "max_tokens": 100, "presence_penalty": 0}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as stream:
            title = httpx.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES, "stream": False})
            assert title.json()["choices"][0]["message"]["content"] == "Hello there"
            lines = [line for line in stream.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        assert all(line.startswith("data: ") for line in lines)
        assert client.post(f"{url}/v1", json=body).status_code == 200
        as_text = {"Content-Type": "text/plain"}
        assert client.post(f"{url}/v1/chat/completions", content=json.dumps(body), headers=as_text).status_code == 200
