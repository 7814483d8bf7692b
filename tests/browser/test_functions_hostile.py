"""Whatever a function says of itself, and whatever it gives, stays text: or it is in a frame that reaches nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, expect
from pydantic import BaseModel, ConfigDict, Field

from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions
from tests.browser import chromium
from tests.browser.functions_page import Functions
from tests.browser.functions_served import House, Shown, rows, server_of, serving
from tests.waiting import eventually

BAD = "</script></textarea><img src=x onerror=\"document.title='in'\"><svg onload=document.title='in'>&lt;\u202e"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving() as house:
        yield house


def untouched(page: Functions) -> None:
    """Nothing came in: no element, no script, nothing that the policy had to stop."""
    assert page.page.title() != "in"
    assert page.page.locator("main img, main svg:not(.sign), main script, main b b").count() == 0
    assert page.complaints == []


class Bad(BaseModel):
    model_config = ConfigDict(title=BAD)
    name: Annotated[str, Field(title=BAD, description=BAD)] = BAD
    __doc__ = BAD


def hostile(
    text: Annotated[str, Field(title=BAD, description=BAD)] = BAD,
    choice: Annotated[str, Field(json_schema_extra={"enum": [BAD, "b"]})] = BAD,
    part: Bad = Bad(),  # noqa: B008
    more: dict[str, Any] = {BAD: BAD},  # noqa: B006
    several: list[str] = [BAD],  # noqa: B006
) -> dict[str, Any]:
    return {BAD: [text, more, {BAD: BAD}], "rows": [{BAD: BAD}]}


def test_a_schema_is_shown_as_text(visitor: BrowserContext, house: House) -> None:
    options = FunctionOptions(title=BAD, description=BAD)
    one, other = typed_function(hostile, "hostile", options), typed_function(rows)
    house.app = FunctionsServer({"hostile": one, "rows": other}, title=BAD)
    page = Functions(visitor, house)
    expect(page.page.get_by_role("heading", level=1)).to_have_text(BAD)
    expect(page.page.get_by_role("heading", level=2)).to_have_text(BAD)
    expect(page.field("text").locator(".hint")).to_have_text(BAD)
    assert page.field("text").locator("input").input_value() == BAD
    page.panel.get_by_text("Use it in a program").click()
    assert page.called()["rows"] == [{BAD: BAD}]
    page.page.get_by_text("Last calls").click()
    untouched(page)


def test_a_result_is_shown_as_text(visitor: BrowserContext, house: House) -> None:
    def table() -> list[dict[str, str]]:
        return [{BAD: BAD}]

    def fails() -> None:
        raise ValueError(BAD)

    def markdown() -> Shown:
        return Shown(text_markdown=BAD, text_plain=BAD)

    def pieces() -> Iterator[Any]:
        yield BAD
        yield {BAD: BAD}

    house.app = server_of({"table": table, "fails": fails, "markdown": markdown, "pieces": pieces})
    page = Functions(visitor, house)
    page.run()
    expect(page.output.get_by_role("cell")).to_have_text(BAD)
    page.open("markdown")
    page.run()
    expect(page.output.locator("pre").first).to_have_text(BAD)
    page.open("pieces")
    page.run()
    expect(page.output.locator(".pieces")).to_contain_text("onerror")
    untouched(page)
    page.open("fails")
    page.run()
    expect(page.output.locator(".failed")).to_contain_text("onerror")
    page.complaints.clear()  # of the 500
    untouched(page)


def test_names_of_files_and_messages_of_the_server_are_shown_as_text(visitor: BrowserContext, house: House) -> None:
    def take(file: bytes) -> int:
        return len(file)

    house.app = server_of({"take": take})
    page = Functions(visitor, house)
    name = "<img src=x onerror=alert(1)>.txt"
    page.control("file").set_input_files(files=[{"name": name, "mimeType": "text/html", "buffer": b"<script>"}])  # type: ignore[list-item]
    expect(page.field("file").locator(".file")).to_have_text(name)
    detail = [{"loc": ["body", "file"], "msg": BAD}, {"loc": ["body", BAD], "msg": BAD}]
    page.page.route("**/run", lambda route: route.fulfill(status=422, json={"detail": detail}))
    page.run()
    expect(page.field("file").locator(".error")).to_contain_text("onerror")
    page.page.unroute_all()
    page.page.route("**/run", lambda route: route.fulfill(status=429, json={"detail": BAD}))
    page.run()
    expect(page.output).to_contain_text("onerror")
    page.complaints.clear()  # of the 422 and the 429
    untouched(page)


# --- HTML of a result -------------------------------------------------------------------------------------------------


def framed(visitor: BrowserContext, house: House, html: str) -> tuple[Functions, FrameLocator]:
    """A page that shows *html* as a function's result, and the frame of it."""

    def show() -> Shown:
        return Shown(text_html=html, text_plain="in Python")

    house.app = server_of({"show": show})
    page = Functions(visitor, house)
    page.run()
    expect(page.output.locator("iframe")).to_be_visible()
    return page, page.output.frame_locator("iframe")


