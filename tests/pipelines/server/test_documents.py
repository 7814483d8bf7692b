"""The pages of a server's description: nothing from elsewhere, and no script but their own."""

from __future__ import annotations

import re

import pytest

from portico.functions import docs
from portico.pipelines.server.documents import redoc_page
from tests.pipelines.serving import app, ask


@pytest.mark.parametrize(("path", "file"), [("/docs", "swagger-ui-bundle.js"), ("/redoc", "redoc.standalone.js")])
def test_a_page_loads_its_own_files_and_nothing_from_elsewhere(path: str, file: str) -> None:
    served = app()
    page = ask(served, "GET", path)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = page.body.decode()
    assert "<title>FastAPI" in text or "<title>Pipelines" in text
    addresses = re.findall(r'(?:src|href|url)="([^"]*)"', text)
    assert f"static/docs/{file}" in addresses
    assert not [address for address in addresses if "//" in address]
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    script = ask(served, "GET", f"/static/docs/{file}")
    assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    moved = ask(served, "GET", f"{path}/")
    assert (moved.status, moved.headers["location"]) == (307, f"..{path}")


def test_other_files_are_not_found() -> None:
    for path in ("/static/docs/none.js", "/static/docs/..", "/static/docs/%2e%2e/x", "/static/docs"):
        assert ask(app(), "GET", path).status == 404, path


def test_without_the_package_the_page_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "files", dict)
    assert "fastapi-offline" in redoc_page("<x>")[0]
    assert "<h1>&lt;x&gt;" in redoc_page("<x>")[0]
