"""What no one thought to write down: generated requests and messages, the same through every carrier."""

import itertools
import os
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.carriers import Carrier
from tests.conformance.conftest import Judge
from tests.conformance.http_cases import LAST_CHUNK, chunk
from tests.conformance.visitor import Case, Visitor
from tests.conformance.wire import BINARY, CONTINUATION, PING, TEXT, pack_close, pack_frame

# A run for long: PORTICO_CONFORMANCE_EXAMPLES=2000
EXAMPLES = int(os.environ.get("PORTICO_CONFORMANCE_EXAMPLES", "25"))
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Requests. Only what is legal: what servers refuse is written down in http_cases.py.

PCHAR = b"abcXYZ019-._~!$&'()*+,;=:@"
TOKEN = b"abcXYZ019!#$%&'*+-.^_`|~"


def text_of(alphabet: bytes, *, most: int, least: int = 0) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


escapes = st.integers(0, 255).map(lambda byte: b"%%%02X" % byte)
segments = st.lists(st.one_of(text_of(PCHAR, most=6), escapes), max_size=4).map(b"".join)
paths = st.lists(segments, max_size=5).map(lambda parts: b"/p/" + b"/".join(parts))
queries = st.lists(st.one_of(text_of(PCHAR + b"/?", most=8), escapes), max_size=6).map(b"".join)
targets = st.builds(lambda path, query: path if query is None else path + b"?" + query, paths, st.none() | queries)

# A few names come often, so that doubles do too. No name is one that a hub takes for itself.
names = st.one_of(
    st.sampled_from([b"X-A", b"x-b", b"X-C", b"Accept", b"User-Agent"]),
    text_of(TOKEN, most=12).map(lambda token: b"X-T" + token),
)
field_bytes = bytes([*range(0x20, 0x7F), 0x09, *range(0x80, 0x100)])
field_values = text_of(field_bytes, most=30).map(lambda value: value.strip(b" \t"))


@dataclass(frozen=True)
class Request:
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | list[bytes] | None
    """None, bytes with a Content-Length, or chunks."""
    cuts: list[int]
    """Where the bytes of the request are cut into writes."""


bodies = st.one_of(st.none(), st.binary(max_size=300), st.lists(st.binary(min_size=1, max_size=80), max_size=5))
requests = st.builds(
    Request,
    st.sampled_from([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"HEAD"]),
    targets,
    st.lists(st.tuples(names, field_values), max_size=8),
    bodies,
    st.lists(st.integers(1, 500), max_size=4),
)


def in_pieces(visitor: Visitor, data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    for start, end in itertools.pairwise(edges):
        visitor.send(data[start:end])


def bytes_of(visitor: Visitor, request: Request) -> bytes:
    headers, content = list(request.headers), b""
    if isinstance(request.body, list):
        headers.append((b"Transfer-Encoding", b"chunked"))
        content = b"".join(map(chunk, request.body)) + LAST_CHUNK
    elif request.body is not None:
        headers.append((b"Content-Length", b"%d" % len(request.body)))
        content = request.body
    return visitor.head(request.method, request.target, headers) + content


@given(sent=st.lists(requests, min_size=1, max_size=3), pipelined=st.booleans())
@bounded
def test_any_requests_on_one_connection(judge: Judge, carrier: Carrier, sent: list[Request], pipelined: bool) -> None:
    """Any legal requests, one after the other or all at once, are seen and answered as the oracle does."""

    def visit(visitor: Visitor) -> None:
        if pipelined:
            in_pieces(visitor, b"".join(bytes_of(visitor, request) for request in sent), sent[0].cuts)
        for request in sent:
            if not pipelined:
                in_pieces(visitor, bytes_of(visitor, request), request.cuts)
            visitor.response(request.method)
        visitor.alive()

    judge(carrier, Case("property-http", visit, generated=True))


@given(
    pieces=st.lists(st.binary(max_size=200), max_size=6),
    length=st.booleans(),
    headers=st.lists(st.tuples(names, field_values), max_size=6),
)
@bounded
def test_any_echo(
    judge: Judge,
    carrier: Carrier,
    pieces: list[bytes],
    length: bool,
    headers: list[tuple[bytes, bytes]],
) -> None:
    """Whatever is sent, in whatever pieces, comes back."""

    def visit(visitor: Visitor) -> None:
        content = b"".join(pieces) if length else b"".join(chunk(piece) for piece in pieces if piece) + LAST_CHUNK
        framing = (b"Content-Length", b"%d" % len(content)) if length else (b"Transfer-Encoding", b"chunked")
        visitor.send(visitor.head(b"POST", b"/echo", [*headers, framing]))
        visitor.send(content)
        visitor.response()
        visitor.alive()

    judge(carrier, Case("property-echo", visit, generated=True))


# Messages.

texts = st.text(max_size=60).map(lambda text: text.encode())
messages = st.one_of(
    st.tuples(st.just(TEXT), st.lists(texts, min_size=1, max_size=3)),
    st.tuples(st.just(BINARY), st.lists(st.binary(max_size=300), min_size=1, max_size=4)),
)
pings = st.tuples(st.just(PING), st.lists(st.binary(max_size=125), min_size=1, max_size=1))
closes = st.tuples(
    st.sampled_from([None, 1000, 1001, 1003, 1008, 1011, 3000, 3999, 4000, 4999]),
    st.text(max_size=30).map(lambda text: text.encode()),
)


def frames_of(message: tuple[int, list[bytes]]) -> bytes:
    """One message, each of its pieces a frame."""
    opcode, pieces = message
    return b"".join(
        pack_frame(opcode if i == 0 else CONTINUATION, piece, final=i == len(pieces) - 1)
        for i, piece in enumerate(pieces)
    )


def close_of(close: tuple[Any, bytes]) -> bytes:
    code, reason = close
    return pack_close(code, b"" if code is None else reason)


@given(sent=st.lists(st.one_of(messages, pings), max_size=6), close=closes)
@bounded
def test_any_conversation(
    judge: Judge, carrier: Carrier, sent: list[tuple[int, list[bytes]]], close: tuple[Any, bytes]
) -> None:
    """Any messages and pings, each answered before the next, and any close."""

    def visit(visitor: Visitor) -> None:
        answer = visitor.upgrade(b"/ws/echo")
        if answer is None or answer.head.status != 101:
            return
        for message in sent:
            visitor.send(frames_of(message))
            visitor.frames(1)
        visitor.send(close_of(close))
        visitor.closing()

    judge(carrier, Case("property-ws-conversation", visit, generated=True))


@given(sent=st.lists(messages, max_size=8), cuts=st.lists(st.integers(1, 600), max_size=5), close=closes)
@bounded
def test_any_burst(
    judge: Judge,
    carrier: Carrier,
    sent: list[tuple[int, list[bytes]]],
    cuts: list[int],
    close: tuple[Any, bytes],
) -> None:
    """Any messages in one go, cut anywhere into writes: all come back, in order."""

    def visit(visitor: Visitor) -> None:
        answer = visitor.upgrade(b"/ws/echo")
        if answer is None or answer.head.status != 101:
            return
        in_pieces(visitor, b"".join(map(frames_of, sent)), cuts)
        visitor.frames(len(sent))
        visitor.send(close_of(close))
        visitor.closing()

    judge(carrier, Case("property-ws-burst", visit, generated=True))
