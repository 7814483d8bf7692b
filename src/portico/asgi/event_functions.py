"""Functions of events as an ASGI app: a (nested) dict whose keys are the parts of paths.

``index`` answers for the root of its dict, ``default`` for what nothing else answers for. Each is called with an event,
a dict that tells of the request, and gives what becomes the response. What is not here: methods, types of parameters,
WebSockets. What needs those is written as an app.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import anyio.to_thread

from portico.errors import NotServable
from portico.types import ASGIApp, Headers, Receive, Scope, Send

Context = Callable[[Scope], dict[str, Any]]
"""From a request's scope to what a function is told of its caller."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request's body that are read: a function gets it whole. More is answered with 413."""

_RESPONSE = frozenset(("status", "headers", "body"))
_TEXT, _BYTES, _JSON = "text/plain; charset=utf-8", "application/octet-stream", "application/json"


def event_functions_app(
    functions: Mapping[str, Any], *, context: Context, require_context: bool = False, max_body: int = MAX_BODY
) -> ASGIApp:
    """An ASGI app of *functions*: a function at each path, such as ``{"api": {"v1": f}, "index": g}``.

    Each is called as ``f(event)``, in a thread if it is no coroutine function; with *require_context* as
    ``f(event, context=...)``, with what *context* makes of the scope. Raises `NotServable` for what is no function.
    """
    tree = _tree(functions, "")
    if not tree:
        raise NotServable("a service of functions needs at least one function")
    return partial(_call, tree, context, require_context, max_body)


def _tree(functions: Mapping[str, Any], where: str) -> dict[str, Any]:
    """*functions* with one part of a path a key: ``{"a/b": f}`` is ``{"a": {"b": f}}``. Modules' names are no paths."""
    tree: dict[str, Any] = {}
    for key, value in functions.items():
        path = f"{where}/{key}"
        parts = [part for part in str(key).split("/") if part]
        if isinstance(value, Mapping):
            value = _tree(value, path)
        elif not callable(value):
            raise NotServable(f"{path} is {value!r:.60}, which is no function")
        if not parts:
            raise NotServable(f"{path!r} is no path of a function; the one for the root is called 'index'")
        at = tree
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if callable(at):
                raise NotServable(f"{path}: a function stands in the way")
        known = at.get(parts[-1])
        if isinstance(known, dict) and isinstance(value, dict):
            known.update(value)
        else:
            at[parts[-1]] = value
    return tree


def find(tree: Mapping[str, Any], parts: list[str]) -> Callable[..., Any] | None:
    """The function for a path of *parts*: the one that is named so, else the nearest ``default``."""
    fallback = tree.get("default")
    at: Any = tree
    for part in parts:
        at = at.get(part) if isinstance(at, Mapping) else None
        if at is None:
            break
        if isinstance(at, Mapping) and callable(at.get("default")):
            fallback = at["default"]
    if isinstance(at, Mapping):
        at = at.get("index")
    return at if callable(at) else fallback if callable(fallback) else None


async def _call(
    tree: Mapping[str, Any],
    context: Context,
    require_context: bool,
    max_body: int,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    kind = scope["type"]
    if kind == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000, "reason": "these are functions; they speak HTTP alone"})
        return
    root = scope.get("root_path", "")
    path = scope["path"].removeprefix(root) or "/"
    parts = [part for part in path.split("/") if part]
    function = find(tree, parts)
    if function is None:
        await _respond(send, 404, {}, {"detail": "Not Found"})
        return
    try:
        body = await _read(receive, max_body)
    except EOFError:
        return  # a function is never called with a part of what was to come
    except OverflowError:
        await _respond(send, 413, {}, {"detail": f"a body of more than {max_body} bytes is not read"})
        return
    told = context(scope)
    event = _event(scope, path, parts, body) | {"context": told}
    given = {"context": told} if require_context else {}
    if _returns_at_once(function):
        result = function(event, **given)
        if inspect.isawaitable(result):
            result = await result
    else:
        result = await anyio.to_thread.run_sync(partial(function, event, **given))
        if inspect.isawaitable(result):  # a plain function that gives a coroutine, such as a lambda
            result = await result
    await _answer(send, result)


def _returns_at_once(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - as in adapt
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call)


