"""The models that the clients talk to. A kernel of a real Jupyter server imports and serves them."""

from __future__ import annotations

import asyncio
import json
import time

import portico
from portico.models import Reasoning, ToolCall

ARGUMENTS = {"city": "Bern", "name": "Tom", "lives": 9}
"""What the assistant knows to fill in, whatever tool or schema asks for it."""

closed_at: list[float] = []
"""When a generator of `slow` was closed: wall clock, in seconds."""

asked: list[dict] = []
"""What `slow` was asked."""


@portico.model("assistant")
async def assistant(messages, tools=None, response_format=None):
    """Calls each tool once, in order; fills in a schema; else talks."""
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    offered = [tool["function"] for tool in tools or () if tool["function"]["name"] not in called]
    if offered:
        fields = offered[0]["parameters"]["properties"]
        yield ToolCall(offered[0]["name"], {name: ARGUMENTS[name] for name in fields})
    elif response_format and response_format["type"] != "text":
        for piece in json.dumps({"name": "Tom", "lives": 9}).partition(", "):
            yield piece
    elif messages[-1]["role"] == "tool":
        yield f"It is {messages[-1]['content']} in Bern."
    else:
        for word in ("Hello", " from", " a", " notebook"):
            yield word


@portico.model("org/thinker:1")
def thinker(messages):
    """Thinks aloud, on a thread."""
    yield Reasoning("A greeting.")
    yield "Hello"


@portico.model("slow")
async def slow(messages, request):
    """A token each hundredth of a second, for as long as anyone listens."""
    asked.append(request)
    try:
        while True:
            yield "tick "
            await asyncio.sleep(0.01)
    finally:
        closed_at.append(time.time())


@portico.model("lengths", kind="embedding")
def lengths(texts):
    """A vector of two numbers for each text."""
    return [[float(len(text)), 1.0] for text in texts]


MODELS = [assistant, thinker, slow, lengths]
