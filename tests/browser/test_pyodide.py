"""An app in a browser tab, under Pyodide, behind a real relay: what visitors get, and what they get when it goes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import Error as PageError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests import live_tab
from tests.browser import chromium
from tests.live_commands import allow
from tests.live_jupyter import free_port
from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.relay.raw_visitors import Watcher
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)

APP = Path(__file__).with_name("tab_app.py").read_text("utf-8")


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[str]:
    with live_tab.site(bundle) as site:
        yield site


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Fails in the end if a tab asked another machine for anything."""
    with chromium.visitor(browser) as context:
        yield context


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay for this module: names are held on it long after a tab is gone. In the end nothing is under way on it."""
    relay = RelayProcess(tmp_path_factory.mktemp("relay"), anonymous=True).start()
    yield relay
    Watcher(relay).until_nothing_is_left()
    relay.stop()


@contextmanager
def opened(context: BrowserContext, site: str) -> Iterator[Page]:
    page = context.new_page()
    live_tab.open_tab(page, site)
    live_tab.run(page, "import portico\n" + APP)
    yield page
    page.close()


def serve(tab: Page, relay: RelayProcess, name: str, *, app: str = "app", more: str = "") -> str:
    """Serve what the tab has under *app*; the service's URL."""
    code = f"await portico.serve({app}, {name!r}, relay={relay.url!r}, token={relay.token()!r}, access='public'{more})"
    live_tab.run(tab, f"service = {code}")
    assert live_tab.run(tab, "service.url") == relay.service_url(name)
    return relay.service_url(name)


@pytest.fixture(scope="module")
def tab(context: BrowserContext, site: str) -> Iterator[Page]:
    with opened(context, site) as page:
        yield page


@pytest.fixture(scope="module")
def url(tab: Page, relay: RelayProcess) -> str:
    return serve(tab, relay, "tab")


