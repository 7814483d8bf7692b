"""Every route of a relay's own, walked without and with wrong credentials; and host names that nobody meant.

The list is made from the routes themselves, so a route that is added is walked too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from portico.protocol.events import Welcome
from portico.relay import RelayConfig, create_app
from portico.relay.operate.admin import PATHS as ADMIN
from portico.relay.store import RelayStore
from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.security.conftest import Credentials
from tests.security.provider import Provider
from tests.security.relays import Browser, Place, Site, bearer
from tests.security.visitor import ask, upgrade

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
PROBES = ("healthz", "readyz")
OPEN = ("portico/login", "portico/logout", "portico/device_authorization", "portico/token")
"""For whoever comes: what they do without the right form or code is said below."""


def _routes() -> list[str]:
    relay = create_app(RelayConfig(data_dir=":memory:", paths=True))

    async def paths() -> list[str]:
        await relay.start()
        try:
            return [route.path for route in relay.control._app.routes]  # type: ignore[attr-defined]
        finally:
            await relay.stop()

    return [re.sub(r"\{\w+\}", "echo-private", path)[1:] for path in asyncio.run(paths())]


ROUTES = _routes()
API = [path for path in ROUTES if path.startswith("portico/api/")]
PEOPLE = [path for path in ROUTES if path not in API and path.startswith("portico/")]
WELL_KNOWN = [path for path in ROUTES if path.startswith(".well-known/")]


def test_the_walk_knows_every_route() -> None:
    assert {"portico/api/me", "portico/api/services", "portico/api/keys", "portico/api/tokens"} <= set(API)
    assert {*OPEN, "portico/", "portico/device", "portico/authorize", "portico/tokens"} == set(PEOPLE)
    assert len(ROUTES) == len(API) + len(PEOPLE) + len(WELL_KNOWN)


@pytest.mark.parametrize("path", [*API, "metrics"])
def test_what_programs_ask_is_closed(site: Site, credentials: Credentials, path: str) -> None:
    wrong = {what: bearer(token) for what, token in credentials.wrong.items()}
    wrong |= {"nothing": {}, "a visitor's key": bearer(credentials.key)}
    wrong |= {"basic": {"Authorization": f"Basic {credentials.token}"}, "cookie": {"Cookie": f"t={credentials.token}"}}
    wrong |= {"twice": {"Authorization": "Bearer a.b.c Bearer"}, "in the query": {}}
    for what, headers in wrong.items():
        target = f"{path}?token={credentials.token}&access_token={credentials.token}" if "query" in what else path
        for method in METHODS:
            answer = ask(site.own, target, method, headers, b'{"services": ["*"]}' if method in UNSAFE else None)
            if method == "OPTIONS":
                assert answer.status in (204, 405), (what, answer)
                assert not answer.one("access-control-allow-credentials")
            else:
                assert answer.status in (401, 405), (what, method, answer)
            if method == "GET" and answer.status != 405:
                assert answer.status == 401, (what, answer)
            assert b"echo" not in answer.body
            assert ALICE.encode() not in answer.body
            assert b"Traceback" not in answer.body


@pytest.mark.parametrize("path", [*PEOPLE, *(path.strip("/") for path in ADMIN)])
def test_what_people_ask_is_for_who_signed_in(site: Site, credentials: Credentials, path: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{site.own.authority}"}
    wrong: dict[str, dict[str, str]] = {
        "nothing": {},
        "a token": {"Authorization": f"Bearer {credentials.wrong['revoked token']}"},
        "a key": {"Authorization": f"Bearer {credentials.key}"},
        "a forged session": {"Cookie": "portico_session=" + "x" * 43},
        "a visitor's": {"Cookie": f"portico_session={credentials.key}; portico_visitor={credentials.key}"},
    }
    for what, headers in wrong.items():
        for method in METHODS:
            body = b"name=alice&password=wrong&action=allow&user_code=BCDF-GHJK" if method in UNSAFE else None
            answer = ask(site.own, path, method, headers | (form if body else {}), body)
            assert answer.status < 500, (what, method, answer)
            if answer.status == 303:
                assert answer.one("location").startswith("/portico/login"), (what, method, answer)
            elif answer.status < 300 and method != "OPTIONS":
                assert path in OPEN, (what, method, answer)
            assert not any("portico_session=" in cookie and len(cookie) > 100 for cookie in answer.all("set-cookie"))
            assert b"echo-private" not in answer.body


def test_a_form_is_believed_from_the_relays_own_page_alone(site: Site, browser: Browser) -> None:
    """With a login, and from another site's page: what a form there can send."""
    cookies = browser.cookies(site.own.authority)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    neighbour = f"http://{site.app('hostile').authority}"
    origins = ["https://evil.example", "null", "http://["] + ([neighbour] if site.by_host else [])
    for path in (*PEOPLE, *(path.strip("/") for path in ADMIN)):
        for origin in (*origins, ""):
            headers = cookie | form | ({"Origin": origin} if origin else {})
            answer = ask(site.own, path, "POST", headers, b"user_code=BCDF-GHJK&action=allow&id=x&form_token=x")
            assert answer.status in (400, 401, 403, 404, 405), (path, origin, answer)
    assert ask(site.own, "portico/", headers=cookie).status == 200
    framed = ask(site.own, "portico/", headers=cookie | {"Sec-Fetch-Dest": "iframe"})
    assert framed.status == 403
    scripted = ask(site.own, "portico/login?again=1", headers=cookie | {"Sec-Fetch-Dest": "empty"})
    assert scripted.status == 403


