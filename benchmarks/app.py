"""The app that every path serves: raw ASGI, so that no framework's cost hides the path's own.

It is imported by uvicorn and by the kernel alike. Only the standard library belongs here, and nothing that
knows of Portico. Times are wall-clock nanoseconds: sender and receiver run on the same machine.
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELLO = b"Hello, World!"  # 13 bytes
CHUNK_SIZE = 64 * 1024  # what Starlette's FileResponse sends at a time
# A prime number of different chunks, so that a chunk lost, doubled or swapped changes the digest.
CHUNKS = [random.Random(seed).randbytes(CHUNK_SIZE) for seed in range(61)]

stopped_at: dict[str, int] = {}
"""When the app was stopped by its server, by the id that the visitor gave."""


def payload(size: int) -> list[bytes]:
    """The first `size` bytes of the endless content that is downloaded and uploaded, in chunks."""
    whole, rest = divmod(size, CHUNK_SIZE)
    chunks = [CHUNKS[i % len(CHUNKS)] for i in range(whole)]
    return [*chunks, CHUNKS[whole % len(CHUNKS)][:rest]] if rest else chunks


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        await HTTP_ROUTES.get(path, not_found)(scope, receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": HELLO})


async def flood(scope: Message, receive: Receive, send: Send) -> None:
    """Events without a pause for `seconds`: as fast as the path takes them."""
    until = time.perf_counter() + float(query(scope)["seconds"])
    await start_events(send)
    number = 0
    while time.perf_counter() < until:
        number += 1
        await send_body(send, b"data: %d\n\n" % number)
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


async def counted(scope: Message, receive: Receive, send: Send) -> None:
    """`count` events without a pause."""
    await start_events(send)
    for number in range(int(query(scope)["count"])):
        await send_body(send, b"data: %d\n\n" % number)
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


async def paced(scope: Message, receive: Receive, send: Send) -> None:
    """`count` events, one every `every` seconds, each saying when it was sent."""
    options = query(scope)
    count, every = int(options["count"]), float(options["every"])
    try:
        await start_events(send)
        for _ in range(count):
            await asyncio.sleep(every)
            await send_body(send, b"data: %d\n\n" % time.time_ns())
        await send({"type": "http.response.body", "body": b""})
    finally:
        note_stop(options)


async def hang(scope: Message, receive: Receive, send: Send) -> None:
    """Never answers."""
    try:
        await asyncio.sleep(3600)
    finally:
        note_stop(query(scope))


async def stopped(scope: Message, receive: Receive, send: Send) -> None:
    await send_json(send, stopped_at)


async def download(scope: Message, receive: Receive, send: Send) -> None:
    size = int(query(scope)["bytes"])
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in payload(size):
        await send_body(send, chunk)
    await send({"type": "http.response.body", "body": b""})


async def upload(scope: Message, receive: Receive, send: Send) -> None:
    """Takes the body, and answers with its length and, when asked for, its digest."""
    digest = hashlib.sha256() if "sha256" in query(scope) else None
    size, more = 0, True
    while more:
        message = await receive()
        body = message.get("body", b"")
        size += len(body)
        if digest:
            digest.update(body)
        more = message.get("more_body", False)
    await send_json(send, {"bytes": size, "sha256": digest.hexdigest() if digest else None})


async def not_found(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


HTTP_ROUTES = {
    "/": hello,
    "/flood": flood,
    "/counted": counted,
    "/paced": paced,
    "/hang": hang,
    "/stopped": stopped,
    "/download": download,
    "/upload": upload,
}


async def echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def query(scope: Message) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}


def note_stop(options: dict[str, str]) -> None:
    if "id" in options:
        stopped_at[options["id"]] = time.time_ns()


async def start_events(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def send_json(send: Send, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
