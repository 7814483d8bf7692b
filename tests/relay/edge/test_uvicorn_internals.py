"""What the front door uses of uvicorn's internals is there; and where it is not, plain uvicorn serves, and says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

import portico
from portico.relay.edge import http1, uvicorn_internals, websocket
from tests.live_relay import RelayProcess
from tests.relay.raw_visitors import Visitor


def test_all_that_is_used_is_there() -> None:
    assert uvicorn_internals.missing() == []


def test_all_that_is_used_is_listed() -> None:
    """Each method that the front door overrides to call uvicorn's own is looked at before a relay starts."""
    trees = [ast.parse(Path(module.__file__).read_text()) for module in (http1, websocket)]
    classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, place in (("VisitorProtocol", uvicorn_internals.HTTP), ("SocketProtocol", uvicorn_internals.SOCKET)):
        called = {
            node.attr
            for node in ast.walk(classes[name])
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)
            if isinstance(node.value.func, ast.Name) and node.value.func.id == "super"
        }
        assert called - {"__init__"} <= set(uvicorn_internals.METHODS[place])


TAKEN_AWAY = {
    "a method": ("del HttpToolsProtocol._start_asgi_task", "HttpToolsProtocol._start_asgi_task(cycle, app)"),
    "a method of WebSockets": (
        "del WebSocketsSansIOProtocol.handle_parser_exception",
        "WebSocketsSansIOProtocol.handle_parser_exception()",
    ),
    "a parameter": (
        "HttpToolsProtocol._start_asgi_task = lambda self, cycle: None",
        "HttpToolsProtocol._start_asgi_task(cycle, app)",
    ),
    "a method that is asyncio's own": (
        "del WebSocketsSansIOProtocol.pause_writing",
        "WebSocketsSansIOProtocol.pause_writing()",
    ),
    "an attribute": (
        "for made in vars(WebSocketsSansIOProtocol).values():\n"
        "    code = getattr(made, '__code__', None)\n"
        "    if code is not None:\n"
        "        names = tuple(name.replace('curr_msg_data_type', 'kind') for name in code.co_names)\n"
        "        made.__code__ = code.replace(co_names=names)",
        "WebSocketsSansIOProtocol.curr_msg_data_type",
    ),
    "the class": ("import uvicorn.protocols.http.httptools_impl as at\ndel at.HttpToolsProtocol", "HttpToolsProtocol"),
    "the module": ("sys.modules['uvicorn.protocols.http.httptools_impl'] = None", "HttpToolsProtocol"),
}

_AWAY = """\
import sys
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
{change}
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


@contextmanager
def served(relay: RelayProcess) -> Iterator[str]:
    """The app at a relay, by a provider of this process."""
    service = portico.serve(app, "cat", access="public", hub=relay.url, token=relay.token())
    yield service.url
    service.stop()


@pytest.mark.parametrize("what", TAKEN_AWAY)
def test_where_a_name_is_missing_plain_uvicorn_serves(what: str, tmp_path: Path) -> None:
    change, name = TAKEN_AWAY[what]
    (tmp_path / "sitecustomize.py").write_text(_AWAY.format(change=change))
    relay = RelayProcess(tmp_path, env={"PYTHONPATH": str(tmp_path)}).start()
    try:
        with served(relay) as url:
            answer = httpx.post(url, content=b"x" * 100_000)
            assert (answer.status_code, answer.text) == (200, "100000")
            assert len(answer.headers.get_list("date")) == 1
            with connect(url.replace("http", "ws", 1), proxy=None) as socket:
                for message in ("hello", b"x" * 100_000):
                    socket.send(message)
                    assert socket.recv(20) == message
            visitor = Visitor(relay.port)
            visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert visitor.answer().status == 400, "what two servers could read in two ways is refused as before"
            visitor.close()
    finally:
        assert relay.stop() == 0
    said = [line for line in relay.log.read_text().splitlines() if "is not as this relay knows it" in line]
    assert len(said) == 1
    assert name in said[0]
    assert "header_timeout" in said[0]
    assert "Traceback" not in relay.log.read_text()


def test_the_oldest_uvicorn_that_may_be_installed_is_said_once() -> None:
    """A reader of pyproject.toml sees one floor: of the relay, of servers of pipelines, and of the tests."""
    floors = re.findall(r"uvicorn\[standard\]>=([\d.]+)", (Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert len(floors) == 3
    assert len(set(floors)) == 1
