"""What is served behind nginx: an app that waits for its visitor's next word, so that whoever holds back is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()

_go_on = asyncio.Event()
_first_piece = asyncio.Event()


@app.get("/events")
async def events() -> StreamingResponse:
    """An event, and another one once `go_on` was called."""
    _go_on.clear()

    async def stream() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await _go_on.wait()
        yield "data: second\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.post("/go-on")
async def go_on() -> None:
    _go_on.set()


@app.post("/upload")
async def upload(request: Request) -> int:
    """How many bytes came."""
    _first_piece.clear()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size:
            _first_piece.set()
    return size


@app.get("/first-piece")
async def first_piece() -> None:
    """Answers once the app has something of the upload that is under way."""
    await _first_piece.wait()


@app.get("/request/{path:path}")
async def request(request: Request) -> dict[str, Any]:
    """What the app is told of its visitor."""
    scope = request.scope
    return {
        "client": scope["client"][0],
        "scheme": scope["scheme"],
        "url": str(request.url),
        "raw_path": scope["raw_path"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
    }


@app.get("/cookies")
async def cookies() -> StreamingResponse:
    """A head of 30 KiB."""
    answer = StreamingResponse(iter(()))
    for number in range(10):
        answer.set_cookie(f"cookie{number}", "x" * 3000)
    return answer


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"{websocket.scope['scheme']} {websocket.scope['client'][0]}")
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


async def patient(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    """A chat model: says a word, and another one once it was told to go on."""
    if messages[-1]["content"] == "go on":
        _go_on.set()
        yield "I do"
        return
    _go_on.clear()
    yield "first"
    await _go_on.wait()
    yield " second"
