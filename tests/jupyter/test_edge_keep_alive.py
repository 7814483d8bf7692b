"""An answer in the hub's own words leaves the visitor's connection as good as it was."""

from __future__ import annotations

import http.client

import pytest

from tests.live_jupyter import TOKEN, JupyterServer

REFUSALS = {
    "at once": ("GET", "portico/apps/nowhere/", {"Authorization": "Bearer .eyJpc3MiOiJwb3J0aWNvIiwi."}, 401),
    "after asking": ("GET", "portico/apps/nowhere/", {"Cookie": "a=1"}, 401),
    "to the login": ("GET", "portico/apps/nowhere/", {"Accept": "text/html"}, 302),
    "a slash": ("GET", "portico/apps/nowhere", {}, 308),
    "not found": ("GET", "portico/apps/nowhere/", {"Authorization": f"token {TOKEN}"}, 404),
    "without a body": ("HEAD", "portico/apps/nowhere/", {}, 401),
    "after a body": ("POST", "portico/apps/nowhere/", {"Cookie": "a=1"}, 401),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_keeps_the_connection(refusal: str, jupyter_server: JupyterServer) -> None:
    method, path, headers, status = REFUSALS[refusal]
    connection = http.client.HTTPConnection("127.0.0.1", jupyter_server.port, timeout=20)
    connection.connect()
    before = connection.sock
    try:
        for _ in range(5):
            connection.request(method, jupyter_server.base + path, b"x" * 100 if method == "POST" else None, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert connection.sock is before, "the connection was closed"
    finally:
        connection.close()
