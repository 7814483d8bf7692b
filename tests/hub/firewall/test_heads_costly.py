"""Whatever a head of 60 KB is made of, the gate does a bounded number of things for it; counted, not timed."""

from __future__ import annotations

import asyncio
import sys
import time
import unicodedata
from typing import Any

import pytest

from portico.hub.answers import Answer
from portico.hub.conditions import Conditions, digest
from portico.hub.enforcer import Enforcer
from portico.hub.firewall.heads import check_head
from portico.hub.keys import MARK
from portico.types import Headers
from tests.costs import seconds
from tests.hub.test_hub_memory import app
from tests.in_process import a_hub

SIZE = 60_000
MOST_CALLS = 16_000
"""Calls of functions, Python's and C's, in one request: a hundred nanoseconds each. Some heads took 400,000."""
MOST_SECONDS = 0.015
"""Of a quiet machine 3 ms: a bound for what one call does."""

KEY = MARK[1:]
PIECES = [
    b"a=1;", b"portico_a=1;", b"portico_abc=sixteenletters16;", b"portico_key=x;", b"portico_pass=1.x;", b"_xsrf=2|;",
    b"a=%41;", b"%41", b"%", b"\\x41", b"\\101", b"\\\\", b'\\"', b";", b"=;", b"=", b"a=eyJ.;", KEY + b";",
    b"portico_key=a." + KEY + b".c;", b"%2541", b"%25", b"%%34%31", b",", b"a,", b"close,", KEY + b",", b"1.2.3.4,",
    b"text/html,", b"/", b"http://a/?token=1&", b"?", b"#", b"a&", b"token=1&", b"a=%41&", b"portico_key=1&", b"&",
    b"_xsrf=1&", b"2|", KEY + b"&", b"+", b"%74oken=%41&", b"token=http://a/?token=1;&", b"a=\\\\&", b"!", b"1", b" ",
    b"\t", b'"', b"MnwxOjB8", b"<", b"..//", b"0-1,", b"\xe2\x98\x80", b"a.", b":",
]  # fmt: skip
FIELDS = [
    "cookie", "authorization", "authorization Basic ", "authorization Bearer ", "authorization token ", "referer",
    "referer http://hub.example:8888/?", "referer http://a/#",
    "referer http://a/?a=b#", "connection", "sec-websocket-protocol", "upgrade",
    "x-forwarded-for", "forwarded", "accept", "accept text/html,", "origin", "origin http://", "content-type", "range",
    "te", "expect", "x-any", "x-xsrf-token", "x-xsrftoken", "content-length", "transfer-encoding", "if-none-match",
    "user-agent", "sec-fetch-mode", "access-control-request-headers",
]  # fmt: skip


