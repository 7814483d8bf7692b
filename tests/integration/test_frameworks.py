"""What people serve: FastAPI, Starlette and Flask apps work under their URL with no setting."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually

APPS = """
import asyncio, os, pathlib, tempfile, threading
import portico
from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from flask import Flask, jsonify, redirect, request, url_for

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "ten.txt").write_text("0123456789")
api = FastAPI()
done = []

def a_word():
    return "word"

def two_words(word: str = Depends(a_word)):
    return [word, word]

@api.get("/items/")
def items(words: list = Depends(two_words)):
    return words

@api.get("/where", name="where")
async def where(request: Request):
    return {"url": str(request.url_for("where")), "base": str(request.base_url), "root": request.scope["root_path"]}

@api.get("/away")
async def away(request: Request):
    return RedirectResponse(request.url_for("where"))

@api.post("/upload")
async def upload(request: Request):
    return {"size": sum([len(part) async for part in request.stream()])}

@api.post("/later")
async def later(background: BackgroundTasks):
    async def work():
        await asyncio.sleep(0.1)
        done.append("work")
    background.add_task(work)
    return "accepted"

@api.get("/done")
async def what_is_done():
    return done

@api.get("/file")
async def file():
    return FileResponse(folder / "ten.txt")

@api.websocket("/json")
async def talk_json(socket: WebSocket):
    await socket.accept()
    async for message in socket.iter_json():
        await socket.send_json({"got": message})

@api.websocket("/text")
async def talk_text(socket: WebSocket):
    await socket.accept()
    await socket.send_text((await socket.receive_text()).upper())
    await socket.close(4001, "enough")

@api.websocket("/denied")
async def denied(socket: WebSocket):
    await socket.close()

api.mount("/static", StaticFiles(directory=folder))
portico.serve(api, "an-api", access="public")

async def chosen(socket):
    await socket.accept(subprotocol=socket.scope["subprotocols"][-1])
    await socket.send_text(socket.scope["path"])
    await socket.close()

portico.serve(Starlette(routes=[WebSocketRoute("/chosen", chosen)]), "a-starlette", access="public")

flask = Flask("flask_app")

@flask.get("/")
def index():
    return jsonify(index=url_for("index"), thread=threading.current_thread().name != "portico")

@flask.post("/echo")
def echo():
    return request.get_data(), 201, {"X-Length": request.content_length}

@flask.get("/away")
def flask_away():
    return redirect(url_for("index"))

portico.serve(flask, "a-flask", access="public")
"""


@pytest.fixture(scope="module")
def frameworks(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel()
    kernel.execute(APPS).check()
    yield kernel
    kernel.shutdown()


@pytest.fixture
def client(jupyter_server: JupyterServer, frameworks: Kernel) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{jupyter_server.url}portico/apps/", trust_env=False, timeout=20) as client:
        yield client


def test_docs_and_schema(client: httpx.Client) -> None:
    page = client.get("an-api/docs")
    assert page.status_code == 200
    assert "/portico/apps/an-api/openapi.json" in page.text
    schema = client.get("an-api/openapi.json").json()
    assert schema["servers"] == [{"url": "/portico/apps/an-api"}]
    assert "/where" in schema["paths"]


def test_url_for_and_redirects(client: httpx.Client) -> None:
    base = str(client.base_url)
    assert client.get("an-api/where").json() == {
        "url": f"{base}an-api/where",
        "base": f"{base}an-api/",
        "root": "/portico/apps/an-api",
    }
    away = client.get("an-api/away", follow_redirects=True)
    assert str(away.url) == f"{base}an-api/where"
    slash = client.get("an-api/items", follow_redirects=True)
    assert str(slash.url) == f"{base}an-api/items/"
    assert slash.json() == ["word", "word"], "through the sub-dependency"


def test_files_and_ranges(client: httpx.Client) -> None:
    for path in ("an-api/file", "an-api/static/ten.txt"):
        whole = client.get(path)
        assert whole.text == "0123456789"
        part = client.get(path, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.text) == (206, "234")
        assert part.headers["content-range"] == "bytes 2-4/10"
    static = client.head("an-api/static/ten.txt")  # FastAPI's own routes answer no HEAD
    assert (static.status_code, static.headers["content-length"]) == (200, "10")
    unchanged = client.get("an-api/static/ten.txt", headers={"If-None-Match": static.headers["etag"]})
    assert unchanged.status_code == 304
    assert client.get("an-api/static/none.txt").status_code == 404


def test_uploads_and_background_tasks(client: httpx.Client) -> None:
    assert client.post("an-api/upload", content=b"x" * 3_000_000).json() == {"size": 3_000_000}
    in_pieces = client.post("an-api/upload", content=(b"y" * 1000 for _ in range(1000)))  # chunked
    assert in_pieces.json() == {"size": 1_000_000}
    assert client.post("an-api/later").json() == "accepted"
    eventually(lambda: client.get("an-api/done").json() == ["work"], 5, "the background task")


def test_websockets(client: httpx.Client) -> None:
    base = str(client.base_url).replace("http", "ws", 1)
    with connect(f"{base}an-api/json", proxy=None) as socket:
        socket.send(json.dumps({"a": [1, "日"]}))
        assert json.loads(socket.recv(5)) == {"got": {"a": [1, "日"]}}
    with connect(f"{base}an-api/text", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(5) == "HELLO"
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
        assert (socket.close_code, socket.close_reason) == (4001, "enough")
    with pytest.raises(InvalidStatus) as caught:
        connect(f"{base}an-api/denied", proxy=None)
    assert caught.value.response.status_code == 403
    with connect(f"{base}a-starlette/chosen", subprotocols=["one", "two"], proxy=None) as socket:
        assert socket.subprotocol == "two"
        assert socket.recv(5) == "/portico/apps/a-starlette/chosen"


def test_flask(client: httpx.Client) -> None:
    assert client.get("a-flask/").json() == {"index": "/portico/apps/a-flask/", "thread": True}
    echoed = client.post("a-flask/echo", content=b"y" * 500_000)
    assert (echoed.status_code, len(echoed.content), echoed.headers["x-length"]) == (201, 500_000, "500000")
    away = client.get("a-flask/away", follow_redirects=True)
    assert away.url.path == "/portico/apps/a-flask/"
    assert client.get("a-flask/nowhere").status_code == 404