@pytest.fixture
def visitor(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        yield client


def test_requests(visitor: httpx.Client) -> None:
    assert visitor.get("", params={"name": "sam & co"}).json() == {"hello": "sam & co"}
    assert visitor.get("in-turn").json() == {"hello": "without a thread"}
    assert visitor.head("in-turn").status_code == 405
    assert visitor.get("nowhere").json() == {"detail": "Not Found"}
    assert visitor.get("openapi.json").json()["info"]["title"] == "FastAPI"


def test_bodies_both_ways(visitor: httpx.Client) -> None:
    body = os.urandom(5_000_001)
    assert visitor.post("digest", content=body).json() == {
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    given = visitor.get("bytes", params={"size": len(body)}).content
    assert given == (bytes(range(256)) * 20_000)[: len(body)]


def test_cookies(visitor: httpx.Client) -> None:
    answer = visitor.get("remember", params={"what": "this"})
    assert answer.json() == {"before": ""}
    assert len(answer.headers.get_list("set-cookie")) == 2
    assert visitor.get("remember").json() == {"before": "this"}


def test_events_come_when_they_are_sent(visitor: httpx.Client) -> None:
    with visitor.stream("GET", "events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: first"
        visitor.post("go")  # the last is not sent before
        assert [line for line in lines if line] == ["data: last"]


def test_synchronous_endpoints_overlap(visitor: httpx.Client) -> None:
    """One waits, in Python that is not asynchronous, for what another request brings about."""
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(visitor.get, "wait")
        assert visitor.get("wake").json() == {"woke": True}
        assert waiting.result().json() == {"woken": True}


def test_a_websocket(url: str) -> None:
    address = f"{url.replace('http', 'ws', 1)}echo"
    with connect(address, subprotocols=[Subprotocol("a"), Subprotocol("b")], proxy=None, max_size=None) as socket:
        assert socket.subprotocol == "a"
        for message in ("text é", b"bytes\0", "", b"x" * 1_000_000):
            socket.send(message)
            assert socket.recv(20) == message
        socket.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as asked")


def test_a_visitor_who_leaves_ends_the_stream(visitor: httpx.Client) -> None:
    with visitor.stream("GET", "endless") as answer:
        assert next(answer.iter_lines()) == "data: begun"
    assert visitor.get("ended").json() == {"ended": True}


MODEL = """
import asyncio
go_on = asyncio.Event()

@portico.model("tab-model")
async def reply(messages):
    for word in ("Hello ", "from ", "a "):
        yield word
    await go_on.wait()
    yield messages[-1]["content"]
"""


def test_the_openai_sdk_streams_from_a_model_in_the_tab(tab: Page, relay: RelayProcess) -> None:
    live_tab.run(tab, MODEL)
    base = serve(tab, relay, "model", app="reply")
    client = OpenAI(base_url=base + "v1", api_key="none", http_client=httpx.Client(trust_env=False, timeout=20))
    assert [model.id for model in client.models.list()] == ["tab-model"]
    stream = client.chat.completions.create(
        model="tab-model", messages=[{"role": "user", "content": "tab"}], stream=True
    )
    words = ""
    for chunk in stream:
        words += chunk.choices[0].delta.content or ""
        if words == "Hello from a ":  # before the model has said the rest
            live_tab.run(tab, "go_on.set()")
    assert words == "Hello from a tab"
    client.close()


@pytest.fixture(scope="module")
def other(context: BrowserContext, site: str) -> Iterator[Page]:
    """A second tab. Tests load it anew, and close it in the end."""
    with opened(context, site) as page:
        yield page


NUMBERED = """
from fastapi import FastAPI
here = FastAPI()

@here.get("/")
async def which():
    return {number}
"""


def test_two_tabs_are_replicas(tab: Page, other: Page, relay: RelayProcess) -> None:
    for number, page in enumerate((tab, other)):
        live_tab.run(page, NUMBERED.format(number=number))
        url = serve(page, relay, "pair", app="here", more=", replica=True")
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as visitor:
        assert {visitor.get("").json() for _ in range(20)} == {0, 1}
        live_tab.run(other, "service.stop()")
        tell(other, "service.status == 'stopped'")
        assert {visitor.get("").json() for _ in range(5)} == {0}


def test_javascript_may_await_what_serve_and_share_give(tab: Page, relay: RelayProcess) -> None:
    """What it is given by a promise, it awaits for as long as that can be awaited."""
    hub = f"relay={relay.url!r}, token={relay.token()!r}"
    for code in (
        f"import portico; await portico.serve(app, 'plain', {hub})",
        f"portico.serve(app, 'plain', {hub})",
        "plain = portico.service('plain')\nplain",
    ):
        assert live_tab.run(tab, code, plainly=True) == f"<service 'plain': live at {relay.service_url('plain')}>"
    share = f"plain.share({relay.url!r}, token={relay.token()!r}, name='plain-link')"
    for code in (f"await {share}", share):
        shown = f"<share of 'plain': live at {relay.service_url('plain-link')}>"
        assert live_tab.run(tab, code, plainly=True) == shown
    live_tab.run(tab, "plain.stop()")


WITHOUT_JSPI = """
import js
from pyodide.ffi import can_run_sync, create_proxy
def from_javascript(function):
    made = []
    proxy = create_proxy(lambda: made.append(None if can_run_sync() else function()))
    js.Function.new("call", "call()")(proxy)
    proxy.destroy()
    return made[0]
"""


def test_keys_are_made_in_the_tab(tab: Page, relay: RelayProcess) -> None:
    """By the relay's control API, of another origin: where Python can wait for the browser, and where it cannot."""
    options = f"relay={relay.url!r}, token={relay.token('publish:*')!r}"
    live_tab.run(tab, f"keyed = await portico.serve(app, 'keyed', access='key', {options})")
    live_tab.run(tab, f"shared = await keyed.share(name='keyed-too', access='key', {options})" + WITHOUT_JSPI)
    with httpx.Client(timeout=20, trust_env=False) as visitor:
        for name, made in (
            ("keyed", "keyed.key('10m', label='from a tab')"),
            ("keyed", "from_javascript(keyed.key)"),
            ("keyed-too", "shared.key('10m')"),
        ):
            url = relay.service_url(name)
            assert visitor.get(url).status_code == 401
            key = {"Authorization": f"Bearer {live_tab.run(tab, made)}"}
            assert visitor.get(url, headers=key).json() == {"hello": "you"}
    for refused in ("keyed.key('900d')", "from_javascript(lambda: keyed.key('900d'))"):
        with pytest.raises(PageError, match="Refused: expires_in is a number of seconds from 1 to"):
            live_tab.run(tab, refused)
    live_tab.run(tab, "keyed.stop()")


@pytest.mark.parametrize("stranger", [False, True])
def test_what_a_server_asks_of_the_relay(tab: Page, relay: RelayProcess, stranger: bool) -> None:
    """By its own token, or by the one that the relay gives to strangers."""
    given = {"server_url": relay.url} | ({} if stranger else {"token": relay.token()})
    live_tab.run(tab, f"there = await portico.connect_to_server({given})")
    live_tab.run(tab, "info = await there.register_service({'id': 'listed', 'type': 'asgi', 'serve': app})")
    names = json.loads(live_tab.run(tab, "import json; json.dumps([one.name for one in await there.list_services()])"))
    assert "listed" in names
    key = {"Authorization": f"Bearer {live_tab.run(tab, 'await there.generate_token(expires_in=600)')}"}
    url = live_tab.run(tab, "info.url")
    assert httpx.get(url, headers=key, timeout=20, trust_env=False).json() == {"hello": "you"}
    live_tab.run(tab, "await there.unregister_service(info)")


def test_a_control_api_that_is_not_there(tab: Page) -> None:
    address = f"HubAddress('http://127.0.0.1:{free_port()}/', 'token', 'the test')"
    live_tab.run(tab, "from portico.provider import api\nfrom portico.provider.discovery import HubAddress")
    live_tab.run(tab, f"address = {address}" + WITHOUT_JSPI)
    for asking in ("api.call", "await api.call_async", "(lambda *given: from_javascript(lambda: api.call(*given)))"):
        with pytest.raises(PageError, match="LinkClosed: the hub's control API cannot be reached"):
            live_tab.run(tab, f"{asking}(address, 'GET', 'me')")


def test_a_login_from_the_tab(tab: Page, relay: RelayProcess) -> None:
    """The device flow: a person says yes on a page of the relay's, in another tab or elsewhere."""
    live_tab.run(tab, "from portico.provider.login import DeviceLogin")
    live_tab.run(tab, f"login = DeviceLogin({relay.url!r}); challenge = login.begin()")
    allow(live_tab.run(tab, "challenge.complete_url"), ALICE, PASSWORD)
    live_tab.run(tab, "credential = login.finish(challenge)")
    live_tab.run(tab, f"logged_in = await portico.serve(app, 'logged-in', relay={relay.url!r}, token=credential.token)")
    assert live_tab.run(tab, "logged_in.url") == relay.service_url("logged-in")
    live_tab.run(tab, "logged_in.stop()")


def tell(tab: Page, condition: str) -> None:
    """Wait until a condition holds in the tab."""
    live_tab.run(tab, f"import asyncio\nwhile not ({condition}): await asyncio.sleep(0.01)")


def test_a_tab_that_is_loaded_again_has_its_url_back(other: Page, relay: RelayProcess) -> None:
    url = serve(other, relay, "again")
    other.reload()
    other.wait_for_function("() => window.run !== undefined", polling=50)
    live_tab.run(other, "import portico\n" + APP)
    assert serve(other, relay, "again") == url
    assert httpx.get(url, timeout=20, trust_env=False).json() == {"hello": "you"}


def test_a_tab_comes_back_to_a_relay_that_was_restarted(tab: Page, tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path).start()
    try:
        url = serve(tab, relay, "back")
        relay.restart()
        # the relay holds the name, and visitors wait for who had it
        assert httpx.get(url, timeout=30, trust_env=False).json() == {"hello": "you"}
        live_tab.run(tab, "service.stop()")
        tell(tab, "service.status == 'stopped'")
    finally:
        relay.stop()


def test_closing_the_tab_cuts_its_visitors_off(other: Page, relay: RelayProcess) -> None:
    url = serve(other, relay, "going")
    # two seconds without a byte would be another exception
    with httpx.Client(base_url=url, timeout=2, trust_env=False) as visitor, visitor.stream("GET", "endless") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: begun"
        other.close()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)


def test_a_worker_that_is_ended_is_missed_at_once_and_its_name_held(
    tab: Page, context: BrowserContext, site: str, relay: RelayProcess
) -> None:
    """Nobody tells a worker that it ends, so it takes no leave: its socket goes with it."""
    with opened(context, site) as page:
        url = serve(page, relay, "ended")
        # two seconds without a byte would be another exception
        with httpx.Client(base_url=url, timeout=2, trust_env=False) as visitor:
            with visitor.stream("GET", "endless") as answer:
                lines = answer.iter_lines()
                assert next(lines) == "data: begun"
                page.evaluate("window.run.end()")
                with pytest.raises(httpx.RemoteProtocolError):
                    list(lines)
            token = {"Authorization": f"Bearer {relay.token()}"}
            held = httpx.get(f"{relay.url}portico/api/services/ended", headers=token, timeout=20, trust_env=False)
            assert held.json()["status"] == "reconnecting"
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(visitor.get, "", timeout=20)  # for who had the name
                assert serve(tab, relay, "ended") == url
                assert waiting.result().json() == {"hello": "you"}


def test_a_page_that_serves_itself_takes_leave(context: BrowserContext, site: str, relay: RelayProcess) -> None:
    """Without a worker."""
    page = context.new_page()
    live_tab.open_tab(page, site + "?on=page")
    live_tab.run(page, "import portico\n" + APP)
    url = serve(page, relay, "page")
    assert httpx.get(url, timeout=20, trust_env=False).json() == {"hello": "you"}
    page.goto("about:blank")
    eventually(lambda: "the page was left" in relay.log.read_text())
    page.close()


REFERENCE = """
import asyncio
from portico import connect_to_server
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()
seen = []

@app.get("/", response_class=HTMLResponse)
async def root():
    return "<html><head><title>Cat</title></head></html>"

@app.get("/api/v1/test")
async def test():
    return {{"message": "Hello, it works!"}}

async def serve_fastapi(args, context=None):
    scope = args["scope"]
    seen.append(f'{{context["user"]["id"]}} - {{scope["client"]}} - {{scope["method"]}} - {{scope["path"]}}')
    await app(args["scope"], args["receive"], args["send"])

async def main():
    server = await connect_to_server({{"server_url": {url!r}}})
    svc_info = await server.register_service({{
        "id": "cat",
        "name": "cat",
        "type": "asgi",
        "serve": serve_fastapi,
        "config": {{"visibility": "public", "require_context": True}}
    }})
    told.set_result(f"{{server.config.public_base_url}}/{{server.config.workspace}}/apps/{{svc_info['id'].split(':')[1]}}")
    await server.serve()

told = asyncio.get_running_loop().create_future()
serving = asyncio.ensure_future(main())
await told
"""


def test_the_references_program(tab: Page, relay: RelayProcess) -> None:
    """Hypha's page on Pyodide: an anonymous workspace, a function that calls the app, and who called it."""
    url = live_tab.run(tab, REFERENCE.format(url=relay.url))
    with httpx.Client(base_url=url, timeout=20, trust_env=False, follow_redirects=True) as visitor:
        assert visitor.get("/api/v1/test").json() == {"message": "Hello, it works!"}
    seen = json.loads(live_tab.run(tab, "import json; json.dumps(seen)"))
    assert len(seen) == 1
    assert "anonymous" in seen[0]
    assert seen[0].endswith("GET - /" + "/".join(url.split("/")[3:]) + "/api/v1/test")
