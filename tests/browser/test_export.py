"""`portico export`: what is in the folder, what the page shows, and what it says when something is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from playwright.sync_api import Browser, BrowserContext, Page, expect

from portico.browser import export as exporting
from portico.browser import wheels
from portico.cli import main
from tests.browser import chromium
from tests.browser.static_host import StaticHost, export
from tests.browser.test_pages import LEAST_CONTRAST
from tests.pyodide import environment

EXTRAS = tomllib.loads((environment.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]

CHAT = """
from portico import model

@model("echo")
async def echo(messages):
    for word in messages[-1]["content"].split():
        yield word + " "

@model("org/shout:1")
def shout(prompt):
    return prompt.upper()
"""
HELLO = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("was asked for", scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<h1>Hello</h1>"})
"""
EVERYTHING = "h1, h2, p, a, button, summary, pre, select, #stage"


@pytest.fixture(scope="module")
def static(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticHost]:
    host = StaticHost(tmp_path_factory.mktemp("export") / "root")
    yield host
    host.stop()


@pytest.fixture
def folder(static: StaticHost, request: pytest.FixtureRequest) -> Path:
    """A folder of the static host for this test."""
    folder = static.folder / re.sub(r"\W+", "-", request.node.name)
    folder.mkdir()
    return folder


def write(folder: Path, source: str, name: str = "site.py") -> Path:
    path = folder / name
    path.write_text(source, "utf-8")
    return path


def visit(visitor: BrowserContext, static: StaticHost, site: Path) -> Page:
    page = visitor.new_page()
    page.goto(f"{static.url}{site.relative_to(static.folder).as_posix()}/")
    return page


def settled(page: Page) -> str:
    page.wait_for_function("document.documentElement.dataset.state !== 'loading'", timeout=60_000)
    return str(page.evaluate("document.documentElement.dataset.state"))


# --- the page ------------------------------------------------------------------------------------------------------


def test_the_page_works_by_keyboard(visitor: BrowserContext, static: StaticHost, folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "words.py").write_text("HELLO = b'<h1>Hello</h1>'\n")
    source = HELLO.replace('b"<h1>Hello</h1>"', "words.HELLO")
    app = write(folder, f"# <script>alert(1)</script>\nfrom parts import words\n{source}", "hello.py")
    export(app, folder / "site", "--name", "<b>Hello</b>", "--include", str(folder / "parts"))
    page = visit(visitor, static, folder / "site")
    assert page.title() == "<b>Hello</b>"
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert settled(page) == "running"
    frame = page.frame_locator("#frame")
    expect(frame.get_by_role("heading")).to_have_text("Hello")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="View source")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#code")).to_contain_text("<script>alert(1)</script>")
    dialog.get_by_label("File").select_option("parts/words.py")
    expect(dialog.locator("#code")).to_contain_text("HELLO =")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page.get_by_role("button", name="View source")).to_be_focused()
    page.get_by_text("What the app printed").click()
    expect(page.locator("#output")).to_contain_text("was asked for /")
    page.get_by_role("button", name="Restart").press("Enter")
    page.wait_for_function("document.documentElement.dataset.state === 'loading'")
    assert settled(page) == "running"
    expect(frame.get_by_role("heading")).to_have_text("Hello")


def test_models_get_their_chat_page(visitor: BrowserContext, static: StaticHost, folder: Path) -> None:
    export(write(folder, CHAT, "talk.py"), folder / "site")
    page = visit(visitor, static, folder / "site")
    assert settled(page) == "running"
    frame = page.frame_locator("#frame")
    frame.get_by_label("Message", exact=True).fill("Hello there")
    page.keyboard.press("Enter")
    expect(frame.get_by_role("log")).to_contain_text("echoHello there")
    frame.get_by_label("Model", exact=True).select_option("org/shout:1")
    frame.get_by_label("Message", exact=True).fill("louder")
    page.keyboard.press("Enter")
    expect(frame.get_by_role("log")).to_contain_text("LOUDER")


