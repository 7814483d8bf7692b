"""The page at a chat service's own URL, as a person gets it who clicks the card's link: by a login or a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import chromium
from tests.browser.lab import Lab, close_kernels, write
from tests.browser.test_pages import LEAST_CONTRAST
from tests.live_jupyter import JupyterServer, Kernel

MODELS = """
import asyncio
from portico import model
from portico.models import Reasoning, ToolCall

more = asyncio.Event()
closed = asyncio.Event()
asked = []

async def assistant(messages):
    asked.append([message["content"] for message in messages])
    text = messages[-1]["content"]
    try:
        if text == "go on":
            more.set()
        elif text == "fail early":
            raise ValueError("a secret of the author's")
        elif text == "<b>bold</b>":
            yield Reasoning("Shall I?")
            yield "<img src=x onerror=alert(1)>"
        elif text == "call":
            yield ToolCall("weather", {"city": "Bern"})
        elif text == "what was closed?":
            await closed.wait()
            yield "a generator"
        else:
            yield "first "
            if text == "fail late":
                raise ValueError("a secret of the author's")
            await more.wait()
            more.clear()
            yield "second"
    except GeneratorExit:
        closed.set()
        raise
    except asyncio.CancelledError:
        closed.set()
        raise

def parrot(prompt):
    return f"{prompt}, {prompt}"

@model("text-vectors", kind="embedding")
def vectors(texts):
    return [[1.0]] * len(texts)
