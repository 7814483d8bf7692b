"""Counts tokens: by the model's own tokenizer where one is given, else by a rough estimate that is marked as one.

Here: numbers of tokens, the ``usage`` object, and token ids in the place of text. Source: OpenAI API reference,
"usage"; "Create completion", ``prompt``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

from portico.errors import InvalidRequest, UnusableOutput
from portico.models.parts import Usage
from portico.models.registry import AnyTokenizer, Tokenizer

log = logging.getLogger(__name__)

BYTES_A_TOKEN = 4
"""The usual rule of thumb for English text in UTF-8."""


def count(text: str, tokenizer: AnyTokenizer | None) -> int:
    """The number of tokens of *text*; an estimate without a tokenizer.

    Raises `UnusableOutput` if the tokenizer gives neither a number nor tokens.
    """
    if tokenizer is None:
        return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)
    tokens = tokenizer.encode(text) if isinstance(tokenizer, Tokenizer) else tokenizer(text)
    tokens = getattr(tokens, "ids", tokens)  # the Encoding of Hugging Face's tokenizers
    if isinstance(tokens, int) and tokens >= 0:
        return tokens
    if isinstance(tokens, Sized) and not isinstance(tokens, (str, bytes)):  # whose length is not that of tokens
        return len(tokens)
    shown = f"the number {tokens}" if isinstance(tokens, int) else f"a {type(tokens).__name__}"
    raise UnusableOutput(f"The tokenizer gave {shown}, not a number of tokens or a list of them.")


def text_of(ids: Sequence[int], tokenizer: AnyTokenizer | None, param: str) -> str:
    """The text that a client has sent as token ids, by the model's tokenizer if that has ``decode``.

    Raises `InvalidRequest` if it has none or does not know the ids; *param* is their path in the request.
    """
    decode = getattr(tokenizer, "decode", None)
    if decode is None:
        raise InvalidRequest(
            f"{param!r} must be text: this model has no tokenizer that knows token ids. "
            "(In langchain-openai, set check_embedding_ctx_length=False.)",
            param,
        )
    try:
        text = decode(list(ids))
    except Exception as error:  # a tokenizer raises whatever it likes for an id that it does not have
        log.debug("The tokenizer could not decode %r", param, exc_info=error)
        text = None
    if not isinstance(text, str):
        raise InvalidRequest(f"{param!r} holds token ids that the model's tokenizer does not know.", param)
    return text


def are_ids(value: Any) -> bool:
    """Whether *value* is an array of token ids, and not an empty one."""
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)


def longest_start(text: str, limit: int, tokenizer: AnyTokenizer) -> str:
    """The longest beginning of *text* that has at most *limit* tokens."""
    fits, fails = 0, len(text) + 1
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if count(text[:middle], tokenizer) <= limit:
            fits = middle
        else:
            fails = middle
    return text[:fits]


def count_messages(messages: Iterable[Mapping[str, Any]], tokenizer: AnyTokenizer | None) -> int:
    """The number of tokens of the messages' texts. What a chat template adds is not counted."""
    return sum(count(text, tokenizer) for message in messages for text in _texts(message))


def usage_object(usage: Usage | None, prompt: int, completion: int, estimated: bool) -> dict[str, Any]:
    """The chat API's ``usage``: the model's own where it gave one, else from the counted numbers."""
    if usage is not None:
        total = usage.total_tokens
        if total is None:
            total = usage.prompt_tokens + usage.completion_tokens
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": total,
            **usage.details,
        }
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if estimated:
        counted["estimated"] = True
    return counted


def _texts(message: Mapping[str, Any]) -> Iterable[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        if isinstance(arguments, str):
            yield arguments
