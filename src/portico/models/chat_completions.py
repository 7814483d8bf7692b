"""``POST chat/completions``: the request, the whole answer and the chunks.

Source: OpenAI API reference, "Create chat completion", "The chat completion object" and "The chat completion chunk
object".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

from portico.calls.exchange import Exchange, new_id, now
from portico.calls.json_text import compact, quoted
from portico.calls.run import Cancel
from portico.calls.sse import data
from portico.errors import PorticoError
from portico.models.choice import Choice, Event
from portico.models.delivery import deliver_stream, deliver_whole
from portico.models.engine import Engine
from portico.models.fields import check_fields, limit_of, stops_of
from portico.models.generation import Generation, Wanted
from portico.models.messages import check_messages, get_last_user_message
from portico.models.parts import Item, PageEvent, Reasoning, Text
from portico.models.structured import check_of
from portico.models.tool_calls import CalledTool, ToolArguments, ToolBegin
from portico.models.tool_deltas import begun, call_of, delta_of
from portico.models.tools import offers_of
from portico.models.wire import DONE, error_object

_SDK = "x-stainless-lang"
"""A header that OpenAI's SDKs send with each request."""


async def chat_completions(engine: Engine, exchange: Exchange, body: dict[str, Any]) -> None:
    """Answer a chat request. Raises `APIError` before anything is sent if the request cannot be served."""
    entry = engine.registry.find(body.get("model"), "chat")
    check_fields(body)
    request = dict(body)
    messages = check_messages(body.get("messages"))
    legacy = bool(body.get("functions")) and not body.get("tools")
    if legacy:
        request["tools"] = [{"type": "function", "function": function} for function in body["functions"]]
    limit = limit_of(body)
    if limit is not None:
        request["max_tokens"] = limit
    cancel = Cancel()
    injected = engine.injected(exchange, request, entry, cancel)
    injected["prompt"] = get_last_user_message(messages)
    call = engine.call(entry, request, injected, request)
    n = body.get("n") or 1
    wanted = Wanted(
        calls=[call.run] * n,
        on_loop=call.on_loop,
        messages=messages,
        n=n,
        sees_n=call.sees_n,
        stops=stops_of(body),
        limit=limit,
        tokenizer=entry.info.tokenizer,
        check=check_of(body.get("response_format")),
        threads=engine.settings.threads,
        offers=offers_of(request.get("tools")),
    )
    await answer_chat(engine, exchange, Generation(wanted, cancel), entry.info.id, body, legacy)


async def answer_chat(
    engine: Engine, exchange: Exchange, generation: Generation, model: str, body: Mapping[str, Any], legacy: bool
) -> None:
    """Make the answer and send it, as a stream or whole. *legacy* says that the client asked with ``functions``."""
    envelope = {"id": new_id("chatcmpl-"), "created": now(), "model": model}
    if body.get("stream"):
        options = body.get("stream_options") or {}
        usage, by_sdk = bool(options.get("include_usage")), _SDK in exchange.headers
        writer = ChatChunks(
            envelope, len(generation.choices), usage, legacy, by_sdk, engine.settings.dialect.role_alone
        )
        await deliver_stream(engine, exchange, generation, writer, model)
    else:
        await deliver_whole(engine, exchange, generation, lambda: completion(envelope, generation, legacy), model)


def completion(envelope: dict[str, Any], generation: Generation, legacy: bool) -> dict[str, Any]:
    """The chat completion object. *legacy* says that the client asked with ``functions``."""
    return {
        "id": envelope["id"],
        "object": "chat.completion",
        "created": envelope["created"],
        "model": envelope["model"],
        "choices": [
            {
                "index": index,
                "message": message_of(choice, legacy),
                "logprobs": {"content": choice.logprobs, "refusal": None} if choice.logprobs else None,
                "finish_reason": reason_of(choice, legacy),
            }
            for index, choice in enumerate(generation.choices)
        ],
        "usage": generation.usage(),
        **generation.meta,
    }


def message_of(choice: Choice, legacy: bool) -> dict[str, Any]:
    """The assistant's message."""
    has_other = bool(choice.tools or choice.extra.get("refusal") or choice.extra.get("audio"))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text if choice.texts or not has_other else None,
        "refusal": None,
    }
    if choice.reasoning:
        message["reasoning_content"] = message["reasoning"] = "".join(choice.reasoning)
    if choice.tools and legacy:
        message["function_call"] = {"name": choice.tools[0].name, "arguments": choice.tools[0].text}
    elif choice.tools:
        message["tool_calls"] = [call_of(tool) for tool in choice.tools]
    if choice.items:
        message["output_items"] = choice.items
    return {**message, **{key: value for key, value in choice.extra.items() if key not in ("role", "content")}}


def reason_of(choice: Choice, legacy: bool) -> str:
    """The finish_reason, which has another name for a call where the client asked with ``functions``."""
    reason = choice.finish_reason
    return "function_call" if legacy and reason == "tool_calls" else reason