FOREIGN = ("https://evil.example", "null", "http://[")


def _written(site: Site) -> dict[str, list[tuple[object, ...]]]:
    """All that the relay has written down, but for when keys were used and names seen."""
    store = RelayStore(site.relay.config.database)
    try:
        columns = {
            "users": "*", "workspaces": "name, owner, uid", "members": "*", "tokens": "*", "sessions": "*",
            "keys": "id, workspace, services, revoked", "names": "workspace, name, owner",
        }  # fmt: skip
        return {table: sorted(store.rows(f"SELECT {what} FROM {table}")) for table, what in columns.items()}
    finally:
        store.close()


def test_another_sites_page_changes_nothing(site: Site, credentials: Credentials) -> None:
    """Without a cookie and with it, by every route and method, even with a password that is right (login CSRF)."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(
        {"name": ALICE, "password": PASSWORD, "user_code": "BCDF-GHJK", "action": "allow", "id": "x", "next": "/"}
    ).encode()
    neighbour = f"http://{site.app('hostile').authority}"
    before = _written(site)
    own = [*ROUTES, *(path.strip("/") for path in ADMIN), "portico/api/admin/tokens/x", "metrics", *PROBES]
    doors = [f".portico/{what}" for what in ("password", "confirm", "login", "callback", "logout")]
    places = [(site.own, path) for path in own]
    places += [(site.app(name), door) for name in ("echo-public", "echo-private") for door in doors]
    for place, path in places:
        for origin in (*FOREIGN, *([neighbour] if site.by_host else [])):
            for metadata in ({}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}):
                for method in UNSAFE:
                    headers = form | metadata | {"Origin": origin, "Accept": "text/html"}
                    answer = ask(place, path, method, headers, body)
                    assert answer.status in (303, 400, 401, 403, 404, 405), (path, method, origin, answer)
                    if answer.status == 303:
                        assert answer.one("location").startswith("/portico/login"), (path, answer)
                    for cookie in answer.all("set-cookie"):
                        assert "form=" in cookie.partition(";")[0], (path, method, origin, cookie)
    assert _written(site) == before


@pytest.fixture(params=["", "share.localhost"], ids=["relay", "relay_by_host"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay at which nobody has tried wrong codes: so many are let through, and other tests use them up."""
    relay = RelayProcess(tmp_path, domain=request.param).start()
    yield relay
    relay.stop()


def test_a_login_that_a_page_begins_says_whose_page_it_is(fresh: RelayProcess) -> None:
    """A page may begin one, as JupyterLite does, and its user is told before anything is allowed."""
    base = fresh.config.base_url
    own = Place(fresh.port, host=urlsplit(base).netloc)
    browser = Browser(fresh)
    browser.sign_in(f"{base}/portico/device")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for said, shown in (
        ({"Origin": "https://evil.example"}, "https://evil.example"),
        ({"Origin": "null"}, "a page that hides its address"),
        ({"Referer": "https://evil.example/a?b"}, "https://evil.example"),
        ({"Sec-Fetch-Site": "cross-site"}, "a page that hides its address"),
        ({"Origin": "https://<b>.example"}, "https://&lt;b&gt;.example"),
    ):
        begun = ask(own, "portico/device_authorization", "POST", form | said, b"client_id=portico")
        assert begun.status == 200, begun
        assert not begun.one("access-control-allow-credentials")
        _, page = browser.go(f"{base}/portico/device?user_code={begun.json()['user_code']}")
        assert b"A web page asks for this, not a program" in page.body
        assert shown.encode() in page.body
        assert page.one("x-frame-options") == "DENY"
        assert "frame-ancestors 'none'" in page.one("content-security-policy")
    begun = ask(own, "portico/device_authorization", "POST", form, b"client_id=portico")
    _, page = browser.go(f"{base}/portico/device?user_code={begun.json()['user_code']}")
    assert b"A web page asks" not in page.body, "a program says none of this"


