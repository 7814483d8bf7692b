"""Usual requests are read by shorter ways, which come to the same as the long ones."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from portico.protocol import Kind
from portico.relay.config import RelayConfig
from portico.relay.edge import framing
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.framing import PLAIN, Framing, Malformed, read, request_line
from portico.relay.state import RelayState
from portico.types import Headers

_WORDS = st.sampled_from(
    [b"GET", b"HEAD", b"get", b"G\xc3T", b"PROPFIND", b"/", b"/a?b=c#d", b"*", b"/\x7f", b"/\x80", b"/\0", b"/\t", b"",
     b" ", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1\t", b"\r", b"\n"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=30), st.lists(_WORDS, max_size=5).map(b" ".join)))
def test_a_request_line_is_what_the_expression_takes(line: bytes) -> None:
    match = framing._REQUEST_LINE.fullmatch(line)
    expected = None if match is None else (match[1].decode(), match[2], match[3].decode())
    assert request_line(line) == expected


def said(method: str, version: str, fields: Headers) -> object:
    try:
        return dataclasses.astuple(read(method, version, fields))
    except Malformed as error:
        return str(error)


@given(
    st.sampled_from(["GET", "POST", "CONNECT"]),
    st.sampled_from(["1.0", "1.1"]),
    st.sampled_from([b"keep-alive", b"Keep-Alive", b"KEEP-ALIVE", b"close", b"keep-alive, upgrade", b"upgrade", b""]),
)
def test_what_a_usual_connection_says_is_what_its_options_say(method: str, version: str, value: bytes) -> None:
    """A second field that says nothing makes it an unusual one."""
    assert said(method, version, [(b"connection", value)]) == said(
        method, version, [(b"connection", value), (b"expect", b"nothing")]
    )


def test_nobody_has_changed_what_plain_requests_say() -> None:
    assert {"1.1": Framing(), "1.0": Framing(keep_alive=False)} == PLAIN


class _Connection:
    client = ("203.0.113.7", 5000)
    server: tuple[str, int | None] = ("127.0.0.1", 8000)
    scheme = None
    caller = "203.0.113.7"


_FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-other", b"accept"]),
        st.sampled_from([b"localhost:8000", b"relay.test", b"198.51.100.1, 203.0.113.9", b"https", b"", b"::1"]),
    ),
    max_size=5,
    unique_by=lambda pair: pair[0],
)


_TARGETS = [b"/alice/apps/cat/?a=b", b"/alice/v1/models", b"/portico/login", b"/", b"/a.b/apps/c/"]


@given(_FIELDS, st.sampled_from(_TARGETS), st.sampled_from(["*", "127.0.0.1", "203.0.113.7"]))
def test_a_request_is_read_as_asgi_brings_it(headers: Headers, target: bytes, trusted: str) -> None:
    """Past ASGI and by it: the same place, visitor, scheme and caller."""
    config = RelayConfig(paths=True, base_url="http://localhost:8000", forwarded_allow_ips=trusted)
    edge = RelayEdge(RelayState(config))
    connection = _Connection()
    path, _, query = target.partition(b"?")
    connection.caller = edge._caller(connection.client, connection.client)
    own = edge.read(connection, "GET", "1.1", target, headers, dict(headers), 100)  # type: ignore[arg-type]
    location = edge.routes.find(headers, path, connection.server)
    if own is None:
        assert location is None or location.models or not location.host
        return
    assert location is not None
    assert own[1] == location
    scope = {
        "headers": headers, "raw_path": path, "query_string": query, "scheme": "http", "method": "GET",
        "http_version": "1.1", "client": connection.client, "server": connection.server,
    }  # fmt: skip
    by_asgi = edge._request(scope, location, Kind.HTTP)
    unread = by_asgi._replace(fields=dict(headers), small=True)
    assert own[0].client == by_asgi.client
    assert own[0].scheme == by_asgi.scheme
    assert own[0] == unread
