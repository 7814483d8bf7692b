"""A session whose hub is a page: what it does with what the page says. The page here is in memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from portico.errors import LinkClosed, LocalError, PorticoError, Refused
from portico.link import StreamHandler
from portico.protocol.events import Open
from portico.protocol.frames import Kind, ResetCode
from portico.provider import surroundings
from portico.provider.discovery import PREVIEW, HubAddress
from portico.provider.provider import Provider
from portico.provider.thread import LoopThread
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

SITE = HubAddress("https://site.test/", "", PREVIEW)


class MemoryPage:
    """Shows everything, but where it is told not to."""

    def __init__(self) -> None:
        self.greeting: PorticoError | None = None
        self.showing: PorticoError | None = None
        self.shown: dict[str, Callable[[Any, Open], StreamHandler]] = {}
        self.hidden: list[str] = []
        self.asked = ""

    async def greet(self) -> None:
        await asyncio.sleep(0)
        if self.greeting is not None:
            raise self.greeting

    async def show(self, name: str, begin: Callable[[Any, Open], StreamHandler]) -> str:
        await asyncio.sleep(0)
        if self.greeting is not None:
            return ""
        self.shown[name] = begin
        if self.showing is not None:
            raise self.showing
        return f"{self.asked}portico/{name}/"

    def hide(self, name: str) -> None:
        self.shown.pop(name, None)
        self.hidden.append(name)

    def close(self) -> None:
        for name in tuple(self.shown):
            self.hide(name)

    streams = 0


class MemoryTab:
    """A tab with that page."""

    def __init__(self) -> None:
        self.the_page = MemoryPage()

    def install(self) -> None: ...

    def page(self, url: str) -> MemoryPage:
        self.the_page.asked = url
        return self.the_page

    async def fetch(self, url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
        raise LinkClosed("no network")

    def fetch_sync(self, url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
        raise LinkClosed("no network")


class Visit:
    """A carrier that keeps what it is given."""

    def __init__(self) -> None:
        self.status, self.body, self.ended = 0, b"", ""

    def send_head(self, status: int, headers: Any, **_: Any) -> None:
        self.status = status

    def send_data(self, data: bytes, *, fin: bool = False, **_: Any) -> bool:
        self.body += data
        return True

    def reset(self, code: ResetCode, reason: str = "") -> None:
        self.ended = f"{code.name}: {reason}"

    def release(self) -> None:
        self.ended = self.ended or "whole"

    def consumed(self, count: int) -> None: ...


def a_request(name: str) -> Open:
    return Open(
        stream_id=1, kind=Kind.HTTP, service=name, method="GET", scheme="https", http_version="1.1", raw_path=b"/",
        query=b"", root_path=f"/portico/{name}", client=None, server=None, subprotocols=(), identity=b"{}", headers=[],
        fin=True,
    )  # fmt: skip


@asynccontextmanager
async def a_tab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[MemoryPage, Provider]]:
    tab = MemoryTab()
    monkeypatch.setattr(surroundings, "_find", None)
    surroundings.hand_tab(lambda: tab)
    provider = Provider(thread=LoopThread.adopt(asyncio.get_running_loop()))
    try:
        yield tab.the_page, provider
    finally:
        await provider.shutdown()


def test_the_page_shows_a_service_and_asks_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with a_tab(monkeypatch) as (page, provider):
            live = await provider.publish(service(provider), saying(b"here"), SITE)
            assert (live.status, live.url) == ("live", "https://site.test/portico/app/")
            assert live.card_state().is_previewed
            visit = Visit()
            page.shown["app"](visit, a_request("app"))
            await until(lambda: visit.ended)
            assert (visit.status, visit.body, visit.ended) == (200, b"here", "whole")
            with pytest.raises(Refused, match="a preview has no keys"):
                live.key()
            begin = page.shown["app"]
            await provider.stop(live)
            assert (page.hidden, live.status) == (["app"], "stopped")
            await until(lambda: not provider.sessions)
            late = Visit()
            begin(late, a_request("app"))
            assert late.ended == "REFUSED: 'app' is not served here any more"

    run(work)


def test_where_the_page_shows_nothing_a_service_is_live_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with a_tab(monkeypatch) as (page, provider):
            page.greeting = Refused("There is no preview: this site was built without Portico.", "no_extension")
            live = await provider.publish(service(provider), saying(b"here"), SITE)
            assert (live.status, live.url) == ("live", "")
            assert live.card_state().notice == str(page.greeting)
            assert page.shown == {}

    run(work)


@pytest.mark.parametrize("error", [Refused("There is no preview: it is full", "full"), LinkClosed("no answer in time")])
def test_what_the_page_does_not_show_is_hidden_again(monkeypatch: pytest.MonkeyPatch, error: PorticoError) -> None:
    async def work() -> None:
        async with a_tab(monkeypatch) as (page, provider):
            page.showing = error
            live = await provider.publish(service(provider), saying(b"here"), SITE)
            assert (live.status, live.url, live.card_state().notice) == ("live", "", str(error))
            assert (page.shown, page.hidden) == ({}, ["app"])

    run(work)


def test_the_end_of_a_provider_is_the_end_of_what_its_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with a_tab(monkeypatch) as (page, provider):
            for name in ("cat", "dog"):
                await provider.publish(service(provider, name), saying(b"here"), SITE)
            await provider.shutdown()
            assert (page.shown, sorted(page.hidden)) == ({}, ["cat", "dog"])

    run(work)


def test_where_there_is_no_tab_nothing_stands_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_find", None)
    with pytest.raises(LocalError, match="no browser tab"):
        surroundings.tab()


def test_a_tab_is_handed_over_with_the_package_and_imported_when_it_is_needed() -> None:
    program = (
        "import sys; sys.platform = 'emscripten'\n"
        "import portico\n"
        "from portico.provider import surroundings\n"
        "assert not [name for name in sys.modules if name.startswith('portico.tab')]\n"
        "assert not {'asyncio', 'portico.link', 'portico.provider.provider'} & set(sys.modules)\n"
        "print(surroundings.tab().__name__, *sorted(name for name in sys.modules if name.startswith('portico.tab')))\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.split() == ["portico.tab.for_provider", "portico.tab", "portico.tab.for_provider"]
