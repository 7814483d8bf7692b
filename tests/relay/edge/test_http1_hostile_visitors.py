"""Bytes that two servers could read in two ways (RFC 9112 §11.2): refused with 400, and the connection closed.

What is hidden behind them must reach no app, whichever way a proxy in front has read them.
"""

from __future__ import annotations

import pytest

from tests.relay.raw_visitors import Visitor, head, reached

HIDDEN = b"GET /alice/apps/cat/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*fields: bytes, body: bytes = b"hello") -> bytes:
    return head("post", *fields, method="POST") + body + HIDDEN


def chunked(content: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=content)


def upgrade(protocol: bytes) -> tuple[bytes, bytes]:
    return b"Connection: Upgrade", b"Upgrade: " + protocol


SOCKET = (*upgrade(b"websocket"), b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


SMUGGLING: dict[str, bytes] = {
    "a length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and a length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6"),
    "one length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
    "a list of lengths": post(b"Content-Length: 5, 5"),
    "a length with a sign": post(b"Content-Length: +5"),
    "a negative length": post(b"Content-Length: -5"),
    "a hexadecimal length": post(b"Content-Length: 0x5"),
    "a length with an underscore": post(b"Content-Length: 1_0"),
    "a length in two parts": post(b"Content-Length: 5 5"),
    "a length beyond all numbers": post(b"Content-Length: " + b"9" * 30),
    "a length of other digits": post("Content-Length: \u0665".encode()),
    "an unknown coding": post(b"Transfer-Encoding: xchunked"),
    "no coding at all": post(b"Transfer-Encoding: identity"),
    "an empty coding": post(b"Transfer-Encoding:"),
    "chunked, but not last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "chunked with a quote": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked behind a control": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked by HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(b"1.1", b"1.0", 1),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "a space before the name": head("get").replace(b"\r\nHost", b"\r\n Host") + HIDDEN,
    "a folded line": post(b"X-Folded: one\r\n Content-Length: 5"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "a tab that folds": post(b"Content-Length: 5\r\n\t0"),
    "no name": post(b": chunked"),
    "a name with a space": post(b"Transfer Encoding: chunked"),
    "a name with a NUL": post(b"Transfer-Encoding\x00: chunked"),
    "a value with a NUL": post(b"X-Nul: a\x00b"),
    "a bare CR in a value": post(b"X-Cr: a\rTransfer-Encoding: chunked"),
    "a bare LF in the head": head("get", b"X-Lf: a\nX-Other: b") + HIDDEN,
    "a bare LF at the head's end": head("get")[:-2] + b"\n" + HIDDEN,
    "bare LFs alone": head("get").replace(b"\r\n", b"\n") + HIDDEN,
    "two hosts": head("get", b"Host: other.test") + HIDDEN,
    "one host twice": head("get", b"Host: localhost") + HIDDEN,
    "no host": head("get").replace(b"Host", b"X-Host") + HIDDEN,
    "another host in the target": head("get").replace(b"GET ", b"GET http://other.test", 1) + HIDDEN,
    "a control in the target": head("a\x01b") + HIDDEN,
    "a space in the target": head("a b") + HIDDEN,
    "a version to come": head("get").replace(b"HTTP/1.1", b"HTTP/1.7", 1) + HIDDEN,
    "another version": head("get").replace(b"HTTP/1.1", b"HTTP/3.0", 1) + HIDDEN,
    "HTTP/2.0": head("get").replace(b"HTTP/1.1", b"HTTP/2.0", 1) + HIDDEN,
    "HTTP/0.9": head("get").replace(b"HTTP/1.1", b"HTTP/0.9", 1) + HIDDEN,
    "no version": head("get").replace(b" HTTP/1.1", b"", 1) + HIDDEN,
    "RTSP/1.0": head("get").replace(b"HTTP/1.1", b"RTSP/1.0", 1) + HIDDEN,
    "two spaces behind the method": head("get").replace(b"GET ", b"GET  ", 1) + HIDDEN,
    "two spaces before the version": head("get").replace(b" HTTP", b"  HTTP", 1) + HIDDEN,
    "a bare LF before the request": b"\n" + head("get") + HIDDEN,
    "two empty lines before the request": b"\r\n\r\n" + head("get") + HIDDEN,
    "a length with a leading zero": post(b"Content-Length: 05"),
    "a length of many zeros": post(b"Content-Length: " + b"0" * 30 + b"5"),
    "a length behind a vertical tab": post(b"Content-Length: \x0b5"),
    "an empty length": post(b"Content-Length:"),
    "chunked twice in one": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "CONNECT": head("get", method="CONNECT") + HIDDEN,
    "CONNECT to a host": b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n" + HIDDEN,
    "a user in the target": head("get").replace(b"GET ", b"GET http://user@localhost", 1) + HIDDEN,
    "an upgrade with a body": head("get", *upgrade(b"x"), b"Content-Length: %d" % len(HIDDEN)) + HIDDEN,
    "an upgrade with chunks": head("get", *upgrade(b"x"), b"Transfer-Encoding: chunked") + HIDDEN,
    "an upgrade by POST with a body": post(*upgrade(b"h2c"), b"Content-Length: 5"),
    "a WebSocket with a body": head("get", *SOCKET, b"Content-Length: %d" % len(HIDDEN)) + HIDDEN,
    "a WebSocket with chunks": head("get", *SOCKET, b"Transfer-Encoding: chunked") + HIDDEN,
    "a WebSocket by POST": post(*SOCKET, body=b""),
    "a WebSocket by HTTP/1.0": head("get", *SOCKET).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + HIDDEN,
    "Upgrade without Connection, with a body": post(b"Upgrade: x", b"Content-Length: 5"),
    "two upgrades with a body": post(*upgrade(b"x"), b"Upgrade: websocket", b"Content-Length: 5"),
    "a request behind a WebSocket": head("get", *SOCKET) + HIDDEN,
}

BROKEN_BODIES: dict[str, bytes] = {
    "a size that is none": chunked(b"zz\r\nhello\r\n0\r\n\r\n"),
    "an empty size": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "a size with a prefix": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a negative size": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "a size with a sign": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "a size with an underscore": chunked(b"0_5\r\nhello\r\n0\r\n\r\n"),
    "a size behind a space": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "a size beyond all numbers": chunked(b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n"),
    "a size that ends in LF": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "a size that ends in CR": chunked(b"5\rhello\r\n0\r\n\r\n"),
    "an extension that ends in LF": chunked(b"5;a\nhello\r\n0\r\n\r\n"),
    "an extension with a CR": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "a piece that is longer": chunked(b"5\r\nhelloXX0\r\n\r\n"),
    "a piece that ends in LF": chunked(b"5\r\nhello\n0\r\n\r\n"),
    "an end in LF": chunked(b"5\r\nhello\r\n0\n\n"),
    "a size of many zeros": chunked(b"0" * 30 + b"5\r\nhello\r\n0\r\n\r\n"),
    "a size before a space": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "an end of many zeros": chunked(b"5\r\nhello\r\n" + b"0" * 30 + b"\r\n\r\n"),
    "an extension with a line break in quotes": chunked(b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n'),
    "an extension without end": chunked(b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"),
    "trailers without end": chunked(b"0\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n"),
    "a length as a trailer": chunked(b"0\r\nContent-Length: 5\r\n\r\n"),
    "a trailer that is none": chunked(b"0\r\nno colon\r\n\r\n"),
    "a trailer that folds": chunked(b"0\r\nX-A: 1\r\n X-B: 2\r\n\r\n"),
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_what_can_be_read_in_two_ways_is_refused(visitor: Visitor, name: str) -> None:
    visitor.send(SMUGGLING[name])
    visitor.refused(400)
    assert reached == []


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_what_follows_a_broken_body_is_not_read(visitor: Visitor, name: str) -> None:
    """The app may have begun to read it; it never gets to its end, nor what is hidden behind."""
    visitor.send(BROKEN_BODIES[name])
    visitor.refused(400)
    assert set(reached) <= {"POST /post"}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_body_that_breaks_later_is_refused_as_well(visitor: Visitor, name: str) -> None:
    """Byte by byte: no border between pieces that come is a border in what they say."""
    sent = BROKEN_BODIES[name]
    begin = sent.index(b"\r\n\r\n") + 4
    visitor.send(sent[:begin])
    for index in range(begin, len(sent)):
        visitor.send(sent[index : index + 1])
    visitor.refused(400)
    assert set(reached) <= {"POST /post"}


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_broken_request_behind_another_costs_the_other_nothing(visitor: Visitor, name: str) -> None:
    visitor.send(head("before") + SMUGGLING[name])
    assert visitor.answer().status == 200
    visitor.read_to_end()  # the connection is closed in any case
    assert set(reached) == {"GET /before"}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_behind_other_requests_costs_them_nothing(visitor: Visitor, name: str) -> None:
    visitor.send(head("first") + head("second") + BROKEN_BODIES[name])
    for _ in range(2):
        answer = visitor.answer()
        assert answer.status == 200
        visitor.read(int(answer.get("content-length")[0]))
    visitor.read_to_end()
    assert reached[:2] == ["GET /first", "GET /second"]
    assert set(reached[2:]) <= {"POST /post"}


UPGRADES: dict[str, tuple[bytes, ...]] = {
    "to anything": upgrade(b"x"),
    "to HTTP/2": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "to a list": upgrade(b"websocket, x"),
    "twice": (*upgrade(b"x"), b"Upgrade: websocket"),
    "to nothing": upgrade(b""),
    "with an empty body": (*upgrade(b"x"), b"Content-Length: 0"),
}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", UPGRADES)
def test_a_connection_ends_with_an_upgrade_that_is_not_to_a_websocket(
    visitor: Visitor, name: str, at_once: bool
) -> None:
    """The request is answered as any other. What comes behind it may be of another protocol, and is not read."""
    visitor.send(head("get", *UPGRADES[name]) + (HIDDEN if at_once else b""))
    answer = visitor.answer()
    assert answer.status == 200
    assert answer.get("connection") == ["close"]
    assert visitor.read(1) == b"0"
    if not at_once:
        visitor.send(HIDDEN)
    assert visitor.read_to_end() == b""
    assert reached == ["GET /get"]


@pytest.mark.parametrize(
    "fields",
    [(b"Upgrade: websocket",), (b"Connection: Upgrade",), (b"Connection: keep-alive, X-Own",), (b"Content-Length: 0",)],
)
def test_what_is_no_upgrade_keeps_its_connection(visitor: Visitor, fields: tuple[bytes, ...]) -> None:
    for _ in range(2):
        visitor.send(head("get", *fields))
        assert visitor.answer().status == 200
        assert visitor.read(1) == b"0"
    assert reached == ["GET /get"] * 2


@pytest.mark.parametrize("length", [(), (b"Content-Length: 0",)])
def test_a_websocket_without_a_body_is_accepted(visitor: Visitor, length: tuple[bytes, ...]) -> None:
    visitor.send(head("get", *SOCKET, *length))
    assert visitor.answer().status == 101


@pytest.mark.parametrize("target", ["gone", "http://localhost"])
def test_what_follows_a_denied_websocket_is_not_read(visitor: Visitor, target: str) -> None:
    request = head("get", *SOCKET).replace(b"/cat/", b"/gone/")
    if target != "gone":
        request = request.replace(b"GET ", b"GET " + target.encode(), 1)
    visitor.send(request)
    answer = visitor.answer()
    assert answer.status == 401
    assert answer.get("connection") == ["close"]
    visitor.read(int(answer.get("content-length")[0]))
    visitor.send(HIDDEN)
    assert visitor.read_to_end() == b""
    assert reached == []


@pytest.mark.parametrize("target", [b"http://localhost", b"HTTP://LOCALHOST", b"http://localhost?a=/b"])
def test_the_absolute_form_without_a_path_is_of_the_root(visitor: Visitor, target: bytes) -> None:
    visitor.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert visitor.answer().status == 404


@pytest.mark.parametrize("target", ["cat", "gone"])
@pytest.mark.parametrize("field", [b"Connection: close", b"Connection: X-Own, Close", b"Proxy-Connection: close"])
def test_what_follows_the_last_request_is_not_read(visitor: Visitor, target: str, field: bytes) -> None:
    visitor.send(head("get", field).replace(b"/cat/", f"/{target}/".encode()) + HIDDEN + HIDDEN)
    answer = visitor.answer()
    assert answer.get("connection") == ["close"]
    visitor.read(int(answer.get("content-length")[0]))
    assert visitor.read_to_end() == b""
    assert set(reached) <= {"GET /get"}


@pytest.mark.parametrize("target", ["cat", "gone"])
def test_what_follows_http_1_0_is_not_read(visitor: Visitor, target: str) -> None:
    """HTTP/1.0 ends its connection here, whatever it asks for: an answer at once is no reason to read on."""
    first = head("get", b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    visitor.send(first.replace(b"/cat/", f"/{target}/".encode()) + HIDDEN)
    visitor.answer()
    visitor.read_to_end()
    assert "GET /hidden" not in reached


def test_a_body_that_the_app_does_not_read_is_passed_over(visitor: Visitor) -> None:
    """Of a GET too, and of one that is refused at the gate."""
    for target in ("cat", "gone"):
        request = head("get", b"Content-Length: %d" % len(HIDDEN)).replace(b"/cat/", f"/{target}/".encode())
        visitor.send(request)
        visitor.send(HIDDEN)
        visitor.read(int(visitor.answer().get("content-length")[0]))
    visitor.send(head("after"))
    assert visitor.answer().status == 200
    assert reached == ["GET /get", "GET /after"]
