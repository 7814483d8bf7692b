"""Every route of Portico, walked without and with wrong credentials. The list is made from the routes themselves, so a
route that is added is walked too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from portico.hub.tools.no_oauth import NAMES
from portico.jupyter.api import routes
from tests.live_jupyter import TOKEN, JupyterServer
from tests.security.apps import CALL, FUNCTION_ROUTES
from tests.security.conftest import ORIGIN, Served
from tests.security.visitor import Login, ask, upgrade

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def _api() -> list[str]:
    nothing: Any = None
    patterns = [pattern for pattern, _, _ in routes(nothing, nothing, "portico/")]
    made = [pattern.replace(r"([^/]+)", "echo-private").replace(".*", "no-such-route") for pattern in patterns]
    assert all(re.fullmatch(pattern, path) for pattern, path in zip(patterns, made, strict=True))
    assert all(re.fullmatch(r"[\w/-]+", path) for path in made), "a new kind of pattern: say how to fill it in"
    return made


LOGIN = "portico/login"
API = [path for path in _api() if path != LOGIN]
APPS = ["portico/apps/echo-private/", "portico/apps/echo-key/a/b", "portico/apps/no-such-service/", "portico/apps/"]
LINK = "portico/link"
RESPONSE = "portico/v1/responses/resp_0"
MODELS = [
    *("portico/v1", "portico/v1/models", "portico/v1/models/secret_model", "portico/v1/chat/completions"),
    *("portico/v1/responses", RESPONSE, f"{RESPONSE}/input_items", f"{RESPONSE}/cancel"),
]


def test_the_walk_knows_every_route() -> None:
    assert LOGIN in _api()
    assert {"portico/api/services", "portico/api/keys", "portico/api/events"} <= set(API)


@pytest.mark.parametrize("path", API)
def test_the_control_api_is_closed(path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]) -> None:
    for what, headers in wrong.items():
        for method in METHODS:
            body = b'{"services": ["not-of-that-kernel"]}' if method in UNSAFE else None
            answer = ask(jupyter_server, path, method, headers, body)
            if method == "OPTIONS":  # Jupyter answers it by itself, and says nothing
                assert answer.status in (401, 404) or (answer.status in (200, 204) and not answer.body), (what, answer)
                continue
            assert answer.status in (401, 403, 404, 405), (what, method, answer)
            if method == "GET" and answer.status != 405:
                # a kernel is known, and told that it may not; or that there is no such route
                assert answer.status in ((403, 404) if what == "wrong audience" else (401,)), (what, answer)
            assert b"Traceback" not in answer.body
            assert b"security.ipynb" not in answer.body


@pytest.mark.parametrize("path", APPS)
def test_apps_are_closed(path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]) -> None:
    for what, headers in wrong.items():
        for method in METHODS:
            answer = ask(jupyter_server, path, method, headers, b"x" if method in UNSAFE else None)
            assert answer.status == (403 if what == "key of another service" else 401), (what, method, answer)
        expected = 403 if what == "key of another service" else 401
        assert upgrade(jupyter_server, path, headers).status == expected, what


def test_the_link_speaks_websocket_alone(jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]) -> None:
    for headers in wrong.values():
        for method in METHODS:
            assert ask(jupyter_server, LINK, method, headers).status == 426
        assert upgrade(jupyter_server, LINK, headers).status == 400  # no subprotocol
    assert upgrade(jupyter_server, "portico/linkXecho-public/").status == 404


def public(server: JupyterServer) -> list[str]:
    """The models that are open to everybody."""
    return [model["id"] for model in ask(server, "portico/v1/models").json().get("data", ())]


@pytest.mark.parametrize("path", MODELS)
def test_all_models_are_nobodys(path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]) -> None:
    """What is public of other tests' models may be seen here; the private one may not, nor be asked anything."""
    body = b'{"model": "secret_model", "input": "x", "messages": [{"role": "user", "content": "x"}]}'
    for what, headers in wrong.items():
        for method in METHODS:
            answer = ask(jupyter_server, path, method, headers, body if method in UNSAFE else None)
            assert answer.status < 500, (what, method, answer)
            assert b"secret-model" not in answer.body, (what, method)
            assert b"a secret" not in answer.body, (what, method)
            if headers and what in ("expired key", "revoked key", "wrong audience", "alg none", "another secret"):
                assert answer.status == 401, (what, method, answer)
        status = upgrade(jupyter_server, path, headers).status
        if status == 101:  # a stranger is let in to what is public of other tests' models
            assert path == "portico/v1/responses"
            assert public(jupyter_server), what
        else:
            assert status in (401, 403, 404), what


@pytest.fixture
def not_run(jupyter_server: JupyterServer, served: Served) -> Iterator[None]:
    """The secret function is not called meanwhile."""

    def count() -> int:
        owner = {"Authorization": f"token {TOKEN}"}
        found: int = ask(jupyter_server, "portico/apps/secret-function/run", "GET", owner).json()["result"]
        return found

    before = count()
    yield
    assert count() == before + 1


