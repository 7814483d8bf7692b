"""The page of typed functions, as its tests drive it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.functions_served import House


class Functions:
    """One page, open at one function."""

    def __init__(self, visitor: BrowserContext, house: House, link: str = "") -> None:
        self.page: Page = visitor.new_page()
        self.house = house
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.open(link)

    def open(self, link: str = "") -> None:
        self.page.goto("about:blank")  # the same address with another fragment would load nothing
        self.page.goto(f"{self.house.url}{link and '#'}{link}")
        expect(self.page.locator("html[data-state=ready]")).to_be_attached()

    @property
    def panel(self) -> Locator:
        return self.page.locator(".panel:visible")

    def field(self, name: str) -> Locator:
        """The field of the parameter *name*, with all that is in it."""
        return self.panel.locator(f'.field[data-name="{name}"]').first

    def control(self, label: str) -> Locator:
        return self.panel.get_by_label(label, exact=True)

    def button(self, name: str, exact: bool = True) -> Locator:
        return self.panel.get_by_role("button", name=name, exact=exact)

    def run(self) -> None:
        self.button("Run").click()

    @property
    def output(self) -> Locator:
        return self.panel.locator(".output")

    def json(self) -> Any:
        """The result, as its JSON is shown."""
        expect(self.output).to_be_visible()
        expect(self.panel).to_have_attribute("aria-busy", "false")
        shown = self.output.locator("pre:visible, .value:visible").first
        expect(shown).to_be_visible()
        return json.loads(shown.inner_text())

    def called(self) -> Any:
        """Run, and the result."""
        self.run()
        return self.json()

    @property
    def said(self) -> Locator:
        """What people are told who do not see the page."""
        return self.page.locator("#status")
