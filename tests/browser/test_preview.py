"""An app in a tab, visited through its service worker: requests stream both ways, and both sides hear of every end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, expect

from tests.browser import chromium
from tests.browser.static_host import PREFIX, StaticHost, export
from tests.pyodide import environment

APP = Path(__file__).with_name("previewed.py")
ROOT = f"/{PREFIX}/portico-preview/previewed"


@pytest.fixture(scope="module")
def static(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticHost]:
    host = StaticHost(tmp_path_factory.mktemp("preview") / "root")
    export(APP, host.folder / PREFIX)
    yield host
    host.stop()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with chromium.visitor(browser, viewport={"width": 1000, "height": 800}) as context:
        yield context


@pytest.fixture(scope="module")
def hosting(context: BrowserContext, static: StaticHost) -> Page:
    """The tab that runs the app."""
    return opened(context, static)


@pytest.fixture
def page(context: BrowserContext, hosting: Page, static: StaticHost) -> Iterator[Page]:
    """Another tab, in the app."""
    page = context.new_page()
    page.goto(url(static, "hello"))
    yield page
    page.close()


def opened(context: BrowserContext, static: StaticHost) -> Page:
    page = context.new_page()
    page.goto(f"{static.url}{PREFIX}/")
    page.wait_for_function("document.documentElement.dataset.state !== 'loading'", timeout=60_000)
    expect(page.locator("#why")).to_have_text("")
    return page


def app_frame(page: Page) -> Frame:
    expect(page.frame_locator("#frame").get_by_role("heading")).to_be_visible()
    return page.frames[1]


def url(static: StaticHost, path: str = "") -> str:
    return f"{static.url.rstrip('/')}{ROOT}/{path}"


# --- requests and responses ----------------------------------------------------------------------------------------


def test_the_app_is_shown_in_its_frame(hosting: Page) -> None:
    frame = hosting.frame_locator("#frame")
    expect(frame.get_by_role("heading")).to_have_text("Hello from a tab")
    frame.get_by_role("link", name="other").click()
    expect(frame.get_by_role("heading")).to_have_text("Other")
    frame.get_by_role("link", name="home").click()  # of url_for
    frame.get_by_role("button", name="Send").click()  # a form, answered by 303
    expect(frame.get_by_role("heading")).to_have_text("Other")


def test_a_tab_of_its_own_shows_it_too(hosting: Page) -> None:
    with hosting.expect_popup() as new:
        hosting.get_by_role("link", name="Open in a tab").click()
    expect(new.value.get_by_role("heading")).to_have_text("Hello from a tab")
    assert new.value.url.endswith(f"{ROOT}/")
    new.value.close()


def test_a_missing_slash_is_added(page: Page, static: StaticHost) -> None:
    page.goto(url(static).rstrip("/") + "?a=1")
    assert page.url == url(static, "?a=1")


def test_the_scope_is_that_of_a_server(page: Page, static: StaticHost) -> None:
    told = page.evaluate("fetch('told/a%2Fb?x=1&x=%20', {headers: {'X-Given': 'yes'}}).then(r => r.json())")
    port = int(static.url.rpartition(":")[2].strip("/"))
    assert told["path"] == f"{ROOT}/told/a/b"
    assert told["raw_path"] == f"{ROOT}/told/a%2Fb"
    assert told["root_path"] == ROOT
    assert told["query"] == "x=1&x=%20"
    assert (told["scheme"], told["server"], told["method"]) == ("http", ["127.0.0.1", port], "GET")
    assert told["portico"] == {"access": "anonymous"}
    headers = dict(told["headers"])
    assert headers["host"] == f"127.0.0.1:{port}"
    assert headers["x-given"] == "yes"
    assert headers["user-agent"] == page.evaluate("navigator.userAgent")
    assert headers["referer"] == url(static, "hello")
    put = dict(page.evaluate("fetch('told', {method: 'PUT', body: 'x'}).then(r => r.json())")["headers"])
    assert put["origin"] == static.url.rstrip("/")
    assert "text/plain" in put["content-type"]


def test_lifespan_ran_before_the_first_request(page: Page) -> None:
    assert page.evaluate("fetch('hello').then(r => r.json())") == {"hello": "you", "started": True}


def test_header_fields_that_come_twice_stay_two(page: Page) -> None:
    assert page.evaluate("fetch('twice').then(r => r.headers.get('link'))") == "<a>; rel=a, <b>; rel=b"


@pytest.mark.parametrize(
    ("request_", "status", "header", "value"),
    [
        ("fetch('empty')", 204, "x-empty", "yes"),
        ("fetch('unchanged')", 304, "etag", '"1"'),
        ("fetch('head', {method: 'HEAD'})", 200, "content-length", "5"),
        ("fetch('nowhere')", 404, "content-type", "application/json"),
    ],
)
def test_responses_without_a_body(page: Page, request_: str, status: int, header: str, value: str) -> None:
    got = page.evaluate(f"{request_}.then(async r => [r.status, r.headers.get('{header}'), (await r.text()).length])")
    assert got[:2] == [status, value]
    assert got[2] == (22 if status == 404 else 0)


def test_redirects_are_followed(page: Page, static: StaticHost) -> None:
    assert page.evaluate("fetch('elsewhere').then(r => [r.status, r.redirected, r.url])") == [
        200,
        True,
        url(static, "other?a=1"),
    ]
    page.goto(url(static, "elsewhere"))
    assert page.url == url(static, "other?a=1")


def test_fastapis_docs_call_the_app(page: Page, static: StaticHost) -> None:
    page.goto(url(static, "docs#/default/hello_hello_get"))
    page.locator("#operations-default-hello_hello_get button.try-out__btn").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")


# --- streams -------------------------------------------------------------------------------------------------------

READ = """async path => {
  const answer = await fetch(path), reader = answer.body.getReader(), decode = b => new TextDecoder().decode(b)
  const first = decode((await reader.read()).value)
  await fetch('more', {method: 'POST'})
  const second = decode((await reader.read()).value)
  return [first, second, (await reader.read()).done]
}"""


def test_a_response_comes_as_it_is_made(page: Page) -> None:
    # The second part is only made once the first is here: were anything buffered on the way, it would not come.
    assert page.evaluate(READ, "parts") == ["first\n", "second\n", True]


def test_event_sources_stream(page: Page) -> None:
    got = page.evaluate("""() => new Promise(resolve => {
      const got = [], source = new EventSource('events')
      source.onmessage = event => {
        got.push(event.data)
        if (got.length === 1) fetch('more', {method: 'POST'})
        else { source.close(); resolve(got) }
      }
    })""")
    assert got == ["first", "second"]


def test_no_event_waits_for_the_next(page: Page) -> None:
    """The app sends each once the visitor has the one before it."""
    got = page.evaluate("""() => new Promise(resolve => {
      const got = [], source = new EventSource('in-step?count=40')
      source.onmessage = event => {
        got.push(Number(event.data))
        fetch('more', {method: 'POST'})
      }
      source.onerror = () => { source.close(); resolve(got) }
    })""")
    assert got == list(range(40))


def test_an_upload_of_20_mb_streams(page: Page) -> None:
    got = page.evaluate("""async () => {
      const body = new Uint8Array(20 * 1024 * 1024)
      for (let at = 0; at < body.length; at += 65536) crypto.getRandomValues(body.subarray(at, at + 65536))
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body))
      const answer = await (await fetch('upload', {method: 'POST', body})).json()
      return {...answer, expected: [...digest].map(b => b.toString(16).padStart(2, '0')).join('')}
    }""")
    assert got["size"] == 20 * 1024 * 1024
    assert got["sha256"] == got["expected"]
    assert got["chunks"] >= 20


def test_a_download_of_50_mb_streams(page: Page) -> None:
    got = page.evaluate("""async () => {
      const began = performance.now()
      let size = 0
      for await (const chunk of (await fetch('download?size=52428800')).body) size += chunk.length
      return [size, size / (performance.now() - began) / 1000]
    }""")
    print(f"{got[1]:.0f} MB/s")
    assert got[0] == 50 * 1024 * 1024


# --- ends ----------------------------------------------------------------------------------------------------------


def heard(page: Page, what: str) -> None:
    """Wait until the app has noted *what*."""
    assert what in page.evaluate("name => fetch('left?name=' + encodeURIComponent(name)).then(r => r.json())", what)


def test_leaving_in_mid_response_is_http_disconnect(page: Page) -> None:
    page.evaluate("""async () => {
      const abort = new AbortController()
      const answer = await fetch('ends/after-head', {signal: abort.signal})
      await answer.body.getReader().read()
      abort.abort()
    }""")
    heard(page, "after-head: http.disconnect")


def test_leaving_cancels_a_generator(page: Page) -> None:
    page.evaluate("""async () => {
      const reader = (await fetch('parts?name=cancelled')).body.getReader()
      await reader.read()
      await reader.cancel()
    }""")
    heard(page, "cancelled")


def test_leaving_before_the_response_is_http_disconnect_once_there_is_one(page: Page) -> None:
    """Chromium does not tell a service worker that a fetch was aborted which it has not answered yet."""
    page.evaluate("""async () => {
      const abort = new AbortController()
      const answer = fetch('ends/late-head', {signal: abort.signal})
      await fetch('hello')
      abort.abort()
      await answer.catch(() => {})
      await fetch('more', {method: 'POST'})
    }""")
    heard(page, "late-head: http.disconnect")


def test_closing_the_tab_before_the_response_is_http_disconnect(
    context: BrowserContext, page: Page, static: StaticHost
) -> None:
    other = context.new_page()
    other.goto(url(static, "hello"))
    other.evaluate("() => { fetch('ends/before-head'); return fetch('hello') }")
    other.close()
    heard(page, "before-head: http.disconnect")


def test_closing_the_tab_is_leaving(context: BrowserContext, page: Page, static: StaticHost) -> None:
    other = context.new_page()
    other.goto(url(static, "hello"))
    other.evaluate("fetch('parts?name=closed').then(r => r.body.getReader().read())")
    other.close()
    heard(page, "closed")


def test_an_exception_is_a_500_without_its_text(page: Page, hosting: Page) -> None:
    got = page.evaluate("fetch('broken').then(async r => [r.status, await r.text()])")
    assert got[0] == 500
    assert "secret" not in got[1]
    expect(hosting.locator("#said")).to_contain_text("RuntimeError: a secret of the author")


def test_an_exception_in_mid_response_breaks_it(page: Page) -> None:
    got = page.evaluate("fetch('broken-late').then(r => r.text()).catch(error => error.name)")
    assert got == "TypeError"


def stop_service_worker(context: BrowserContext, page: Page) -> None:
    session = context.new_cdp_session(page)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")
    session.detach()


def test_the_service_worker_may_be_stopped_in_mid_stream(context: BrowserContext, page: Page) -> None:
    page.evaluate("""async () => {
      const reader = (await fetch('parts?name=stopped')).body.getReader()
      await reader.read()
      window.end = reader.read().then(({done}) => done ? 'clean' : 'more', error => error.name)
    }""")
    stop_service_worker(context, page)
    assert page.evaluate("window.end") == "TypeError", "the visitor takes it for a whole answer"
    heard(page, "stopped")  # and the app takes the visitor for gone; this request has found the host anew
    assert page.evaluate(READ, "parts") == ["first\n", "second\n", True]


def test_an_app_that_computes_for_long_is_not_taken_for_dead(page: Page) -> None:
    assert page.evaluate("fetch('busy?seconds=8').then(r => r.json())") == {"busy": 8}


# --- cookies -------------------------------------------------------------------------------------------------------


def test_cookies_are_kept_and_sent(page: Page, context: BrowserContext, static: StaticHost) -> None:
    page.evaluate("fetch('login')")
    assert page.evaluate("fetch('cookies').then(r => r.json())") == {"sid": "42", "theme": "dark"}
    assert page.evaluate("fetch('cookies', {credentials: 'omit'}).then(r => r.json())") == {}
    assert page.evaluate("document.cookie") == ""
    stop_service_worker(context, page)  # they are the app's, and outlive it
    page.goto(url(static, "cookies"))
    assert '"sid":"42"' in page.content()
    page.evaluate("fetch('logout')")
    assert page.evaluate("fetch('cookies').then(r => r.json())") == {"theme": "dark"}
    assert context.cookies() == []


# --- other tabs ----------------------------------------------------------------------------------------------------


def test_a_second_page_runs_an_app_of_its_own(context: BrowserContext, static: StaticHost, page: Page) -> None:
    second = opened(context, static)
    frame = app_frame(second)
    assert frame.url == url(static).replace("/previewed/", "/previewed-2/")
    page.evaluate("fetch('login')")
    assert frame.evaluate("fetch('cookies').then(r => r.json())") == {}
    second.reload()
    second.wait_for_function("document.documentElement.dataset.state === 'running'", timeout=60_000)
    assert app_frame(second).url == frame.url, "a page that is loaded again has its name back"
    visitor = context.new_page()
    visitor.goto(frame.url + "hello")
    visitor.evaluate("""async () => {
      const reader = (await fetch('parts')).body.getReader()
      await reader.read()
      window.end = reader.read().then(({done}) => done ? 'clean' : 'more', error => error.name)
    }""")
    second.close()
    assert visitor.evaluate("window.end") == "TypeError"
    visitor.reload()
    expect(visitor.get_by_role("alert")).to_contain_text("No tab runs previewed-2")
    assert visitor.evaluate("fetch('hello').then(async r => [r.status, (await r.json()).error.code])") == [
        502,
        "no_host",
    ]
    visitor.close()
    assert page.evaluate("fetch('hello').then(r => r.status)") == 200


# --- the npm package -------------------------------------------------------------------------------------------------


def test_a_page_may_answer_itself_beside_what_it_hosts(
    context: BrowserContext, hosting: Page, page: Page, static: StaticHost
) -> None:
    """By another copy of the same module: the two know of each other's apps."""
    environment.npm("run", "--silent", "build")
    shutil.copy(environment.JAVASCRIPT / "packages" / "portico-browser" / "dist" / "index.js", static.folder)
    where = hosting.evaluate("""async () => {
      const {Exchanges, Preview} = await import('/index.js')
      const open = id => {
        exchanges.head(id, 200, 'content-type\\ntext/plain\\nx-from\\nJavaScript')
        exchanges.data(id, new TextEncoder().encode('from the page'), true)
        exchanges.release(id)
      }
      const exchanges = new Exchanges({open, data() {}, gone() {}, writable() {}})
      const preview = await Preview.open('portico-preview/')
      window.second = await preview.serve('second', (head, port) => exchanges.take(head, port))
      return window.second.url.href
    }""")
    assert where == url(static).replace("/previewed/", "/second/")
    asked = "url => fetch(url).then(async r => [r.status, r.headers.get('x-from'), await r.text()])"
    for _ in range(3):
        assert page.evaluate(asked, where) == [200, "JavaScript", "from the page"]
        assert page.evaluate(asked, url(static, "hello"))[0] == 200
    hosting.evaluate("window.second.stop()")
    assert page.evaluate(asked, where)[0] == 502


# --- what it cannot, and does not -----------------------------------------------------------------------------------


def test_the_static_host_was_asked_for_files_alone(hosting: Page, static: StaticHost) -> None:
    paths = {path.lstrip("/").partition("?")[0] for path in static.asked()}
    paths.discard("favicon.ico")  # browsers ask for it by themselves, when they find the time
    assert [path for path in paths if not (static.folder / path).exists()] == []


def test_the_console_says_why_a_websocket_fails(hosting: Page) -> None:
    def explains(message: ConsoleMessage) -> bool:
        return "relay" in message.text

    frame = app_frame(hosting)
    with hosting.expect_console_message(explains):
        frame.evaluate("() => { new WebSocket(location.href.replace('http', 'ws')) }")
