"""What a proxy in front of Jupyter could read in another way than Portico's front door there is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.live_jupyter import JupyterServer
from tests.relay.raw_visitors import Visitor


@pytest.fixture
def visitor(jupyter_server: JupyterServer) -> Iterator[Visitor]:
    visitor = Visitor(jupyter_server.port)
    yield visitor
    visitor.close()


def head(server: JupyterServer, path: str, *fields: str, method: str = "GET") -> bytes:
    line = f"{method} {server.base}{path} HTTP/1.1"
    return "\r\n".join((line, f"Host: 127.0.0.1:{server.port}", *fields, "", "")).encode()


SOCKET = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


@pytest.mark.parametrize("path", ["portico/apps/cat/", "portico/link", "portico/v1/models"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("upgrade", [("Upgrade: x",), ("Upgrade: h2c",), SOCKET])
def test_an_upgrade_with_a_body(
    jupyter_server: JupyterServer, visitor: Visitor, path: str, method: str, chunked: bool, upgrade: tuple[str, ...]
) -> None:
    body = head(jupyter_server, "portico/apps/hidden/")
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    visitor.send(head(jupyter_server, path, "Connection: keep-alive, Upgrade", *upgrade, framing, method=method))
    answer = visitor.answer()
    assert answer.status == 400
    assert answer.get("connection") == ["close"]
    visitor.read(int(answer.get("content-length")[0]))
    visitor.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
    assert visitor.read_to_end() == b""


def test_an_upgrade_without_a_body_is_answered(jupyter_server: JupyterServer, visitor: Visitor) -> None:
    for fields in (("Connection: Upgrade", "Upgrade: x"), ("Connection: Upgrade",), ("Upgrade: x",)):
        visitor.send(head(jupyter_server, "portico/apps/nowhere/", *fields, "Content-Length: 0"))
        answer = visitor.answer()
        assert answer.status == 401
        visitor.read(int(answer.get("content-length")[0]))


PATHS = (
    "portico/apps/cat/",
    "portico/v1/models",
    "portico/api",
    "portico/api/services",
    "portico/login",
    "portico/link",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_page_is_answered_under_another_name(jupyter_server: JupyterServer, path: str) -> None:
    """Jupyter's own check against DNS rebinding, for everything of Portico's."""
    for host in ("evil.example", "localhost.evil.example"):
        answer = httpx.get(jupyter_server.url + path, headers={"Host": host})
        assert answer.status_code == 403, (path, answer.text)


@pytest.mark.parametrize("path", ["portico/link", "portico/apps/cat/", "portico/v1/responses"])
def test_no_websocket_is_opened_under_another_name(jupyter_server: JupyterServer, path: str) -> None:
    async def dial() -> None:
        url = f"ws://evil.example:{jupyter_server.port}{jupyter_server.base}{path}"
        async with connect(url, host="127.0.0.1", port=jupyter_server.port, proxy=None):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(dial())
    assert refused.value.response.status_code == 403
