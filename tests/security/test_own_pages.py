"""Every page that a hub says in its own words: nobody frames it, nothing runs in it, nothing of it is kept or told on.

The relay's list is made from its routes, so that a page that is added is walked too.
"""

from __future__ import annotations

import re

from tests.live_jupyter import JupyterServer
from tests.security.conftest import Credentials, Served
from tests.security.provider import Provider
from tests.security.relays import Browser, Place, Site
from tests.security.test_relay_routes import ROUTES
from tests.security.visitor import Answer, Headers, Login, ask, upgrade

PAGE = {"Accept": "text/html"}
OWN = ("healthz", "readyz", "metrics", "portico/admin", "portico/admin/live", "portico/api/admin", "no-such-page", "")


def check(answer: Answer, what: object, *, own: bool = False) -> bool:
    """Whether it is a page; fails if it lacks something. *own*: of the relay itself, which nobody at all frames."""
    assert answer.status < 500 or answer.status == 503, (what, answer)
    if answer.status == 204:
        return False
    assert "no-store" in answer.one("cache-control"), (what, answer)
    if answer.status // 100 == 3:
        assert not answer.body, what
        return False
    assert answer.all("x-content-type-options") == ["nosniff"], (what, answer)
    if not answer.one("content-type").startswith("text/html"):
        assert re.match(r"application/json|text/plain", answer.one("content-type")), (what, answer)
        return False
    page = answer.body.decode()
    policies = answer.all("content-security-policy")
    assert len(policies) == 1, (what, answer)
    rules = dict(re.split(r"\s+", rule.strip(), maxsplit=1) for rule in policies[0].split(";"))
    asks = "<form" in page
    assert rules["default-src"] == "'none'", what
    assert rules["base-uri"] == "'none'", what
    assert rules["form-action"].startswith("'self'" if asks else "'"), (what, rules)
    assert rules["frame-ancestors"] in (("'none'",) if asks or own else ("'none'", "'self'")), (what, rules)
    assert answer.all("x-frame-options") == ["DENY" if rules["frame-ancestors"] == "'none'" else "SAMEORIGIN"], what
    posts = re.search(r"<form[^>]*method=.?post", page, re.IGNORECASE)
    assert answer.one("referrer-policy") in ("no-referrer", *(("same-origin",) if posts or own else ())), what
    assert "unsafe" not in policies[0], what
    assert not re.search(r"\son\w+\s*=|\sstyle\s*=|javascript:", page), what
    for script in re.findall(r"<script[^>]*>", page):
        nonce = re.search(r'nonce="([^"]+)"', script)
        assert nonce is not None, what
        assert f"'nonce-{nonce.group(1)}'" in rules["script-src"], what
    assert not re.search(r'name="?referrer"?', page), "it would be another word on what the header says"
    return True


def walk(place: JupyterServer | Place, *asked: tuple[str, str, Headers], own: bool = False) -> int:
    """How many of the answers were pages."""
    return len(pages_of(place, *asked, own=own))


def pages_of(place: JupyterServer | Place, *asked: tuple[str, str, Headers], own: bool = False) -> list[str]:
    """What was answered with a page."""
    form = b"password=wrong&next=/"
    return [
        target
        for target, method, headers in asked
        if check(ask(place, target, method, headers, form if method == "POST" else None), (target, headers), own=own)
    ]


def test_the_pages_of_a_hub_in_jupyter(jupyter_server: JupyterServer, served: Served, key: str, login: Login) -> None:
    app, cookie = "portico/apps/", {"Cookie": login.cookie}
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    pages = walk(
        jupyter_server,
        (f"{app}echo-key/", "GET", PAGE),
        (f"{app}echo-key/?portico_key=bad.{key}", "GET", PAGE),
        (f"{app}echo-key/", "GET", PAGE | {"Authorization": f"Bearer x.{key}"}),
        (f"{app}hostile2/", "GET", PAGE | {"Authorization": f"Bearer {key}"}),
        (f"{app}echo-private/", "POST", PAGE | cookie | elsewhere),
        (f"{app}no-such/", "GET", PAGE | cookie),
        (f"{app}no-such/<script>", "GET", PAGE | cookie),
        (f"{app}<script>alert(1)</script>/", "GET", PAGE | cookie),
        (app, "GET", PAGE | cookie),
        ("portico/link", "GET", PAGE),
    )
    assert pages == 10
    assert check(ask(jupyter_server, f"{app}echo-key/", headers=PAGE, host="evil.example"), "another host")
    others = pages_of(
        jupyter_server,
        (f"{app}echo-private/", "GET", PAGE),  # to the login
        (f"{app}echo-key?a=1", "GET", PAGE),
        (f"{app}echo-key/?portico_key={key}", "GET", PAGE),
        ("portico/login?next=/portico/apps/echo-private/", "GET", PAGE),
        ("portico/login?next=/portico/apps/echo-private/", "GET", PAGE | cookie),
        (f"{app}echo-key/", "GET", {}),
        (f"{app}echo-key/v1/models", "GET", {}),
        ("portico/api/services", "GET", {}),
        ("portico/api/services", "GET", PAGE | cookie),
        ("portico/api/<script>", "GET", PAGE),
        ("portico/v1/models", "GET", {}),
    )
    assert others == []
    for path in (f"{app}echo-key/", f"{app}<script>/", "portico/link", "portico/v1/<script>"):
        assert upgrade(jupyter_server, path, PAGE).one("x-content-type-options") == "nosniff", path


