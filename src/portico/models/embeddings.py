"""``POST embeddings``: texts in, vectors out.

The function gets the list of texts, as ``texts``, ``input``, ``inputs`` or its one positional parameter, and gives
their vectors in order: lists, numpy arrays, or base64 of little-endian 32-bit floats. Source: OpenAI API reference,
"Create embeddings".
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portico.calls.body import kind
from portico.calls.exchange import Exchange
from portico.calls.run import Cancel, Items, drive
from portico.errors import InvalidRequest, UnusableOutput
from portico.models.engine import Engine
from portico.models.fields import MAX_DIMENSIONS, integer
from portico.models.foreign.wording import usage_of
from portico.models.parts import Usage
from portico.models.registry import AnyTokenizer
from portico.models.tokens import are_ids, count, text_of, usage_object

MAX_INPUTS = 2048
"""The OpenAI API's own limit of texts in a request."""

MAIN_NAMES = frozenset(("texts", "input", "inputs"))


async def embeddings(engine: Engine, exchange: Exchange, body: dict[str, Any]) -> None:
    """Answer a request for embeddings. Raises `APIError` before anything is sent if it cannot be served."""
    entry = engine.registry.find(body.get("model"), "embedding")
    texts = texts_of(body.get("input"), entry.info.tokenizer)
    encoding = body.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise InvalidRequest("'encoding_format' must be 'float' or 'base64'.", "encoding_format")
    integer(body, "dimensions", 1, MAX_DIMENSIONS)
    if not isinstance(body.get("user"), str | None):
        raise InvalidRequest("'user' must be a string.", "user")
    cancel = Cancel()
    injected = {**engine.injected(exchange, body, entry, cancel), "request": body, "body": body}
    call = engine.call(entry, texts, injected, body, MAIN_NAMES)
    sink = Items()
    try:
        await drive(call.run, call.on_loop, sink, threads=engine.settings.threads)
        vectors, usage = vectors_of(sink.items, len(texts))
        rows = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding == "base64")}
            for index, vector in enumerate(vectors)
        ]
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything; answerable() logs
        await engine.refuse(exchange, engine.answerable(error, entry.info.id))
        return
    finally:
        cancel.set()
    tokenizer = entry.info.tokenizer
    counted = usage_object(usage, 0 if usage else sum(count(text, tokenizer) for text in texts), 0, tokenizer is None)
    del counted["completion_tokens"]
    await exchange.json({"object": "list", "data": rows, "model": entry.info.id, "usage": counted})


def texts_of(given: Any, tokenizer: AnyTokenizer | None) -> list[str]:
    """The texts of a request: one, or an array of them; token ids in the place of a text. Raises `InvalidRequest`."""
    if given is None:
        raise InvalidRequest("You must provide 'input'.", "input")
    inputs = [given] if isinstance(given, str) or are_ids(given) else given
    if not isinstance(inputs, list):
        raise InvalidRequest(f"'input' must be a string or an array, not {kind(given)}.", "input")
    if not inputs or "" in inputs:
        raise InvalidRequest("'input' must not be empty, nor hold an empty string.", "input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidRequest(f"'input' may hold at most {MAX_INPUTS} texts.", "input")
    texts = []
    for index, text in enumerate(inputs):
        if are_ids(text):
            texts.append(text_of(text, tokenizer, "input"))
        elif isinstance(text, str):
            texts.append(text)
        else:
            raise InvalidRequest(f"'input[{index}]' must be a string, not {kind(text)}.", f"input[{index}]")
    return texts


def vectors_of(items: Sequence[Any], wanted: int) -> tuple[list[Any], Usage | None]:
    """The vectors, one a text, in whatever way the function gave them. Raises `UnusableOutput`."""
    usage: Usage | None = None
    rows: list[Any] = []
    for item in items:
        if isinstance(item, Usage):
            usage = item
        elif item is not None:
            found, counted = _rows(item)
            rows += found
            usage = counted or usage
    if wanted == 1 and rows and all(_is_number(number) for number in rows):
        rows = [rows]  # the one text's vector, not in a list of its own
    if len(rows) != wanted:
        raise UnusableOutput(f"The model gave {len(rows)} vectors for {wanted} texts.")
    return rows, usage


def _rows(item: Any) -> tuple[list[Any], Usage | None]:
    if hasattr(item, "model_dump"):
        item = item.model_dump()
    if isinstance(item, Mapping):
        usage = usage_of(item["usage"]) if item.get("usage") else None
        if isinstance(item.get("data"), list):
            ordered = sorted(item["data"], key=lambda row: row.get("index", 0))
            return [row.get("embedding") for row in ordered], usage
        for key in ("embeddings", "embedding"):
            if key in item:
                return _rows(item[key])[0], usage
        if usage is not None:
            return [], usage
        raise UnusableOutput("The model gave a dict without 'embeddings' or 'data'.")
    if hasattr(item, "tolist"):  # numpy, torch on the CPU, and their like
        item = item.tolist()
    if isinstance(item, str):
        return [item], None
    if _is_number(item):
        return [item], None  # a function that hands out one number after the other
    if isinstance(item, list | tuple):
        return [item] if item and _is_number(item[0]) else list(item), None
    raise UnusableOutput(f"The model gave a {type(item).__name__}; give a list of vectors, one a text.")


def _is_number(value: Any) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    # a number of numpy's, or of another array library's: no part of a vector has a shape
    return getattr(value, "shape", None) == () and hasattr(value, "__float__")


def _encoded(vector: Any, as_base64: bool) -> list[float] | str:
    if isinstance(vector, str):
        return vector if as_base64 and _unpacked(vector) else _unpacked(vector)
    numbers = _numbers(vector)
    if as_base64:
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")
    return numbers


def _numbers(vector: Any) -> list[float]:
    if hasattr(vector, "tolist"):
        vector = vector.tolist()
    if not isinstance(vector, Iterable) or isinstance(vector, str | bytes | Mapping):
        raise UnusableOutput(f"The model gave a {type(vector).__name__} as a vector; give a list of numbers.")
    try:
        numbers = [float(number) for number in vector]
    except (TypeError, ValueError) as error:
        raise UnusableOutput("The model gave a vector that holds something else than numbers.") from error
    if not numbers or not all(map(math.isfinite, numbers)):
        raise UnusableOutput("The model gave a vector that is empty, or holds NaN or infinity.")
    return numbers


def _unpacked(text: str) -> list[float]:
    try:
        raw = base64.b64decode(text, validate=True)
        return _numbers(struct.unpack(f"<{len(raw) // 4}f", raw))
    except (binascii.Error, struct.error, ValueError) as error:
        raise UnusableOutput("The model gave a text as a vector that is no base64 of 32-bit floats.") from error
