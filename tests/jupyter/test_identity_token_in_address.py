"""A page that is opened with Jupyter's token in its address: the login is kept, and the address is made clean."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live_jupyter import JupyterServer, Kernel

APP = """
import portico

async def app(scope, receive, send):
    if scope["type"] == "http":
        path, query = scope["path"].removeprefix(scope["root_path"]), scope["query_string"].decode()
        told = f"{path}?{query} {dict(scope['headers'])}"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": told.encode()})

portico.serve(app, "page")
portico.serve(app, "locked", access="key")
"""

PAGE = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def served(jupyter_server: JupyterServer) -> Iterator[JupyterServer]:
    kernel: Kernel = jupyter_server.kernel()
    kernel.execute(APP).check()
    yield jupyter_server
    kernel.shutdown()


@pytest.fixture
def browser(served: JupyterServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{served.url}portico/apps/", trust_env=False) as client:
        yield client


def test_the_login_is_kept_and_the_address_made_clean(served: JupyterServer, browser: httpx.Client) -> None:
    first = browser.get(f"page/a/b?x=1&token={served.token}&y=%20", headers=PAGE)
    assert first.status_code == 303
    assert first.headers["location"] == "/portico/apps/page/a/b?x=1&y=%20"
    assert first.headers["referrer-policy"] == "no-referrer"
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("username-")
    assert "HttpOnly" in cookie
    assert "Path=/" in cookie
    page = browser.get(first.headers["location"].removeprefix("/portico/apps/"), headers=PAGE)
    assert page.status_code == 200
    assert page.text.startswith("/a/b?x=1&y=%20")
    assert served.token not in page.text
    assert "username-" not in page.text
    script = browser.get("page/static/script.js", headers={"Accept": "*/*"})
    assert script.status_code == 200, "what the page loads comes in by the cookie"


def test_the_jupyter_server_knows_the_login_too(served: JupyterServer, browser: httpx.Client) -> None:
    browser.get(f"page/?token={served.token}", headers=PAGE)
    assert browser.get(f"{served.url}api/me").status_code == 200


def test_one_who_is_logged_in_gets_a_clean_address(served: JupyterServer, browser: httpx.Client) -> None:
    browser.get(f"page/?token={served.token}", headers=PAGE)
    again = browser.get(f"page/?token={served.token}", headers=PAGE)
    assert (again.status_code, again.headers["location"]) == (303, "/portico/apps/page/")
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("written", ["token={}", "%74oken={}", "tok%65n={}"])
def test_however_it_is_written(served: JupyterServer, browser: httpx.Client, written: str) -> None:
    answer = browser.get("page/?" + written.format(served.token), headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/portico/apps/page/")


def test_a_program_is_answered_at_once(served: JupyterServer, browser: httpx.Client) -> None:
    answer = browser.get(f"page/?token={served.token}&x=1")
    assert answer.status_code == 200
    assert answer.text.startswith("/?x=1")
    assert "set-cookie" not in answer.headers


def test_what_is_not_a_page_is_not_sent_elsewhere(served: JupyterServer, browser: httpx.Client) -> None:
    answer = browser.post(f"page/?token={served.token}", headers=PAGE, content=b"x")
    assert answer.status_code == 200


def test_a_wrong_token_opens_nothing(served: JupyterServer, browser: httpx.Client) -> None:
    answer = browser.get("page/?token=wrong", headers=PAGE)
    assert urlsplit(answer.headers["location"]).path == "/portico/login"
    assert "username-" not in answer.headers.get("set-cookie", "")


def test_where_keys_alone_open_it_is_not_a_login(served: JupyterServer, browser: httpx.Client) -> None:
    answer = browser.get(f"locked/?token={served.token}", headers=PAGE)
    assert answer.status_code == 401
