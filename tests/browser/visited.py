# The app that the browser tests visit: run as a cell, and served as `visited`.
import asyncio

from fastapi import Body, FastAPI, WebSocket
from fastapi.responses import HTMLResponse, StreamingResponse

app = FastAPI(title="Visited")
more = asyncio.Event()


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
def home():
    return "<title>Visited</title><h1>Hello from a notebook</h1><a href=docs>docs</a>"


@app.get("/hello")
def hello(name: str = "you"):
    return {"hello": name}


@app.post("/double")
def double(number: int = Body(embed=True)):
    return {"doubled": 2 * number}


@app.get("/events")
async def events():
    async def lines():
        yield "data: first\n\n"
        await more.wait()
        more.clear()
        yield "data: second\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.post("/more")
async def go_on():
    more.set()


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"echo: {text}")


async def broken(scope, receive, send):
    assert scope["type"] == "http"
    raise RuntimeError("a secret of the author")
