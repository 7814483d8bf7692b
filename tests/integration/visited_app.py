"""What the tests of a relay's operation serve: streams that end and that do not, WebSockets, uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()
closings: list[int] = []
"""The codes with which visitors' WebSockets were closed, as the app was told."""


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "you"}


@app.get("/events")
async def events(count: int = 0, every: float = 0.02) -> StreamingResponse:
    """Server-sent events: *count* of them, or without end."""

    async def stream() -> AsyncIterator[str]:
        number = 0
        while not count or number < count:
            number += 1
            yield f"data: {number}\n\n"
            await asyncio.sleep(every)

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/never")
async def never() -> None:
    await asyncio.Event().wait()


@app.get("/large")
async def large() -> StreamingResponse:
    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    return StreamingResponse(stream(), media_type="application/octet-stream")


@app.post("/size")
async def size(request: Request) -> dict[str, int]:
    return {"size": sum([len(piece) async for piece in request.stream()])}


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect as error:
        closings.append(error.code)
