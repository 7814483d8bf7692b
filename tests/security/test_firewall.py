"""What passes between a visitor with a real login and an app, both ways, through a real server."""

from __future__ import annotations

import json
from itertools import islice
from urllib.parse import quote

import pytest
from websockets.sync.client import connect

from portico.hub.keys import MARK
from tests.live_jupyter import TOKEN, JupyterServer
from tests.security.apps import DROPPED
from tests.security.conftest import ORIGIN, Served
from tests.security.disguises import carriers
from tests.security.visitor import Login, ask, upgrade

CLAIMS = (
    *("X-Client-IP", "CF-Connecting-IP", "True-Client-IP", "X-Forwarded", "X-Cluster-Client-IP", "Client_IP", "X-Host"),
    *("X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "Remote-User", "X-Remote-User", "REMOTE_USER", "Proxy"),
    *("X-Auth-Request-User", "SSL_CLIENT_S_DN", "X-SSL-Client-Verify", "X-Script-Name", "Forwarded_For", "Client-Cert"),
)
"""Headers by which a framework behind some proxy is told who calls, and for what."""

APP = "portico/apps/echo-private/"
PUBLIC = "portico/apps/echo-public/"


def here(server: JupyterServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_the_app_sees_nothing_of_a_login(jupyter_server: JupyterServer, served: Served, login: Login) -> None:
    for path in (APP, PUBLIC):
        headers = [
            ("Cookie", f"own=1; {login.cookie}; username-localhost-9999=of-another-server; last=2"),
            ("Cookie", f"second=3; _xsrf={login.xsrf}"),
            ("X-XSRFToken", login.xsrf),
            ("X-Forwarded-For", "1.2.3.4"),
            ("X_Forwarded_For", "1.2.3.4"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-User", "somebody-else"),
            ("X-Real-IP", "1.2.3.4"),
            *((name, "1.2.3.4") for name in CLAIMS),
            ("Forwarded", "for=1.2.3.4"),
            ("Referer", f"{here(jupyter_server)}/lab?token={TOKEN}&a=1"),
            ("X-Api-Key", "sk-own"),
            ("Authorization", "Basic b3duOm93bg=="),
        ]
        answer = ask(
            jupyter_server, f"{path}x?a=1&_xsrf={login.xsrf}&%5Fxsrf={login.xsrf}&token=own&b=2", "GET", headers
        )
        assert answer.status == 200, answer
        for secret in (
            login.value,
            login.xsrf,
            TOKEN,
            "1.2.3.4",
            "evil.example",
            "_xsrf",
            "username-",
            "somebody-else",
        ):
            assert secret.encode() not in answer.body, (path, secret)
        assert answer.seen("cookie") == ["own=1; last=2", "second=3"]
        assert answer.json()["query"] == "a=1&token=own&b=2"
        assert answer.seen("authorization") == ["Basic b3duOm93bg=="]
        assert answer.seen("x-api-key") == ["sk-own"]
        assert answer.seen("referer") == [f"{here(jupyter_server)}/lab?a=1"]
        assert answer.seen("x-forwarded-for") == ["127.0.0.1"]
        assert answer.seen("x-forwarded-host") == [f"127.0.0.1:{jupyter_server.port}"]
        assert answer.seen("x-forwarded-prefix") == [f"/{path[:-1]}"]
        assert answer.json()["identity"]["access"] == "user"


@pytest.mark.parametrize("path", [APP, PUBLIC])
@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Authorization": f"token {TOKEN}"}}, {"headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"headers": {"Authorization": f"token    {TOKEN} "}}, {"query": f"?token={TOKEN}"},
        {"query": f"?a=1&%74oken={TOKEN}", "headers": {"Authorization": f"token {TOKEN}"}},
        {"query": f"?token=%20{TOKEN}%20"},
        {"query": f"?token=own&token={TOKEN}"},
    ],
    ids=str,
)  # fmt: skip
def test_the_servers_token_opens_and_stays_here(
    path: str, how: dict[str, object], jupyter_server: JupyterServer, served: Served
) -> None:
    headers = how.get("headers")
    answer = ask(jupyter_server, path + str(how.get("query", "")), headers=headers)  # type: ignore[arg-type]
    assert answer.status == 200
    assert TOKEN.encode() not in answer.body
    assert answer.json()["identity"]["access"] == "user"


