"""What the cards of a notebook hold on to: records, and no service."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from portico.notebook import display
from portico.notebook.display import Cards
from tests.in_process import ADDRESS, linked
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import turns, until


def a_shell() -> Any:
    """As much of IPython's shell as cards ask for, with a front end."""
    formatter = SimpleNamespace(for_type=lambda kind, show: None)
    display_formatter = SimpleNamespace(ipython_display_formatter=formatter)
    return SimpleNamespace(kernel=True, execution_count=1, compile=None, display_formatter=display_formatter)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of each card, as it is shown."""
    texts: list[str] = []
    monkeypatch.setattr(display, "_publish", lambda bundle, *_, **__: texts.append(bundle["text/plain"]))
    monkeypatch.setattr(display, "_EVERY", 0.0)
    return texts


def test_a_service_that_is_gone_is_not_kept_by_its_card(published: list[str]) -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            cards = Cards(a_shell(), provider)
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            cards.show(live)
            gone = weakref.ref(live)
            await provider.stop(live)
            await until(lambda: published[-1] == "app is stopped")
            del live
            await until(lambda: not provider.work._tasks)
            gc.collect()
            assert gone() is None
            count = len(published)
            cards.refresh("app")
            await until(lambda: len(published) > count)
            assert published[-1] == "app is stopped", "it is known still"

    run(work)


def test_what_goes_wrong_while_an_app_shuts_down_is_on_its_card(published: list[str]) -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            cards = Cards(a_shell(), provider)
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            cards.show(live)
            await provider.stop(live)
            live.log.report("shutdown", ValueError("too late"))
            await until(lambda: "ValueError: too late" in published[-1])
            assert published[-1].startswith("app is stopped")

    run(work)


def test_closed_they_stay_as_they_are(published: list[str]) -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            cards = Cards(a_shell(), provider)
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            cards.show(live)
            cards.close()
            await provider.stop(live)
            await turns()
            assert len(published) == 1
            assert len(provider.news._listeners) == len(live.log._listeners) == 0

    run(work)