def test_html_is_in_a_frame_without_an_origin(visitor: BrowserContext, house: House) -> None:
    page, frame = framed(visitor, house, "<h1 id=x>Hello</h1>")
    element = page.output.locator("iframe")
    assert element.get_attribute("sandbox") == "allow-scripts"
    assert element.get_attribute("src") is None
    expect(frame.locator("#x")).to_have_text("Hello")
    assert frame.locator("body").evaluate("() => self.origin") == "null"
    assert page.page.locator("#x").count() == 0


SCRIPT = """<p id=out>nothing</p><script>
const told = {ran: true}
const tries = {
  parent: () => parent.document.title,
  top: () => { top.location.href = '/elsewhere' },
  cookie: () => document.cookie,
  storage: () => localStorage.length,
  eval: () => eval('1'),
  made: () => new Function('return 1')(),
  popup: () => { if (!open('/elsewhere')) throw new Error('no popup') },
}
for (const [name, attempt] of Object.entries(tries)) try { told[name] = String(attempt()) } catch { told[name] = 'no' }
document.getElementById('out').textContent = JSON.stringify(told)
</script>"""


def test_a_script_of_a_result_runs_and_reaches_nothing(visitor: BrowserContext, house: House) -> None:
    page, frame = framed(visitor, house, SCRIPT)
    expect(frame.locator("#out")).to_contain_text("ran")
    told = json.loads(frame.locator("#out").inner_text())
    assert told.pop("ran") is True, "plots need scripts"
    assert told == dict.fromkeys(told, "no")
    assert page.page.url.startswith(house.url)


OUTSIDE = [
    "<script>fetch('{url}').then(() => {{}})</script>",
    "<script>new WebSocket('{socket}')</script>",
    "<script>navigator.sendBeacon('{url}')</script>",
    "<script src='{url}'></script>",
    "<script>const s = document.createElement('script'); s.src = '{url}'; document.head.append(s)</script>",
    "<script>import('{url}')</script>",
    "<img src='{url}'>",
    "<link rel=stylesheet href='{url}'>",
    "<style>body {{ background: url('{url}') }} @import '{url}';</style>",
    "<iframe src='{url}'></iframe>",
    "<iframe srcdoc=\"<img src='{url}'><script>fetch('{url}')</script>\"></iframe>",
    "<object data='{url}'></object><embed src='{url}'>",
    "<video src='{url}' autoplay></video>",
    "<meta http-equiv=refresh content='0; url={url}'>",
    "<script>location.href = '{url}'</script>",
    "<form action='{url}' id=f></form><script>f.submit()</script>",
    "<a href='{url}' id=a>x</a><script>a.click()</script>",
    "<a href='{url}' target=_top id=a>x</a><script>a.click()</script>",
    "<base href='{url}'><img src=x>",
    "<script>new Worker('{url}')</script>",
    "<script>navigator.serviceWorker?.register('{url}')</script>",
    "<math><mtext></p><img src='{url}'></math>",
    "<svg><image href='{url}'/><use href='{url}#x'/></svg>",
]


QUICK = {0, 1, 3, 6, 10, 13, 14, 15, 17, 19}
"""One of each kind: requests by scripts, of elements and styles, frames, navigations, forms, links, and workers."""


@pytest.mark.parametrize(
    "number",
    [number if number in QUICK else pytest.param(number, marks=pytest.mark.real) for number in range(len(OUTSIDE))],
)
def test_html_of_a_result_loads_and_sends_nothing(browser: Browser, house: House, number: int) -> None:
    url = f"{house.origin}/outside"
    house.asked.clear()
    with chromium.visitor(browser) as visitor:
        html = OUTSIDE[number].format(url=url, socket=url.replace("http", "ws"))
        page, _ = framed(visitor, house, html + "<p>end")
        # What comes of it, comes before the answer to what is asked now, twice.
        for _ in range(2):
            page.page.evaluate("() => fetch('/after').then(() => new Promise(done => setTimeout(done, 200)))")
        assert house.asked == ["/after", "/after"]
        assert page.page.url.startswith(house.url)


CALLS = """
  const call = new RTCPeerConnection({{ iceServers: [{{ urls: 'stun:127.0.0.1:{port}' }}] }})
  call.createDataChannel('x')
  call.createOffer().then(offer => call.setLocalDescription(offer))
"""