def test_a_link_of_a_page_says_whose_page_it_is(site: Site) -> None:
    provider = Provider(site.relay, site.relay.token(), origin="https://evil.example")
    assert isinstance(provider.answer, Welcome)
    state = ask(site.own, "portico/api/admin", headers=bearer(site.relay.token("admin"))).json()
    assert "https://evil.example" in [link["origin"] for link in state["links"]]
    provider.socket.close()


def test_another_sites_page_calls_the_api_with_a_token_and_reads_nothing_by_a_cookie(
    site: Site, credentials: Credentials, browser: Browser
) -> None:
    """Fetch §3.2.5: a browser shows an answer that came with cookies only to who is named, and allowed credentials."""
    cookies = browser.cookies(site.own.authority)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    assert ask(site.own, "portico/", headers=cookie).status == 200
    for origin in ("https://evil.example", "null", f"http://{site.app('hostile').authority}"):
        from_there = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        for path in API:
            for method in ("GET", "POST", "DELETE"):
                body = b'{"services": ["*"]}' if method == "POST" else None
                answer = ask(site.own, path, method, cookie | from_there, body)
                assert answer.status in (401, 405), (path, method, answer)
                assert answer.all("access-control-allow-origin") == ["*"]
                assert answer.all("access-control-allow-credentials") == []
        answer = ask(site.own, "portico/api/me", headers=cookie | from_there | bearer(credentials.token))
        assert answer.json()["workspace"] == ALICE
        assert answer.all("access-control-allow-origin") == ["*"]
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        machines = ("portico/device_authorization", "portico/token", *WELL_KNOWN)
        for path in (*PEOPLE, *(path.strip("/") for path in ADMIN), "metrics", *PROBES):
            if path in machines:
                continue
            for method, headers in (("GET", {}), ("OPTIONS", asks)):
                answer = ask(site.own, path, method, cookie | from_there | headers)
                named = [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
                assert named == [], (path, method, answer)


def test_probes_are_for_everybody_and_say_little(site: Site) -> None:
    for path in PROBES:
        answer = ask(site.own, path)
        assert answer.status == 200
        assert len(answer.body) < 20
        assert ask(site.own, path, "POST", body=b"x").status == 405
    for path in WELL_KNOWN:
        assert ask(site.own, path).json()["issuer"] == site.relay.config.base_url


def test_the_link_speaks_websocket_alone(site: Site, credentials: Credentials) -> None:
    for method in METHODS:
        answer = ask(site.own, "portico/link", method, bearer(credentials.token))
        assert answer.status == 404, (method, answer)
    assert upgrade(site.own, "portico/link", bearer(credentials.token)).status == 400  # no subprotocol
    for path in ("portico/linkX", "portico/link/", "portico/api/services", "", "healthz"):
        assert upgrade(site.own, path, bearer(credentials.token)).status == 403, path


def test_the_relays_own_pages_are_on_no_services_host(site: Site, credentials: Credentials) -> None:
    if not site.by_host:
        pytest.skip("by path there is one host for all")
    for path in (*ROUTES, *PROBES, "metrics", "portico/link", *(path.strip("/") for path in ADMIN)):
        site_models = site.models()
        for place in (site.app("echo-public"), site.app("no-such-service"), site_models):
            base = Place(place.port, "/", place.host)
            answer = ask(base, path, headers=bearer(credentials.token))
            if place is site_models and path.startswith(".well-known/oauth-"):
                assert (answer.status, answer.json()["error"]["code"]) == (404, "no_oauth")
                continue
            assert answer.status == 401, (path, place, answer)  # a provider's token opens no service
        answer = ask(site.app("echo-public"), path)
        assert answer.json()["path"] == f"/{path}"  # it is the app that is asked


# --- host names that nobody meant -------------------------------------------------------------------------------------


def _hosts(domain: str, port: int) -> list[str]:
    name = f"echo-private--{ALICE}"
    return [
        *("evil.example", "evil.example:80", "localhost", "127.0.0.1", "10.0.0.1:99999", "[::1]", f"[::1]:{port}"),
        *(
            "[::",
            "::1",
            "[]",
            ":",
            ":80",
            "a:b:c",
            "-",
            "--",
            "---",
            ".",
            "..",
            "...",
            "a..b",
            "%00",
            "\xff\xfe",
            "日本",
        ),
        *("x" * 70, "x" * 300 + ".example", "x" * 9000, ".".join(["a"] * 2000), "a b", "a/b", "a?b", "a#b", "a@b"),
        *(f"{name}.{domain}.evil.example", f"evil{domain}", f"evil.example:{port}", f"{name}.evil.example:{port}"),
        *(f"x.{name}.{domain}", f"{name}.{name}.{domain}", f"--{ALICE}.{domain}", f"{name}--.{domain}", f"--.{domain}"),
        *(f"----.{domain}", f"a----b.{domain}", f"a--b--c.{domain}", f"-.{domain}", f".{domain}", f"..{domain}"),
        *(f"{'x' * 64}--{ALICE}.{domain}", f"{'x' * 5000}.{domain}", f"a--{'x' * 5000}.{domain}", f"a--.{domain}"),
        *(f"a b--{ALICE}.{domain}", f"a%2e--{ALICE}.{domain}", f"\xe9--{ALICE}.{domain}", f"a_b--{ALICE}.{domain}"),
        *(f"portico--{ALICE}.{domain}", f"portico.{domain}", f"x--portico.{domain}", f"www.{domain}", f"{domain}.."),
        *(f"echo-private--{ALICE}.{domain}:{port}:{port}", f"echo-private--{ALICE}.{domain}:x", f"{domain}:-1"),
        *(f"{domain}:", f"{domain}:99999999999999999999999", f"{domain}:0", f"{domain}:{'9' * 5000}", f"{domain}:\xb2"),
    ]


def test_no_host_name_is_a_servers_error(site: Site, credentials: Credentials) -> None:
    """And none opens more than the one that was meant."""
    hosts = [host.encode("latin-1", "replace").decode("latin-1") for host in _hosts("share.localhost", site.relay.port)]
    targets = (
        "",
        "portico/",
        "portico/api/me",
        "v1/models",
        f"{ALICE}/apps/echo-private/",
        ".portico/login",
        "healthz",
    )
    for host in hosts:
        for target in targets:
            answer = ask(Place(site.relay.port, "/", host), target, headers={"Accept": "text/html"})
            assert answer.status < 500, (host[:100], target, answer)
            assert b'"identity"' not in answer.body, (host[:100], target)
            location = urlsplit(answer.one("location"))
            assert location.netloc in ("", urlsplit(site.relay.config.base_url).netloc), (host[:100], target, answer)
            assert upgrade(Place(site.relay.port, "/", host), target).status < 500, (host[:100], target)
        opened = ask(Place(site.relay.port, "/", host), "", headers=bearer(credentials.key))
        assert b'"identity"' not in opened.body, host[:100]
    assert ask(site.app("echo-public"), "").status == 200


def test_a_host_name_may_be_written_in_every_way_that_means_it(site: Site, credentials: Credentials) -> None:
    if not site.by_host:
        pytest.skip("by path the host's name says nothing")
    place, port = site.app("echo-key"), site.relay.port
    name = place.host.partition(":")[0]
    for host in (name, name.upper(), name.title(), f"{name}.", f"{name}.:{port}", f"{name.upper()}:80", f"{name}:443"):
        there = Place(port, "/", host)
        answer = ask(there, "", headers=bearer(credentials.key))
        assert answer.status == 200, (host, answer)
        assert answer.json()["root_path"] == ""
        assert answer.seen("host") == [host]
        assert ask(there, "").status == 401
        other = re.sub("echo-key", "secret-model", host, flags=re.IGNORECASE)
        assert ask(Place(port, "/", other), "", headers=bearer(credentials.key)).status == 403


def test_one_request_has_one_host(site: Site) -> None:
    place = site.app("echo-private")
    for headers in (
        [("Host", "evil.example")],
        [("Host", place.authority)],
    ):
        answer = ask(site.app("echo-public"), "", headers=headers)
        assert answer.status == 400, headers
