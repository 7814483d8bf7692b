"""The app under test: raw ASGI 3, the standard library alone, one behaviour a route.

It answers with fixed bytes and *records* what it saw, so that what the visitor sees does not depend on what a carrier
adds to a request. A request that carries `X-Case: <id>` is recorded under that id; `GET /seen/<id>` waits until every
exchange of that id has ended and answers with the records as JSON (bytes as latin-1 text). `GET /started/<id>` waits
until one has begun, and `GET /release/<id>` lets a route that holds back go on: so no case needs a sleep.

Nothing here imports from the rest of the tests: a kernel, or a browser tab, can serve this one file as it is.
"""

import asyncio
import contextlib
import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WAIT_SECONDS = 10.0
"""How long a control route waits before it answers with what there is: a carrier that lost an exchange shows as a
difference then, not as a hang."""

TEXT = (b"content-type", b"text/plain; charset=utf-8")
RANGE_BODY = b"0123456789abcdefghijklmnopqrstuvwxyz"
_GZIPPED = gzip.compress(b"Portico " * 200, mtime=0)
GZIP_BODY = _GZIPPED[:9] + b"\xff" + _GZIPPED[10:]  # that byte is the system's (RFC 1952 §2.3.1); a tab has another


class DeliberateError(Exception):
    """What the routes that raise, raise."""


