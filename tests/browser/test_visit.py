"""What a visitor's browser does with an app in a notebook: cookies, links, logins, forms, sockets and streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.live_jupyter import JupyterServer, Kernel

APP = Path(__file__).with_name("visited.py").read_text("utf-8")


@pytest.fixture(scope="module")
def kernel(server: JupyterServer) -> Iterator[Kernel]:
    kernel = server.kernel()
    kernel.execute("%load_ext portico\nimport portico").check()
    kernel.execute(APP).check()
    kernel.execute("%serve app --name visited\n%serve broken\n%serve app --name keyed --access key").check()
    yield kernel
    kernel.shutdown()


@pytest.fixture
def url(server: JupyterServer, kernel: Kernel) -> str:
    return server.url + "portico/apps/visited/"


def key_for(kernel: Kernel, name: str) -> str:
    return kernel.execute(f"print(portico.service({name!r}).key())").check().text.strip()


@pytest.fixture
def page(visitor: BrowserContext, kernel: Kernel, url: str) -> Page:
    """A page of a visitor who has opened a link with a key."""
    page = visitor.new_page()
    page.goto(f"{url}?portico_key={key_for(kernel, 'visited')}")
    return page


def test_a_link_with_a_key_opens_the_app_and_nothing_else(page: Page, visitor: BrowserContext, url: str) -> None:
    assert page.url == url, "the key is still in the address"
    expect(page.get_by_role("heading")).to_have_text("Hello from a notebook")
    (cookie,) = visitor.cookies()
    assert cookie["path"] == "/portico/apps/visited/"
    assert cookie["httpOnly"]
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("fetch('hello').then(answer => answer.json())") == {"hello": "you"}
    assert page.evaluate("fetch('../keyed/hello').then(answer => answer.status)") == 401
    assert page.evaluate("fetch('/api/contents').then(answer => answer.status)") == 403


def test_a_key_that_is_typed_opens_the_app(visitor: BrowserContext, kernel: Kernel, url: str) -> None:
    page = visitor.new_page()
    answer = page.goto(url.replace("visited", "keyed") + "hello")
    assert answer is not None
    assert answer.status == 401
    page.get_by_label("Key").fill("not.a.key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading")).to_have_text("That key does not work")
    page.get_by_label("Key").fill(key_for(kernel, "keyed"))
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_text('{"hello":"you"}')).to_be_visible()
    assert page.url == url.replace("visited", "keyed") + "hello"


def test_a_visitor_signs_in_to_jupyter_and_comes_back(visitor: BrowserContext, server: JupyterServer, url: str) -> None:
    page = visitor.new_page()
    page.goto(url + "hello?name=sam%20%26%20co")
    assert "/login" in page.url
    page.locator("#password_input").fill(server.token)
    page.keyboard.press("Enter")
    expect(page.get_by_text('{"hello":"sam & co"}')).to_be_visible()
    assert page.url == url + "hello?name=sam%20%26%20co"


def test_fastapis_docs_page_calls_the_app(visitor: BrowserContext, server: JupyterServer, url: str) -> None:
    # With Jupyter's login cookie: the page knows nothing of Jupyter's protection against forged requests.
    page = visitor.new_page()
    page.goto(f"{server.url}login?token={server.token}")
    page.goto(url + "docs")
    for path, body in (("hello", '"hello": "you"'), ("double", '"doubled": 84')):
        operation = page.locator(".opblock", has=page.locator(f'[data-path="/{path}"]'))
        operation.locator("[data-path]").click()
        operation.get_by_role("button", name="Try it out").click()
        if path == "double":
            operation.locator("textarea").fill('{"number": 42}')
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response")
        expect(answer.locator(".response-col_status")).to_contain_text("200")
        expect(answer.locator(".highlight-code")).to_contain_text(body)


def test_a_page_opens_a_websocket(page: Page) -> None:
    said = page.evaluate("""() => new Promise((resolve, reject) => {
      const socket = new WebSocket('echo')
      socket.onopen = () => socket.send('日')
      socket.onmessage = event => resolve(event.data)
      socket.onerror = reject
    })""")
    assert said == "echo: 日"


def test_events_arrive_one_by_one(page: Page) -> None:
    # The second is sent once the first is here: were anything buffered on the way, neither would come.
    seen = page.evaluate("""() => new Promise((resolve, reject) => {
      const seen = [], source = new EventSource('events')
      source.onmessage = event => {
        seen.push(event.data)
        if (seen.length == 1) fetch('more', {method: 'POST'})
        else { source.close(); resolve(seen) }
      }
      source.onerror = reject
    })""")
    assert seen == ["first", "second"]


def test_an_error_is_a_page_for_people_and_json_for_programs(
    visitor: BrowserContext, server: JupyterServer, url: str
) -> None:
    page = visitor.new_page()
    page.goto(f"{server.url}login?token={server.token}")
    answer = page.goto(url.replace("visited", "broken"))
    assert answer is not None
    assert answer.status == 500
    expect(page.get_by_role("heading")).to_have_text("The app has a problem")
    assert "secret" not in page.content()
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading")).to_have_text("The app has a problem")
    page.goto(url)
    error = page.evaluate("fetch('../broken/').then(answer => answer.json())")
    assert error["error"]["code"] == "app_error"
    page.goto(server.url + "portico/apps/no-such-app/")
    expect(page.get_by_role("heading")).to_have_text("Nothing is served here")
