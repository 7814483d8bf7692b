"""What passes between a visitor of a relay and an app, both ways: on a host name that apps share, and on their own."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from websockets.sync.client import connect

from portico.hub.keys import MARK
from tests.in_process import echo
from tests.live_relay import ALICE, RelayProcess
from tests.relay.tenants import Tenant
from tests.security.apps import DROPPED, whole_host
from tests.security.conftest import Credentials
from tests.security.disguises import carriers
from tests.security.relays import Browser, Place, Site
from tests.security.visitor import ask, upgrade

ECHOES = ("echo-private", "echo-public")
STRANGER = "127.0.0.2"
"""An address that no proxy has which is believed; it comes here by the loopback interface all the same."""


@pytest.mark.parametrize("name", ECHOES)
def test_an_app_sees_nothing_of_a_login(site: Site, browser: Browser, name: str) -> None:
    place = site.app("echo-private")
    held = browser.cookies(site.own.authority) | browser.cookies(place.authority)
    assert {"portico_session", "portico_visitor", "portico_state", "portico_form"} <= set(held)
    cookie = "; ".join(f"{name}={value}" for name, value in held.items())
    odd = "; ".join(
        f"{prefix}{name}=odd-{number}"
        for number, name in enumerate(("portico_session", "PORTICO_VISITOR", "portico_pass", "Portico_Confirmed"))
        for prefix in ("", "__Host-", "__Secure-", "__host-", "\xa0")
    )
    answer = ask(
        site.app(name),
        "x?a=1&portico_key=&token=own&b=2",
        headers=[
            ("Cookie", f"own=1; {cookie}; last=2"),
            ("Cookie", f"{odd}; second=3; portico_key=odd-9"),
            ("Referer", f"http://{place.authority}/?portico_key=odd-7&a=1"),
            ("X-Api-Key", "sk-own"),
            ("Authorization", "Basic b3duOm93bg=="),
        ],
    )
    assert answer.status == 200, answer
    for value in (*held.values(), "odd-"):
        assert value.encode() not in answer.body, value
    assert b"portico_" not in answer.body.lower()
    assert answer.seen("cookie") == ["own=1; last=2", "second=3"]
    assert answer.json()["query"] == "a=1&token=own&b=2"
    assert answer.seen("authorization") == ["Basic b3duOm93bg=="]
    assert answer.seen("x-api-key") == ["sk-own"]
    assert answer.seen("referer") == [f"http://{place.authority}/?a=1"]
    assert answer.json()["identity"]["access"] == ("user" if name == "echo-private" else "anonymous")


def test_a_sign_in_is_good_for_its_own_place_alone(site: Site, browser: Browser) -> None:
    place = site.app("echo-private")
    cookies = browser.cookies(place.authority)
    cookie = {"Cookie": f"portico_visitor={cookies['portico_visitor']}"}
    assert ask(place, "", headers=cookie).status == 200
    session = {"Cookie": f"portico_session={browser.cookies(site.own.authority)['portico_session']}"}
    for other, given in (
        (place, session),  # the relay's own login opens the relay's own pages
        (site.app("echo-private", site.stranger), cookie),
        (site.app("echo-key"), cookie),
        (site.app("secret-model"), cookie),
    ):
        assert ask(other, "", headers=given).status == 401, other
    for given in (cookie, {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items() if k != "portico_session")}):
        assert ask(site.own, "portico/", headers=given).status == 303  # to the login
        assert ask(site.own, "portico/api/me", headers=given).status == 401
    own, foreign = {"Origin": f"http://{place.authority}"}, {"Origin": "https://evil.example"}
    assert ask(place, "", "POST", cookie | own, b"x").status == 200
    assert ask(place, "", "POST", cookie | foreign, b"x").status == 403
    assert ask(place, "", "POST", cookie, b"x").status == 403
    assert upgrade(place, "", cookie | own).status == 101
    assert upgrade(place, "", cookie | foreign).status == 403
    if site.by_host:  # a neighbour's page is another origin
        neighbour = {"Origin": f"http://{site.app('hostile').authority}"}
        assert ask(place, "", "POST", cookie | neighbour, b"x").status == 403
        assert upgrade(place, "", cookie | neighbour).status == 403


def test_the_relays_cookies_are_kept_where_they_belong(site: Site, browser: Browser) -> None:
    names = {header.partition("=")[0] for _, header in browser.set}
    assert {"portico_session", "portico_visitor"} <= names
    for host, header in browser.set:
        assert "domain=" not in header.lower()
        assert "httponly" in header.lower()
        name = header.partition("=")[0]
        if name in ("portico_visitor", "portico_state"):
            place = site.app("echo-private")
            assert host == place.authority
            assert f"Path={place.base};" in header, header
        else:
            assert host == site.own.authority
            assert name in ("portico_session", "portico_form")


def test_no_key_or_token_reaches_an_app(site: Site, credentials: Credentials) -> None:
    place = site.app("echo-public")
    marked = {what: token for what, token in credentials.wrong.items() if MARK in token.encode()}
    assert len(marked) > 8
    for token in (credentials.key, credentials.token, *marked.values()):
        for target, headers in (
            ("", {"X-Api-Key": token}),
            ("", {"Cookie": f"a=1; session={token}; portico_key={token}"}),
            (f"?key={token}&a=1", {}),
            (f"?key={token.replace('.', '%2E')}", {}),
            (f"?portico%5Fkey={token}", {}),
            (f"?token={token}", {}),
            ("", {"Referer": f"http://{place.authority}{place.base}?portico_key={token}"}),
            ("", {"Authorization": f"Basic {token}"}),
            ("", {"Authorization": f"token {token}"}),
            ("", {"Authorization": f"Bearer {token}"}),
        ):
            answer = ask(place, target, headers=headers)
            shown = "Bearer" in headers.get("Authorization", "")
            assert answer.status == (401 if shown and token != credentials.key else 200), (target, headers, answer)
            assert MARK not in answer.body, (target, headers)


def test_no_credential_reaches_an_app_in_disguise(site: Site, credentials: Credentials, browser: Browser) -> None:
    place = site.app("echo-public")
    held = browser.cookies(site.own.authority) | browser.cookies(site.app("echo-private").authority)
    beside = [("Cookie", "; ".join(f"{name}={value}" for name, value in held.items()))]
    for secret, more in (
        (credentials.key, []),
        (credentials.token, []),
        (held["portico_visitor"], []),
        (held["portico_session"], beside),
        (held["portico_state"], beside),
    ):
        for carrier in carriers(secret):
            answer = ask(place, carrier.query, headers=[*more, *carrier.headers])
            assert answer.status == 200, carrier
            assert not carrier.shown_to(answer.json()), carrier


def test_no_credential_reaches_an_app_by_a_websocket_in_disguise(site: Site, credentials: Credentials) -> None:
    place = site.app("echo-public")
    for secret in (credentials.key, credentials.token):
        for carrier in islice(carriers(secret), 0, None, 23):
            url = f"ws://{place.authority}{place.base}{carrier.query}"
            with connect(
                url, additional_headers=carrier.headers, address=("127.0.0.1", place.port), proxy=None
            ) as socket:
                assert not carrier.shown_to(json.loads(socket.recv(10))), carrier


def test_no_key_reaches_an_app_by_a_websocket(site: Site, credentials: Credentials) -> None:
    place, key = site.app("echo-key"), credentials.key
    url = f"ws://{place.authority}{place.base}"
    offered = ["chat", f"key.{key}"]
    for target, headers in ((url, {"Authorization": f"Bearer {key}"}), (f"{url}?portico_key={key}&a=1", {})):
        with connect(
            target,
            additional_headers=headers,
            subprotocols=offered,  # type: ignore[arg-type]
            address=("127.0.0.1", place.port),
            proxy=None,
        ) as socket:
            seen = str(socket.recv(10))
        assert MARK.decode() not in seen
        assert json.loads(seen)["subprotocols"] == ["chat"]
        assert json.loads(seen)["identity"]["access"] == "key"


def test_a_link_with_a_key(site: Site, credentials: Credentials) -> None:
    place, key = site.app("echo-key"), credentials.key
    answer = ask(place, f"p?x=1&portico_key={key}")
    assert answer.status == 303
    assert answer.one("location") == f"{place.base}p?x=1"
    cookie = answer.one("set-cookie")
    assert f"Path={place.base};" in cookie
    pair = cookie.partition(";")[0]
    opened = ask(place, "p?x=1", headers={"Cookie": pair})
    assert opened.status == 200
    assert MARK not in opened.body
    for other, status in ((site.app("echo-key", site.stranger), 401), (site.app("secret-model"), 403)):
        assert ask(other, "", headers={"Cookie": pair}).status == status
    for text in (key, *(token for token in credentials.wrong.values() if len(token) > 30)):
        assert text.encode() not in site.relay.log.read_bytes()


def test_what_the_administrator_set_reaches_no_app(tmp_path_factory: pytest.TempPathFactory) -> None:
    relay = RelayProcess(
        tmp_path_factory.mktemp("secrets"), admin_token="the-administrators-secret", metrics_token="the-counters-secret"
    ).start()
    tenant = Tenant(relay)
    try:
        tenant.serve(echo, "echo", access="public")
        place = Place(relay.port, f"/{ALICE}/apps/echo/")
        for secret in ("the-administrators-secret", "the-counters-secret"):
            for how in ("Bearer ", "token "):
                answer = ask(place, "", headers={"Authorization": how + secret})
                assert answer.status == 200
                assert b"secret" not in answer.body
            assert b"secret" not in ask(place, f"?token={secret}").body
            for carrier in carriers(secret):
                answer = ask(place, carrier.query, headers=[*carrier.headers])
                assert answer.status == 200, carrier
                assert not carrier.shown_to(answer.json()), carrier
    finally:
        tenant.leave()
        relay.stop()


# --- where a visitor comes from ------------------------------------------------------------------------------------

_CLAIMS = {
    "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-User": "somebody-else",
    "X_Forwarded_For": "6.6.6.6",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;host=evil.example",
}


def test_a_strangers_word_on_where_it_comes_from_is_not_believed(site: Site) -> None:
    place = site.app("echo-public")
    answer = ask(place, "", headers=_CLAIMS, source=STRANGER)
    for claimed in (b"6.6.6.6", b"203.0.113.9", b"evil", b"https", b"somebody-else"):
        assert claimed not in answer.body, claimed
    assert answer.seen("x-forwarded-for") == [STRANGER]
    assert answer.seen("x-forwarded-proto") == ["http"]
    assert answer.seen("x-forwarded-host") == [place.authority]
    assert answer.seen("x-forwarded-prefix") == [place.base.rstrip("/")]


def test_a_proxys_word_is_believed_as_far_as_proxies_are(site: Site) -> None:
    place = site.app("echo-public")
    answer = ask(place, "", headers=_CLAIMS)
    for claimed in (b"6.6.6.6", b"evil", b"somebody-else"):
        assert claimed not in answer.body, claimed
    assert answer.seen("x-forwarded-for") == ["203.0.113.9"]
    assert answer.seen("x-forwarded-proto") == ["https"]


def test_trailers_are_no_headers(site: Site) -> None:
    """Some proxies pass them on, after the headers that they have cleaned."""
    place = site.app("echo-public")
    body = b"1\r\nx\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: Basic 6.6.6.6\r\nX-Trailer: 6.6.6.6\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}
    answer = ask(place, "", "POST", headers, body, lengthless=True)
    assert answer.status == 200
    assert b"6.6.6.6" not in answer.body


# --- what an app says -----------------------------------------------------------------------------------------------


def test_an_app_speaks_for_itself_alone(site: Site) -> None:
    place = site.app("hostile")
    for answer, status in ((ask(place, ""), 200), (upgrade(place, ""), 101), (upgrade(place, "denied"), 403)):
        assert answer.status == status
        cookies = sorted(answer.all("set-cookie"))
        for cookie in cookies:
            assert "domain" not in cookie.lower()
            assert not cookie.lower().startswith(("portico", "=", "__host-portico"))
            assert f"Path={place.base}" in cookie
        assert "mine=1; HttpOnly; Path=" + place.base in cookies
        assert answer.one("x-of-the-app") == "passes"
        for name in DROPPED:
            assert answer.all(name) == []


def test_a_cookie_for_a_whole_host_is_for_who_has_one(site: Site) -> None:
    site.tenant.serve(whole_host, "whole-host", access="public")
    cookies = ask(site.app("whole-host"), "").all("set-cookie")
    kept = ["__Host-mine=1; Secure; Path=/"]
    assert cookies == (kept if site.by_host else [])