def test_no_key_reaches_an_app(
    jupyter_server: JupyterServer, key: str, expired: str, revoked: str, served: Served
) -> None:
    encoded = key.replace(".", "%2E")
    for token in (key, expired, revoked, served.token):
        for target, headers in (
            (PUBLIC, {"X-Api-Key": token}),
            (PUBLIC, {"Cookie": f"a=1; session={token}; portico_key={token}"}),
            (f"{PUBLIC}?key={token}&a=1", {}),
            (f"{PUBLIC}?key={encoded}", {}),
            (f"{PUBLIC}?portico%5Fkey={token}", {}),
            (PUBLIC, {"Referer": f"{here(jupyter_server)}/{PUBLIC}?portico_key={token}"}),
            (PUBLIC, {"Authorization": f"Basic {token}"}),
            (PUBLIC, {"Authorization": f"token {token}"}),
        ):
            answer = ask(jupyter_server, target, headers=headers)
            assert answer.status == 200, (target, headers)
            assert MARK not in answer.body, (target, headers)
    assert MARK not in ask(jupyter_server, PUBLIC, headers={"Authorization": f"Bearer {key}"}).body
    for token in (expired, revoked, served.token):
        assert ask(jupyter_server, PUBLIC, headers={"Authorization": f"Bearer {token}"}).status == 401


def test_no_credential_reaches_an_app_in_disguise(
    jupyter_server: JupyterServer, key: str, served: Served, login: Login
) -> None:
    beside = [("Cookie", login.cookie)]
    for secret, more in ((key, []), (served.token, []), (TOKEN, []), (login.xsrf, beside), (login.value, beside)):
        for carrier in carriers(secret.strip('"')):
            answer = ask(jupyter_server, f"{PUBLIC}{carrier.query}", headers=[*more, *carrier.headers])
            assert answer.status == 200, carrier
            assert not carrier.shown_to(answer.json()), carrier


def test_a_proof_of_jupyters_passes_in_no_header_that_jupyter_takes_it_from(
    jupyter_server: JupyterServer, served: Served, login: Login
) -> None:
    """Even without the cookie that it goes with, which another page may have."""
    for name in ("X-XSRFToken", "X-CSRFToken", "X-CSRF-Token", "X-XSRF-TOKEN", "X_CSRFToken"):
        for value in (login.xsrf, f'"{login.xsrf}"', quote(login.xsrf), quote(quote(login.xsrf))):
            answer = ask(jupyter_server, PUBLIC, headers={name: value})
            assert b"csrf" not in answer.body.lower(), (name, value)
            assert b"xsrf" not in answer.body.lower(), (name, value)
    answer = ask(jupyter_server, PUBLIC, headers={"X-CSRFToken": "kJ8sd7f6gsdf87g6sdf87g6s7d8f6g7s"})
    assert answer.seen("x-csrftoken") == ["kJ8sd7f6gsdf87g6sdf87g6s7d8f6g7s"], "an app has its own"


def test_what_is_an_apps_own_passes_byte_for_byte(jupyter_server: JupyterServer, served: Served) -> None:
    query = "?a=1;b=2&token=mine&x=%2525&next=%2Flab%3Ftoken%3Dmine&&y=%7B%22k%22%3A1%7D&path=C:%5Ctemp%5C101"
    headers = [
        ("Authorization", "Basic b3duOm93bg=="),
        ("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhbm90aGVyIiwic3ViIjoiYWRhIn0.c2lnbmF0dXJl"),
        ("Cookie", 'a="1%2C2"; session=eyJhIjp7fX0.Zabc.def; b="\\054"'),
        ("X-Api-Key", "sk-proj-" + "abc123" * 20),
        ("X-Signed", "t=1700000000,v1=" + "5257a869" * 8),
        ("X-Path", "C:\\temp\\new"),
        ("Sec-Ch-Ua", '"Not A(Brand";v="8", "Chromium";v="132"'),
        ("Referer", "https://h.example/a%2Fb?x=%2525#frag=1"),
        ("X-Forwarded", "dropped"),
        ("X-HTTP-Method-Override", "PUT"),
    ]
    answer = ask(jupyter_server, PUBLIC + query, headers=headers)
    assert answer.json()["query"] == query[1:]
    for name, value in headers:
        if name != "X-Forwarded":
            assert value in answer.seen(name.lower()), name


def test_no_credential_reaches_an_app_by_a_websocket_in_disguise(
    jupyter_server: JupyterServer, key: str, served: Served
) -> None:
    for secret in (key, TOKEN):
        for carrier in islice(carriers(secret), 0, None, 9):
            url = f"ws://127.0.0.1:{jupyter_server.port}/{PUBLIC}{carrier.query}"
            with connect(url, additional_headers=carrier.headers, proxy=None) as socket:
                assert not carrier.shown_to(json.loads(socket.recv(10))), carrier


