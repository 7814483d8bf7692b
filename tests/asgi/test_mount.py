"""Where apps believe that they live: by root_path, without it, or as is known of their library."""

from __future__ import annotations

import asyncio
import warnings
from contextvars import copy_context
from typing import Any

import falcon.asgi
import httpx
import pytest
import socketio
from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from flask import Flask, request

from portico.asgi import mount
from portico.asgi.adapt import adapt
from portico.errors import InvalidOption
from portico.types import Receive, Scope, Send

ROOT = "/portico/apps/x"


def get(thing: Any, path: str, mounted: str | None = None) -> httpx.Response:
    """What *thing*, served by Portico below `ROOT`, answers to a GET of *path* there."""
    app = adapt(thing, mounted).app

    async def placed(scope: Scope, receive: Receive, send: Send) -> None:
        raw = ROOT.encode() + scope["raw_path"]
        await app({**scope, "root_path": ROOT, "path": ROOT + scope["path"], "raw_path": raw}, receive, send)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(placed), base_url="http://hub") as client:
            return await client.get(path)

    return asyncio.run(ask())


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that says how it was called."""
    told = f"{scope['root_path']} {scope['path']} {scope['raw_path'].decode()}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


def fastapi(**options: Any) -> FastAPI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastAPI would rather have its server told
        app = FastAPI(**options)

    @app.get("/where")
    def where(request: Request) -> dict[str, str]:
        return {"root": request.scope["root_path"], "url": str(request.url_for("where"))}

    return app


@pytest.mark.parametrize(
    ("mounted", "told"),
    [
        (None, f"{ROOT} {ROOT}/a b {ROOT}/a%20b"),
        ("root_path", f"{ROOT} {ROOT}/a b {ROOT}/a%20b"),
        ("strip", " /a b /a%20b"),
    ],
)
def test_an_app_is_told_where_it_lives(mounted: str | None, told: str) -> None:
    assert get(tell, "/a%20b", mounted).text == told


def test_the_root_of_a_service_is_the_root_of_a_stripped_app() -> None:
    assert get(tell, "/", "strip").text == " / /"
    scope = {"type": "http", "root_path": ROOT, "path": ROOT, "raw_path": ROOT.encode()}
    assert mount.stripped(scope)["path"] == "/"


def test_a_websocket_is_stripped_and_a_lifespan_is_not() -> None:
    socket = {"type": "websocket", "root_path": ROOT, "path": f"{ROOT}/ws", "raw_path": f"{ROOT}/ws".encode()}
    assert mount.stripped(socket) == {"type": "websocket", "root_path": "", "path": "/ws", "raw_path": b"/ws"}
    lifespan = {"type": "lifespan", "asgi": {}}
    assert mount.stripped(lifespan) is lifespan


def test_a_wsgi_app_that_is_stripped_hears_of_no_script_name() -> None:
    app = Flask("told")

    @app.get("/where")
    def where() -> dict[str, str]:
        return {"script": request.script_root, "path": request.path}

    assert get(app, "/where").json() == {"script": ROOT, "path": "/where"}
    assert get(app, "/where", "strip").json() == {"script": "", "path": "/where"}


@pytest.mark.parametrize("mounted", ["root_path", "strip"])
@pytest.mark.parametrize("framework", ["starlette", "flask"])
def test_a_slash_redirect_leads_below_the_service(framework: str, mounted: str) -> None:
    app: Any = Flask("led") if framework == "flask" else fastapi()
    app.get("/slash/")(lambda: "there")
    led = get(app, "/slash", mounted)
    assert led.status_code in (307, 308)
    assert led.headers["location"] == f"http://hub{ROOT}/slash/"


@pytest.mark.parametrize(
    ("given", "led"),
    [
        ("/there?a=/b", f"{ROOT}/there?a=/b"),
        ("https://HUB/there", f"https://HUB{ROOT}/there"),
        ("http://hub", f"http://hub{ROOT}/"),
        ("there", "there"),
        ("?a=b", "?a=b"),
        (f"{ROOT}/there", f"{ROOT}/there"),
        (f"{ROOT}y/there", f"{ROOT}{ROOT}y/there"),
        ("//other/there", "//other/there"),
        ("http://hub.other/there", "http://hub.other/there"),
        ("http://hub:81/there", "http://hub:81/there"),
    ],
)
def test_a_stripped_app_leads_to_its_own_paths(given: str, led: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"X-Other", b"/there"), (b"Location", given.encode())]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})

    answer = get(app, "/", "strip")
    assert (answer.headers["location"], answer.headers["x-other"]) == (led, "/there")
    assert get(app, "/", "root_path").headers["location"] == given


def test_another_word_than_these_is_refused_with_what_would_do() -> None:
    with pytest.raises(InvalidOption, match="'root_path' or 'strip', not 'prefix'"):
        adapt(tell, "prefix")


def test_fastapi_with_a_root_path_of_its_own_lives_where_it_is_served() -> None:
    app = fastapi(root_path="/api/v1")
    assert get(app, "/where").json() == {"root": ROOT, "url": f"http://hub{ROOT}/where"}
    assert f"{ROOT}/openapi.json" in get(app, "/docs").text
    assert get(app, "/openapi.json").json()["servers"] == [{"url": ROOT}]


def test_fastapi_with_a_root_path_can_be_left_as_it_is() -> None:
    assert get(fastapi(root_path="/api/v1"), "/where", "root_path").status_code == 404


def test_falcon_finds_its_routes_and_its_own_address() -> None:
    class Where:
        async def on_get(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
            response.media = {"path": request.path, "uri": request.uri}

    app = falcon.asgi.App()
    app.add_route("/where", Where())
    assert get(app, "/where", "root_path").status_code == 404
    assert get(app, "/where").json() == {"path": "/where", "uri": f"http://hub{ROOT}/where"}


def test_socketio_is_found_and_the_app_beside_it_knows_where_it_lives(tmp_path: Any) -> None:
    beside = fastapi(root_path="/api/v1")
    (tmp_path / "a.txt").write_text("a file")
    beside.mount("/files", StaticFiles(directory=tmp_path))
    app = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), beside)
    greeting = "/socket.io/?EIO=4&transport=polling"
    assert get(app, greeting, "root_path").status_code == 404
    assert '"sid"' in get(app, greeting).text
    assert get(app, "/where").json()["url"] == f"http://hub{ROOT}/where"
    assert get(app, "/files/a.txt").text == "a file"
    assert f"{ROOT}/openapi.json" in get(app, "/docs").text


def test_socketio_alone_and_with_another_endpoint() -> None:
    app = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), socketio_path="talk")
    assert '"sid"' in get(app, "/talk/?EIO=4&transport=polling").text
    assert get(app, "/other").status_code == 404


def test_the_card_finds_the_docs_of_an_app_that_is_wrapped() -> None:
    import inspect

    app = fastapi(root_path="/api/v1")
    adapted = adapt(app)
    assert adapted.app is not app
    assert inspect.unwrap(adapted.app) is app
    assert adapted.how == "FastAPI, an ASGI app, its own root_path left aside"


def test_the_root_path_is_that_of_the_request_and_of_no_other() -> None:
    """Two mounts of one app at once: each request finds its own, in its tasks and threads too."""
    found: list[tuple[str, str | None]] = []
    both = asyncio.Event()
    waiting = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        found.append((scope["root_path"], await asyncio.to_thread(mount.root_path.get)))

    async def ask() -> None:
        placed = mount.with_root_path(app)
        await asyncio.gather(*(placed({"root_path": root}, None, None) for root in ("/one", "/two")))  # type: ignore[arg-type]

    asyncio.run(ask())
    assert sorted(found) == [("/one", "/one"), ("/two", "/two")]
    assert copy_context().get(mount.root_path) is None
