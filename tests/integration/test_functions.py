"""Typed functions over HTTP, on uvicorn and through Jupyter: connections that are used again, uploads, and leaving."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.wire import Wire, read_answer
from tests.functions.visiting import form
from tests.integration.functions_app import app
from tests.integration.visit import get, leave, new_id, send
from tests.live_jupyter import JupyterServer
from tests.models.conftest import uvicorn_on_loopback
from tests.waiting import eventually

JSON = {"Content-Type": "application/json"}
GONE_WITHIN = 1.0
"""Seconds from a visitor's leaving to the end of what it asked for."""


@pytest.fixture(scope="module", params=["uvicorn", "jupyter"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "uvicorn":
        with uvicorn_on_loopback(app()) as base:
            yield f"{base}/"
        return
    jupyter: JupyterServer = request.getfixturevalue("jupyter_server")
    kernel = jupyter.kernel()
    kernel.execute(
        """
import portico, tests.integration.functions_app as functions_app
service = portico.serve(functions_app.app(), "typed", access="public")
"""
    ).check()
    yield f"{jupyter.url}portico/apps/typed/"
    kernel.shutdown()


def call(url: str, name: str, **arguments: Any) -> Any:
    head, body = get(f"{url}{name}/run", JSON, "POST", json.dumps(arguments).encode())
    assert head.status == 200, body
    return json.loads(body)["result"]


def ask(wire: Wire, url: str, name: str, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, Any]:
    """One request of several on a connection: the status, and the answer as JSON."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path}{name}/run HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    wire.send("\r\n".join([*lines, "", ""]).encode() + body)
    answer = read_answer(wire, method.encode())
    content = answer.read_rest()
    return answer.head.status, json.loads(content) if content else None


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    wire = Wire(parts.hostname, parts.port)
    yield wire
    wire.close()


def test_many_requests_on_one_connection_whatever_comes_of_them(url: str, wire: Wire) -> None:
    right = (b'{"a": 1}', JSON)
    refused = [
        (b"{", JSON, 400),
        (b'{"a": "x"}', JSON, 422),
        (b'{"a": 1}', {"Content-Type": "text/plain"}, 415),
        (b"x" * 100_000, {"Content-Type": "text/plain"}, 415),
    ]
    for body, headers, status in refused:
        assert ask(wire, url, "add", *right) == (200, {"result": 2})
        assert ask(wire, url, "add", body, headers)[0] == status
    assert ask(wire, url, "add", b"", {}, "GET")[0] == 405
    assert ask(wire, url, "nothing", b"{}", JSON)[0] == 404
    assert ask(wire, url, "add", *right) == (200, {"result": 2})


def test_a_body_that_waits_to_be_asked_for(url: str, wire: Wire) -> None:
    parts = urlsplit(url)
    lines = [f"POST {parts.path}add/run HTTP/1.1", f"Host: {parts.netloc}", "Content-Length: 8"]
    wire.send("\r\n".join([*lines, "Content-Type: application/json", "Expect: 100-continue", "", ""]).encode())
    assert wire.read_line() == b"HTTP/1.1 100 Continue"
    while wire.read_line():
        pass
    wire.send(b'{"a": 3}')
    answer = read_answer(wire, b"POST")
    assert (answer.head.status, json.loads(answer.read_rest())) == (200, {"result": 4})


def test_a_large_upload(url: str) -> None:
    body, headers = form(("file", "a.bin", b"x" * (5 * 2**20)), ("note", "n"))
    head, answer = get(f"{url}size/run", {**headers, "Accept": "application/json"}, "POST", body)
    assert (head.status, json.loads(answer)) == (200, {"result": {"size": 5 * 2**20, "note": "n"}})


def test_a_body_that_is_announced_as_too_long_is_refused_before_it_comes(url: str) -> None:
    wire = send(f"{url}add/run", "POST", {**JSON, "Content-Length": str(33 * 2**20)})
    assert read_answer(wire, b"POST").head.status == 413
    wire.close()


@pytest.mark.parametrize("name", ["wait", "wait_on_a_thread"])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_who_leaves_a_call_ends_it(url: str, name: str, accept: str) -> None:
    id = new_id()
    wire = send(f"{url}{name}/run", "POST", {**JSON, "Accept": accept}, json.dumps({"id": id}).encode())
    eventually(lambda: call(url, "has_begun", id=id), 10)
    left = leave(wire)
    eventually(lambda: call(url, "noted", id=id) is not None, 10)
    assert call(url, "noted", id=id) - left < GONE_WITHIN


@pytest.mark.parametrize("name", ["pieces", "pieces_on_the_loop"])
@pytest.mark.parametrize("accept", ["text/plain", "text/event-stream"])
def test_who_leaves_a_stream_ends_it(url: str, name: str, accept: str) -> None:
    id = new_id()
    wire = send(f"{url}{name}/run", "POST", {**JSON, "Accept": accept}, json.dumps({"id": id}).encode())
    answer = read_answer(wire, b"POST")
    assert answer.head.status == 200
    assert b"piece" in answer.read(30)
    left = leave(wire)
    eventually(lambda: call(url, "noted", id=id) is not None, 10)
    assert call(url, "noted", id=id) - left < GONE_WITHIN


def test_text_that_fails_in_the_middle_breaks_off(url: str) -> None:
    wire = send(f"{url}fails_late/run", "POST", JSON, b"{}")
    answer = read_answer(wire, b"POST")
    body = answer.read_rest()
    assert answer.head.status == 200
    assert body == b"piece "
    assert not answer.complete
    wire.close()


def test_events_that_fail_in_the_middle_say_why(url: str) -> None:
    head, body = get(f"{url}fails_late/run", {**JSON, "Accept": "text/event-stream"}, "POST", b"{}")
    assert head.status == 200
    assert body.endswith(b'event: error\ndata: {"detail":"ValueError: a secret of the author\'s","status":500}\n\n')