FAILING = [
    ("def app(:", "The app's code raised an exception while it was loaded: SyntaxError"),
    ("import nowhere_to_be_found", "The app imports 'nowhere_to_be_found', which is not here."),
    ("def connect():\n    return {}['database']\nconnect()", "while it was loaded: KeyError: 'database'"),
    ("thing = 1", "There is no app in site.py: nothing called app or application"),
    ("app = 42", "42 (of type int) is no app."),
    (
        "from contextlib import asynccontextmanager\nfrom fastapi import FastAPI\n@asynccontextmanager\n"
        "async def start(app):\n    raise OSError('no disk')\n    yield\napp = FastAPI(lifespan=start)",
        "The app's startup failed: OSError: no disk",
    ),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wrong_is_said_in_plain_words(browser: Browser, static: StaticHost, folder: Path, scheme: str) -> None:
    with chromium.visitor(browser, color_scheme=scheme, viewport={"width": 360, "height": 640}) as visitor:
        for number, (source, message) in enumerate(FAILING if scheme == "light" else FAILING[2:3]):
            site = folder / str(number)
            requirements = folder / "requirements.txt"
            requirements.write_text("fastapi" if "fastapi" in source else "# none")
            export(write(folder, source), site, "--requirements", str(requirements))
            page = visit(visitor, static, site)
            assert settled(page) == "failed", source
            expect(page.get_by_role("alert")).to_contain_text(message)
            detail = page.locator("#detail").inner_text() if page.locator("#more").is_visible() else ""
            assert "/lib/python" not in detail, "a library's lines are not the author's"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the screen"
            assert page.evaluate(LEAST_CONTRAST.replace("h1, p, a, label, button, input", EVERYTHING)) >= 4.5
            page.close()


def test_missing_files_are_told_and_it_can_be_tried_again(
    visitor: BrowserContext, static: StaticHost, folder: Path
) -> None:
    export(write(folder, HELLO), folder / "site")
    hidden = folder / "hidden"
    [wheel] = (folder / "site" / "packages").glob("segno-*.whl")
    for missing, message in (
        ("portico-preview/service-worker.js", "The service worker in"),  # first: a browser keeps one that it once had
        ("app/site.py", "The file site.py of the app is missing here (404)."),
        ("pyodide/pyodide.mjs", "Python could not be loaded from"),
        (wheel.relative_to(folder / "site").as_posix(), "The package segno could not be loaded."),
    ):
        (folder / "site" / missing).rename(hidden)
        page = visit(visitor, static, folder / "site")
        assert settled(page) == "failed", missing
        expect(page.get_by_role("alert")).to_contain_text(message)
        hidden.rename(folder / "site" / missing)
        page.close()
    visitor.route("**/app/site.py", lambda route: route.fulfill(status=404))
    page = visit(visitor, static, folder / "site")
    assert settled(page) == "failed"
    visitor.unroute("**/app/site.py")
    page.evaluate("document.documentElement.dataset.state = 'loading'")
    page.get_by_role("button", name="Try again").press("Enter")
    assert settled(page) == "running"


def test_a_wheel_that_was_changed_is_not_loaded(visitor: BrowserContext, static: StaticHost, folder: Path) -> None:
    export(write(folder, HELLO), folder / "site")
    [wheel] = (folder / "site" / "packages").glob("segno-*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("added.py", "x = 1")
    page = visit(visitor, static, folder / "site")
    assert settled(page) == "failed"
    expect(page.get_by_role("alert")).to_contain_text("The package segno could not be loaded.")


def test_a_page_from_a_file_says_what_to_do(browser: Browser, static: StaticHost, folder: Path) -> None:
    export(write(folder, HELLO), folder / "site")
    context = browser.new_context()
    page = context.new_page()
    page.goto((folder / "site" / "index.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("python -m http.server")
    context.close()


# --- the folder ----------------------------------------------------------------------------------------------------


def settings(site: Path) -> dict[str, object]:
    found = re.search(
        r'<script type="application/json" id="settings">(.*?)</script>', (site / "index.html").read_text()
    )
    assert found is not None
    value: dict[str, object] = json.loads(found[1])
    return value


def test_the_needed_wheels_are_there_with_their_hashes(folder: Path) -> None:
    app = write(folder, "# /// script\n# dependencies = ['fastapi>=0.100']\n# ///\n")
    export(app, folder / "site")
    packages = folder / "site" / "packages"
    lock = json.loads((packages / "pyodide-lock.json").read_text())
    assert lock["info"]["python"].startswith("3.14")
    names = {path.name for path in packages.glob("*.whl")}
    assert {entry["file_name"] for entry in lock["packages"].values()} == names
    assert {"portico", "fastapi", "pydantic-core", "anyio"} <= set(lock["packages"])
    assert not {"pytest", "openai", "websockets"} & set(lock["packages"]), "they are not needed here"
    for entry in lock["packages"].values():
        assert entry["sha256"] == hashlib.sha256((packages / entry["file_name"]).read_bytes()).hexdigest()
        assert set(entry["depends"]) <= set(lock["packages"])
    assert settings(folder / "site")["lockFile"] == "packages/pyodide-lock.json"


def test_pip_fetches_what_the_browsers_python_needs(folder: Path) -> None:
    app = write(folder, "import pydantic")
    beside = ["--pyodide-dir", str(environment.PYODIDE), "--offline"]
    assert main(["export", str(app), str(folder / "site"), *beside]) == 0
    lock = json.loads((folder / "site" / "packages" / "pyodide-lock.json").read_text())
    assert "_wasm32.whl" in lock["packages"]["pydantic-core"]["file_name"]
    assert {"portico", "anyio", "segno", "pydantic"} <= set(lock["packages"])
    assert "websockets" not in lock["packages"], "that is for this machine's platform"


def test_without_wheels_the_visitors_installer_gets_the_requirements(folder: Path) -> None:
    app = write(
        folder, "import json\nimport fastapi\nfrom a.b import c\nfrom . import d\nimport portico\nimport mine\n"
    )
    write(folder, "", "mine.py")
    options = ["--pyodide-url", "https://pyodide.example.org/"]
    assert main(["export", f"{app}:api", str(folder / "site"), "--id", "small", *options]) == 0
    told = settings(folder / "site")
    assert told["install"] == [f"./packages/{wheels.portico_wheel(folder).name}", "a", "fastapi"]
    assert (told["app"], told["name"], told["pyodide"]) == ("site:api", "small", options[1])
    assert (told["lockFile"], told["packages"]) == (None, [])
    assert main(["export", str(app), str(folder / "site")]) == 0
    assert str(settings(folder / "site")["pyodide"]).endswith(f"/v{wheels.PYODIDE}/full/")


def test_the_pyodide_that_is_meant_is_the_one_of_the_tests() -> None:
    environment.node()
    assert exporting.info_of(environment.PYODIDE) == wheels.INFO
    assert json.loads((environment.PYODIDE / "package.json").read_text())["version"] == wheels.PYODIDE


def test_porticos_own_wheel_is_whole_and_always_the_same(tmp_path: Path) -> None:
    first = wheels.portico_wheel(tmp_path).read_bytes()
    wheel = wheels.portico_wheel(tmp_path)
    assert wheel.read_bytes() == first
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [record] = [name for name in names if name.endswith("/RECORD")]
        listed = [line.partition(",")[0] for line in archive.read(record).decode().splitlines()]
    assert sorted(listed) == sorted(names)
    assert {"portico/tab/bridge.py", "portico/py.typed"} <= set(names)
    assert {name for name in names if name.startswith("portico/static/")} == {
        "portico/static/kernel.js",
        "portico/static/functions/page.js",
        "portico/static/functions/style.css",
    }
    assert not [name for name in names if name.startswith(("portico/relay/", "portico/cli/"))]
    about = wheels.Wheel.read(wheel)
    assert about.name == "portico"
    assert {need.name for need in about.needs} >= {"anyio", "segno"}
    of_extras = {need.name for need in about.needs if need.marker and "extra" in str(need.marker)}
    assert of_extras == {need.name for need in map(Requirement, EXTRAS["functions"])}, "the others are not for a tab"


def test_the_extra_of_functions_brings_what_it_needs(tmp_path: Path) -> None:
    """And what is not at hand of it is named, in place of being left out."""
    at_hand = {"portico": wheels.Wheel.read(wheels.portico_wheel(tmp_path))}
    plain = wheels.closure(["portico"], at_hand, wheels.INFO)
    found = wheels.closure(["portico[functions]"], at_hand, wheels.INFO)
    brought = set(found.missing) - set(plain.missing)
    assert brought == {need.name for need in map(Requirement, EXTRAS["functions"])}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1", None),
        ("# /// script\n# dependencies = []\n# ///\n", ()),
        ("# /// script\n# requires-python = '>=3.12'\n# ///\n", None),
        (
            "#!/usr/bin/env python\n# /// script\n# dependencies = [\n#   'a>=1',\n#\n#   'b[c]',\n# ]\n# ///\nx",
            ("a>=1", "b[c]"),
        ),
        ("# /// other\n# dependencies = ['a']\n# ///\n", None),
    ],
)
def test_script_metadata(source: str, found: tuple[str, ...] | None) -> None:
    assert exporting.script_requirements(source) == found


def test_requirements_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# what it needs\nfastapi>=0.100  # for all\n\na @ https://example.org/a.whl#egg=a\n")
    assert exporting.file_requirements(file) == ("fastapi>=0.100", "a @ https://example.org/a.whl#egg=a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere.py", "site"], "there is no file nowhere.py"),
        (["two-words.py", "site"], "cannot be imported as a module"),
        (["app.py", "app.py"], "app.py is no folder"),
        (["app.py", "full"], "holds something else"),
        (["app.py", "site", "--id", "No"], "--id: 'No' cannot be a service name"),
        (["app.py", "site", "--offline"], "--offline needs --pyodide-dir"),
        (["app.py", "site", "--wheels", "full"], "there are no wheels in full"),
        (["app.py", "site", "--wheels", "bad"], "bad/a-1-py3-none-any.whl is no wheel"),
        (["app.py", "site", "--pyodide-dir", "full"], "is no folder of Pyodide"),
        (["app.py", "site", "--include", "nothing"], "there is no file nothing"),
        (["app.py", "site", "--include", ".."], "does not lie beside app.py"),
        (["meta.py", "site"], "the file's script metadata cannot be read"),
        (["twice.py", "site"], "more than one block"),
        (["app.py", "site", "--requirements", "options.txt"], "only requirements can be used"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("app.py", "two-words.py"):
        (tmp_path / name).touch()
    (tmp_path / "meta.py").write_text("# /// script\n# dependencies = [\n# ///\n")
    (tmp_path / "twice.py").write_text(2 * "# /// script\n# dependencies = []\n# ///\n\n")
    (tmp_path / "options.txt").write_text("-r other.txt\n")
    for folder, file in (("full", "letter.txt"), ("bad", "a-1-py3-none-any.whl")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("not for the world")
    assert main(["export", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("portico: ")
    assert (tmp_path / "full" / "letter.txt").read_text() == "not for the world"


def test_what_no_wheel_is_at_hand_for_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = write(folder, "import flask")
    beside = ["--pyodide-dir", str(environment.PYODIDE), "--wheels", str(environment.wheels())]
    assert main(["export", str(app), str(folder / "site"), *beside]) == 2
    assert "no wheel is at hand for: flask" in capsys.readouterr().err
    (folder / "old.txt").write_text("fastapi<0.1")
    options = [*beside, "--requirements", str(folder / "old.txt")]
    assert main(["export", str(app), str(folder / "site"), *options]) == 2
    assert "the app needs fastapi<0.1, and the wheel at hand is fastapi-" in capsys.readouterr().err
