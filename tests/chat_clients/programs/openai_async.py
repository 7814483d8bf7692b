"""OpenAI's Python SDK, asynchronous."""

import asyncio
import json
import os

from openai import AsyncOpenAI
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Cat(BaseModel):
    name: str
    lives: int


async def main() -> None:
    async with AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"]) as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(model="assistant", messages=MESSAGES) for _ in range(10))
        )
        assert {answer.choices[0].message.content for answer in answers} == {"Hello from a notebook"}
        print("chat")

        async def streamed() -> str:
            stream = await client.chat.completions.create(model="assistant", messages=MESSAGES, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        assert await asyncio.gather(*(streamed() for _ in range(10))) == ["Hello from a notebook"] * 10
        print("streaming")

        async with client.chat.completions.stream(model="assistant", messages=MESSAGES, tools=[WEATHER]) as events:
            [call] = (await events.get_final_completion()).choices[0].message.tool_calls
        assert json.loads(call.function.arguments) == {"city": "Bern"}
        print("tools")

        parsed = await client.chat.completions.parse(model="assistant", messages=MESSAGES, response_format=Cat)
        assert parsed.choices[0].message.parsed == Cat(name="Tom", lives=9)
        print("structured output")

        vectors = await client.embeddings.create(model="lengths", input="four")
        assert vectors.data[0].embedding == [4.0, 1.0]
        print("embeddings")

        stream = await client.responses.create(model="assistant", input="Hello", stream=True)
        types = [event.type async for event in stream]
        assert (types[0], types[-1]) == ("response.created", "response.completed")
        print("streamed responses")

        async with client.responses.connect() as connection:
            await connection.send({"type": "response.create", "model": "assistant", "input": "Hello"})
            async for event in connection:
                if event.type == "response.completed":
                    break
            assert event.response.output[0].content[0].text == "Hello from a notebook"
        print("responses over a WebSocket")

        stream = await client.chat.completions.create(model="slow", messages=MESSAGES, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                await stream.close()
                break
        print("stopping")


asyncio.run(main())
