"""Bytes that two servers could read in two ways (RFC 9112 §11.2): refused with 400, and the connection closed.

What is hidden behind them must reach no app, whichever way a proxy in front has read them.
"""

from __future__ import annotations

import pytest

from tests.relay.raw_visitors import Visitor, head, reached

HIDDEN = b"GET /alice/apps/cat/hidden HTTP/1.1\r\nHost: relay.test\r\n\r\n"


def post(*fields: bytes, body: bytes = b"hello") -> bytes:
    return head("post", *fields, method="POST") + body + HIDDEN


def chunked(content: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=content)


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
    "one host twice": head("get", b"Host: relay.test") + HIDDEN,
    "no host": head("get").replace(b"Host", b"X-Host") + HIDDEN,
    "another host in the target": head("get").replace(b"GET ", b"GET http://other.test", 1) + HIDDEN,
    "a control in the target": head("a\x01b") + HIDDEN,
    "a space in the target": head("a b") + HIDDEN,
    "a version to come": head("get").replace(b"HTTP/1.1", b"HTTP/1.7", 1) + HIDDEN,
    "another version": head("get").replace(b"HTTP/1.1", b"HTTP/3.0", 1) + HIDDEN,
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
