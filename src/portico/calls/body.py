"""Reads a request's body, into bytes and into a dict, and refuses what no function should ever see.

Here: size, content coding, JSON, and the checks that hold for any field. Not here: what a field must be, which is for
the room whose request it is. A body that is not to be held whole is read from `Exchange.receive` itself. Every refusal
is an `UnusableRequest`, which names the field where it can.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from portico.calls.content_coding import CODINGS, Decoder, NotCoded, TooLong, UnknownCoding, decoder_of
from portico.calls.held import IncomingBody
from portico.errors import UnusableRequest
from portico.types import Receive, Scope

MAX_DEPTH = 64
"""Levels of arrays and objects: a JSON schema has ten or twenty, and a function may walk its arguments recursively."""

MayHoldNUL = Callable[[str, dict[str, Any]], bool]
"""Given where an object stands in the body (``messages[0]``), and it: whether the texts in it may hold a NUL."""

_MOST_NAME = 100
"""Characters of a name in a body that are repeated, and `_MOST_PLACE` of all that lead to a value."""
_MOST_PLACE = 500
_CONTAINERS = frozenset((dict, list))
_ACCEPTED = ((b"accept-encoding", ", ".join(CODINGS).encode()),)  # goes with a 415 (RFC 9110 §15.5.16)
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_BAD = re.compile("[\x00\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, scope: Scope) -> bytes:
    """The whole body of the request *scope*, decoded as Content-Encoding says.

    *headers* are the request's, with lower-case names. Raises `UnusableRequest` with status 413 over *limit* bytes,
    sent or decoded (by Content-Length before they come), with 415 for a coding that is not known here, with 400 for a
    body that is not in its coding, and with 429 or 503 where too much is on its way; `EOFError` if the visitor leaves.
    """
    try:
        decoder = decoder_of(headers.get("content-encoding", ""), limit)
    except UnknownCoding as error:
        raise UnusableRequest(str(error), 415, code="content_encoding", headers=_ACCEPTED) from None
    announced = headers.get("content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    with IncomingBody(scope) as held:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise EOFError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            more = message.get("more_body", False)
            if decoder is not None:
                await _decode(decoder, chunk, chunks, limit, held, last=not more)
            else:
                chunks.append(chunk)
                if more:
                    held.grow(len(chunk))
            if not more:
                return b"".join(chunks)


async def _decode(
    decoder: Decoder, chunk: bytes, chunks: list[bytes], limit: int, held: IncomingBody, last: bool
) -> None:
    try:
        for piece in decoder.pieces(chunk):
            held.grow(len(piece))
            chunks.append(piece)
            await asyncio.sleep(0)  # a body that becomes thousands of times as long must not keep the loop
        if last:
            decoder.end()
    except TooLong:
        raise too_large(limit) from None
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


def too_large(limit: int) -> UnusableRequest:
    """The error of a body of more than *limit* bytes."""
    return UnusableRequest(f"The request's body is larger than {limit} bytes.", 413, code="request_too_large")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_depth(body: Any) -> None:
    for key, value in body.items() if isinstance(body, dict) else (("", body),):
        level: list[Any] = [value] if value and value.__class__ in _CONTAINERS else []
        for _ in range(MAX_DEPTH):
            if not level:
                break
            # without those that hold nothing, of which a body can have millions
            level = [inner for outer in level for inner in _values(outer) if inner and inner.__class__ in _CONTAINERS]
        else:
            what = repr(key[:_MOST_NAME]) if key else "The request's body"
            message = f"{what} is nested too deeply: at most {MAX_DEPTH} levels."
            raise UnusableRequest(message, field=key[:_MOST_NAME] or None)


def _values(container: Any) -> Iterable[Any]:
    values: Iterable[Any] = container.values() if container.__class__ is dict else container
    return values


def _check_texts(body: Any, may_hold_nul: MayHoldNUL | None) -> None:
    """Look at each text in *body*, in order, and keep no more than where that is: one level of it at a time.

    A name in the body may be as long as the body, so what is said of a place is cut.
    """
    above: list[tuple[str, re.Pattern[str], Iterator[tuple[Any, Any]]]] = []
    path, bad = "", _BAD
    rest: Iterator[tuple[Any, Any]] = iter([("", body)])
    while True:
        for key, value in rest:
            kind_of = value.__class__
            if kind_of is str:
                if bad.search(value):
                    place = _place(path, key)
                    raise UnusableRequest(
                        f"{place!r} holds a NUL or half of a surrogate pair, which is no text.", field=place
                    )
            elif value and kind_of in _CONTAINERS:
                above.append((path, bad, rest))
                path = _place(path, key)
                if kind_of is dict:
                    if bad is _BAD and may_hold_nul is not None and may_hold_nul(path, value):
                        bad = _HALF
                    if any(map(bad.search, value)):
                        raise UnusableRequest("A key holds a NUL or half of a surrogate pair.", field=path or None)
                    rest = iter(value.items())
                else:
                    rest = enumerate(value)
                break
        else:
            if not above:
                return
            path, bad, rest = above.pop()


def _place(path: str, key: str | int) -> str:
    """Where *key* of what is at *path* stands, as ``messages[0].content``."""
    if len(path) > _MOST_PLACE:
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key[:_MOST_NAME]}" if path else key[:_MOST_NAME]
