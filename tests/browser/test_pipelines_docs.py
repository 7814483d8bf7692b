"""The pages that describe a server of pipelines, as people see them: below a path, with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.sync_api import BrowserContext, Page, expect

from tests.models.conftest import uvicorn_on_loopback
from tests.pipelines.serving import app
from tests.pipelines.test_runs import Echo


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    around = FastAPI()
    around.mount("/below", app(echo=Echo()))
    with uvicorn_on_loopback(around) as url:
        yield f"{url}/below"


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def page(visitor: BrowserContext, asked: list[str], said: list[str]) -> Page:
    page = visitor.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return page


def from_elsewhere(asked: list[str], url: str) -> list[str]:
    return [one for one in asked if not one.startswith((f"{url}/", "data:", "blob:"))]


def test_a_pipeline_is_run_from_the_docs(page: Page, url: str, asked: list[str], said: list[str]) -> None:
    page.goto(f"{url}/docs")
    page.locator("#operations-pipelines-echo_run_echo_run_post .opblock-summary-control").click()
    page.locator("textarea").fill('{"text": "hello "}')
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("hello hello")
    assert not from_elsewhere(asked, url)
    assert not said


@pytest.mark.real
def test_redoc_shows_all_routes(page: Page, url: str, asked: list[str], said: list[str]) -> None:
    page.goto(f"{url}/redoc")
    expect(page.get_by_text("/echo/run").first).to_be_attached()
    expect(page.get_by_text("/status").first).to_be_attached()
    assert not from_elsewhere(asked, url)
    assert not said