"""
SERVE = '%serve {"assistant": assistant, "org/parrot:1": parrot, "text-vectors": vectors} --chat --name talk'
GO_ON = """() => fetch('v1/chat/completions', {method: 'POST', headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({model: 'assistant', messages: [{role: 'user', content: 'go on'}]})})"""


@pytest.fixture(scope="module")
def kernel(server: JupyterServer) -> Iterator[Kernel]:
    kernel = server.kernel()
    kernel.execute("%load_ext portico\nimport portico").check()
    kernel.execute(MODELS).check()
    kernel.execute(SERVE).check()
    yield kernel
    kernel.shutdown()


def opened(visitor: BrowserContext, server: JupyterServer) -> Page:
    """The page, for a visitor who is signed in to Jupyter."""
    page = visitor.new_page()
    page.goto(f"{server.url}login?token={server.token}")
    page.goto(server.url + "portico/apps/talk/")
    return page


@pytest.fixture
def page(visitor: BrowserContext, server: JupyterServer, kernel: Kernel) -> Page:
    return opened(visitor, server)


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_the_cards_link_opens_a_page_that_streams_an_answer(visitor: BrowserContext, server: JupyterServer) -> None:
    write(server, "talk.ipynb", ["%load_ext portico" + MODELS, SERVE.replace("--name talk", "--name carded")])
    lab = Lab(visitor, server, "talk.ipynb")
    lab.run(0)
    lab.run(1)
    with visitor.expect_page() as new:
        lab.cards.get_by_role("link").first.click()
    page = new.value
    expect(page.get_by_role("heading", level=1)).to_have_text("carded")
    assert page.url == server.url + "portico/apps/carded/"
    page.get_by_label("Message", exact=True).click()
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    log = page.get_by_role("log")
    # The second word is only given once the first is here: were anything buffered on the way, it would not come.
    expect(log).to_contain_text("first")
    expect(log).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.evaluate(GO_ON)
    expect(log).to_contain_text("first second")
    expect(log).to_have_attribute("aria-busy", "false")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    close_kernels(server)


def test_what_was_said_is_sent_again_and_a_new_chat_forgets_it(page: Page, kernel: Kernel) -> None:
    say(page, "<b>bold</b>")
    log = page.get_by_role("log")
    expect(log).to_contain_text("<img src=x onerror=alert(1)>")
    expect(log).to_contain_text("Shall I?")
    expect(page.locator("#log img, #log b:text-is('bold')")).to_have_count(0)
    say(page, "call")
    expect(log).to_contain_text('wants to call weather {"city": "Bern"}')
    assert kernel.execute("print(asked[-1])").check().text.strip() == repr(
        ["<b>bold</b>", "<img src=x onerror=alert(1)>", "call"]
    )
    page.get_by_role("button", name="New chat").click()
    expect(log).to_be_empty()
    say(page, "call")
    expect(log).to_contain_text("weather")
    assert kernel.execute("print(asked[-1])").check().text.strip() == "['call']"


def test_another_model_may_be_chosen(page: Page) -> None:
    picker = page.get_by_label("Model", exact=True)
    assert picker.locator("option").all_inner_texts() == ["assistant", "org/parrot:1"]
    picker.select_option("org/parrot:1")
    say(page, "Polly")
    expect(page.get_by_role("log")).to_contain_text("Polly, Polly")


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_stopping_closes_the_generator(page: Page, how: str) -> None:
    log = page.get_by_role("log")
    say(page, "Hello")
    expect(log).to_contain_text("first")
    if how == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    expect(log).to_contain_text("Stopped.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    say(page, "what was closed?")
    expect(log).to_contain_text("a generator")


@pytest.mark.parametrize("when", ["early", "late"])
def test_an_error_is_told_in_plain_words(page: Page, kernel: Kernel, when: str) -> None:
    say(page, f"fail {when}")
    log = page.get_by_role("log")
    expect(log).to_contain_text("The model 'assistant' failed with ValueError.")
    assert "secret" not in page.content()
    say(page, "call")
    expect(log).to_contain_text("weather")
    assert kernel.execute("print(asked[-1])").check().text.strip() == "['call']", "what failed is not sent again"


def test_a_connection_that_is_lost_and_a_login_that_ended_are_told(page: Page, visitor: BrowserContext) -> None:
    log = page.get_by_role("log")
    page.route("**/chat/completions", lambda route: route.abort())
    say(page, "Hello")
    expect(log).to_contain_text("The server cannot be reached, or the connection was lost.")
    page.unroute_all()
    visitor.clear_cookies()
    say(page, "Hello")
    expect(log).to_contain_text("You are not signed in any more. Load this page again.")


def test_examples_are_copied(page: Page, visitor: BrowserContext, server: JupyterServer) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    base = server.url + "portico/apps/talk/v1"
    page.get_by_role("button", name="Copy the base URL").click()
    assert page.evaluate("navigator.clipboard.readText()") == base
    page.get_by_role("button", name="Copy the curl command").click()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith(f"curl '{base}/chat/completions'")
    assert '"Authorization: Bearer $PORTICO_KEY"' in command
    page.get_by_role("button", name="Copy the Python program").focus()
    page.keyboard.press("Enter")
    program = page.evaluate("navigator.clipboard.readText()")
    compile(program, "copied", "exec")
    assert f'base_url="{base}"' in program


def test_a_visitor_with_a_key_may_chat_too(visitor: BrowserContext, server: JupyterServer, kernel: Kernel) -> None:
    key = kernel.execute("print(portico.service('talk').key())").check().text.strip()
    page = visitor.new_page()
    page.goto(f"{server.url}portico/apps/talk/?portico_key={key}")
    say(page, "call")
    expect(page.get_by_role("log")).to_contain_text("weather")


def test_a_public_service_is_open_to_whoever_comes(
    visitor: BrowserContext, server: JupyterServer, kernel: Kernel
) -> None:
    kernel.execute("%serve parrot --chat --name aloud --access public").check()
    page = visitor.new_page()
    page.goto(f"{server.url}portico/apps/aloud/")
    say(page, "Polly")
    expect(page.get_by_role("log")).to_contain_text("Polly, Polly")
    assert "PORTICO_KEY" not in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read(browser: Browser, server: JupyterServer, kernel: Kernel, scheme: str) -> None:
    with chromium.visitor(browser, color_scheme=scheme, viewport={"width": 360, "height": 640}) as visitor:
        visitor.on("console", lambda message: complaints.append(message.text))
        visitor.on("weberror", lambda error: complaints.append(str(error.error)))
        complaints: list[str] = []
        page = opened(visitor, server)
        for text, answer in (("<b>bold</b>", "onerror"), ("fail late", "failed with"), ("call", "weather")):
            say(page, text)
            expect(page.get_by_role("log")).to_contain_text(answer)
        assert page.title() == "talk · Portico"
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the screen"
        everything = "h1, h2, h3, p, li, span, pre, code, button, select, textarea, .turn, .turn *"
        assert page.evaluate(LEAST_CONTRAST.replace("h1, p, a, label, button, input", everything)) >= 4.5
        assert not complaints
