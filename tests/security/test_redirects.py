"""Every address that a hub sends a browser to, with all that a visitor has a part in it made to lead elsewhere."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from tests.live_jupyter import JupyterServer
from tests.live_relay import ALICE, PASSWORD
from tests.security.addresses import ASTRAY, CLAIMS, ELSEWHERE, origin_of
from tests.security.conftest import Credentials, Served
from tests.security.relays import Browser, Site
from tests.security.visitor import Answer, Login

PAGE = {"Accept": "text/html"}


def raw(port: int, host: str, target: str, headers: dict[str, str], method: str = "GET", body: str = "") -> Answer:
    """One request whose target may hold anything but a line break."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", body]).encode("latin-1"))
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
        except (http.client.BadStatusLine, ConnectionError):  # closed: the target was no HTTP
            return Answer(400, [], b"")
        return Answer(response.status, response.getheaders(), response.read())


def check(answer: Answer, asked: str, *own: str) -> int:
    """That a browser at the URL *asked* is not led elsewhere; returns how many addresses there were."""
    assert answer.status < 500, asked
    assert len(answer.all("location")) <= 1, asked
    page = answer.body.decode("utf-8", "replace") if "html" in answer.one("content-type") else ""
    links = re.findall(r"""(?:href|action|src)=["']?([^"'\s>]*)""", page)
    addresses = [*answer.all("location"), *(link.replace("&amp;", "&") for link in links)]
    here = origin_of("", asked)
    for address in addresses:
        origin = origin_of(address, asked)
        assert origin in (here, *own) or origin.endswith(".share.localhost:" + here.rpartition(":")[2]), (
            asked,
            address,
        )
    hidden = re.findall(r'name="?next"? value="([^"]*)"', page)
    for target in hidden:
        assert target.startswith("/"), (asked, target)
    return len(answer.all("location"))


def paths(root: str) -> Iterator[str]:
    """Targets below and around *root*."""
    for number, path in enumerate(ASTRAY):
        if not {"\r", "\n", "\x00", " "} & set(path):
            yield from (root.rstrip("/") + path, path if number % 2 else root + path)


def arguments(path: str) -> Iterator[str]:
    for target in ASTRAY:
        for root in ("", "/portico/", "/portico/apps/echo-private"):
            yield f"{path}?next={quote(root + target, safe='')}"


def test_jupyters_hub_sends_nobody_elsewhere(
    jupyter_server: JupyterServer, key: str, served: Served, login: Login
) -> None:
    port, host = jupyter_server.port, f"127.0.0.1:{jupyter_server.port}"
    redirects = 0
    apps = ("/portico/apps/echo-key/", "/portico/apps/echo-private/", "/portico/apps/no-such/", "/portico/apps/")
    asked = [(f"{path}?portico_key={key}", PAGE) for root in apps[:2] for path in paths(root)]
    asked += [(path, PAGE | CLAIMS) for root in apps for path in paths(root)]
    asked += [(path.rstrip("/"), PAGE) for root in apps for path in paths(root.rstrip("/"))]
    asked += [(f"http://{ELSEWHERE}{root}?portico_key={key}", PAGE | CLAIMS) for root in apps]
    asked += [(f"http://{host}{root}?portico_key={key}&a=//b", PAGE | CLAIMS) for root in apps]
    asked += [(target, PAGE | {"Cookie": login.cookie}) for target in arguments("/portico/login")]
    asked += [(target, PAGE) for target in arguments("/portico/login")]
    for target, headers in asked:
        answer = raw(port, host, target, headers)
        redirects += check(answer, f"http://{host}/")
    assert redirects > 400


def test_a_relay_sends_nobody_elsewhere(site: Site, credentials: Credentials, browser: Browser) -> None:
    relay, own = site.relay, site.own
    redirects = 0
    bases = (relay.config.base_url, relay.service_url("echo-private"))
    origins = [f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in bases]
    for name in ("echo-key", "echo-private", "no-such"):
        place = site.app(name)
        host, base = place.authority, place.base
        cookie = {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.cookies(host).items()) or "a=1"}
        asked = [(f"{path}?portico_key={credentials.key}", PAGE) for path in paths(base)]
        asked += [(path, PAGE | CLAIMS) for path in paths(base)]
        asked += [(f"http://{ELSEWHERE}{path}", PAGE) for path in (base, base.rstrip("/"))]
        asked += [(f"{path}/.portico/{what}", PAGE) for path in paths("/") for what in ("login", "callback", "logout")]
        asked += [(f"{path}/apps/{name}", PAGE) for path in paths("/")]
        asked += [(target, PAGE | cookie) for target in arguments(f"{base}.portico/login")]
        asked += [(f"{base}.portico/callback?code=x&state={quote(path, safe='')}", PAGE) for path in ASTRAY]
        for target, headers in asked:
            redirects += check(raw(place.port, host, target, headers), f"http://{host}/", *origins)
        form = PAGE | {"Origin": f"http://{host}"}
        for what in ("password", "confirm", "logout"):
            for path in (*ASTRAY, *paths(base)):
                body = f"password=x&next={quote(path.encode('latin-1'), safe='')}"
                answer = raw(place.port, host, f"{base}.portico/{what}", form, "POST", body)
                assert answer.status == 303
                assert answer.one("location").startswith(base), path
                redirects += check(answer, f"http://{host}/")
    assert redirects > 1000
    cookie = {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.cookies(own.authority).items())}
    for path in ("login", "logout", "device", "authorize", "admin", ""):
        for number, target in enumerate(arguments(f"/portico/{path}")):
            more = target.replace("?", "?workspace=alice&service=echo-private&state=x&user_code=x&", 1)
            headers = PAGE | (cookie if number % 2 else CLAIMS)
            for each in (target, more):
                check(raw(own.port, own.authority, each, headers), f"http://{own.authority}/", *origins)


def test_a_sign_in_sends_nobody_elsewhere(site: Site) -> None:
    browser = Browser(site.relay)
    url = f"http://{site.own.authority}/portico/login"
    for target in ASTRAY[::4]:
        _, page = browser.go(url)
        token = re.findall(rb'name="form_token" value="([^"]*)"', page.body)[0].decode()
        fields = {"name": ALICE, "password": PASSWORD, "next": target, "form_token": token}
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies(site.own.authority).items())
        body = "&".join(f"{name}={quote(value.encode('latin-1'), safe='')}" for name, value in fields.items())
        headers = PAGE | {"Cookie": cookies, "Origin": f"http://{site.own.authority}"}
        answer = raw(site.own.port, site.own.authority, "/portico/login", headers, "POST", body)
        assert answer.status == 303, answer
        assert answer.one("location") == "/portico/", target


@pytest.mark.parametrize("target", [f"//{ELSEWHERE}/x", f"///{ELSEWHERE}", f"/\\{ELSEWHERE}", f"/\t/{ELSEWHERE}"])
def test_a_link_with_a_key_leads_to_the_path_that_was_asked(site: Site, credentials: Credentials, target: str) -> None:
    place = site.app("echo-key")
    path = place.base.rstrip("/") + target
    answer = raw(place.port, place.authority, f"{path}?portico_key={credentials.key}&a=1", PAGE)
    if answer.status == 400:  # uvicorn reads no tab
        return
    assert answer.status == 303
    assert origin_of(answer.one("location"), f"http://{place.authority}/") == f"http://{place.authority}"
    opened = answer.one("location").removeprefix("/.")
    assert opened.replace("%5C", "\\").replace("%09", "\t") == f"{path}?a=1"