def _event(scope: Scope, path: str, parts: list[str], body: bytes) -> dict[str, Any]:
    """The request as plain values. Fields of one name are joined as RFC 9110 §5.3 has it (Cookie: RFC 9113 §8.2.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = headers[name] + ("; " if name == "cookie" else ", ") + value if name in headers else value
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return {
        "type": "http",
        "method": scope["method"],
        "path": path,
        "function_path": "/" + "/".join(parts),
        "raw_path": raw.decode("latin-1"),
        "root_path": scope.get("root_path", ""),
        "query_string": scope.get("query_string", b"").decode("latin-1"),
        "headers": headers,
        "body": body or None,
        "scheme": scope.get("scheme", "http"),
        "http_version": scope.get("http_version", "1.1"),
        "client": scope.get("client"),
        "server": scope.get("server"),
    }


async def _read(receive: Receive, most: int) -> bytes:
    """The whole body.

    Raises `OverflowError` if it is longer than *most* bytes, `EOFError` if the visitor leaves before its end.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise OverflowError
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _answer(send: Send, result: Any) -> None:
    """Send what a function gave: a response as a dict, or what can be the body of one."""
    if _is_response(result):
        await _respond(send, result.get("status", 200), result.get("headers") or {}, result.get("body"))
    elif result is None:
        await _respond(send, 204, {}, None)
    else:
        await _respond(send, 200, {}, result)


def _is_response(value: Any) -> bool:
    """Whether a dict is a response: ``{"status": "ok"}`` is an answer's content."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and set(value) <= _RESPONSE
        and (type(value.get("status")) is int if "status" in value else "body" in value)
    )


async def _respond(send: Send, status: int, given: Mapping[str, Any], body: Any) -> None:
    headers = _headers(given)
    if isinstance(body, (AsyncIterable, Iterator)):
        await _stream(send, status, headers, _pieces(body))
        return
    kind, content = _encode(body)
    _add(headers, kind, len(content) if status >= 200 and status not in (204, 304) else None)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _stream(send: Send, status: int, headers: Headers, pieces: AsyncGenerator[Any, None]) -> None:
    """Send each piece as it comes. The first may be a dict with status and headers, and then says those."""
    begun = False
    try:
        async for piece in pieces:
            if not begun:
                begun = True
                first = _is_response(piece)
                if first:
                    status, headers = piece.get("status", status), headers + _headers(piece.get("headers") or {})
                    piece = piece.get("body")
                _add(headers, _TEXT if isinstance(piece, str) or piece is None else _encode(piece)[0], None)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                if first and piece is None:
                    continue
            kind, content = _encode(piece)
            content += b"\n" if kind == _JSON else b""
            await send({"type": "http.response.body", "body": content, "more_body": True})
        if not begun:
            _add(headers, _TEXT, None)
            await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await pieces.aclose()


async def _pieces(body: AsyncIterable[Any] | Iterator[Any]) -> AsyncGenerator[Any, None]:
    """What *body* gives, a plain iterator's in a thread, one after the other; and its end when nobody wants more."""
    try:
        if isinstance(body, AsyncIterable):
            async for piece in body:
                yield piece
        else:
            done = object()
            while (piece := await anyio.to_thread.run_sync(next, body, done)) is not done:
                yield piece
    finally:
        if isinstance(body, AsyncIterator) and hasattr(body, "aclose"):
            await body.aclose()
        elif hasattr(body, "close"):
            body.close()


def _headers(given: Any) -> Headers:
    pairs = given.items() if isinstance(given, Mapping) else given
    headers: Headers = []
    for name, value in pairs:
        values = value if isinstance(value, (list, tuple)) else (value,)
        headers += [(str(name).lower().encode("latin-1"), str(one).encode("latin-1")) for one in values]
    return headers


def _add(headers: Headers, kind: str, length: int | None) -> None:
    names = {name for name, _ in headers}
    if kind and b"content-type" not in names:
        headers.append((b"content-type", kind.encode()))
    if length is not None and b"content-length" not in names:
        headers.append((b"content-length", str(length).encode()))


def _encode(value: Any) -> tuple[str, bytes]:
    """The media type and the bytes of *value*. Raises `TypeError` for what is neither text, bytes nor JSON."""
    if value is None:
        return "", b""
    if isinstance(value, str):
        return _TEXT, value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _BYTES, bytes(value)
    try:
        return _JSON, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a function gave a {type(value).__name__}, which is no response: give text, bytes, what JSON knows, "
            f'{{"status", "headers", "body"}}, or a generator of those ({error})'
        ) from None
