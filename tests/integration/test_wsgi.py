"""WSGI apps: the same requests to the same app, under gunicorn and through Portico; and visitors who leave."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.conformance.wire import Wire, read_answer
from tests.integration.visit import begin, get, leave, send
from tests.live_jupyter import ROOT, JupyterServer, Kernel, free_port
from tests.waiting import eventually

APP = "tests.integration.wsgi_app"


@pytest.fixture(scope="module")
def kernel(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel()
    kernel.execute(
        f"""
import portico, {APP} as wsgi
service = portico.serve(wsgi.app, "wsgi", access="public", threads=4)
"""
    ).check()
    yield kernel
    kernel.shutdown()


@pytest.fixture(scope="module")
def url(jupyter_server: JupyterServer, kernel: Kernel) -> str:
    return f"{jupyter_server.url}portico/apps/wsgi/"


@pytest.fixture(scope="module")
def gunicorn() -> Iterator[str]:
    """The oracle: the same app under gunicorn, in threads."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "--log-level", "error"]
    process = subprocess.Popen([*command, "-b", f"127.0.0.1:{port}", f"{APP}:app"], cwd=ROOT, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"

    def ready() -> bool:
        try:
            return get(url + "one")[0].status == 200
        except OSError:
            return False

    eventually(ready, 20)
    yield url
    process.terminate()
    process.wait(20)


def _value(kernel: Kernel, expression: str) -> str:
    return kernel.execute(f"print({expression})").check().text.strip()


LINES = b"first\nsecond line\n\nthird, with no end"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass(frozen=True)
class Case:
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


CHUNKS = (("Transfer-Encoding", "chunked"),)
CASES = [
    Case("environ"),
    Case("environ/a%20b/%E6%97%A5/%FF%2Fx?q=%20%FF&&a=b"),
    Case("environ?", headers=(("X-One", "1"), ("x-one", "2"), ("X-Two", "caf\xe9"))),
    Case("environ", headers=(("X_Forwarded_Proto", "https"), ("X_One", "spoofed"))),
    Case("environ", "POST", (("Content-Type", "a/b"),), b"body"),
    Case("environ", "DELETE"),
    *(Case(f"read/{how}", "POST", (), LINES) for how in ("all", "none", "sized", "line", "lines", "mixed", "iterated")),
    *(
        Case(f"read/{how}", "POST", CHUNKS, chunked(b"first\nsec", b"ond line\n", b"\nthird, with no end"))
        for how in ("all", "sized", "line", "lines", "mixed", "iterated")
    ),
    Case("read/all"),
    Case("read/lines", "POST", (("Content-Length", "0"),)),
    *(
        Case(path, method)
        for path in ("one", "many", "nothing", "lazy", "writes", "file")
        for method in ("GET", "HEAD")
    ),
    *(Case(f"status/{status}") for status in ("200%20OK", "204%20No%20Content", "304%20Not%20Modified", "418%20I'm")),
    *(Case(f"length/{how}") for how in ("right", "more")),
    *(Case(path) for path in ("too-late", "raises/error", "unstarted", "twice")),
]
_COMPARED = ("content-type", "content-length", "x-two", "x-first", "x-second")


def _ask(base: str, case: Case) -> tuple[int, list[tuple[str, str]], bytes, bool]:
    """The status, the headers that are the app's, the body, and whether it was whole."""
    parts = urlsplit(base)
    assert parts.hostname
    assert parts.port
    fields = [("Host", parts.netloc), *case.headers]
    if case.body and case.headers != CHUNKS:
        fields.append(("Content-Length", str(len(case.body))))
    head = [f"{case.method} {parts.path}{case.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    wire = Wire(parts.hostname, parts.port)
    try:
        wire.send("\r\n".join([*head, "", ""]).encode("latin-1") + case.body)
        answer = read_answer(wire, case.method.encode())
        body = answer.read_rest()
        kept = sorted((name.lower(), value) for name, value in answer.head.headers if name.lower() in _COMPARED)
        return answer.head.status, kept, body, answer.complete
    finally:
        wire.close()


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.method} {case.path} {'chunked' if case.headers == CHUNKS else ''}"
)
def test_as_under_gunicorn(url: str, gunicorn: str, case: Case) -> None:
    expected, got = _ask(gunicorn, case), _ask(url, case)
    assert got[0] == expected[0]
    if expected[0] >= 500:
        return  # each server's own words
    if case.path.startswith("environ"):
        ours, theirs = json.loads(got[2]), json.loads(expected[2])
        for name in (
            "HTTP_X_FORWARDED_FOR",
            "HTTP_X_FORWARDED_HOST",
            "HTTP_X_FORWARDED_PROTO",
            "HTTP_X_FORWARDED_PREFIX",
            "HTTP_X_FORWARDED_PORT",
            "HTTP_X_REAL_IP",
            "HTTP_X_REQUEST_ID",
        ):
            ours.pop(name, None)  # the hub's own word
        assert {key: ours[key] for key in ours} == {key: theirs[key] for key in theirs}
        return
    assert got[2:] == expected[2:]
    ours = [pair for pair in got[1] if pair[0] != "content-length"]
    assert ours == [pair for pair in expected[1] if pair[0] != "content-length"]


