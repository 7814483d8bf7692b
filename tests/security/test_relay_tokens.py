"""Which credential opens what on a relay: a provider's token, a visitor's key, each at all three doors."""

from __future__ import annotations

import asyncio
import time

import pytest

from portico.protocol.events import GoAway, Welcome
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore
from tests.live_relay import ALICE, RelayProcess
from tests.security.apps import CALL, FUNCTION_ROUTES
from tests.security.conftest import Credentials
from tests.security.provider import Provider, until_closed
from tests.security.relays import Browser, Place, Site, bearer
from tests.security.visitor import ask, upgrade

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
STRANGERS = "a stranger's key"
APPS = ("echo-private", "echo-key", "secret-model", "no-such-service")


def id_of(site: Site, token: str) -> str:
    return str(ask(site.own, "portico/api/me", headers=bearer(token)).json()["token"]["id"])


# --- providers ----------------------------------------


def test_no_wrong_token_links(site: Site, credentials: Credentials) -> None:
    wrong = credentials.wrong | {"a visitor's key": credentials.key, "lines": "x\r\nHost: y", "signs": "日本"}
    for what, token in wrong.items():
        if len(token) > 4000:
            continue  # no HELLO holds that much
        provider = Provider(site.relay, token)
        assert isinstance(provider.answer, GoAway), what
        assert until_closed(provider.socket) is not None


def test_a_token_links_in_its_own_workspace_alone(site: Site, credentials: Credentials) -> None:
    for wanted in ("", ALICE):
        answer = Provider(site.relay, credentials.token, workspace=wanted).answer
        assert isinstance(answer, Welcome)
        assert answer.info["workspace"] == ALICE
    for wanted in (site.stranger.workspace, "nobody", "portico", "../alice", "ALICE"):
        answer = Provider(site.relay, credentials.token, workspace=wanted).answer
        assert isinstance(answer, GoAway), wanted
        assert site.stranger.workspace[:30] not in answer.reason or wanted == site.stranger.workspace


def test_a_token_publishes_what_it_may(site: Site) -> None:
    provider = Provider(site.relay, site.relay.token("publish:bird-*"), session="p" * 32)
    assert provider.register(name="bird-one", access="key").ok
    for name in ("cat", "echo-private", "bird"):
        refused = provider.register(name=name, access="key")
        assert not refused.ok, name
    provider.socket.close()


def test_a_session_is_not_taken_over(site: Site) -> None:
    relay = site.relay
    first = Provider(relay, relay.token(), session="a" * 32)
    assert first.register(name="mine").ok
    for stranger in ("", site.stranger.own_token):  # a session of that name in a workspace of theirs is another one
        answer = Provider(relay, stranger, session="a" * 32, epoch=9).answer
        assert isinstance(answer, GoAway) or answer.info["workspace"] != ALICE
    assert first.register(name="mine", title="Still mine").ok
    seen = ask(site.own, "portico/api/services/mine", headers=bearer(site.tenant.token)).json()
    assert (seen["title"], seen["status"]) == ("Still mine", "live")
    first.socket.close()


@pytest.mark.parametrize("how", ["asked for", "by another process", "by what made it", "with its time"])
def test_a_link_ends_with_its_token(site: Site, how: str) -> None:
    relay, session = site.relay, how.replace(" ", "-").rjust(32, "x")
    own = relay.token(lifetime=2 if how == "with its time" else 600)
    token, made_by = own, ""
    if how == "by what made it":
        body = b'{"scopes": "publish:*"}'
        made = ask(site.own, "portico/api/tokens", "POST", bearer(own), body)
        assert made.status == 201, made
        token, made_by = made.json()["token"], own
    provider = Provider(relay, token, session=session)
    assert isinstance(provider.answer, Welcome)
    assert provider.register(name="brief", access="public").ok
    revoked = made_by or token
    began = time.monotonic()
    if how == "by another process":
        store = RelayStore(relay.config.database)
        asyncio.run(TokenRing(store).revoke(id_of(site, revoked)))
        store.close()
    elif how != "with its time":
        path = f"portico/api/tokens/{id_of(site, revoked)}"
        assert ask(site.own, path, "DELETE", bearer(site.tenant.token)).status == 204
    until_closed(provider.socket)
    within = {"asked for": 1.0, "by what made it": 1.0}.get(how, 6.0)  # the relay looks at the file every two seconds
    assert time.monotonic() - began < within
    again = Provider(relay, token, session=session, epoch=2).answer
    assert isinstance(again, GoAway)
    assert ask(site.own, "portico/api/me", headers=bearer(token)).status == 401
    assert ask(site.app("brief"), "", headers={}).status in (401, 404, 503)
    ask(site.own, "portico/api/services/brief", "DELETE", bearer(site.tenant.token))


