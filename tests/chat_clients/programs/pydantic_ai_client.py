"""pydantic-ai."""

import asyncio
import os

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])


class Cat(BaseModel):
    name: str
    lives: int


async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny, says {city},"


for name, model in {
    "chat": OpenAIChatModel("assistant", provider=provider),
    "responses": OpenAIResponsesModel("assistant", provider=provider),
}.items():
    assert Agent(model).run_sync("Hello").output == "Hello from a notebook"
    print(name)

    async def streamed(agent: Agent) -> list[str]:
        async with agent.run_stream("Hello") as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert asyncio.run(streamed(Agent(model))) == ["Hello", " from", " a", " notebook"]
    print(f"{name}, streaming")

    agent = Agent(model, tools=[get_weather])
    assert agent.run_sync("Weather?").output == "It is sunny, says Bern, in Bern."
    print(f"{name}, tools")

    for output in (Cat, NativeOutput(Cat), PromptedOutput(Cat)):
        assert Agent(model, output_type=output).run_sync("A cat").output == Cat(name="Tom", lives=9), output
    assert Agent(model, output_type=Cat, tools=[get_weather]).run_sync("A cat").output == Cat(name="Tom", lives=9)
    print(f"{name}, structured output")