def repeated(piece: bytes) -> bytes:
    return piece * (SIZE // len(piece))


async def costs(target: bytes, headers: Headers) -> tuple[int, float]:
    """The calls that one request makes at most, to services of several kinds, and the time of one of them."""
    async with a_hub() as hub:
        kernel = await hub.kernel().connect()
        await kernel.register("public", app, access="public")
        await kernel.register("private", app)
        await kernel.register("asks", app, access="public", conditions={"rate": "1000/s", "cidr": ["192.0.2.0/24"]})
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            if event in ("call", "c_call"):
                calls += 1

        most = 0
        for path in (b"public/", b"private/", b"asks/", b"public"):
            calls = 0
            sys.setprofile(count)
            try:
                await hub.visit(path + target, headers=headers)
            finally:
                sys.setprofile(None)
            most = max(most, calls)
        took = min([await timed(hub, b"public/" + target, headers) for _ in range(2)])
        for one in kernel.apps.values():
            await one.retire(0)
        return most, took


async def timed(hub: Any, target: bytes, headers: Headers) -> float:
    began = time.thread_time()
    await hub.visit(target, headers=headers)
    return time.thread_time() - began


def check(target: bytes, headers: Headers) -> None:
    calls, took = asyncio.run(costs(target, headers))
    assert calls < MOST_CALLS
    assert took < MOST_SECONDS


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_anything_is_cheap(field: str) -> None:
    name, _, begin = field.partition(" ")

    async def inside() -> list[tuple[bytes, int, float]]:
        return [(piece, *await costs(b"", [(name.encode(), begin.encode() + repeated(piece))])) for piece in PIECES]

    found = asyncio.run(inside())
    assert [(piece, calls) for piece, calls, _ in found if calls > MOST_CALLS] == []
    assert [(piece, took) for piece, _, took in found if took > MOST_SECONDS] == []


@pytest.mark.parametrize("piece", PIECES)
def test_a_query_and_a_path_of_anything_are_cheap(piece: bytes) -> None:
    if piece.isascii() and not piece.isspace():  # others no server takes for a target
        check(b"?" + repeated(piece), [])
        check(repeated(piece), [])
        check(b"?" + repeated(piece), [(b"accept", b"text/html")])


@pytest.mark.parametrize(
    "pair",
    [
        (b"x", b"1"),
        (b"cookie", b"portico_key=x"),
        (b"x", b"%41"),
        (b"authorization", b"Basic QUJDOkFCQw=="),
        (b"a", b""),
    ],
)
def test_thousands_of_fields_are_refused_for_little(pair: tuple[bytes, bytes]) -> None:
    check(b"", [pair] * (SIZE // (len(pair[0]) + len(pair[1]) + 4)))
    check(b"", [pair] * 200)
    check(b"", [(b"x%d" % number, b"1") for number in range(7000)])


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"/?" + b"id=1&" * 5000, []),  # nothing in it has to be looked at
        (b"/?" + b"id=%41&" * 500, []),
        (b"/?q=" + b"%E2%98%80" * 1300, []),
        (b"/", [(b"cookie", b"; ".join(b"name%d=value" % number for number in range(400)))]),
        (b"/", [(b"x-%d" % number, b"y" * 200) for number in range(250)]),
        (b"/", [(b"x-json", b'{"a": "\\"' + b"b\\n" * 2000 + b'"}')]),
        (b"/", [(b"authorization", b"Bearer " + b"x" * 60_000)]),
        (b"/", [(b"accept", b"text/html," * 6000)]),
    ],
)
def test_large_heads_that_someone_may_have_pass(target: bytes, headers: Headers) -> None:
    check_head(target, headers)


@pytest.mark.parametrize(
    ("target", "headers", "why"),
    [
        (b"/", [(b"x", b"1")] * 257, "256 header fields"),
        (b"/", [(b"cookie", b"aaaaaaa=1;" * 513)], "512 cookies"),
        (b"/", [(b"cookie", b"aaaaaaa=1;" * 100)] * 6, "512 cookies"),
        (b"/?" + b"a=%41&" * 1100, [], "1000 arguments"),
        (b"/", [(b"referer", b"http://a/?" + b"token=1;" * 1100)], "1000 arguments"),
        (b"/?a=" + b"%41" * 5000, [], "percent signs"),
        (b"/", [(b"x", b"%41" * 2000), (b"y", b"%41" * 2200)], "percent signs"),
        (b"/", [(b"x", b"\\n" * 3000)], "backslashes"),
        (b"/", [(b"connection", b"x-hop-by-hop-1," * 300)], "256 items"),
        (b"/", [(b"sec-websocket-protocol", b"graphql-transport-ws," * 300)], "256 items"),
    ],
)
def test_heads_that_are_made_to_be_dear_are_refused(target: bytes, headers: Headers, why: str) -> None:
    with pytest.raises(Answer) as caught:
        check_head(target, headers)
    assert caught.value.status == 431
    assert why in caught.value.message


def test_a_password_of_marks_costs_little() -> None:
    marks = "".join(letter for letter in map(chr, range(0x300, 0x370)) if unicodedata.combining(letter)) * 400
    enforcer = Enforcer()
    conditions = Conditions(password=digest(b"right"))
    assert seconds(lambda: enforcer.is_password(conditions, marks.encode())) < 0.01
    assert enforcer.is_password(conditions, b"right")
