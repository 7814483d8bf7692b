"""OpenAI's Python SDK."""

import json
import os

from openai import NotFoundError, OpenAI
from pydantic import BaseModel

client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
MESSAGES = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Cat(BaseModel):
    name: str
    lives: int


assert [model.id for model in client.models.list()] == ["assistant", "org/thinker:1", "slow", "lengths"]
assert client.models.retrieve("org/thinker:1").id == "org/thinker:1"
print("models")

whole = client.chat.completions.create(model="assistant", messages=MESSAGES)
assert whole.choices[0].message.content == "Hello from a notebook"
assert whole.usage.total_tokens > 0
print("chat")

stream = client.chat.completions.create(
    model="assistant", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
)
*chunks, last = stream
assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content] == [
    *("Hello", " from", " a", " notebook")
]
assert last.usage.total_tokens > 0
print("streaming")

first = client.chat.completions.create(model="assistant", messages=MESSAGES, tools=[WEATHER]).choices[0]
assert first.finish_reason == "tool_calls"
[call] = first.message.tool_calls
assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Bern"})
results = [first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
second = client.chat.completions.create(model="assistant", messages=MESSAGES + results, tools=[WEATHER])
assert second.choices[0].message.content == "It is sunny in Bern."
print("tools")

with client.chat.completions.stream(model="assistant", messages=MESSAGES, tools=[WEATHER]) as events:
    [call] = events.get_final_completion().choices[0].message.tool_calls
assert json.loads(call.function.arguments) == {"city": "Bern"}
print("streamed tools")

parsed = client.chat.completions.parse(model="assistant", messages=MESSAGES, response_format=Cat)
assert parsed.choices[0].message.parsed == Cat(name="Tom", lives=9)
print("structured output")

floats = client.embeddings.create(model="lengths", input=["a", "four"], encoding_format="float")
packed = client.embeddings.create(model="lengths", input=["a", "four"])
assert [one.embedding for one in floats.data] == [one.embedding for one in packed.data] == [[1.0, 1.0], [4.0, 1.0]]
print("embeddings")

legacy = client.completions.create(model="assistant", prompt="Hello")
assert legacy.choices[0].text == "Hello from a notebook"
print("completions")

answer = client.responses.create(model="assistant", input="Hello")
assert answer.output_text == "Hello from a notebook"
assert client.responses.retrieve(answer.id).output_text == "Hello from a notebook"
again = client.responses.create(model="assistant", input="Again", previous_response_id=answer.id)
assert {item.role for item in client.responses.input_items.list(again.id)} >= {"user"}
client.responses.delete(answer.id)
assert client.responses.parse(model="assistant", input="A cat", text_format=Cat).output_parsed == Cat(
    name="Tom", lives=9
)
print("responses")

tool = {"type": "function", **WEATHER["function"], "strict": False}
[item] = client.responses.create(model="assistant", input="Weather?", tools=[tool]).output
assert (item.type, item.name, json.loads(item.arguments)) == ("function_call", "get_weather", {"city": "Bern"})
print("responses with tools")

with client.responses.stream(model="org/thinker:1", input="Hello") as events:
    types = [event.type for event in events]
    assert events.get_final_response().output_text == "Hello"
assert types[0] == "response.created"
assert types[-1] == "response.completed"
assert [item.type for item in events.get_final_response().output] == ["reasoning", "message"]
print("streamed responses")

with client.responses.connect() as connection:
    for _ in range(2):
        connection.send({"type": "response.create", "model": "assistant", "input": "Hello"})
        text = ""
        for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                break
        assert text == "Hello from a notebook"
print("responses over a WebSocket")

try:
    client.chat.completions.create(model="nobody", messages=MESSAGES)
except NotFoundError as error:
    print("errors" if error.code == "model_not_found" else error)
