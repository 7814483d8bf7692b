"""The hub's own pages, as a browser shows them: readable, narrow, by keyboard, and without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from portico.hub import answers, body_limit, enforcer
from portico.hub.answers import Answer
from tests.browser import chromium

PAGES = [
    answers.unauthorized(),
    answers.invalid_key("this key has expired"),
    answers.forbidden("This key does not open 'cat'.", "wrong_key"),
    answers.not_found("n" * 30),
    answers.app_error(),
    answers.provider_lost(),
    answers.gone("The kernel that served this has gone. Run its notebook again."),
    answers.reconnecting(),
    answers.away(),
    answers.overloaded(),
    answers.password_needed("/portico/apps/cat/.portico/password", "/portico/apps/cat/", program=False),
    answers.wrong_password("/portico/apps/cat/.portico/password", "/portico/apps/cat/", program=False),
    answers.confirm_needed("/.portico/confirm", "/", f"{'n' * 30}--{'w' * 30}.share.example.org"),
    answers.forbidden("This link has expired. Ask whoever gave it to you for another.", "link_expired"),
    answers.forbidden("This is open to some networks alone, and you are not in one of them.", "address"),
    body_limit.too_large(1_000_000),
    enforcer.busy(8),
    Answer(429, "rate_limited", "You may call this 60/min, and have called more often.", retry_after=200),
    Answer(429, "too_many_attempts", "Too many wrong passwords came from your address.", retry_after=590),
    Answer(504, "timeout", "The app did not answer in time."),
    Answer(404, "made_up", "word" * 60),
]

URL = "http://127.0.0.1:9/portico/apps/cat/"  # answered by the test itself: no server is asked

# The least contrast of a text with what is behind it (WCAG 2.2, 1.4.3).
LEAST_CONTRAST = """() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  const rgb = text => text.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = rgb(getComputedStyle(node).backgroundColor)
      if (colour.length < 4 || colour[3] == 1) return colour
    }
    return [255, 255, 255]
  }
  const contrasts = [...document.querySelectorAll('h1, p, a, label, button, input')].map(node => {
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x)
    return (a + 0.05) / (b + 0.05)
  })
  return Math.min(...contrasts)
}"""


def show(page: Page, answer: Answer) -> None:
    headers, body = answer.render(html=True, openai=False)

    def respond(route: Route) -> None:
        named = {name.decode(): value.decode() for name, value in headers}
        route.fulfill(status=answer.status, headers=named, body=body)

    page.unroute_all()
    page.route(URL, respond)
    page.goto(URL)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read(browser: Browser, scheme: str) -> None:
    with chromium.visitor(browser, color_scheme=scheme, viewport={"width": 360, "height": 640}) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        for answer in PAGES:
            show(page, answer)
            assert page.title()
            assert page.locator("html").get_attribute("lang") == "en"
            expect(page.get_by_role("alert")).to_contain_text(page.title())
            expect(page.get_by_role("main")).to_contain_text(f"{answer.status} · Portico")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the screen"
            assert page.evaluate(LEAST_CONTRAST) >= 4.5
        assert not [complaint for complaint in complaints if "Security Policy" in complaint]


def test_what_can_be_done_can_be_done_by_keyboard(browser: Browser) -> None:
    with chromium.visitor(browser) as context:
        page = context.new_page()
        for answer in (answers.app_error(), answers.reconnecting()):
            show(page, answer)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.tagName") == "A"
            with page.expect_navigation(url=URL):
                page.keyboard.press("Enter")
        show(page, answers.unauthorized())
        page.route(URL + "?**", lambda route: route.fulfill(body=route.request.url))
        page.keyboard.press("Tab")
        expect(page.get_by_label("Key")).to_be_focused()
        page.keyboard.type("some.key")
        page.keyboard.press("Enter")
        expect(page.get_by_text(URL + "?portico_key=some.key")).to_be_visible()


def test_a_password_is_typed_and_sent_by_keyboard(browser: Browser) -> None:
    with chromium.visitor(browser) as context:
        page = context.new_page()
        action = "/portico/apps/cat/.portico/password"
        show(page, answers.password_needed(action, "/portico/apps/cat/a?b=1", program=False))
        taken: list[tuple[str, str | None]] = []

        def take(route: Route) -> None:
            taken.append((route.request.method, route.request.post_data))
            route.fulfill(body="taken")

        page.route("**" + action, take)
        expect(page.get_by_label("Password")).to_be_focused()
        page.keyboard.type("open sesame")
        page.keyboard.press("Enter")
        expect(page.get_by_text("taken")).to_be_visible()
        assert taken == [("POST", "password=open+sesame&next=%2Fportico%2Fapps%2Fcat%2Fa%3Fb%3D1")]


def test_whoever_goes_on_to_a_strangers_page_says_so(browser: Browser) -> None:
    with chromium.visitor(browser) as context:
        page = context.new_page()
        show(page, answers.confirm_needed("/.portico/confirm", "/a", "cat--w.share.example.org"))
        expect(page.get_by_role("alert")).to_contain_text("cat--w.share.example.org")
        page.route("**/.portico/confirm", lambda route: route.fulfill(body=str(route.request.post_data)))
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Continue to cat--w.share.example.org")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_text("next=%2Fa")).to_be_visible()


def test_a_page_of_a_notebook_that_reconnects_tries_again(browser: Browser) -> None:
    with chromium.visitor(browser) as context:
        page = context.new_page()
        show(page, Answer(503, "provider_reconnecting", "It is reconnecting.", retry_after=1))
        page.unroute_all()
        page.route(URL, lambda route: route.fulfill(content_type="text/html", body="Here again"))
        expect(page.get_by_text("Here again")).to_be_visible()
