"""A bundle in Chromium, from a static host: it loads offline, checks hashes, and carries an exported site."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from portico.cli import main
from tests.browser.static_host import PREFIX, StaticHost

LOAD = """async () => {
  const { loadPyodide } = await import(new URL("bundle/pyodide.mjs", location.href));
  const said = [];
  const packages = ["portico", "fastapi"];
  const python = await loadPyodide({ packages, stdout: () => {}, stderr: (text) => said.push(text) });
  const loaded = Object.keys(python.loadedPackages);
  try {
    return { loaded, said, told: await python.runPythonAsync("import portico, fastapi\\nfastapi.__file__") };
  } catch (error) {
    return { loaded, said, told: String(error) };
  }
}"""

HELLO = """
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
async def hello():
    return "<h1>Hello</h1>"
"""

FAILING = """from fastapi import FastAPI
app = FastAPI()

@app.on_event("startup")
async def start():
    int("many")
"""


@pytest.fixture(scope="module")
def static(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticHost]:
    host = StaticHost(tmp_path_factory.mktemp("bundled") / "root")
    yield host
    host.stop()


def lay(static: StaticHost, release: Path, name: str) -> Path:
    """A copy of the bundle under a prefix of the static host, beside an empty page."""
    folder = static.folder / PREFIX / name
    shutil.copytree(release, folder / "bundle")
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    return folder


def visit(visitor: BrowserContext, static: StaticHost, folder: Path) -> Page:
    page = visitor.new_page()
    page.goto(f"{static.url}{folder.relative_to(static.folder).as_posix()}/")
    return page


def test_any_page_loads_it_from_a_static_host(visitor: BrowserContext, static: StaticHost, release: Path) -> None:
    told = visit(visitor, static, lay(static, release, "whole")).evaluate(LOAD)
    assert {"portico", "fastapi", "pydantic-core"} <= set(told["loaded"])
    assert told["told"].endswith("/fastapi/__init__.pyc")
    assert told["said"] == []


@pytest.mark.parametrize("name", ["portico", "anyio", "pydantic_core"])
def test_one_changed_byte_is_refused(visitor: BrowserContext, static: StaticHost, release: Path, name: str) -> None:
    folder = lay(static, release, name)
    [wheel] = folder.glob(f"bundle/{name}-*.whl")
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    told = visit(visitor, static, folder).evaluate(LOAD)
    assert name.replace("_", "-") not in told["loaded"]
    assert told["said"] != []


def test_an_exported_site_takes_its_packages(visitor: BrowserContext, static: StaticHost, release: Path) -> None:
    app = static.folder / "hello.py"
    app.write_text(HELLO)
    site = static.folder / PREFIX / "site"
    assert main(["export", str(app), str(site), "--bundle", str(release)]) == 0
    bundled = {path.name: path.read_bytes() for path in release.iterdir()}
    for path in (*site.glob("packages/*.whl"), *site.glob("pyodide/*.zip")):
        assert path.read_bytes() == bundled[path.name]
    page = visit(visitor, static, site)
    expect(page.frame_locator("#frame").get_by_role("heading")).to_have_text("Hello", timeout=60_000)


def test_a_librarys_lines_are_not_the_authors(visitor: BrowserContext, static: StaticHost, release: Path) -> None:
    app = static.folder / "failing.py"
    app.write_text(FAILING)
    site = static.folder / PREFIX / "failing"
    assert main(["export", str(app), str(site), "--bundle", str(release)]) == 0
    page = visit(visitor, static, site)
    page.wait_for_function("document.documentElement.dataset.state !== 'loading'", timeout=60_000)
    expect(page.get_by_role("alert")).to_contain_text("The app's startup failed: ValueError: invalid literal for int()")
    detail = page.locator("#detail").text_content() or ""
    assert 'File "/home/pyodide/app/failing.py", line 6, in start' in detail
    assert detail.count("File ") == 1, "a library's lines are not the author's"
