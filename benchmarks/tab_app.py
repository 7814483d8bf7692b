# Runs in a browser tab, under Pyodide: what the measures of `browser` visit.
import asyncio
import json
import time

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from pyodide.code import run_js

app = FastAPI()
PIECE = bytes(256 * 1024)


@app.get("/")
async def hello():
    return Response(b"Hello, World!")  # as benchmarks.app says it


@app.get("/bytes")
async def download(size: int):
    async def pieces():
        for start in range(0, size, len(PIECE)):
            yield PIECE[: size - start]

    return StreamingResponse(pieces(), headers={"Content-Length": str(size)})


@app.get("/events")
async def events(count: int, every: float):
    async def told():
        began = time.monotonic()
        for number in range(count):
            yield f"data: {time.time()}\n\n"
            await asyncio.sleep(max(0.0, began + (number + 1) * every - time.monotonic()))

    return StreamingResponse(told(), media_type="text/event-stream")


@app.get("/round-trips")
async def round_trips(url: str, count: int):
    """Milliseconds of each of *count* small messages to an echo and back, timed in JavaScript alone."""
    timed = run_js("""
        (url, count) => new Promise((resolve, reject) => {
          const socket = new WebSocket(url), times = [];
          let sent = 0;
          const send = () => { sent = performance.now(); socket.send(new Uint8Array(64)); };
          socket.onopen = send;
          socket.onerror = () => reject(new Error("the echo cannot be reached"));
          socket.onmessage = () => {
            times.push(performance.now() - sent);
            if (times.length < count) { send(); return; }
            socket.close();
            resolve(JSON.stringify(times));
          };
        })""")
    return json.loads(await timed(url, count))
