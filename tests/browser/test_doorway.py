"""A stranger's app with a password on a relay, as a browser comes to it: by path, and on a host of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Route, expect

from portico.relay.config import RelayConfig
from portico.relay.relay import Relay
from tests.in_process import Publisher, echo
from tests.live_jupyter import free_port


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
    seen = [value.decode() for name, value in scope["headers"] if name in (b"cookie", b"authorization")]
    headers = [(b"content-type", b"text/html"), (b"set-cookie", b"own=1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"<h1>The app</h1><p>It saw: {seen}</p>".encode()})


@pytest.fixture(scope="module", params=["by path", "by host name"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of an app with a password, in an anonymous workspace of a relay that runs in a thread of its own."""
    port, told = free_port(), threading.Event()
    by_host = request.param == "by host name"
    config = RelayConfig(
        domain="localhost" if by_host else None,
        paths=not by_host,
        base_url=f"http://localhost:{port}",
        data_dir=":memory:",
        anonymous=True,
    )
    found: dict[str, Any] = {}

    async def main() -> None:
        relay = Relay(config)
        server = uvicorn.Server(uvicorn.Config(relay, port=port, log_level="warning", ws="websockets-sansio"))
        started = asyncio.Event()
        startup = server.startup

        async def tell(sockets: Any = None) -> None:
            await startup(sockets)
            started.set()

        server.startup = tell  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve())
        await started.wait()
        provider = Publisher(SimpleNamespace(links=relay.state.links, publishers=[]), "")  # type: ignore[arg-type]
        await provider.connect()
        ack = await provider.register("cat", app, access="public", conditions={"password": "open sesame"})
        found.update(url=ack.url, stop=lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True))
        told.set()
        await serving
        await provider.apps["cat"].retire(0)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert told.wait(30)
    yield found["url"]
    found["stop"]()
    thread.join(30)
    loop.close()


def test_a_visitor_is_warned_then_asked_for_the_password_then_let_in(browser: Browser, url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(url + "a?b=1")
        expect(page.get_by_role("heading")).to_have_text("Someone you may not know made this")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading")).to_have_text("This needs a password")
        assert page.url == url + "a?b=1"
        page.keyboard.type("sesame")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading")).to_have_text("That is not the password")
        page.keyboard.type("open sesame")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading")).to_have_text("The app")
        assert page.url == url + "a?b=1"
        page.goto(url)
        expect(page.get_by_text("It saw: ['own=1']")).to_be_visible()
        assert {cookie["name"]: cookie["httpOnly"] for cookie in context.cookies() if "path" in cookie} == {
            "portico_confirmed": True,
            "portico_pass": True,
            "own": False,
        }
    finally:
        context.close()


def test_a_program_sends_the_password_and_is_not_held_up(url: str) -> None:
    # a name under localhost is this machine's to browsers; not to every resolver
    parts = httpx.URL(url)
    here, host = parts.copy_with(host="127.0.0.1"), {"Host": parts.netloc.decode()}
    assert httpx.get(here, headers=host).json()["error"]["code"] == "password_needed"
    answer = httpx.get(here, headers=host, auth=("anybody", "open sesame"))
    assert answer.status_code == 200
    assert "It saw: []" in answer.text


@pytest.mark.parametrize("what", ["confirm", "password"])
def test_another_sites_page_can_neither_confirm_nor_guess(browser: Browser, url: str, what: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    elsewhere = "http://127.0.0.1:9/evil"
    form = f'<form method=post action="{url}.portico/{what}"><input name=password value="open sesame"></form>'

    def evil(route: Route) -> None:
        route.fulfill(content_type="text/html", body=form)

    page.route(elsewhere, evil)
    try:
        page.goto(elsewhere)
        with page.expect_navigation(url=f"{url}.portico/{what}") as caught:
            page.evaluate("document.forms[0].submit()")
        assert caught.value is not None
        assert caught.value.status == 403
        assert [cookie for cookie in context.cookies() if str(cookie.get("name")).startswith("portico")] == []
    finally:
        context.close()
