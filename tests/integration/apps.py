"""Apps that are served by real providers, and note what becomes of each request.

A request names itself by ``?id=``; ``/noted?id=`` tells what happened to it and when, in seconds since 1970, by the
clock that the tests read too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

NOTED: dict[str, dict[str, Any]] = {}
MIB = 1024 * 1024


@contextmanager
def noting(request_id: str) -> Iterator[None]:
    """Note when the app's work on a request began, and how and when it ended."""
    NOTED[request_id] = {"began": time.time()}
    how = "finished"
    try:
        yield
    except asyncio.CancelledError:
        how = "cancelled"
        raise
    except GeneratorExit:
        how = "closed"
        raise
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        NOTED[request_id] |= {"ended": time.time(), "how": how}


def parrot(messages: Any) -> str:
    """A chat model: says what it was told."""
    return str(messages[-1]["content"])


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI app: one route a fault."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        path = scope["path"].removeprefix(scope["root_path"])
        query = parse_qs(scope["query_string"].decode())
        request_id = query.get("id", [""])[0]
        if path == "/noted":
            await answer(send, json.dumps(NOTED.get(request_id, {})).encode())
            return
        with noting(request_id):
            await ROUTES[path](query, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def start(send: Any, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def piece(send: Any, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    await start(send, (b"content-length", str(len(body)).encode()), status=status)
    await piece(send, body, more=False)


async def _hello(query: Any, receive: Any, send: Any) -> None:
    await answer(send, b"hello")


async def _never(query: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def _stream(query: Any, receive: Any, send: Any) -> None:
    await start(send, (b"content-type", b"text/plain"))
    while True:
        await piece(send, b"tick\n")
        await asyncio.sleep(0.05)


async def _silent_stream(query: Any, receive: Any, send: Any) -> None:
    """A head and a first piece, then nothing: only a cancelling ends it."""
    await start(send, (b"content-type", b"text/plain"))
    await piece(send, b"first\n")
    await asyncio.Event().wait()


async def _announced(query: Any, receive: Any, send: Any) -> None:
    """Promises a mebibyte and gives a little of it."""
    await start(send, (b"content-length", str(MIB).encode()))
    await piece(send, b"x" * 1000)
    await asyncio.Event().wait()


async def _offer(query: Any, receive: Any, send: Any) -> None:
    """A GiB, as fast as it is taken."""
    block = b"\0" * 65536
    await start(send, (b"content-type", b"application/octet-stream"))
    for _ in range(1024 * MIB // len(block)):
        await piece(send, block)
    await piece(send, b"", more=False)


async def _upload(query: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("the visitor left in mid-upload")
        size += len(message["body"])
        more = message["more_body"]
    await answer(send, str(size).encode())


async def _deaf_upload(query: Any, receive: Any, send: Any) -> None:
    """Takes one piece of the upload and no more."""
    await receive()
    await asyncio.Event().wait()


async def _events(query: Any, receive: Any, send: Any) -> None:
    await start(send, (b"content-type", b"text/event-stream"))
    for number in range(int(query["count"][0])):
        await piece(send, f"data: {number}\n\n".encode())
        await asyncio.sleep(0.1)
    await piece(send, b"", more=False)


async def _raise(query: Any, receive: Any, send: Any) -> None:
    raise ValueError("a detail for the author alone")


async def _raise_late(query: Any, receive: Any, send: Any) -> None:
    await start(send, (b"content-type", b"text/plain"))
    await piece(send, b"part")
    raise ValueError("a detail for the author alone")


ROUTES = {
    "/": _hello,
    "/never": _never,
    "/stream": _stream,
    "/silent-stream": _silent_stream,
    "/announced": _announced,
    "/offer": _offer,
    "/upload": _upload,
    "/deaf-upload": _deaf_upload,
    "/events": _events,
    "/raise": _raise,
    "/raise-late": _raise_late,
}


async def echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def pid_app() -> Any:
    """Answers with the id of its process."""
    import os

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await answer(send, str(os.getpid()).encode())

    return app


def versioned(version: int, ended: list[int]) -> Any:
    """Answers with its *version*, at once or (``/slow``) in two halves; notes in *ended* that it shut down."""
    in_flight = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal in_flight
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            ended.append(version if not in_flight else -version)
            return
        in_flight += 1
        try:
            if scope["path"].endswith("/slow"):
                await start(send)
                await piece(send, b"%d," % version)
                await asyncio.sleep(0.3)
                await piece(send, b"%d" % version, more=False)
            else:
                await answer(send, b"%d" % version)
        finally:
            in_flight -= 1

    return app


def failing(error: BaseException | None = None) -> Any:
    """An app whose startup fails, as Starlette's do."""

    @asynccontextmanager
    async def broken(app: FastAPI) -> AsyncIterator[None]:
        raise error or RuntimeError("the model file is missing")
        yield

    return FastAPI(lifespan=broken)


def streaming() -> FastAPI:
    """FastAPI's own ways to stream, noting what becomes of them."""
    app = FastAPI()

    @app.get("/async")
    async def from_async(id: str) -> StreamingResponse:
        async def ticks() -> AsyncIterator[bytes]:
            with noting(id):
                while True:
                    yield b"tick\n"
                    await asyncio.sleep(0.05)

        return StreamingResponse(ticks())

    @app.get("/sync")
    def from_sync(id: str) -> StreamingResponse:
        def ticks() -> Iterator[bytes]:
            with noting(id):
                while True:
                    yield b"tick\n"
                    time.sleep(0.05)

        return StreamingResponse(ticks())

    @app.get("/asks")
    async def asks(request: Request, id: str) -> str:
        with noting(id):
            while not await request.is_disconnected():  # noqa: ASYNC110 - there is nothing to wait on: Starlette's API is to ask
                await asyncio.sleep(0.02)
        return "nobody hears this"

    @app.get("/noted")
    async def noted(id: str) -> dict[str, Any]:
        return NOTED.get(id, {})

    return app
