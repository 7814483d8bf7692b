"""langchain-openai."""

import asyncio
import os

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

SETTINGS = {"base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"]}
llm = ChatOpenAI(model="assistant", **SETTINGS)


class Cat(BaseModel):
    """A cat."""

    name: str
    lives: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny, says {city},"


assert llm.invoke("Hello").content == "Hello from a notebook"
assert asyncio.run(llm.ainvoke("Hello")).content == "Hello from a notebook"
print("chat")

pieces = [piece.content for piece in llm.stream("Hello")]
assert [piece for piece in pieces if piece] == ["Hello", " from", " a", " notebook"]
print("streaming")

with_tools = llm.bind_tools([get_weather])
first = with_tools.invoke([HumanMessage("Weather?")])
[call] = first.tool_calls
assert (call["name"], call["args"]) == ("get_weather", {"city": "Bern"})
result = get_weather.invoke(call)
assert isinstance(result, ToolMessage)
assert with_tools.invoke([HumanMessage("Weather?"), first, result]).content == "It is sunny, says Bern, in Bern."
print("tools")

whole = None
for piece in with_tools.stream("Weather?"):
    whole = piece if whole is None else whole + piece
assert whole.tool_calls[0]["args"] == {"city": "Bern"}
print("streamed tools")

for method in ("json_schema", "function_calling"):
    assert llm.with_structured_output(Cat, method=method).invoke("A cat") == Cat(name="Tom", lives=9)
print("structured output")

embeddings = OpenAIEmbeddings(model="lengths", check_embedding_ctx_length=False, **SETTINGS)
assert embeddings.embed_documents(["a", "four"]) == [[1.0, 1.0], [4.0, 1.0]]
assert embeddings.embed_query("four") == [4.0, 1.0]
print("embeddings")

over_responses = ChatOpenAI(model="assistant", use_responses_api=True, **SETTINGS)
assert over_responses.invoke("Hello").text == "Hello from a notebook"
assert "".join(piece.text for piece in over_responses.stream("Hello")) == "Hello from a notebook"
[call] = over_responses.bind_tools([get_weather]).invoke("Weather?").tool_calls
assert call["args"] == {"city": "Bern"}
print("responses")
