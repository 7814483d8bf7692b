"""``/portico/mcp`` of a real Jupyter server: how a client finds it with a key, without one, and with a login."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from tests.live_jupyter import JupyterServer

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def sent(
    server: JupyterServer, method: str, path: str, body: Any = None, **headers: str
) -> tuple[http.client.HTTPResponse, Any]:
    """One request as a program makes it, and what it was answered, as JSON if it is that."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, None if body is None else json.dumps(body), given)
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    is_json = (response.getheader("Content-Type") or "").startswith("application/json")
    return response, json.loads(data) if is_json else data


def test_without_a_key_a_client_is_told_401_as_json_and_sent_nowhere(jupyter_server: JupyterServer) -> None:
    for method, body in (("POST", LIST), ("GET", None)):
        for accept in ("application/json, text/event-stream", "text/event-stream", "text/html", "*/*"):
            response, said = sent(jupyter_server, method, "/portico/mcp", body, Accept=accept)
            assert response.status == 401
            assert response.getheader("WWW-Authenticate") == 'Bearer realm="portico"'
            assert response.getheader("Location") is None
            assert "Authorization: Bearer" in said["error"]["message"]


def test_the_url_takes_jupyters_token_and_no_cookie(jupyter_server: JupyterServer) -> None:
    token = jupyter_server.token
    for shown in (f"Bearer {token}", f"token {token}"):
        narrowed = "/portico/mcp?services=nothing"  # what other tests serve here is none of this one's
        response, said = sent(jupyter_server, "POST", narrowed, LIST, Authorization=shown)
        assert (response.status, said["result"]["tools"]) == (200, [])
    response, _ = sent(jupyter_server, "POST", f"/portico/mcp?token={token}", LIST)
    assert response.status == 401
    response, _ = sent(jupyter_server, "GET", f"/lab?token={token}", Accept="text/html")
    cookie = "; ".join(value.partition(";")[0] for value in response.headers.get_all("Set-Cookie") or [])
    assert "username-" in cookie
    response, _ = sent(jupyter_server, "GET", "/api/status", Cookie=cookie)
    assert response.status == 200, "Jupyter itself takes it"
    for authorization in ({}, {"Authorization": "Bearer nobody's"}):
        for origin in ({}, {"Origin": f"http://127.0.0.1:{jupyter_server.port}"}):
            response, said = sent(
                jupyter_server, "POST", "/portico/mcp", LIST, Cookie=cookie, **authorization, **origin
            )
            assert response.status == 401
            invalid = 'Bearer realm="portico"' + (', error="invalid_token"' if authorization else "")
            assert response.getheader("WWW-Authenticate") == invalid


def test_another_hosts_name_and_another_origins_page_are_refused(jupyter_server: JupyterServer) -> None:
    key = f"Bearer {jupyter_server.token}"
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        response, _ = sent(jupyter_server, "POST", "/portico/mcp", LIST, Authorization=key, **headers)
        assert response.status == 403


@pytest.mark.parametrize("name", ["oauth-protected-resource", "oauth-authorization-server", "openid-configuration"])
def test_where_clients_look_for_an_authorization_server_is_a_404_of_json(
    jupyter_server: JupyterServer, name: str
) -> None:
    for path in (
        f"/.well-known/{name}",
        f"/.well-known/{name}/portico/mcp",
        f"/.well-known/{name}/portico/apps/flats/mcp",
        f"/portico/mcp/.well-known/{name}",
    ):
        for method in ("GET", "OPTIONS", "POST"):
            response, said = sent(jupyter_server, method, path, Accept="text/html")
            assert response.status == 404, path
            assert said["error"]["message"]
            assert response.getheader("Location") is None


def test_a_websocket_is_told_that_there_is_none(jupyter_server: JupyterServer) -> None:
    response, said = sent(
        jupyter_server,
        "GET",
        "/portico/mcp",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Sec_WebSocket_Version="13",
        Authorization=f"Bearer {jupyter_server.token}",
    )
    assert (response.status, said["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "text/event-stream", "*/*"])
def test_the_mcp_url_of_a_service_sends_no_program_to_a_login(jupyter_server: JupyterServer, accept: str) -> None:
    for method, body in (("POST", LIST), ("GET", None)):
        response, said = sent(jupyter_server, method, "/portico/apps/flats/mcp", body, Accept=accept)
        assert response.status == 401
        assert response.getheader("WWW-Authenticate") == 'Bearer realm="portico"'
        assert said["error"]["code"] == "unauthorized"