FUNCTIONS = [f"portico/apps/secret-function/{route}" for route in FUNCTION_ROUTES]


@pytest.mark.parametrize("path", FUNCTIONS)
def test_functions_are_closed(
    path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]], not_run: None
) -> None:
    """Their page, their description, their scripts, their tools; and nothing of them runs."""
    for what, headers in wrong.items():
        expected = 403 if what == "key of another service" else 401
        for method in METHODS:
            for kind in ("application/json", f"multipart/form-data; boundary={'x' * 10}", "text/plain"):
                given = headers | {"Content-Type": kind, "Accept": "application/json, text/event-stream"}
                answer = ask(jupyter_server, path, method, given, b"{}" if method in UNSAFE else None)
                assert answer.status == expected, (what, method, answer)
                assert b"secret function" not in answer.body
        assert upgrade(jupyter_server, path, headers).status == expected, what


TOOLS = ["portico/mcp", "portico/mcp/", "portico/mcp?services=secret-function"]


@pytest.mark.parametrize("path", TOOLS)
def test_all_tools_are_nobodys(
    path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]], not_run: None
) -> None:
    """A bad credential is told so whatever it asks; a key of another service sees no tool, and calls none."""
    listed = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
    for what, headers in wrong.items():
        given = headers | {"Content-Type": "application/json"}
        for method in METHODS:
            answer = ask(jupyter_server, path, method, given, listed if method in UNSAFE else None)
            if what == "key of another service":
                assert answer.status in (200, 204, 405, 406), (method, answer)
                assert method != "POST" or answer.json()["result"]["tools"] == []
            else:
                assert answer.status == 401, (what, method, answer)
                assert dict(answer.headers)["www-authenticate"].startswith('Bearer realm="portico"')
        answer = ask(jupyter_server, path, "POST", given, CALL)
        assert answer.status == 401 or "Unknown tool" in answer.json()["error"]["message"], (what, answer)
        assert upgrade(jupyter_server, path, headers).status == 404


@pytest.mark.parametrize("path", TOOLS)
def test_no_login_calls_tools(path: str, jupyter_server: JupyterServer, login: Login, not_run: None) -> None:
    """A page of this server, too, needs a key: a cookie is sent along whoever made the request."""
    own = f"http://127.0.0.1:{jupyter_server.port}"
    for extra in ({}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Origin": "null"}):
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
            headers = {"Cookie": login.cookie, "Content-Type": kind, **extra}
            assert ask(jupyter_server, path, "POST", headers, CALL).status in (401, 403), (extra, kind)
    by_link = ask(jupyter_server, f"portico/mcp?token={TOKEN}", "POST", {"Content-Type": "application/json"}, CALL)
    assert by_link.status == 401


LOOKED_FOR = [f".well-known/{name}{rest}" for name in NAMES for rest in ("", "/portico/mcp", "/portico/apps/x/mcp")]


@pytest.mark.parametrize("path", LOOKED_FOR)
def test_where_agents_look_for_a_login_says_the_same_to_all(
    path: str, jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]
) -> None:
    for what, headers in wrong.items():
        for method in METHODS:
            answer = ask(jupyter_server, path, method, headers, b"x" if method in UNSAFE else None)
            assert answer.status == 404, (what, method, answer)
            assert answer.one("location") == ""
            assert b"secret" not in answer.body


def test_a_stored_response_of_a_private_model_is_nobodys(
    jupyter_server: JupyterServer, served: Served, wrong: dict[str, dict[str, str]], key: str
) -> None:
    owner = {"Authorization": f"token {TOKEN}"}
    body = b'{"model": "secret_model", "input": "x"}'
    made = ask(jupyter_server, "portico/v1/responses", "POST", owner, body).json()["id"]
    path = f"portico/v1/responses/{made}"
    for what, headers in [*wrong.items(), ("a key of other services", {"Authorization": f"Bearer {key}"})]:
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            answer = ask(jupyter_server, path + rest, method, headers)
            assert answer.status in (401, 404), (what, method, answer)
            assert b"a secret" not in answer.body
    assert b"a secret" in ask(jupyter_server, path, headers=owner).body


def test_a_login_opens_the_models_websocket_for_its_own_pages_alone(
    jupyter_server: JupyterServer, served: Served, login: Login
) -> None:
    path, cookie = "portico/v1/responses", {"Cookie": login.cookie}
    own = {"Origin": f"http://127.0.0.1:{jupyter_server.port}"}
    assert upgrade(jupyter_server, path, cookie | own).status == 101
    for other in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ORIGIN}):
        assert upgrade(jupyter_server, path, cookie | other).status == 403, other