# --- visitors ----------------------------------------


@pytest.mark.parametrize("name", APPS)
def test_no_wrong_credential_opens_an_app(site: Site, credentials: Credentials, name: str) -> None:
    place = site.app(name)
    given = {what: bearer(token) for what, token in credentials.wrong.items()}
    given |= {
        "nothing": {},
        "a provider's token": bearer(credentials.token),
        "a cookie of it": {"Cookie": f"portico_key={credentials.token}"},
        "a stranger's cookie": {"Cookie": f"portico_key={credentials.wrong[STRANGERS]}"},
        "a forged login": {"Cookie": f"portico_visitor={credentials.wrong['token of an id that nobody made']}"},
        "a forged session": {"Cookie": "portico_session=" + "x" * 43},
    }
    for what, headers in given.items():
        for method in ("GET", "HEAD", "OPTIONS", *UNSAFE):
            answer = ask(place, "", method, headers, b"x" if method in UNSAFE else None)
            assert answer.status == 401, (what, method, answer)
            assert b"echo" not in answer.body
        assert upgrade(place, "", headers).status == (431 if what == "nested too deep" else 401), what
    for what, token in credentials.wrong.items():
        if len(token) < 4000:
            assert ask(place, f"?portico_key={token}").status == 401, what


@pytest.mark.parametrize("route", FUNCTION_ROUTES)
def test_no_wrong_credential_opens_a_function(site: Site, credentials: Credentials, route: str) -> None:
    """Its page, its description, its scripts, its tools; and nothing of it runs."""
    place = site.app("secret-function")
    owner = bearer(site.tenant.key("secret-function"))
    before = ask(place, "run", "GET", owner).json()["result"]
    given = {what: bearer(token) for what, token in credentials.wrong.items()}
    given |= {"nothing": {}, "a provider's token": bearer(credentials.token), "of another": bearer(credentials.key)}
    for what, headers in given.items():
        expected = 403 if what == "of another" else 401
        for method in ("GET", "HEAD", "OPTIONS", *UNSAFE):
            for kind in ("application/json", "multipart/form-data; boundary=xxxxxxxxxx", "text/plain"):
                headers = headers | {"Content-Type": kind, "Accept": "application/json, text/event-stream"}
                answer = ask(place, route, method, headers, b"{}" if method in UNSAFE else None)
                assert answer.status == expected, (what, method, answer)
                assert b"secret function" not in answer.body
        status = upgrade(place, route, headers).status
        assert status == (431 if what == "nested too deep" else expected), what
    assert ask(place, "run", "GET", owner).json()["result"] == before + 1


def test_no_wrong_credential_calls_tools(site: Site, credentials: Credentials, browser: Browser) -> None:
    """Nor does a sign-in: a page that is visited could use it."""
    models = site.models()
    place = Place(models.port, models.base.removesuffix("v1/"), models.host)
    owner = bearer(site.tenant.key("secret-function"))
    before = ask(site.app("secret-function"), "run", "GET", owner).json()["result"]
    cookies = browser.cookies(site.own.authority) | browser.cookies(models.host)
    given = {what: bearer(token) for what, token in credentials.wrong.items()}
    given |= {"nothing": {}, "a provider's token": bearer(credentials.token), "of another": bearer(credentials.key)}
    given["a sign-in"] = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    for what, headers in given.items():
        headers = headers | {"Content-Type": "application/json"}
        for path in ("mcp", "mcp/", "mcp?services=secret-function", f"mcp?token={credentials.key}"):
            for method in ("GET", "HEAD", *UNSAFE):
                answer = ask(place, path, method, headers, CALL if method in UNSAFE else None)
                if what == "of another" and answer.status == 200:
                    assert "Unknown tool" in answer.json()["error"]["message"]
                else:
                    assert answer.status in ((204, 405, 406) if what == "of another" else (401,)), (what, path, answer)
    assert ask(site.app("secret-function"), "run", "GET", owner).json()["result"] == before + 1
    called = ask(place, "mcp", "POST", owner | {"Content-Type": "application/json"}, CALL).json()["result"]
    assert called["structuredContent"] == {"result": before + 2}


