"""``POST completions``, the older API of prompts: the request, the whole answer and the chunks.

The function is the same as for chat: it gets the prompt as ``prompt`` and as a user's message. Source: OpenAI API
reference, "Create completion", "The completion object".
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any

from portico.calls.body import kind
from portico.calls.exchange import Exchange, new_id, now
from portico.calls.json_text import compact, quoted
from portico.calls.run import Cancel
from portico.calls.sse import data
from portico.errors import InvalidRequest, PorticoError
from portico.models.choice import Choice, Event
from portico.models.delivery import deliver_stream, deliver_whole
from portico.models.engine import Engine
from portico.models.fields import MAX_CHOICES, check_fields, limit_of, stops_of
from portico.models.generation import Generation, Wanted
from portico.models.parts import Item, PageEvent, Reasoning, Text
from portico.models.registry import AnyTokenizer
from portico.models.structured import check_of
from portico.models.tokens import are_ids, text_of
from portico.models.tool_calls import ToolArguments, ToolBegin
from portico.models.tool_deltas import begun, call_of, delta_of
from portico.models.tools import offers_of
from portico.models.wire import DONE, error_object


async def completions(engine: Engine, exchange: Exchange, body: dict[str, Any]) -> None:
    """Answer a request for completions. Raises `APIError` before anything is sent if it cannot be served."""
    entry = engine.registry.find(body.get("model"), "chat")
    check_fields(body)
    prompts = prompts_of(body.get("prompt"), entry.info.tokenizer)
    n = body.get("n") or 1
    if len(prompts) * n > MAX_CHOICES:
        raise InvalidRequest(f"'n' times the prompts must be at most {MAX_CHOICES}.", "n")
    cancel = Cancel()
    calls: list[Callable[[], Any]] = []
    on_loop = sees_n = False
    messages: list[dict[str, Any]] = []
    for prompt in prompts:
        own = [{"role": "user", "content": prompt}]
        request = {**body, "prompt": prompt, "messages": own}
        call = engine.call(
            entry, request, {**engine.injected(exchange, request, entry, cancel), "prompt": prompt}, request
        )
        calls += [call.run] * n
        on_loop, sees_n = call.on_loop, call.sees_n
        messages += own
    wanted = Wanted(
        calls=calls,
        on_loop=on_loop,
        messages=messages,
        n=n,
        sees_n=sees_n,
        stops=stops_of(body),
        limit=limit_of(body),
        tokenizer=entry.info.tokenizer,
        check=check_of(body.get("response_format")),
        threads=engine.settings.threads,
        offers=offers_of(body.get("tools")),
    )
    generation = Generation(wanted, cancel)
    envelope = {"id": new_id("cmpl-"), "object": "text_completion", "created": now(), "model": entry.info.id}
    echoes = [prompt if body.get("echo") else "" for prompt in prompts for _ in range(n)]
    if body.get("stream"):
        options = body.get("stream_options") or {}
        writer = CompletionChunks(envelope, echoes, bool(options.get("include_usage")))
        await deliver_stream(engine, exchange, generation, writer, entry.info.id)
    else:
        await deliver_whole(
            engine, exchange, generation, lambda: completion(envelope, generation, echoes), entry.info.id
        )


def prompts_of(prompt: Any, tokenizer: AnyTokenizer | None) -> list[str]:
    """The prompts of a request: a text, an array of texts, token ids, or an array of arrays of those.

    Raises `InvalidRequest`.
    """
    if prompt is None:
        raise InvalidRequest("You must provide 'prompt'.", "prompt")
    prompts = [prompt] if isinstance(prompt, str) or are_ids(prompt) else prompt
    if not isinstance(prompts, list):
        raise InvalidRequest(f"'prompt' must be a string or an array, not {kind(prompt)}.", "prompt")
    if not prompts:
        raise InvalidRequest("'prompt' must not be empty.", "prompt")
    if len(prompts) > MAX_CHOICES:
        raise InvalidRequest(f"'prompt' may hold at most {MAX_CHOICES} prompts.", "prompt")
    texts = []
    for one in prompts:
        if are_ids(one):
            texts.append(text_of(one, tokenizer, "prompt"))
        elif isinstance(one, str):
            texts.append(one)
        else:
            raise InvalidRequest(f"'prompt' must hold strings, or token ids, not {kind(one)}.", "prompt")
    return texts


def completion(envelope: dict[str, Any], generation: Generation, echoes: list[str]) -> dict[str, Any]:
    """The completion object."""
    return {
        **envelope,
        "choices": [
            {
                "index": index,
                "text": echoes[index] + choice.text,
                "logprobs": _logprobs(choice),
                "finish_reason": _reason_of(choice),
                **_rest(choice),
            }
            for index, choice in enumerate(generation.choices)
        ],
        "usage": generation.usage(),
        **generation.meta,
    }


def _rest(choice: Choice) -> dict[str, Any]:
    """What the older API has no place for, under the names of the newer one."""
    rest: dict[str, Any] = {key: value for key, value in choice.extra.items() if key != "logprobs"}
    if choice.reasoning:
        rest["reasoning_content"] = rest["reasoning"] = "".join(choice.reasoning)
    if choice.tools:
        rest["tool_calls"] = [call_of(tool) for tool in choice.tools]
    if choice.items:
        rest["output_items"] = choice.items
    return rest


def _logprobs(choice: Choice) -> Any:
    """The older API's logprobs: as the model gave them, or made of the newer API's."""
    if "logprobs" in choice.extra:
        return choice.extra["logprobs"]
    return _older_logprobs(choice.logprobs) if choice.logprobs else None


def _older_logprobs(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tokens": [token.get("token", "") for token in content],
        "token_logprobs": [token.get("logprob") for token in content],
        "top_logprobs": [
            {top.get("token", ""): top.get("logprob") for top in token.get("top_logprobs") or []} for token in content
        ],
    }


def _reason_of(choice: Choice) -> str:
    """This API knows no finish_reason for calls."""
    return choice.finish_reason if choice.finish_reason in ("length", "content_filter") else "stop"


class CompletionChunks:
    """Writes the chunks of a streamed completion."""

    def __init__(self, envelope: dict[str, Any], echoes: list[str], include_usage: bool) -> None:
        self._echoes = echoes
        self._include_usage = include_usage
        self._start = compact(envelope)[:-1] + ',"choices":['
        self._end = '],"usage":null}\n\n' if include_usage else "]}\n\n"

    def opening(self) -> list[bytes]:
        """The prompts, where the client asked for their echo."""
        return [self._chunk(index, quoted(echo)) for index, echo in enumerate(self._echoes) if echo]

    def renderer(self, index: int) -> Callable[[str], bytes]:
        """See `Writer.renderer`."""
        before = f'data: {self._start}{{"index":{index},"text":'
        after = f',"logprobs":null,"finish_reason":null}}{self._end}'

        def render(text: str) -> bytes:
            return f"{before}{encode_basestring_ascii(text)}{after}".encode()  # as the chat's

        return render

    def event(self, index: int, event: Event) -> list[bytes]:
        """See `Writer.event`. What this API has no place for goes beside an empty text, under the newer API's names."""
        if isinstance(event, Text):
            logprobs = compact(_older_logprobs(event.logprobs)) if event.logprobs else "null"
            return [self._chunk(index, quoted(event.text), logprobs)]
        if isinstance(event, PageEvent):
            return [data({"event": event.fields})]
        rest: dict[str, Any]
        if isinstance(event, Reasoning):
            rest = {"reasoning_content": event.text, "reasoning": event.text}
        elif isinstance(event, ToolBegin):
            rest = {"tool_calls": [begun(event.tool)]}
        elif isinstance(event, ToolArguments):
            rest = {"tool_calls": [delta_of(event.tool, event.piece)]}
        elif isinstance(event, Item):
            rest = {"output_items": [event.item]}
        elif "logprobs" in event.delta:
            return [self._chunk(index, '""', compact(event.delta["logprobs"]))]
        else:
            rest = {key: value for key, value in event.delta.items() if key not in ("text", "index", "finish_reason")}
        return [self._chunk(index, '""', rest=compact(rest)[1:-1])]

    def finish(self, index: int, generation: Generation) -> list[bytes]:
        """The chunk with the finish_reason."""
        return [self._chunk(index, '""', reason=f'"{_reason_of(generation.choices[index])}"')]

    def closing(self, generation: Generation) -> list[bytes]:
        """The usage chunk, where it was asked for, and the end."""
        if not self._include_usage:
            return [DONE]
        return [f'data: {self._start}],"usage":{compact(generation.usage())}}}\n\n'.encode("ascii"), DONE]

    def failure(self, error: PorticoError) -> list[bytes]:
        """See `Writer.failure`."""
        return [data({"error": error_object(error)}), DONE]

    def beat(self) -> bytes:
        """An empty text."""
        return self._chunk(0, '""')

    def _chunk(self, index: int, text: str, logprobs: str = "null", reason: str = "null", rest: str = "") -> bytes:
        rest = f",{rest}" if rest else ""
        choice = f'{{"index":{index},"text":{text},"logprobs":{logprobs},"finish_reason":{reason}{rest}}}'
        return f"data: {self._start}{choice}{self._end}".encode("ascii")