def test_the_pages_of_a_service_on_a_relay(site: Site, credentials: Credentials) -> None:
    provider = Provider(site.relay, site.tenant.token)
    assert provider.register(name="locked", access="public", conditions={"password": "open sesame"}).ok
    try:
        place = site.app("locked")
        own = {"Origin": f"http://{place.authority}"}
        assert (
            walk(
                place,
                ("", "GET", PAGE),
                ("<script>", "GET", PAGE),
                (".portico/password", "POST", PAGE | own | {"Content-Type": "application/x-www-form-urlencoded"}),
                (".portico/password", "POST", PAGE | {"Origin": "https://evil.example"}),
                (".portico/callback?code=x&state=x", "GET", PAGE),
                (".portico/no-such", "GET", PAGE),
                (".portico/login", "PUT", PAGE | own),
            )
            == 7
        )
        assert walk(place, (".portico/login", "GET", PAGE), (".portico/password", "GET", PAGE), ("", "GET", {})) == 0
    finally:
        provider.socket.close()
    assert walk(site.app("echo-public", site.stranger), ("", "GET", PAGE), ("<b>?x=<b>", "GET", PAGE)) == 2
    key = {"Authorization": f"Bearer {credentials.key}"}
    for name, headers in (
        ("echo-key", PAGE),
        ("echo-key", PAGE | {"Authorization": f"Bearer x.{credentials.key}"}),
        ("secret-model", PAGE | key),
    ):
        assert walk(site.app(name), ("", "GET", headers)) == 1, name
    assert walk(site.app("echo-private"), ("", "GET", PAGE), ("", "GET", {})) == 0
    refused = upgrade(site.app("echo-key"), "<script>", PAGE)
    assert refused.one("x-content-type-options") == "nosniff"
    assert "html" not in refused.one("content-type")


def test_the_pages_of_a_relay_itself(site: Site, browser: Browser) -> None:
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies(site.own.authority).items())}
    foreign = {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"}
    paths = [*ROUTES, *OWN, "portico/device?user_code=<b>", "portico/login?again=1&next=<b>", "portico/<script>"]
    paths += ["portico/authorize?workspace=w&service=s&state=x", "portico/authorize?workspace=<b>"]
    pages = 0
    for path in paths:
        for headers in (PAGE, PAGE | cookie, {}, PAGE | cookie | {"Sec-Fetch-Dest": "iframe"}):
            pages += walk(site.own, (path, "GET", headers), (path, "POST", {**headers, **foreign}), own=True)
    assert pages > 80


def test_what_a_page_repeats_is_escaped(site: Site, jupyter_server: JupyterServer, login: Login) -> None:
    """Of what is asked for, nothing is markup in the answer: not in a text, and not in an attribute."""
    marks = ("<script>x()</script>", '"><img src=x onerror=x()>', "'><svg onload=x()>", "{{7*7}}", "javascript:x()//")
    place = site.app("echo-public", site.stranger)
    for mark in marks:
        text = mark.replace(" ", "%20")
        answers = [
            ask(jupyter_server, f"portico/apps/{text}/", headers=PAGE | {"Cookie": login.cookie}),
            ask(jupyter_server, f"portico/apps/echo-key/?portico_key={text}", headers=PAGE),
            ask(place, f"{text}?x={text}", headers=PAGE),
            ask(Place(place.port, place.base, host=mark.replace(" ", "")), text, headers=PAGE),
            ask(site.app(text.replace("/", "%2F")) if not site.by_host else place, text, headers=PAGE),
            ask(site.own, f"portico/login?next={text}", headers=PAGE),
            ask(site.own, f"portico/authorize?workspace={text}&service={text}&state={text}", headers=PAGE),
            ask(site.own, text, headers=PAGE),
        ]
        for answer in answers:
            assert answer.status < 500, (mark, answer)
            page = answer.body.decode("utf-8", "replace") if "html" in answer.one("content-type") else ""
            assert not re.search(r"<(img|svg|script>x)|(href|src|action)=[\"']?javascript:|>49<", page), (mark, page)
            assert mark not in page or mark in ("{{7*7}}", "javascript:x()//"), (mark, page)
