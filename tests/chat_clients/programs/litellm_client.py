"""LiteLLM as a client."""

import asyncio
import json
import os

import litellm
from pydantic import BaseModel

SETTINGS = {"api_base": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"]}
MESSAGES = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Cat(BaseModel):
    name: str
    lives: int


whole = litellm.completion(model="openai/assistant", messages=MESSAGES, **SETTINGS)
assert whole.choices[0].message.content == "Hello from a notebook"
print("chat")

stream = litellm.completion(model="openai/assistant", messages=MESSAGES, stream=True, **SETTINGS)
assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello from a notebook"
print("streaming")

thought = litellm.completion(model="openai/org/thinker:1", messages=MESSAGES, **SETTINGS).choices[0].message
assert (thought.reasoning_content, thought.content) == ("A greeting.", "Hello")
print("reasoning")

first = litellm.completion(model="openai/assistant", messages=MESSAGES, tools=[WEATHER], **SETTINGS)
[call] = first.choices[0].message.tool_calls
assert json.loads(call.function.arguments) == {"city": "Bern"}
messages = [*MESSAGES, first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
second = litellm.completion(model="openai/assistant", messages=messages, tools=[WEATHER], **SETTINGS)
assert second.choices[0].message.content == "It is sunny in Bern."
print("tools")

answer = litellm.completion(model="openai/assistant", messages=MESSAGES, response_format=Cat, **SETTINGS)
assert Cat.model_validate_json(answer.choices[0].message.content) == Cat(name="Tom", lives=9)
print("structured output")

vectors = litellm.embedding(model="openai/lengths", input=["a", "four"], encoding_format="float", **SETTINGS)
assert [one["embedding"] for one in vectors.data] == [[1.0, 1.0], [4.0, 1.0]]
print("embeddings")

response = litellm.responses(model="openai/assistant", input="Hello", **SETTINGS)
assert response.output[0].content[0].text == "Hello from a notebook"
print("responses")


async def asynchronous() -> str:
    stream = await litellm.acompletion(model="openai/assistant", messages=MESSAGES, stream=True, **SETTINGS)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


assert asyncio.run(asynchronous()) == "Hello from a notebook"
print("asynchronous")
