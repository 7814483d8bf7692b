"""Reads a request's body, into bytes and into a dict, and refuses what no function should ever see.

Here: size, content coding, JSON, and the checks that hold for any field. Not here: what a field must be, which is for
the room whose request it is. A body that is not to be held whole is read from `Exchange.receive` itself. Every refusal
is an `UnusableRequest`, which names the field where it can.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from portico.calls.content_coding import CODINGS, Decoder, NotCoded, TooLong, UnknownCoding, decoder_of
from portico.errors import UnusableRequest
from portico.types import Receive

MAX_DEPTH = 64
"""Levels of arrays and objects: a JSON schema has ten or twenty, and a function may walk its arguments recursively."""

MayHoldNUL = Callable[[str, dict[str, Any]], bool]
"""Given where an object stands in the body (``messages[0]``), and it: whether the texts in it may hold a NUL."""

_ACCEPTED = ((b"accept-encoding", ", ".join(CODINGS).encode()),)  # goes with a 415 (RFC 9110 §15.5.16)
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_BAD = re.compile("[\x00\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The whole body, decoded as Content-Encoding says.

    *headers* are the request's, with lower-case names. Raises `UnusableRequest` with status 413 over *limit* bytes,
    sent or decoded (by Content-Length before they come), with 415 for a coding that is not known here and with 400
    for a body that is not in its coding; `EOFError` if the visitor leaves.
    """
    try:
        decoder = decoder_of(headers.get("content-encoding", ""), limit)
    except UnknownCoding as error:
        raise UnusableRequest(str(error), 415, code="content_encoding", headers=_ACCEPTED) from None
    announced = headers.get("content-length")
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
        raise UnusableRequest(f"The request's body cannot be decoded: {error}.", code="content_encoding") from None


def parse(raw: bytes | str, may_hold_nul: MayHoldNUL | None = None) -> dict[str, Any]:
    """The JSON object that *raw* is. Raises `UnusableRequest` for anything else, and as `load` does."""
    body = load(raw, may_hold_nul)
    if not isinstance(body, dict):
        raise UnusableRequest(f"The request's body must be a JSON object, not {kind(body)}.")
    return body


def load(raw: bytes | str, may_hold_nul: MayHoldNUL | None = None) -> Any:
    """The JSON value that *raw* is.

    Raises `UnusableRequest` for what is not JSON, for NaN and Infinity, for a lone surrogate or a NUL in a text, and
    for more than `MAX_DEPTH` levels. *may_hold_nul* says of which objects the texts may hold a NUL all the same.
    """
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if not raw.strip():
        raise UnusableRequest("The request has no body; it must be a JSON object.")
    try:
        body = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except RecursionError:
        raise UnusableRequest("The request's body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise UnusableRequest("The request's body is not UTF-8.") from None
    except ValueError as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise UnusableRequest(f"The request's body is not valid JSON{where}.") from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(body)
    if _SUSPECT.search(raw):
        _check_texts(body, may_hold_nul)
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


def _too_large(limit: int) -> UnusableRequest:
    return UnusableRequest(f"The request's body is larger than {limit} bytes.", 413, code="request_too_large")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_depth(body: Any) -> None:
    for key, value in body.items() if isinstance(body, dict) else (("", body),):
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [inner for outer in level for inner in _inner(outer)]
            if not level:
                break
        else:
            what = repr(key[:100]) if key else "The request's body"
            raise UnusableRequest(f"{what} is nested too deeply: at most {MAX_DEPTH} levels.", field=key[:100] or None)


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_texts(body: Any, may_hold_nul: MayHoldNUL | None) -> None:
    rows: list[tuple[str, Any, re.Pattern[str]]] = [("", body, _BAD)]
    while rows:
        path, value, bad = rows.pop()
        if isinstance(value, str):
            if bad.search(value):
                raise UnusableRequest(
                    f"{path!r} holds a NUL or half of a surrogate pair, which is no text.", field=path
                )
        elif isinstance(value, dict):
            if may_hold_nul is not None and may_hold_nul(path, value):
                bad = _HALF
            for key, inner in value.items():
                if bad.search(key):
                    raise UnusableRequest("A key holds a NUL or half of a surrogate pair.", field=path or None)
                rows.append((f"{path}.{key}" if path else key, inner, bad))
        elif isinstance(value, list):
            rows.extend((f"{path}[{index}]", inner, bad) for index, inner in enumerate(value))
