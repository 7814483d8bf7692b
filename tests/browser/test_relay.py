"""A relay, as its people meet it in a browser: sign in to see what is private, a password, a stranger's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import BrowserContext, Page, expect

import portico
from portico.provider.service import Service
from tests.live_relay import ALICE, PASSWORD, RelayProcess

app = FastAPI()


@app.get("/", response_class=HTMLResponse)
def home() -> str:
    return '<!doctype html><title>Den</title><h1>The den</h1><a href="deep/er?q=1">deeper</a>'


@app.get("/deep/er", response_class=HTMLResponse)
def deeper(q: str = "") -> str:
    return f"<!doctype html><title>Deeper</title><h1>Deeper {q}</h1>"


@pytest.fixture(scope="module", params=["by path", "by host"])
def home_relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    domain = "share.localhost" if request.param == "by host" else ""
    relay = RelayProcess(tmp_path_factory.mktemp("relay"), domain=domain).start()
    yield relay
    relay.stop()


def serve(relay: RelayProcess, name: str, **options: object) -> Service:
    return portico.serve(app, name, hub=f"http://127.0.0.1:{relay.port}/", token=relay.token(), **options)  # type: ignore[arg-type]


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill(ALICE)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_who_signs_in_sees_what_is_private_and_comes_back_to_where_they_were(
    home_relay: RelayProcess, visitor: BrowserContext
) -> None:
    service = serve(home_relay, "den")
    try:
        page = visitor.new_page()
        page.goto(service.url + "deep/er?q=2")
        sign_in(page)
        expect(page.get_by_role("heading", name="Deeper 2")).to_be_visible()
        assert page.url == service.url + "deep/er?q=2"
        page.goto(service.url)
        page.get_by_role("link", name="deeper").click()
        expect(page.get_by_role("heading", name="Deeper 1")).to_be_visible()
    finally:
        service.stop()


def test_a_wrong_password_is_said_in_plain_words(home_relay: RelayProcess, visitor: BrowserContext) -> None:
    service = serve(home_relay, "den")
    try:
        page = visitor.new_page()
        page.goto(service.url)
        page.get_by_label("Name").fill(ALICE)
        page.get_by_label("Password").fill("wrong wrong wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("password")
        sign_in(page)
        expect(page.get_by_role("heading", name="The den")).to_be_visible()
    finally:
        service.stop()