def test_no_key_reaches_an_app_by_a_websocket(jupyter_server: JupyterServer, key: str, served: Served) -> None:
    url = f"ws://127.0.0.1:{jupyter_server.port}/portico/apps/echo-key/"
    offered = ["chat", f"key.{key}"]
    for target, headers in ((url, {"Authorization": f"Bearer {key}"}), (f"{url}?portico_key={key}&a=1", {})):
        with connect(target, additional_headers=headers, subprotocols=offered, proxy=None) as socket:  # type: ignore[arg-type]
            seen = str(socket.recv(10))
        assert MARK.decode() not in seen
        assert json.loads(seen)["subprotocols"] == ["chat"]
        assert json.loads(seen)["identity"]["access"] == "key"


def test_an_app_speaks_for_itself_alone(jupyter_server: JupyterServer, served: Served) -> None:
    root = "/portico/apps/hostile/"
    for answer, status in (
        (ask(jupyter_server, root[1:]), 200),
        (upgrade(jupyter_server, root[1:]), 101),
        (upgrade(jupyter_server, root[1:] + "denied"), 403),
    ):
        assert answer.status == status
        assert sorted(answer.all("set-cookie")) == [
            "deep=1; Path=/portico/apps/hostile/deep",
            f"mine=1; HttpOnly; Path={root}",
        ]
        assert answer.one("x-of-the-app") == "passes"
        for name in DROPPED:
            assert answer.all(name) == []