def test_a_login_is_asked_for_at_the_login(jupyter_server: JupyterServer, wrong: dict[str, dict[str, str]]) -> None:
    for what, headers in wrong.items():
        answer = ask(jupyter_server, LOGIN + "?next=/portico/apps/echo-private/", "GET", headers)
        assert answer.status == 302, what
        assert answer.one("location").startswith("/login?next="), what
        for method in UNSAFE:
            assert ask(jupyter_server, LOGIN, method, headers).status == 403, what


@pytest.mark.parametrize("path", [*API, *MODELS, *FUNCTIONS, "portico/apps/echo-private/"])
def test_a_login_cookie_alone_changes_nothing(
    path: str, jupyter_server: JupyterServer, served: Served, login: Login, not_run: None
) -> None:
    """Without _xsrf, and from no page or another's: what another site's form can send."""
    kinds = ["text/plain"] + ["multipart/form-data; boundary=x"] * path.startswith("portico/apps/")
    for extra in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}):
        for method, kind in itertools.product(UNSAFE, kinds):
            headers = {"Cookie": login.cookie, "Content-Type": kind, **extra}
            answer = ask(jupyter_server, path, method, headers, b'{"services": ["echo-private"]}')
            assert answer.status in (403, 404, 405), (method, extra, answer)
            assert answer.all("access-control-allow-origin") == [], (method, extra, answer)
    assert jupyter_server.api("GET", "portico/api/services/echo-private")["status"] == "live"


@pytest.mark.parametrize(
    "path", [*API, LOGIN, *APPS, *MODELS, *FUNCTIONS, *TOOLS, *LOOKED_FOR, "portico/apps/echo-public/", LINK]
)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"])
def test_no_route_answers_under_a_foreign_host_name(
    path: str, host: str, jupyter_server: JupyterServer, key: str, login: Login
) -> None:
    """DNS rebinding: a page of evil.example whose name now leads to this machine."""
    for headers in ({}, {"Authorization": f"token {TOKEN}"}, {"Authorization": f"Bearer {key}"}):
        for method in ("GET", "POST"):
            answer = ask(jupyter_server, path, method, headers, host=host)
            assert answer.status == 403, (method, answer)
            assert b"echo" not in answer.body
        assert upgrade(jupyter_server, path, headers, host=host).status == 403


def test_a_kernels_credential_makes_its_own_keys_and_nothing_else(
    jupyter_server: JupyterServer, served: Served, login: Login
) -> None:
    bearer = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    made = ask(jupyter_server, "portico/api/keys", "POST", bearer, b'{"services": ["echo-key"]}')
    assert made.status == 201
    new = {"Authorization": f"Bearer {made.json()['key']}"}
    assert ask(jupyter_server, "portico/apps/echo-key/", headers=new).status == 200
    for services in ('["another"]', '["echo-key", "another"]'):
        body = f'{{"services": {services}}}'.encode()
        assert ask(jupyter_server, "portico/api/keys", "POST", bearer, body).status == 403
    for method, path in (
        ("GET", "services"), ("GET", "services/echo-key"), ("DELETE", "services/echo-key"), ("GET", "keys"),
        ("DELETE", "keys/" + made.json()["id"]), ("GET", "events"),
    ):  # fmt: skip
        assert ask(jupyter_server, "portico/api/" + path, method, bearer).status == 403, path
    for path in ("api/kernels", "api/contents", "api/sessions", "api/me", "api/terminals"):
        assert ask(jupyter_server, path, headers=bearer).status == 403, path
        assert ask(jupyter_server, path, headers={"Authorization": f"token {served.token}"}).status == 403, path
        assert ask(jupyter_server, f"{path}?token={served.token}").status == 403, path
    for path in ("echo-private", "echo-key", "echo-public"):
        assert ask(jupyter_server, f"portico/apps/{path}/", headers=bearer).status == 401
        assert ask(jupyter_server, f"portico/apps/{path}/?portico_key={served.token}").status == 401
    assert jupyter_server.api("GET", "portico/api/services/echo-key")["status"] == "live"


def test_a_visitors_key_is_nothing_to_the_api_or_to_jupyter(jupyter_server: JupyterServer, key: str) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"token {key}"}):
        for path in ("portico/api/services", "portico/api/keys", "portico/api/events"):
            assert ask(jupyter_server, path, headers=headers).status == 401
        assert ask(jupyter_server, "api/kernels", headers=headers).status == 403


def test_a_credential_of_a_kernel_that_ended_is_nothing(jupyter_server: JupyterServer) -> None:
    kernel = jupyter_server.kernel()
    token = kernel.execute("import os; print(os.environ['PORTICO_HUB_TOKEN'])").check().text.strip()
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert ask(jupyter_server, "portico/api/services", headers=bearer).status == 403
    kernel.shutdown()
    assert ask(jupyter_server, "portico/api/services", headers=bearer).status == 401
    assert ask(jupyter_server, "portico/api/keys", "POST", bearer, b"{}").status == 401