def pattern(length: int) -> bytes:
    """`length` bytes that do not repeat soon and hold every value, so that a lost or doubled block shows."""
    block = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2048))
    return (block * (length // len(block) + 1))[:length]


def digest(data: bytes) -> str:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def summary(data: bytes | str) -> str:
    """Short content as it is, long content as its length and sha256."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return raw.decode("latin-1") if len(raw) <= 200 else digest(raw)


def _address(value: Any) -> Any:
    return None if value is None else [type(part).__name__ for part in value]


def _describe(scope: Scope) -> dict[str, Any]:
    """The scope as JSON. Addresses are given as the types of their parts, since ports differ from run to run."""
    described = {
        "type": scope["type"],
        "asgi_version": scope["asgi"].get("version"),
        "http_version": scope["http_version"],
        "scheme": scope["scheme"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode("latin-1"),
        "query_string": scope["query_string"].decode("latin-1"),
        "root_path": scope["root_path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "client": _address(scope.get("client")),
        "server": _address(scope.get("server")),
    }
    if scope["type"] == "http":
        described["method"] = scope["method"]
    else:
        described["subprotocols"] = list(scope["subprotocols"])
        described["denial_response"] = "websocket.http.response" in scope.get("extensions", {})
    return described


class Exchange:
    """One call of the app: passes messages through and keeps what is worth comparing."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.seen = _describe(scope)
        self.seen |= {"events": [], "disconnects": 0, "outcome": "running"}
        if scope["type"] == "http":
            self.seen |= {"body": "", "body_ended": False}
        self._length = 0
        self._sha256 = hashlib.sha256()
        self.release = asyncio.Event()
        self.over = False

    def ended(self) -> bool:
        return self.seen["outcome"] != "running"

    async def receive(self) -> Message:
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            body = message.get("body", b"")
            self._length += len(body)
            self._sha256.update(body)
            self.seen["body"] = f"{self._length} {self._sha256.hexdigest()}"
            self.seen["body_ended"] = not message.get("more_body", False)
        elif kind == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            event = ["text", summary(text)] if text is not None else ["bytes", summary(data or b"")]
            self.seen["events"].append(event)
        elif kind == "websocket.disconnect":
            self.seen["disconnects"] += 1
            self.seen["events"].append(["disconnect", message.get("code"), message.get("reason") or ""])
        elif kind == "http.disconnect":
            self.seen["disconnects"] += 1
        else:
            self.seen["events"].append([kind])
        return message

    async def send(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # what the ASGI specification has send() raise once the visitor is gone
            self.seen["outcome"] = "send raised OSError"
            raise
        except Exception:  # a server refuses what is not allowed; with what exception is its own
            self.seen["outcome"] = "send refused"
            raise

    # What the routes are made of.

    async def body(self) -> bytes:
        """The request's body; what came of it, when the visitor left."""
        parts = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """A whole response with its Content-Length."""
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [*([TEXT] if headers is None else headers), length])
        await self.write(body, more=False)

    async def until_disconnect(self) -> None:
        while (await self.receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
            pass


class Records:
    """The exchanges of each case, and the waiting for them."""

    def __init__(self) -> None:
        self.exchanges: dict[str, list[Exchange]] = {}
        self.changed = asyncio.Condition()

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, predicate: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS), self.changed:
                await self.changed.wait_for(predicate)

    def running(self, case: str) -> bool:
        return any(not exchange.over for exchange in self.exchanges.get(case, ()))


def make_app() -> App:
    """A fresh app with its own records. One event loop runs one app."""
    records = Records()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        path = scope["path"].removeprefix(scope["root_path"])
        route, *arguments = path.lstrip("/").split("/")
        if route in _CONTROL:
            await _CONTROL[route](records, exchange, arguments[0])
            return
        if route == "alive":
            await exchange.answer(200, b"alive")
            return
        case = next((value.decode() for name, value in scope["headers"] if name == b"x-case"), "")
        if case:
            records.exchanges.setdefault(case, []).append(exchange)
            await records.notify()
        try:
            if scope["type"] == "http":
                await HTTP_ROUTES.get(route, _describe_body)(exchange, arguments)
            else:
                await _websocket(exchange, arguments)
        except asyncio.CancelledError:
            exchange.seen["outcome"] = "cancelled"
            raise
        except Exception as error:
            if not exchange.ended():
                exchange.seen["outcome"] = f"raised {type(error).__name__}"
            raise
        else:
            exchange.seen["outcome"] = "returned"
        finally:
            exchange.over = True
            await asyncio.shield(asyncio.ensure_future(records.notify()))

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


# The control routes.


async def _seen(records: Records, exchange: Exchange, case: str) -> None:
    await records.until(lambda: not records.running(case))
    seen = [past.seen for past in records.exchanges.pop(case, [])]
    await exchange.answer(200, json.dumps(seen).encode(), [(b"content-type", b"application/json")])


async def _started(records: Records, exchange: Exchange, case: str) -> None:
    await records.until(lambda: case in records.exchanges)
    await exchange.answer(200 if case in records.exchanges else 504)


async def _release(records: Records, exchange: Exchange, case: str) -> None:
    await records.until(lambda: case in records.exchanges)
    for held in records.exchanges.get(case, ()):
        held.release.set()
    await exchange.answer(200)


_CONTROL = {"seen": _seen, "started": _started, "release": _release}


# The HTTP routes. Each takes the exchange and the rest of the path.


async def _describe_body(exchange: Exchange, _arguments: list[str]) -> None:
    """The default route: reads the body to its end and answers with its length and sha256."""
    await exchange.answer(200, digest(await exchange.body()).encode())


async def _echo(exchange: Exchange, _arguments: list[str]) -> None:
    """Sends each piece of the body back as it comes, with no Content-Length."""
    await exchange.start(200, [(b"content-type", b"application/octet-stream")])
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        await exchange.write(message.get("body", b""), more=more)
        if not more:
            return


async def _status(exchange: Exchange, arguments: list[str]) -> None:
    """`/status/<code>`: that status, a body where one is allowed, no Content-Length where none is."""
    await exchange.body()
    status = int(arguments[0])
    if status in (204, 304):
        await exchange.start(status, [(b"etag", b'"v1"')])
        await exchange.write(b"", more=False)
    else:
        await exchange.answer(status, b"status %d" % status)


async def _unusual(exchange: Exchange, arguments: list[str]) -> None:
    """`/unusual/<which>`: responses that are legal, and rarely sent."""
    which = arguments[0]
    if which == "204-with-body":
        await exchange.start(204, [])
        await exchange.write(b"must not be sent", more=False)
    elif which == "304-with-length":
        await exchange.start(304, [(b"content-length", b"1234"), (b"etag", b'"v1"')])
        await exchange.write(b"", more=False)
    elif which == "head-with-length":
        await exchange.start(200, [TEXT, (b"content-length", b"1234")])
        await exchange.write(b"", more=False)
    elif which == "no-headers":
        await exchange.send({"type": "http.response.start", "status": 200})
        await exchange.send({"type": "http.response.body"})
    elif which == "explicit-chunked":
        await exchange.start(200, [TEXT, (b"transfer-encoding", b"chunked")])
        await exchange.write(b"one ", more=True)
        await exchange.write(b"two", more=False)
    elif which == "connection-close":
        await exchange.answer(200, b"closing", [TEXT, (b"connection", b"close")])
    elif which == "length-zero":
        await exchange.answer(200, b"")
    else:
        raise LookupError(which)


RESPONSE_HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "duplicates": [(b"x-one", b"1"), (b"x-two", b"a"), (b"x-one", b"2"), (b"x-two", b"b"), (b"x-one", b"3")],
    "adjacent-duplicates": [(b"x-one", b"1"), (b"x-one", b"2"), (b"x-one", b"1")],
    "vary-twice": [(b"vary", b"Accept"), (b"vary", b"Origin"), (b"link", b"</a>; rel=next"), (b"link", b"</b>")],
    "cookies": [
        (b"set-cookie", b"a=1; Path=/; HttpOnly"),
        (b"set-cookie", b"b=2, with comma; Expires=Wed, 21 Oct 2065 07:28:00 GMT"),
        (b"set-cookie", b'c="quoted value"; SameSite=Lax; Max-Age=3600'),
        (b"set-cookie", b"a=3; Path=/deeper"),
    ],
    "empty-value": [(b"x-empty", b""), (b"x-after", b"here")],
    "latin-1": [(b"x-latin", b"caf\xe9 \xa3"), (b"x-utf8", "日本".encode())],
    "high-bytes": [(b"x-high", bytes(range(0x80, 0x100)))],
    "spaces-inside": [(b"x-spaces", b"one  two   three"), (b"x-tab", b"one\ttwo")],
    "spaces-around": [(b"x-around", b"  padded  ")],
    "mixed-case": [(b"X-MiXeD-CaSe", b"Kept-As-Is"), (b"ETag", b'W/"x"'), (b"X_Under_Score", b"1")],
    "huge": [(b"x-huge", b"h" * 60_000)],
    "many": [(b"x-many-%03d" % i, b"value %d" % i) for i in range(200)],
    "own-date-and-server": [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"mine")],
    "caching": [(b"etag", b'"abc"'), (b"cache-control", b"no-store"), (b"last-modified", b"x"), (b"age", b"1")],
    "cors": [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"x-one")],
    "symbols": [(b"x-!#$%&'*+-.^_`|~9", b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")],
}


async def _headers(exchange: Exchange, arguments: list[str]) -> None:
    """`/headers/<which>`: a response with those headers."""
    await exchange.answer(200, b"headers", [TEXT, *RESPONSE_HEADERS[arguments[0]]])


INVALID_HEADERS: dict[str, tuple[bytes, bytes]] = {
    "newline": (b"x-split", b"one\r\nx-injected: two"),
    "nul": (b"x-nul", b"a\x00b"),
    "name-with-space": (b"x bad", b"1"),
    "name-with-newline": (b"x\r\ny", b"1"),
}


async def _invalid_header(exchange: Exchange, arguments: list[str]) -> None:
    """`/invalid-header/<which>`: what no server may let through."""
    await exchange.answer(200, b"headers", [TEXT, INVALID_HEADERS[arguments[0]]])


async def _paced(exchange: Exchange, arguments: list[str]) -> None:
    """`/paced/<content type>`: a first piece, and the second only once the visitor has released it."""
    kind = {"sse": b"text/event-stream", "json": b"application/json", "html": b"text/html"}[arguments[0]]
    await exchange.body()
    await exchange.start(200, [(b"content-type", kind)])
    await exchange.write(b"data: first\n\n", more=True)
    await exchange.release.wait()
    exchange.release.clear()
    await exchange.write(b"data: second\n\n", more=True)
    await exchange.release.wait()
    await exchange.write(b"", more=False)


async def _paced_head(exchange: Exchange, _arguments: list[str]) -> None:
    """The head, and the body only once released: does a head travel alone?  ASGI servers may hold it back until the
    first body message, so an empty one follows it."""
    await exchange.start(200, [TEXT, (b"content-length", b"4")])
    await exchange.write(b"", more=True)
    await exchange.release.wait()
    await exchange.write(b"late", more=False)


async def _pieces(exchange: Exchange, arguments: list[str]) -> None:
    """`/pieces/<which>`: the same ten bytes cut in several ways."""
    pieces = {
        "no-length": [b"01234", b"56789"],
        "with-length": [b"01234", b"56789"],
        "empty-between": [b"", b"01234", b"", b"", b"56789", b""],
        "one-byte-each": [b"%d" % i for i in range(10)],
        "all-empty": [b"", b"", b""],
    }[arguments[0]]
    headers = [TEXT]
    if arguments[0] == "with-length":
        headers.append((b"content-length", b"10"))
    await exchange.body()
    await exchange.start(200, headers)
    for piece in pieces:
        await exchange.write(piece, more=True)
    await exchange.write(b"", more=False)


async def _range(exchange: Exchange, _arguments: list[str]) -> None:
    """A resource of 36 bytes that honours one `Range: bytes=a-b`."""
    asked = dict(exchange.scope["headers"]).get(b"range", b"")
    if not asked:
        await exchange.answer(200, RANGE_BODY, [TEXT, (b"accept-ranges", b"bytes")])
        return
    first, _, last = asked.removeprefix(b"bytes=").partition(b"-")
    if int(first) >= len(RANGE_BODY):
        await exchange.answer(416, b"", [(b"content-range", b"bytes */36")])
        return
    part = RANGE_BODY[int(first) : int(last) + 1 if last else None]
    content_range = b"bytes %d-%d/36" % (int(first), int(first) + len(part) - 1)
    await exchange.answer(206, part, [TEXT, (b"content-range", content_range)])


async def _gzip(exchange: Exchange, arguments: list[str]) -> None:
    """Bytes that are compressed already; nobody on the way may touch them."""
    headers = [TEXT, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    if arguments[:1] == ["chunked"]:
        await exchange.start(200, headers)
        await exchange.write(GZIP_BODY[:20], more=True)
        await exchange.write(GZIP_BODY[20:], more=False)
    else:
        await exchange.answer(200, GZIP_BODY, headers)


REDIRECTS = {
    "absolute-path": b"/elsewhere?x=1",
    "relative": b"../up/./here",
    "absolute": b"https://example.com/there#fragment",
    "scheme-relative": b"//example.com/there",
    "query": b"?only=query",
    "encoded": b"/a%2Fb%20c/%E6%97%A5",
}


async def _redirect(exchange: Exchange, arguments: list[str]) -> None:
    status = int(arguments[1]) if len(arguments) > 1 else 302
    await exchange.answer(status, b"", [(b"location", REDIRECTS[arguments[0]])])


async def _download(exchange: Exchange, arguments: list[str]) -> None:
    """`/download/<length>[/chunked]`: the test pattern in blocks of 48 KiB."""
    length = int(arguments[0])
    headers = [(b"content-type", b"application/octet-stream")]
    if arguments[1:] != ["chunked"]:
        headers.append((b"content-length", b"%d" % length))
    data = pattern(length)
    await exchange.start(200, headers)
    for offset in range(0, length, 49152):
        await exchange.write(data[offset : offset + 49152], more=True)
    await exchange.write(b"", more=False)


async def _early(exchange: Exchange, arguments: list[str]) -> None:
    """`/early/<status>`: answers at once and never reads the body."""
    await exchange.answer(int(arguments[0]), b"early")


async def _slow_reader(exchange: Exchange, _arguments: list[str]) -> None:
    """Reads nothing until released, then everything."""
    await exchange.release.wait()
    await exchange.answer(200, digest(await exchange.body()).encode())


async def _answer_first(exchange: Exchange, _arguments: list[str]) -> None:
    """Starts its answer, then reads the body, then ends its answer: both directions open at once."""
    await exchange.start(200, [TEXT])
    await exchange.write(b"begun ", more=True)
    await exchange.write(digest(await exchange.body()).encode(), more=False)


async def _fault(exchange: Exchange, arguments: list[str]) -> None:
    """`/fault/<which>`: an app that errs. What comes before the head gives a 500, what comes after it a cut."""
    which = arguments[0]
    if which == "raise-before-head":
        raise DeliberateError
    if which == "raise-after-body-read":
        await exchange.body()
        raise DeliberateError
    if which == "return-before-head":
        return
    if which == "body-before-head":
        await exchange.write(b"too soon", more=False)
    elif which == "raise-after-head":
        await exchange.start(200, [TEXT])
        raise DeliberateError
    elif which == "raise-in-body-chunked":
        await exchange.start(200, [TEXT])
        await exchange.write(b"partial", more=True)
        raise DeliberateError
    elif which == "raise-in-body-length":
        await exchange.start(200, [TEXT, (b"content-length", b"100")])
        await exchange.write(b"partial", more=True)
        raise DeliberateError
    elif which == "return-after-head":
        await exchange.start(200, [TEXT])
    elif which == "return-in-body":
        await exchange.start(200, [TEXT])
        await exchange.write(b"partial", more=True)
    elif which == "too-short":
        await exchange.start(200, [TEXT, (b"content-length", b"10")])
        await exchange.write(b"short", more=False)
    elif which == "too-long":
        await exchange.start(200, [TEXT, (b"content-length", b"5")])
        await exchange.write(b"much too long", more=False)
    elif which == "too-long-later":
        await exchange.start(200, [TEXT, (b"content-length", b"5")])
        await exchange.write(b"01234", more=True)
        await exchange.write(b"56789", more=False)
    elif which == "head-twice":
        await exchange.start(200, [TEXT])
        await exchange.start(200, [TEXT])
    elif which == "raise-after-end":
        await exchange.answer(200, b"complete")
        raise DeliberateError
    elif which == "body-after-end":
        await exchange.answer(200, b"complete")
        await exchange.write(b"more", more=False)
    else:
        raise LookupError(which)


async def _leave(exchange: Exchange, arguments: list[str]) -> None:
    """`/leave/<when>`: waits for the visitor to go: before the head, in mid-stream, in the upload, or after the end."""
    when = arguments[0]
    if when == "before-head":
        await exchange.until_disconnect()
    elif when == "mid-stream":
        await exchange.start(200, [TEXT])
        await exchange.write(b"first", more=True)
        await exchange.until_disconnect()
    elif when == "mid-upload":
        await exchange.body()
    elif when == "after-end":
        await exchange.body()
        await exchange.answer(200, b"done")
        await exchange.until_disconnect()
    else:
        raise LookupError(when)


async def _unread_then_end(exchange: Exchange, _arguments: list[str]) -> None:
    """Ends, then asks for the next event: with the response over, that is a disconnect."""
    await exchange.answer(200, b"done")
    await exchange.until_disconnect()


HTTP_ROUTES: dict[str, Callable[[Exchange, list[str]], Awaitable[None]]] = {
    "echo": _echo,
    "status": _status,
    "unusual": _unusual,
    "headers": _headers,
    "invalid-header": _invalid_header,
    "paced": _paced,
    "paced-head": _paced_head,
    "pieces": _pieces,
    "range": _range,
    "gzip": _gzip,
    "redirect": _redirect,
    "download": _download,
    "early": _early,
    "slow-reader": _slow_reader,
    "answer-first": _answer_first,
    "fault": _fault,
    "leave": _leave,
    "unread-then-end": _unread_then_end,
}


# The WebSocket routes, under `/ws/`. Any other path is refused before accept.


async def _websocket(exchange: Exchange, arguments: list[str]) -> None:
    route, *rest = arguments or [""]
    if route == "accept-first":
        await exchange.send({"type": "websocket.accept"})
        await _ws_echo_loop(exchange)
        return
    assert (await exchange.receive())["type"] == "websocket.connect"
    await WEBSOCKET_ROUTES.get(route, _ws_deny)(exchange, rest)


async def _ws_echo_loop(exchange: Exchange) -> None:
    while True:
        message = await exchange.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message["type"] == "websocket.receive":
            if message.get("text") is not None:
                await exchange.send({"type": "websocket.send", "text": message["text"]})
            else:
                await exchange.send({"type": "websocket.send", "bytes": message["bytes"]})


async def _ws_echo(exchange: Exchange, _arguments: list[str]) -> None:
    await exchange.send({"type": "websocket.accept"})
    await _ws_echo_loop(exchange)


async def _ws_digest(exchange: Exchange, _arguments: list[str]) -> None:
    """Answers each message with its length and sha256."""
    await exchange.send({"type": "websocket.accept"})
    while True:
        message = await exchange.receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message["bytes"] if message.get("bytes") is not None else message["text"].encode()
        await exchange.send({"type": "websocket.send", "text": digest(data)})


async def _ws_greet(exchange: Exchange, _arguments: list[str]) -> None:
    await exchange.send({"type": "websocket.accept"})
    await exchange.send({"type": "websocket.send", "text": "hello"})
    await _ws_echo_loop(exchange)


async def _ws_subprotocol(exchange: Exchange, arguments: list[str]) -> None:
    """`/ws/subprotocol/<name>`: picks that one; `/ws/subprotocol`: picks the last offered."""
    offered = exchange.scope["subprotocols"]
    chosen = arguments[0] if arguments else offered[-1]
    await exchange.send({"type": "websocket.accept", "subprotocol": chosen})
    await _ws_echo_loop(exchange)


async def _ws_headers(exchange: Exchange, _arguments: list[str]) -> None:
    headers = [(b"x-one", b"1"), (b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2"), (b"x-latin", b"caf\xe9")]
    await exchange.send({"type": "websocket.accept", "headers": headers})
    await _ws_echo_loop(exchange)


async def _ws_deny(exchange: Exchange, arguments: list[str]) -> None:
    message: Message = {"type": "websocket.close"}
    if arguments:
        message |= {"code": int(arguments[0]), "reason": "denied"}
    await exchange.send(message)
    await exchange.until_disconnect()


async def _ws_denial(exchange: Exchange, arguments: list[str]) -> None:
    """`/ws/denial/<status>[/pieces]`: the denial response extension."""
    headers = [(b"content-type", b"application/json"), (b"x-denied", b"yes"), (b"set-cookie", b"a=1")]
    body = b'{"denied": true}'
    await exchange.send({"type": "websocket.http.response.start", "status": int(arguments[0]), "headers": headers})
    if arguments[1:] == ["pieces"]:
        await exchange.send({"type": "websocket.http.response.body", "body": body[:5], "more_body": True})
        body = body[5:]
    await exchange.send({"type": "websocket.http.response.body", "body": body})
    await exchange.until_disconnect()


async def _ws_close(exchange: Exchange, arguments: list[str]) -> None:
    """`/ws/close[/<code>[/<reason>]]`: accepts, then closes; `/ws/close/<code>/*` with a reason of 123 bytes."""
    await exchange.send({"type": "websocket.accept"})
    message: Message = {"type": "websocket.close"}
    if arguments:
        message["code"] = int(arguments[0])
    if len(arguments) > 1:
        message["reason"] = "é" * 61 + "!" if arguments[1] == "*" else arguments[1]
    await exchange.send(message)
    await exchange.until_disconnect()


async def _ws_close_after_one(exchange: Exchange, _arguments: list[str]) -> None:
    """Closes after the first message, with what may still be on its way from the visitor."""
    await exchange.send({"type": "websocket.accept"})
    await exchange.receive()
    await exchange.send({"type": "websocket.send", "text": "last"})
    await exchange.send({"type": "websocket.close", "code": 4001, "reason": "enough"})


async def _ws_fault(exchange: Exchange, arguments: list[str]) -> None:
    which = arguments[0]
    if which == "raise-before-accept":
        raise DeliberateError
    if which == "return-before-accept":
        return
    if which == "send-before-accept":
        await exchange.send({"type": "websocket.send", "text": "too soon"})
    await exchange.send({"type": "websocket.accept"})
    if which == "raise-after-accept":
        raise DeliberateError
    if which == "raise-after-message":
        await exchange.receive()
        await exchange.send({"type": "websocket.send", "text": "before the fault"})
        raise DeliberateError
    if which == "return-after-accept":
        return
    if which == "accept-twice":
        await exchange.send({"type": "websocket.accept"})
    if which == "send-after-close":
        await exchange.send({"type": "websocket.close", "code": 1000})
        await exchange.send({"type": "websocket.send", "text": "too late"})
    raise LookupError(which)


async def _ws_burst(exchange: Exchange, arguments: list[str]) -> None:
    """`/ws/burst/<count>`: that many numbered messages, text and binary by turns, then a close."""
    await exchange.send({"type": "websocket.accept"})
    for i in range(int(arguments[0])):
        message: Message = {"text": f"{i}"} if i % 2 == 0 else {"bytes": b"%d" % i}
        await exchange.send({"type": "websocket.send", **message})
    await exchange.send({"type": "websocket.close"})
    await exchange.until_disconnect()


async def _ws_big(exchange: Exchange, arguments: list[str]) -> None:
    """`/ws/big/<length>`: one binary message of the test pattern."""
    await exchange.send({"type": "websocket.accept"})
    await exchange.send({"type": "websocket.send", "bytes": pattern(int(arguments[0]))})
    await _ws_echo_loop(exchange)


async def _ws_utf8(exchange: Exchange, _arguments: list[str]) -> None:
    await exchange.send({"type": "websocket.accept"})
    await exchange.send({"type": "websocket.send", "text": "日本語 🎓 é\u0000"})
    await exchange.send({"type": "websocket.send", "text": ""})
    await exchange.send({"type": "websocket.send", "bytes": b""})
    await exchange.send({"type": "websocket.send", "text": None, "bytes": b"\x00\xff"})
    await exchange.send({"type": "websocket.send", "text": "both keys", "bytes": None})
    await _ws_echo_loop(exchange)


async def _ws_held(exchange: Exchange, _arguments: list[str]) -> None:
    """Accepts only once released: is the visitor made to wait for the app?"""
    await exchange.release.wait()
    await exchange.send({"type": "websocket.accept"})
    await _ws_echo_loop(exchange)


async def _ws_abandoned(exchange: Exchange, _arguments: list[str]) -> None:
    """Never accepts; waits for the visitor to go."""
    await exchange.until_disconnect()


WEBSOCKET_ROUTES: dict[str, Callable[[Exchange, list[str]], Awaitable[None]]] = {
    "echo": _ws_echo,
    "digest": _ws_digest,
    "greet": _ws_greet,
    "subprotocol": _ws_subprotocol,
    "headers": _ws_headers,
    "deny": _ws_deny,
    "denial": _ws_denial,
    "close": _ws_close,
    "close-after-one": _ws_close_after_one,
    "fault": _ws_fault,
    "burst": _ws_burst,
    "big": _ws_big,
    "utf8": _ws_utf8,
    "held": _ws_held,
    "abandoned": _ws_abandoned,
}


app = make_app()