class ChatChunks:
    """Writes chunks. All but the text of the usual chunk is made into JSON once, at the beginning."""

    def __init__(
        self,
        envelope: dict[str, Any],
        choices: int,
        include_usage: bool,
        legacy: bool,
        by_sdk: bool = False,
        role_alone: bool = True,
    ) -> None:
        """*by_sdk* says that one of OpenAI's SDKs reads them; *role_alone* is that of `Dialect`."""
        self._role_alone = role_alone
        self._untold = set() if role_alone else set(range(choices))
        """The choices whose first delta is to tell the role."""
        self._choices = choices
        self._by_sdk = by_sdk
        self._legacy = legacy
        self._include_usage = include_usage
        self._numbers: dict[str, int] = {}
        self._start = compact({"id": envelope["id"], "object": "chat.completion.chunk"})[:-1] + (
            f',"created":{envelope["created"]},"model":{quoted(envelope["model"])},"choices":['
        )
        self._end = '],"usage":null}\n\n' if include_usage else "]}\n\n"

    def opening(self) -> list[bytes]:
        """A role chunk for each choice, unless the first deltas tell it."""
        if not self._role_alone:
            return []
        return [self._chunk(index, '{"role":"assistant","content":""}') for index in range(self._choices)]

    def renderer(self, index: int) -> Callable[[str], bytes]:
        """See `Writer.renderer`."""
        before = f'data: {self._start}{{"index":{index},"delta":{{"content":'
        after = f'}},"logprobs":null,"finish_reason":null}}{self._end}'

        def render(text: str) -> bytes:
            # No half of a pair is in it, so `quoted` is not needed; encode() without a name is the quicker.
            return f"{before}{encode_basestring_ascii(text)}{after}".encode()

        return render

    def event(self, index: int, event: Event) -> list[bytes]:
        """See `Writer.event`."""
        if isinstance(event, Text):
            logprobs = compact({"content": event.logprobs, "refusal": None}) if event.logprobs else "null"
            return [self._chunk(index, f'{{"content":{quoted(event.text)}}}', logprobs)]
        if isinstance(event, Reasoning):
            text = quoted(event.text)
            return [self._chunk(index, f'{{"reasoning_content":{text},"reasoning":{text}}}')]
        if isinstance(event, ToolBegin):
            return self._tool(index, event.tool, first=True, piece="")
        if isinstance(event, ToolArguments):
            return self._tool(index, event.tool, first=False, piece=event.piece)
        if isinstance(event, PageEvent):
            if self._by_sdk:  # to which all is a chunk, so that it has what chunks have
                return [f'data: {self._start}],"event":{compact(event.fields)}}}\n\n'.encode("ascii")]
            return [data({"event": event.fields})]
        if isinstance(event, Item):
            delta: dict[str, Any] = {"output_items": [event.item]}
        else:
            delta = {key: value for key, value in event.delta.items() if key not in ("role", "content")}
        return [self._chunk(index, compact(self._numbered(delta)))] if delta else []

    def _numbered(self, delta: dict[str, Any]) -> dict[str, Any]:
        """Number the members of lists: SDKs that put deltas together find the same member again by its index."""
        for key, value in delta.items():
            if isinstance(value, list) and any(isinstance(one, dict) and "index" not in one for one in value):
                first = self._numbers.get(key, 0)
                self._numbers[key] = first + len(value)
                numbered = [
                    {"index": first + place, **one} if isinstance(one, dict) else one for place, one in enumerate(value)
                ]
                delta = {**delta, key: numbered}
        return delta

    def finish(self, index: int, generation: Generation) -> list[bytes]:
        """The one chunk with a finish_reason; what the model gave for the whole answer goes with it."""
        chunk = self._chunk(index, "{}", reason=f'"{reason_of(generation.choices[index], self._legacy)}"')
        if not generation.meta:
            return [chunk]
        meta = "".join(f",{quoted(key)}:{compact(value)}" for key, value in generation.meta.items())
        return [chunk[:-3] + f"{meta}}}\n\n".encode("ascii")]

    def closing(self, generation: Generation) -> list[bytes]:
        """The usage chunk, where it was asked for, and the end."""
        if not self._include_usage:
            return [DONE]
        return [f'data: {self._start}],"usage":{compact(generation.usage())}}}\n\n'.encode("ascii"), DONE]

    def failure(self, error: PorticoError) -> list[bytes]:
        """See `Writer.failure`."""
        return [data({"error": error_object(error)}), DONE]

    def beat(self) -> bytes:
        """An empty delta: comments, which would be shorter, break some browser clients."""
        return self._chunk(0, "{}")

    def _tool(self, index: int, tool: CalledTool, first: bool, piece: str) -> list[bytes]:
        if self._legacy:
            if tool.index > 0:
                return []  # the older form knows one call only
            call: dict[str, Any] = {"name": tool.name, "arguments": ""} if first else {"arguments": piece}
            return [self._chunk(index, compact({"function_call": call}))]
        call = begun(tool) if first else delta_of(tool, piece)
        return [self._chunk(index, compact({"tool_calls": [call]}))]

    def _chunk(self, index: int, delta: str, logprobs: str = "null", reason: str = "null") -> bytes:
        if index in self._untold and delta != "{}":  # the first delta is never written by a renderer
            self._untold.discard(index)
            delta = f'{{"role":"assistant",{delta[1:]}'
        choice = f'{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{reason}}}'
        return f"data: {self._start}{choice}{self._end}".encode("ascii")
