"""Reads a request's body into a dict, and refuses what no function should ever see.

Here: size, JSON, and the checks that hold for any field. What each field must be is the endpoints' business
(`messages`, `fields`). Every refusal is an `InvalidRequest`, which names the parameter where it can.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from portico.calls.content_coding import Decoder, NotCoded, TooLong
from portico.errors import APIError, InvalidRequest
from portico.types import Receive

MAX_DEPTH = 64
"""Levels of arrays and objects: a tool's JSON schema has ten or twenty, and a function may walk it recursively."""

_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_BAD = re.compile("[\x00\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_MEMBER = re.compile(r"(?:messages|input)\[\d+\]")


async def read_body(receive: Receive, limit: int, announced: str | None, decoder: Decoder | None = None) -> bytes:
    """The whole body. Raises `APIError` with status 413 over *limit* bytes, and `EOFError` if the client leaves.

    *announced* is the Content-Length header, so that a large upload is refused before it comes. With a *decoder* the
    limit holds for what is sent, and the decoder's own for what becomes of it.
    """
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
        if decoder is None:
            chunks.append(chunk)
        else:
            await _decode(decoder, chunk, chunks, limit, last=not more)
        if not more:
            return b"".join(chunks)


async def _decode(decoder: Decoder, chunk: bytes, chunks: list[bytes], limit: int, last: bool) -> None:
    try:
        for piece in decoder.pieces(chunk):
            chunks.append(piece)
            await asyncio.sleep(0)  # a body that becomes thousands of times as long must not keep the loop
        if last:
            decoder.end()
    except TooLong:
        raise _too_large(limit) from None
    except NotCoded as error:
        raise InvalidRequest(f"The request's body cannot be decoded: {error}.", code="content_encoding") from None


def parse(raw: bytes | str) -> dict[str, Any]:
    """The JSON object that *raw* is.

    Raises `InvalidRequest` for anything else, for NaN and Infinity, lone surrogates in a text, NUL in one that no tool
    and no model has given, and for more than `MAX_DEPTH` levels.
    """
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if not raw.strip():
        raise InvalidRequest("The request has no body; it must be a JSON object.")
    try:
        body = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except RecursionError:
        raise InvalidRequest("The request's body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("The request's body is not UTF-8.") from None
    except ValueError as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"The request's body is not valid JSON{where}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest(f"The request's body must be a JSON object, not {kind(body)}.")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(body)
    if _SUSPECT.search(raw):
        _check_texts(body)
    return body


def kind(value: Any) -> str:
    """What JSON calls *value*, with its article, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _too_large(limit: int) -> APIError:
    return APIError(
        f"The request's body is larger than {limit} bytes.",
        413,
        code="request_too_large",
    )


def _check_depth(body: dict[str, Any]) -> None:
    for key, value in body.items():
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [inner for outer in level for inner in _inner(outer)]
            if not level:
                break
        else:
            raise InvalidRequest(f"{key[:100]!r} is nested too deeply: at most {MAX_DEPTH} levels.", key[:100])


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_texts(body: dict[str, Any]) -> None:
    rows: list[tuple[str, Any, re.Pattern[str]]] = [("", body, _BAD)]
    while rows:
        path, value, bad = rows.pop()
        if isinstance(value, str):
            if bad.search(value):
                raise InvalidRequest(f"{path!r} holds a NUL or half of a surrogate pair, which is no text.", path)
        elif isinstance(value, dict):
            bad = _HALF if _is_output(path, value) else bad
            for key, inner in value.items():
                if bad.search(key):
                    raise InvalidRequest("A key holds a NUL or half of a surrogate pair.", path or None)
                rows.append((f"{path}.{key}" if path else key, inner, bad))
        elif isinstance(value, list):
            rows.extend((f"{path}[{index}]", inner, bad) for index, inner in enumerate(value))


def _is_output(path: str, value: dict[str, Any]) -> bool:
    """Whether *value* is what a tool or a model has given before: a program's output may hold a NUL."""
    if _MEMBER.fullmatch(path) is None:
        return False
    role = value.get("role")
    return role in ("tool", "function", "assistant") if role is not None else isinstance(value.get("type"), str)
