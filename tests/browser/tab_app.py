# Runs in a tab, under Pyodide: an app with something of everything. `app` is served by the tests, under several names.
import asyncio
import hashlib

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from pyodide.ffi import run_sync

app = FastAPI()
gate = asyncio.Event()
waiting = asyncio.Event()
woken = asyncio.Event()
ended = asyncio.Event()


@app.get("/")
async def hello(name: str = "you"):
    return {"hello": name}


@app.get("/in-turn")
def in_turn():
    return {"hello": "without a thread"}


@app.get("/wait")
def wait():
    waiting.set()
    run_sync(woken.wait())
    return {"woken": True}


@app.get("/wake")
async def wake():
    await waiting.wait()
    woken.set()
    return {"woke": True}


@app.post("/digest")
async def digest(request: Request):
    state, size = hashlib.sha256(), 0
    async for piece in request.stream():
        state.update(piece)
        size += len(piece)
    return {"size": size, "sha256": state.hexdigest()}


@app.get("/bytes")
async def many(size: int):
    piece = bytes(range(256)) * 1024

    async def pieces():
        for start in range(0, size, len(piece)):
            yield piece[: size - start]

    return StreamingResponse(pieces(), media_type="application/octet-stream")


@app.get("/remember")
async def remember(request: Request, response: Response, what: str = ""):
    if what:
        response.set_cookie("what", what)
        response.set_cookie("more", "1")
    return {"before": request.cookies.get("what", "")}


@app.get("/events")
async def events():
    gate.clear()

    async def told():
        yield "data: first\n\n"
        await gate.wait()
        yield "data: last\n\n"

    return StreamingResponse(told(), media_type="text/event-stream")


@app.post("/go")
async def go():
    gate.set()


@app.get("/endless")
async def endless():
    ended.clear()

    async def told():
        try:
            yield "data: begun\n\n"
            while True:
                await asyncio.sleep(0.02)
                yield "data: on and on\n\n"
        finally:
            ended.set()

    return StreamingResponse(told(), media_type="text/event-stream")


@app.get("/ended")
async def has_ended():
    await asyncio.wait_for(ended.wait(), 10)
    return {"ended": True}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept(subprotocol=(socket.scope["subprotocols"] or [None])[0])
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "close":
            await socket.close(4321, "as asked")
            return
        await socket.send({**message, "type": "websocket.send"})
