"""Whether a body follows is read from a table of the edge's own, which says what tornado's says."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, RequestStartLine

from portico.hub.firewall.heads import SMALL
from portico.jupyter.heads import has_body, read_head

_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["Content-Length", "content-length", "Transfer-Encoding", "Host", "X-Other"]),
        st.sampled_from(["", "0", "00", "5", "0,0", "chunked", "identity", "x" * 2000]),
    ),
    max_size=5,
)


class _Context:
    address = ("203.0.113.7", 5000)
    remote_ip = "203.0.113.7"
    protocol = "http"


class _Connection:
    context = _Context()
    stream = None


@given(_FIELDS, st.integers(0, 5000))
def test_a_head_says_the_same_of_its_body_and_its_size(fields: list[tuple[str, str]], length: int) -> None:
    headers = HTTPHeaders()
    for name, value in fields:
        headers.add(name, value)
    connection: Any = _Connection()
    target = "/portico/apps/cat/" + "a" * length
    start_line = RequestStartLine("GET", target, "HTTP/1.1")
    head = read_head(connection, start_line, headers, b"/portico/apps/", False)
    request = head.request
    assert head.fin is not has_body(headers)
    assert request.fields == dict(request.headers)
    assert request.small is (len(request.target) + sum(len(value) for _, value in request.headers) <= SMALL)