AROUND = [
    "<script>{calls}</script>",
    "<script>const RTCPeerConnection = self.webkitRTCPeerConnection; {calls}</script>",
    """<iframe id=in></iframe>
    <script>const {{ RTCPeerConnection }} = document.getElementById('in').contentWindow; {calls}</script>""",
    """<p><script>
      const nonce = document.currentScript.nonce || document.currentScript.getAttribute('nonce')
        || document.currentScript.cloneNode().outerHTML.match(/nonce="([^"]+)"/)?.[1]
        || document.currentScript.attributes.nonce?.value
      const frame = document.createElement('iframe')
      frame.srcdoc = `<script nonce="${{nonce}}">{calls}<` + '/script>'
      document.body.append(frame)
    </script>""",
    """<script>
      document.open()
      document.write('<p>end')
      {calls}
    </script>""",
]


@pytest.mark.parametrize("number", range(len(AROUND)))
def test_html_of_a_result_calls_nobody_by_webrtc(browser: Browser, house: House, number: int) -> None:
    """No policy of a page covers it: it would send to any host, and what it sends can hold what the frame holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as called, chromium.visitor(browser) as visitor:
        called.bind(("127.0.0.1", 0))
        called.settimeout(1.0)
        html = AROUND[number].format(calls=CALLS.format(port=called.getsockname()[1]))
        framed(visitor, house, html + "<p>end")
        with pytest.raises(TimeoutError):
            called.recv(100)


def test_two_results_do_not_meet(visitor: BrowserContext, house: House) -> None:
    """What one frame says of its height is not taken for the page's, or for another frame's."""
    page, _ = framed(visitor, house, "<p>one</p>")
    before = page.output.locator("iframe").bounding_box()
    page.page.evaluate("postMessage({ height: 3000 }, '*')")
    page.page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    assert page.output.locator("iframe").bounding_box() == before


@pytest.mark.parametrize("height", ["1e9", "-5", "NaN", "Infinity", "'9'", "{}", "null"])
def test_a_frame_cannot_break_the_layout(visitor: BrowserContext, house: House, height: str) -> None:
    html = f"<script>parent.postMessage({{ height: {height} }}, '*'); parent.postMessage({height}, '*')</script><p>x"
    page, frame = framed(visitor, house, html)
    expect(frame.locator("p")).to_have_text("x")
    box = page.output.locator("iframe").bounding_box()
    assert box is not None
    assert 20 <= box["height"] <= 4010


def test_a_frame_grows_to_its_content(visitor: BrowserContext, house: House) -> None:
    page, frame = framed(visitor, house, "<div id=x style='height: 700px'></div>")
    expect(frame.locator("#x")).to_be_attached()
    # Not by the page's own polling, which its policy forbids: that evaluates text.
    eventually(lambda: page.page.evaluate("document.querySelector('.panel:not([hidden]) iframe').clientHeight >= 700"))
    page, _ = framed(visitor, house, "<div style='height: 90000px'></div>")
    eventually(lambda: page.page.evaluate("document.querySelector('iframe').clientHeight > 3900"))
    assert page.page.evaluate("document.querySelector('iframe').clientHeight <= 4004")


@pytest.mark.parametrize(
    ("html", "readable"),
    [
        ("<p id=x>plain</p>", (0.6, 1.0)),
        ("<p id=x style='color: #222'>dark on what it takes to be white</p>", (0.0, 0.2)),
    ],
)
def test_a_result_is_readable_on_a_dark_page(
    browser: Browser, house: House, html: str, readable: tuple[float, float]
) -> None:
    """Text without a colour is light on dark; a text in a dark colour has the white behind it that it was made for."""
    with chromium.visitor(browser, color_scheme="dark") as visitor:
        page, frame = framed(visitor, house, html)
        colour = frame.locator("#x").evaluate("node => getComputedStyle(node).color.match(/[0-9.]+/g).map(Number)")
        assert readable[0] <= sum(colour[:3]) / 765 <= readable[1]
        behind = page.output.locator(".frame").evaluate("node => getComputedStyle(node).backgroundColor")
        assert (behind == "rgb(255, 255, 255)") is ("style" in html)


def test_a_picture_of_a_result_runs_nothing(visitor: BrowserContext, house: House) -> None:
    def drawn() -> Shown:
        svg = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>document.title='in'</script></svg>"
        return Shown(**{"image_svg+xml": svg})

    house.app = server_of({"drawn": drawn})
    page = Functions(visitor, house)
    page.run()
    expect(page.output.locator(".picture img")).to_be_visible()
    assert page.page.title() != "in"
    assert page.complaints == []