def test_what_gunicorn_does_otherwise(kernel: Kernel, url: str) -> None:
    """A head that is replaced goes as a whole (PEP 3333); what is found wrong before the head is out is a 500."""
    status, headers, body, _ = _ask(url, Case("instead"))
    assert (status, body) == (503, b"sorry")
    assert [value for name, value in headers if name.startswith("x-")] == ["2"]
    assert [_ask(url, Case(path))[0] for path in ("text", "length/less")] == [500, 500]


@pytest.mark.parametrize("kind", ["error", "exit", "interrupt", "stop"])
def test_a_view_that_raises_is_a_500_with_its_traceback(kernel: Kernel, url: str, kind: str) -> None:
    kernel.execute("service.log.clear()").check()
    assert get(f"{url}raises/{kind}")[0].status == 500
    assert "raises" in _value(kernel, "service.log")
    assert "mine" in _value(kernel, "service.log")
    assert get(url + "one")[1] == b"one"


@pytest.mark.parametrize("size", ["small", "large"])
def test_streams_that_are_left_free_their_threads(kernel: Kernel, url: str, size: str) -> None:
    """Three times as many as there are threads; each iterable is closed within a second."""
    for number in range(12):
        wire, _ = begin(f"{url}endless/{size}?{number}", b"x")
        leave(wire)
        eventually(lambda number=number: _value(kernel, f"'/endless/{size}?{number}' in wsgi.closed") == "True", 2)
    assert _value(kernel, "wsgi.running") == "0"
    assert get(url + "one")[1] == b"one"


def test_a_visitor_who_reads_slowly_holds_its_view_back(kernel: Kernel, url: str) -> None:
    wire, answer = begin(f"{url}endless/large?slow", b"x")
    assert _value(kernel, "'/endless/large?slow' in wsgi.closed") == "False"
    answer.read(2_000_000)
    leave(wire)
    eventually(lambda: _value(kernel, "'/endless/large?slow' in wsgi.closed") == "True", 2)


def test_a_body_that_is_cut_is_not_read_as_whole(kernel: Kernel, url: str) -> None:
    kernel.execute("wsgi.reads.clear()").check()
    for headers, part in (
        ({"Content-Length": "1000"}, b"a part"),
        ({"Transfer-Encoding": "chunked"}, b"6\r\na part\r\n"),
    ):
        wire = send(url + "reads-on", "POST", headers)
        wire.send(part)
        eventually(lambda: int(_value(kernel, "wsgi.running")) == 1, 5)
        leave(wire)
        eventually(lambda: _value(kernel, "wsgi.running") == "0" or _value(kernel, "wsgi.reads") != "[]", 5)
    eventually(lambda: _value(kernel, "wsgi.reads") == "['VisitorLeft', 'VisitorLeft']", 5)


def test_views_that_never_end_are_stood_in_for(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    try:
        kernel.execute(
            f"""
import portico, {APP} as wsgi
service = portico.serve(wsgi.app, "stuck", access="public", threads=2)
"""
        ).check()
        url = f"{jupyter_server.url}portico/apps/stuck/"
        wires = [send(f"{url}stuck?{number}") for number in range(2)]
        eventually(lambda: _value(kernel, "wsgi.running") == "2", 5)
        for wire in wires:
            leave(wire)
        assert get(url + "one")[1] == b"one", "which has waited for a thread"
        told = _value(kernel, "service.log")
        assert told.count("still runs") == 1
        assert _value(kernel, "wsgi.stuck.set()") == "None"
        eventually(lambda: _value(kernel, "len(wsgi.closed)") == "3", 5)
        assert get(url + "one")[1] == b"one"
    finally:
        kernel.shutdown()
