"""The page of typed functions for everybody: no violation that axe finds, by keyboard alone, on a phone, at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import chromium
from tests.browser.functions_page import Functions
from tests.browser.functions_served import ALL, GATE, House, predict, rows, server_of, serving, show
from tests.pyodide import environment

SMALLEST = {"width": 320, "height": 640}
LARGE = {"width": 1280, "height": 900}
"""CSS pixels: what WCAG 2.2 (1.4.10) asks pages to fit into without scrolling sideways."""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving() as house:
        yield house


@pytest.fixture(autouse=True)
def all_functions(house: House) -> Iterator[None]:
    GATE.new()
    house.app = server_of(ALL)
    yield
    GATE.more.set()


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        environment.node()
    except LookupError as error:
        pytest.skip(str(error))
    return (environment.JAVASCRIPT / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def violations(page: Page, axe: str) -> list[Any]:
    """What axe finds, best practices too: the rule, and where."""
    page.evaluate(axe)  # by the debugger, past the page's policy
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param("light", SMALLEST, id="light-phone"),
        pytest.param("dark", LARGE, id="dark-desktop"),
        pytest.param("dark", SMALLEST, id="dark-phone", marks=pytest.mark.real),
        pytest.param("light", LARGE, id="light-desktop", marks=pytest.mark.real),
    ],
)
def test_axe_finds_nothing(
    browser: Browser, house: House, axe: str, scheme: Literal["light", "dark"], size: dict[str, int]
) -> None:
    with chromium.visitor(browser, color_scheme=scheme, viewport=size) as visitor:
        page = Functions(visitor, house)

        def check(what: str) -> None:
            assert violations(page.page, axe) == [], what
            assert fits(page.page), f"{what}: it is wider than the screen"

        page.panel.get_by_text("Use it in a program").click()
        check("a form with a program")
        page.run()
        check("a form with something wrong")
        page.control("area").fill("80")
        page.called()
        page.page.get_by_text("Last calls").click()
        check("a result, and the last calls")
        for name in ("rows", "show", "text", "fails"):
            page.open(name)
            if name == "text":
                page.control("what").fill("x" * 3000)
            page.run()
            expect(page.output).to_be_visible()
            check(name)
            for tab in page.output.get_by_role("tab").all():
                tab.click()
                check(name)
        page.open("nested")
        page.button("Add text to tags").click()
        page.button("Add a name to limits").click()
        page.control("pet: which kind").select_option("dog")
        page.control("thing: which kind").select_option("list of integer")
        page.button("Add integer to thing: list of integer").click()
        page.button("Add list of number to grid", exact=False).or_(page.button("Add a row to grid")).first.click()
        page.control("tree").check()
        page.button("Add Tree to children").click()
        page.run()
        check("values of several parts, with something wrong")
        page.open("files")
        page.control("papers").set_input_files(files=[{"name": "w" * 90, "mimeType": "", "buffer": b""}])  # type: ignore[list-item]
        check("files")
        page.open("table")
        page.control("data").fill("a,b\n1,2")
        check("a table")
        page.open("train")
        page.run()
        assert GATE.begun.wait(10)
        expect(page.panel.locator(".message")).to_contain_text("loss")
        check("a call under way")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_tabs(browser: Browser, house: House, axe: str, scheme: Literal["light", "dark"]) -> None:
    house.app = server_of({"predict": predict, "rows": rows, "show": show})
    with chromium.visitor(browser, color_scheme=scheme) as visitor:
        page = Functions(visitor, house)
        assert violations(page.page, axe) == []
    house.app = server_of({"predict": predict})
    with chromium.visitor(browser, color_scheme=scheme) as visitor:
        page = Functions(visitor, house)
        assert violations(page.page, axe) == []


# --- by keyboard ------------------------------------------------------------------------------------------------------


def focused(page: Page) -> str:
    """What has the focus: its label or text."""
    return str(
        page.evaluate(
            """() => { const node = document.activeElement
              return node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent ?? node.textContent.trim() }"""
        )
    )


def test_tabs_go_by_arrows(visitor: BrowserContext, house: House) -> None:
    house.app = server_of({"predict": predict, "rows": rows, "show": show})
    page = Functions(visitor, house)
    keys = page.page.keyboard
    page.page.get_by_role("tab", name="Predict").focus()
    for key, there in (
        ("ArrowRight", "Rows"),
        ("ArrowRight", "Show"),
        ("ArrowRight", "Predict"),
        ("ArrowLeft", "Show"),
        ("Home", "Predict"),
        ("End", "Show"),
    ):
        keys.press(key)
        assert focused(page.page) == there
        expect(page.page.get_by_role("tab", name=there)).to_have_attribute("aria-selected", "true")
        expect(page.panel.get_by_role("heading", level=2)).to_have_text(there)
    keys.press("Tab")
    assert focused(page.page) == "html", "one Tab leads from the tabs into the form"


def test_everything_is_reached_seen_and_done_by_keyboard(visitor: BrowserContext, house: House) -> None:
    house.app = server_of({"predict": predict})
    page = Functions(visitor, house)
    keys = page.page.keyboard
    seen = []
    for _ in range(40):
        keys.press("Tab")
        if page.page.evaluate("document.activeElement === document.body"):
            break
        seen.append(focused(page.page))
        outlined = page.page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.outlineWidth }"
        )
        assert outlined == "solid2px", f"{seen[-1]} does not show that it has the focus"
    assert seen == [
        *("API docs", "OpenAPI", "area", "rooms", "city", "balcony", "floor", "note", "Run", "Reset"),
        *("Use it in a program", "Copy the URL of the API", "Copy the URL of the tools"),
    ]
    page.control("area").focus()
    keys.type("80")
    keys.press("Tab")
    keys.press("ArrowUp")
    assert page.control("rooms").input_value() == "3"
    keys.press("Tab")
    keys.type("Ba")
    keys.press("Tab")
    keys.press("Space")
    keys.press("Control+Enter")
    got = page.json()
    assert (got["area"], got["rooms"], got["city"], got["balcony"]) == (80, 3, "Basel", True)


def test_rows_are_added_moved_and_removed_by_keyboard(visitor: BrowserContext, house: House) -> None:
    page = Functions(visitor, house, "nested")
    keys = page.page.keyboard
    for word in ("a", "b", "c"):
        page.button("Add text to tags").focus()
        keys.press("Enter")
        assert focused(page.page).startswith("tags "), "a new row has the focus"
        keys.type(word)
    page.button("Move down: tags 1").focus()
    keys.press("Enter")
    assert focused(page.page) == "Move down: tags 2", "the focus goes along"
    keys.press("Enter")
    assert focused(page.page) == "Move up: tags 3", "as it cannot go further down"
    assert [row.input_value() for row in page.field("tags").locator("ol input").all()] == ["b", "c", "a"]
    page.button("Remove: tags 2").focus()
    keys.press("Enter")
    assert focused(page.page) == "Remove: tags 2"
    keys.press("Enter")
    assert focused(page.page) == "Remove: tags 1"
    keys.press("Enter")
    assert focused(page.page) == "Add text to tags"


def test_the_focus_is_not_lost_when_a_call_begins_and_ends(visitor: BrowserContext, house: House) -> None:
    page = Functions(visitor, house, "wait")
    page.button("Run").focus()
    page.page.keyboard.press("Enter")
    expect(page.button("Cancel")).to_be_focused()
    GATE.more.set()
    expect(page.button("Run")).to_be_focused()


# --- many functions ---------------------------------------------------------------------------------------------------


def test_many_functions_are_a_list_that_can_be_searched(visitor: BrowserContext, house: House) -> None:
    def other() -> None:
        """Weather of tomorrow."""

    house.app = server_of({**{f"predict_{number}": predict for number in range(49)}, "other": other})
    page = Functions(visitor, house)
    search = page.page.get_by_role("searchbox", name="Find a function")
    expect(page.page.get_by_role("tab")).to_have_count(50)
    search.fill("weather")
    expect(page.page.get_by_role("tab")).to_have_count(1)
    expect(page.said).to_have_text("1 found.")
    page.page.keyboard.press("ArrowDown")
    assert focused(page.page) == "Other"
    expect(page.panel.get_by_role("heading", level=2)).to_have_text("Other")
    search.fill("predict 1")
    expect(page.page.get_by_role("tab")).to_have_count(11)
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    assert focused(page.page) == "Predict 10", "hidden ones are passed over"
    search.fill("nothing like it")
    expect(page.page.get_by_text("No function is called so.")).to_be_visible()


def test_fifty_functions_are_there_within_300_ms(visitor: BrowserContext, house: House) -> None:
    """From the first byte of the answer until the form can be filled in. The quickest of five: this takes turns."""
    house.app = server_of({f"predict_{number}": predict for number in range(50)})
    took = []
    for _ in range(5):
        page = Functions(visitor, house)
        took.append(
            page.page.evaluate(
                """() => { const [page] = performance.getEntriesByType('navigation')
                  return page.domContentLoadedEventEnd - page.responseStart }"""
            )
        )
        page.page.close()
    assert min(took) < 300, took


# --- other languages, other needs -------------------------------------------------------------------------------------


def test_text_from_right_to_left_is_set_as_such(visitor: BrowserContext, house: House) -> None:
    def שלום(שם: str) -> str:
        """מחיר של דירה."""
        return f"שלום {שם}!"

    house.app = server_of({"hello": שלום})
    page = Functions(visitor, house)
    description = page.panel.locator(".description")
    assert description.evaluate("node => getComputedStyle(node).direction") == "rtl"
    field = page.page.locator("form input").first
    field.fill("דנה")
    assert field.evaluate("node => getComputedStyle(node).direction") == "rtl"
    page.run()
    assert page.output.locator("pre").first.evaluate("node => getComputedStyle(node).direction") == "rtl"
    page.page.evaluate("document.documentElement.dir = 'rtl'")
    assert fits(page.page)


def test_nothing_moves_for_those_who_want_no_motion(browser: Browser, house: House) -> None:
    with chromium.visitor(browser, reduced_motion="reduce") as visitor:
        page = Functions(visitor, house, "wait")
        page.run()
        assert GATE.begun.wait(10)
        assert page.page.evaluate("document.getAnimations().length") == 0