def test_a_key_opens_its_own_services_of_its_own_workspace(site: Site, credentials: Credentials) -> None:
    opened = bearer(credentials.key)
    for name in ("echo-private", "echo-key", "echo-public"):
        assert ask(site.app(name), "", headers=opened).json()["identity"]["access"] == "key"
        assert ask(site.app(name, site.stranger), "", headers=opened).status == 401
    assert ask(site.app("secret-model"), "", headers=opened).status == 403
    assert ask(site.app("no-such-service"), "", headers=opened).status == 403


def test_no_wrong_credential_opens_a_model(site: Site, credentials: Credentials) -> None:
    place = site.models()
    body = b'{"model": "secret_model", "input": "x", "messages": [{"role": "user", "content": "x"}]}'
    wrong = {what: bearer(token) for what, token in credentials.wrong.items()} | {"nothing": {}}
    wrong["a provider's token"] = bearer(credentials.token)
    wrong["a key of other services"] = bearer(credentials.key)
    for what, headers in wrong.items():
        for target in ("models", "models/secret_model", "chat/completions", "responses", "responses/resp_0"):
            for method in ("GET", *UNSAFE):
                answer = ask(place, target, method, headers, body if method in UNSAFE else None)
                assert 200 <= answer.status < 500, (what, method, target, answer)
                assert b"a secret" not in answer.body
                assert b"secret-model" not in answer.body
                if what != "a key of other services":
                    assert answer.status in (401, 405), (what, method, target, answer)
        refused = {"a key of other services": 404, "nested too deep": 431}.get(what, 401)
        assert upgrade(place, "responses", headers).status == refused, what


# --- the control API ----------------------------------------


def test_a_token_manages_its_own_workspace(site: Site) -> None:
    stranger = site.stranger.own_token
    for one in (site.tenant, site.stranger):
        one.key("echo-key")  # so that each has something that the other may not touch
    for token, workspace in ((site.tenant.token, ALICE), (stranger, site.stranger.workspace)):
        assert ask(site.own, "portico/api/me", headers=bearer(token)).json()["workspace"] == workspace
        listed = ask(site.own, "portico/api/services", headers=bearer(token)).json()["services"]
        assert {service["name"] for service in listed} >= {"echo-private", "hostile"}
        other = site.stranger.workspace if workspace == ALICE else f"/{ALICE}/"
        assert all(other not in str(service) for service in listed)
        for kind in ("tokens", "keys"):
            foreign = site.tenant.token if token == stranger else stranger
            theirs = ask(site.own, f"portico/api/{kind}", headers=bearer(foreign)).json()[kind]
            mine = ask(site.own, f"portico/api/{kind}", headers=bearer(token)).json()[kind]
            assert not {one["id"] for one in theirs} & {one["id"] for one in mine}
            for one in theirs[:3]:
                path = f"portico/api/{kind}/{one['id']}"
                assert ask(site.own, path, "DELETE", bearer(token)).status == 404, path


def test_what_a_token_may_not_it_cannot_give_itself(site: Site) -> None:
    weak = site.relay.token("publish:echo-key")
    headers = bearer(weak)
    for body in (b'{"scopes": "admin"}', b'{"scopes": "publish:*"}', b'{"scopes": ["manage"]}', b"{}"):
        assert ask(site.own, "portico/api/tokens", "POST", headers, body).status == 403, body
    for services in (b'["echo-private"]', b'["*"]', b'["echo-key", "echo-private"]'):
        body = b'{"services": %s}' % services
        assert ask(site.own, "portico/api/keys", "POST", headers, body).status == 403, body
    assert ask(site.own, "portico/api/services/echo-private", "DELETE", headers).status == 403
    assert ask(site.own, "metrics", headers=headers).status == 403
    assert ask(site.app("echo-private"), "", headers=bearer(site.tenant.key("echo-private"))).status == 200


def test_a_login_of_the_relay_is_nothing_to_the_control_api(site: Site, browser: Browser) -> None:
    cookies = browser.cookies(site.own.authority)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    for path in ("me", "services", "keys", "tokens", "events"):
        for method in ("GET", "POST", "DELETE"):
            answer = ask(site.own, f"portico/api/{path}", method, cookie, b"{}" if method == "POST" else None)
            assert answer.status in (401, 405), (path, method, answer)


def test_a_relay_for_who_has_a_token_lets_nobody_else_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    relay = RelayProcess(tmp_path_factory.mktemp("closed")).start()
    try:
        answer = Provider(relay, "").answer
        assert isinstance(answer, GoAway)
        assert "token" in answer.reason
    finally:
        relay.stop()
