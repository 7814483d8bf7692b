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


API = ("portico/api/services", "portico/api/nothing", "portico/login")


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("upgrade", [("Connection: Upgrade", "Upgrade: x"), ("Upgrade: x",), SOCKET])
def test_an_upgrade_with_a_body_at_the_api(
    jupyter_server: JupyterServer, visitor: Visitor, path: str, upgrade: tuple[str, ...]
) -> None:
    body = head(jupyter_server, "portico/apps/hidden/")
    visitor.send(head(jupyter_server, path, *upgrade, f"Content-Length: {len(body)}", method="POST") + body)
    answer = visitor.answer()
    assert answer.status == 400
    assert answer.get("connection") == ["close"]
    visitor.read(int(answer.get("content-length")[0]))
    assert visitor.read_to_end() == b""


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("method", "portico/api/services"),
        ("method", "portico/login"),
        ("field", "portico/api/services"),
        ("field", "portico/v1/models"),
        ("query", "portico/apps/cat/"),
    ],
)
def test_strangers_leave_nothing_in_the_server(jupyter_server: JupyterServer, kind: str, path: str) -> None:
    """Of 600 requests of 50 KB, no two alike, where the server's own metrics and tornado would keep some."""

    def request(number: int) -> bytes:
        text = f"a{number:07}" + "x" * 50_000
        if kind == "method":
            return head(jupyter_server, path, method=text)
        if kind == "query":
            return head(jupyter_server, f"{path}?{text}=1")
        return head(jupyter_server, path, f"{text}: 1")

    def ask(numbers: range) -> None:
        visitor = Visitor(jupyter_server.port)
        for number in numbers:
            visitor.send(request(number))
            answer = visitor.answer()
            assert answer.status in (302, 401, 403, 404, 405), answer
            visitor.read(int(answer.get("content-length")[0]))
        visitor.close()

    ask(range(50))
    before = memory(jupyter_server.pid)
    ask(range(50, 650))
    assert memory(jupyter_server.pid) - before < 16 << 20


def memory(pid: int) -> int:
    """Bytes that a process holds."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize(
    "fields",
    [("Cookie: " + "a=1; " * 10_000,), tuple(f"x-{number}: 1" for number in range(300))],
    ids=["cookies", "fields"],
)
def test_a_dear_head_is_refused_at_the_api(
    jupyter_server: JupyterServer, visitor: Visitor, path: str, fields: tuple[str, ...]
) -> None:
    visitor.send(head(jupyter_server, path, *fields))
    assert visitor.answer().status == 431


@pytest.mark.parametrize("path", ["portico/api/services", "portico/login"])
@pytest.mark.parametrize("referer", [b"http://[", b"http://a/\x9b31mforged", b"http://a/" + b"x" * 20_000])
def test_a_referer_that_jupyters_log_could_not_take(
    jupyter_server: JupyterServer, visitor: Visitor, path: str, referer: bytes
) -> None:
    begun = jupyter_server.log.stat().st_size
    visitor.send(head(jupyter_server, path)[:-2] + b"Referer: " + referer + b"\r\n\r\n")
    assert visitor.answer().status == 400
    said = jupyter_server.log.read_bytes()[begun:]
    assert b"Traceback" not in said
    assert b"forged" not in said
    assert len(said) < 2000


@pytest.mark.parametrize("path", ["portico/api/services", "portico/login", "portico/api/"])
def test_an_address_that_is_not_percent_encoded(jupyter_server: JupyterServer, visitor: Visitor, path: str) -> None:
    begun = jupyter_server.log.stat().st_size
    visitor.send(head(jupyter_server, path + "?a=FORGED").replace(b"FORGED", b"\x9b31mforged"))
    assert visitor.answer().status == 400
    assert b"forged" not in jupyter_server.log.read_bytes()[begun:]


def test_a_referer_as_browsers_send_it_is_taken(jupyter_server: JupyterServer, visitor: Visitor) -> None:
    for referer in (f"Referer: {jupyter_server.url}lab/tree/a%20b.ipynb?token=x", "Referer: ", "Referer: about:blank"):
        visitor.send(head(jupyter_server, "portico/api/services", referer))
        answer = visitor.answer()
        assert answer.status == 401
        visitor.read(int(answer.get("content-length")[0]))