def test_a_login_is_used_by_the_servers_own_pages_alone(
    jupyter_server: JupyterServer, served: Served, login: Login
) -> None:
    cookie = {"Cookie": login.cookie}
    own, foreign = {"Origin": here(jupyter_server)}, {"Origin": "https://evil.example"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(jupyter_server, APP, method, cookie | own, b"x").status == 200
        assert ask(jupyter_server, APP, method, cookie | {"Referer": here(jupyter_server) + "/lab"}, b"x").status == 200
        assert ask(jupyter_server, APP, method, cookie | foreign, b"x").status == 403
        assert ask(jupyter_server, APP, method, cookie, b"x").status == 403
        assert ask(jupyter_server, APP, method, cookie | {"X-XSRFToken": login.xsrf}, b"x").status == 200
        assert ask(jupyter_server, f"{APP}?_xsrf={login.xsrf}", method, cookie, b"x").status == 200
        assert ask(jupyter_server, APP, method, cookie | {"X-XSRFToken": "2|a|b|1"}, b"x").status == 403
        assert ask(jupyter_server, APP, method, cookie | foreign | {"X-XSRFToken": login.xsrf}, b"x").status == 403
        public = ask(jupyter_server, PUBLIC, method, cookie | foreign, b"x")
        assert public.json()["identity"] == {"access": "anonymous"}
    assert upgrade(jupyter_server, APP, cookie | own).status == 101
    assert upgrade(jupyter_server, APP, cookie | foreign).status == 403
    assert upgrade(jupyter_server, APP, cookie).status == 403
    assert upgrade(jupyter_server, APP, cookie | {"X-XSRFToken": login.xsrf}).status == 403
    assert upgrade(jupyter_server, APP, {"Authorization": f"token {TOKEN}"} | foreign).status == 101


def test_a_login_does_not_open_what_is_for_keys(jupyter_server: JupyterServer, served: Served, login: Login) -> None:
    app = "portico/apps/echo-key/"
    for headers in ({"Cookie": login.cookie}, {"Authorization": f"token {TOKEN}"}):
        assert ask(jupyter_server, app, headers=headers).status == 401
        page = ask(jupyter_server, app, headers=headers | {"Accept": "text/html"})
        assert page.status == 401
        assert page.one("content-type").startswith("text/html")


def test_a_refused_websocket_never_reaches_the_app(
    jupyter_server: JupyterServer, key: str, wrong: dict[str, dict[str, str]]
) -> None:
    app = "portico/apps/counting/"
    bearer = {"Authorization": f"Bearer {key}"}
    before = ask(jupyter_server, app + "count", headers=bearer).body
    for what, headers in wrong.items():
        status = 403 if what == "key of another service" else 401
        assert upgrade(jupyter_server, app, headers).status == status, what
        assert ask(jupyter_server, app, "POST", headers, b"x").status == status, what
    assert ask(jupyter_server, app + "count", headers=bearer).body == before


def test_a_link_with_a_key(jupyter_server: JupyterServer, key: str) -> None:
    app = "portico/apps/echo-key/"
    answer = ask(jupyter_server, f"{app}p?x=1&portico_key={key}")
    assert answer.status == 303
    assert answer.one("location") == f"/{app}p?x=1"
    assert answer.one("cache-control") == "no-store"
    cookie = answer.one("set-cookie")
    assert "HttpOnly" in cookie
    assert f"Path=/{app}" in cookie
    pair = cookie.partition(";")[0]
    opened = ask(jupyter_server, f"{app}p?x=1", headers={"Cookie": pair})
    assert opened.status == 200
    assert MARK not in opened.body
    assert ask(jupyter_server, app, "POST", {"Cookie": pair, "Origin": "https://evil.example"}, b"x").status == 403
    assert ask(jupyter_server, "portico/apps/hostile/", headers={"Cookie": pair}).status == 200
    assert key.encode() not in jupyter_server.log.read_bytes()


def test_cors(jupyter_server: JupyterServer, key: str, served: Served) -> None:
    app = "portico/apps/echo-shared/v1/models"
    ask_for = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-stainless-a"}
    answer = ask(jupyter_server, app, "OPTIONS", {"Origin": ORIGIN, **ask_for})
    assert answer.status == 204
    assert answer.one("access-control-allow-origin") == ORIGIN
    assert answer.one("access-control-allow-headers") == "authorization,x-stainless-a"
    assert ask(jupyter_server, app, "OPTIONS", {"Origin": "https://evil.example", **ask_for}).status == 401
    assert ask(jupyter_server, APP, "OPTIONS", {"Origin": ORIGIN, **ask_for}).status == 401
    assert ask(jupyter_server, PUBLIC, "OPTIONS", {"Origin": ORIGIN, **ask_for}).status == 200
    answers = [
        ask(jupyter_server, app, "POST", {"Origin": ORIGIN, "Authorization": f"Bearer {key}"}, b"{}"),
        ask(jupyter_server, app, "POST", {"Origin": ORIGIN, "Authorization": "Bearer garbage"}, b"{}"),
        ask(jupyter_server, app, "POST", {"Origin": ORIGIN, "Authorization": f"Bearer {served.token}"}, b"{}"),
    ]
    assert [answer.status for answer in answers] == [200, 401, 401]
    for answer in answers:
        assert answer.all("access-control-allow-origin") == [ORIGIN]
        assert answer.all("access-control-allow-credentials") == []
    assert answers[1].json()["error"]["type"] == "authentication_error"


def test_a_page_of_an_allowed_origin_reads_the_list_of_models(jupyter_server: JupyterServer, served: Served) -> None:
    headers = {"Origin": ORIGIN, "Authorization": f"token {TOKEN}"}
    answer = ask(jupyter_server, "portico/v1/models", headers=headers)
    assert "secret_model" in [model["id"].rpartition("/")[2] for model in answer.json()["data"]]
    assert answer.all("access-control-allow-origin") == [ORIGIN]
    answer = ask(jupyter_server, "portico/v1/models", headers=headers | {"Origin": "https://evil.example"})
    assert answer.all("access-control-allow-origin") == []


# --- the way to the login, and back -----------------------------------------------------------------------------

PAGE = {"Accept": "text/html,application/xhtml+xml"}


def test_a_browser_signs_in_and_comes_back(jupyter_server: JupyterServer, served: Served, login: Login) -> None:
    target = f"{APP}a%2Fb?x=1&y=%26"
    first = ask(jupyter_server, target, headers=PAGE)
    assert first.status == 302
    to_login = first.one("location")
    assert to_login.startswith("/portico/login?next=")
    second = ask(jupyter_server, to_login[1:], headers=PAGE)
    assert second.status == 302
    assert second.one("location").startswith("/login?next=%2Fportico%2Flogin")
    back = ask(jupyter_server, to_login[1:], headers=PAGE | {"Cookie": login.cookie})
    assert back.status == 302
    assert back.one("location") == f"/{target}"
    assert ask(jupyter_server, target, headers={"Accept": "*/*"}).status == 401
    assert ask(jupyter_server, f"{APP}?portico_key=bad", headers=PAGE | {"Cookie": login.cookie}).status == 401


@pytest.mark.parametrize(
    "next_url",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)",
        "///evil.example", "/%09/evil.example", "/%0a/evil.example", "%20//evil.example", "evil.example",
        "/portico/apps\\..\\..\\\\evil.example", "/portico/apps/%0d%0aSet-Cookie:%20a=1", "/portico/apps/%E6%97%A5",
        "", "/", "/api/shutdown", "@evil.example", "/portico/apps/\\evil.example",
    ],
)  # fmt: skip
def test_the_way_back_leads_nowhere_else(next_url: str, jupyter_server: JupyterServer, login: Login) -> None:
    answer = ask(jupyter_server, f"portico/login?next={next_url}", headers={"Cookie": login.cookie})
    assert answer.status == 302
    assert answer.one("location") == "/"
    assert answer.all("set-cookie") == []
