"""The record of what a person is shown: plain values, as they were when it was made, and nothing that opens a thing."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from portico.card.state import CardState, FailureState, ShareState
from portico.provider.discovery import PREVIEW, HubAddress
from portico.provider.options import conditions
from portico.provider.provider import Provider
from portico.provider.sharing import make
from portico.types import Receive, Scope, Send
from tests.card.cards import FAILURE, SHARE, a_card
from tests.in_process import ADDRESS, linked
from tests.provider.published import saying, service
from tests.transports.recorder import run

STATES = [a_card(shares=(SHARE,), failure=FAILURE), SHARE, FAILURE]


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        raise ZeroDivisionError("division by zero")
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def kinds(value: Any) -> set[type]:
    """The types of all values in *value*."""
    if isinstance(value, dict):
        return {dict, *map(type, value), *(kind for each in value.values() for kind in kinds(each))}
    if isinstance(value, list):
        return {list, *(kind for each in value for kind in kinds(each))}
    return {type(value)}


@pytest.mark.parametrize("state", STATES)
def test_a_record_does_not_change(state: Any) -> None:
    for field in fields(state):
        with pytest.raises(FrozenInstanceError):
            setattr(state, field.name, None)
    assert not hasattr(state, "__dict__")
    assert hash(state) == hash(pickle.loads(pickle.dumps(state)))


def test_json_has_every_field_by_its_name() -> None:
    card = a_card(shares=(SHARE, SHARE), failure=FAILURE, models=("a", "b"))
    told = card.as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(told) == [field.name for field in fields(CardState)]
    assert [list(share) for share in told["shares"]] == [[field.name for field in fields(ShareState)]] * 2
    assert list(told["failure"]) == [field.name for field in fields(FailureState)]
    assert (told["models"], told["failure"]["total"]) == (["a", "b"], 1)
    assert a_card().as_json()["failure"] is None


def test_a_services_record_is_plain_and_tells_no_secret() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(
                service(provider, title="An app", origins=("https://a.test",)), failing, ADDRESS
            )
            elsewhere = HubAddress(ADDRESS.url, ADDRESS.token, "the test", workspace="other")
            held = conditions(password="sesame", cidr="10.0.0.0/8", rate="60/min", concurrency=8, expires="1h")
            await provider.share(make(live, elsewhere, name="link", conditions=held))
            await hub.ask("app").ended
            await hub.ask("link").ended
            live.notes = ("It is new.",)
            card = live.card_state()
            told = card.as_json()
            assert kinds(told) <= {dict, list, str, int, float, bool, type(None)}
            assert "sesame" not in repr(card) + json.dumps(told)
            assert ADDRESS.token not in repr(card) + json.dumps(told)
            assert (card.title, card.status, card.requests, card.holder) == ("An app", "live", 2, "process")
            assert (card.origins, card.notes, card.url) == (("https://a.test",), ("It is new.",), live.url)
            [shared] = card.shares
            assert (shared.has_password, shared.networks, shared.rate) == (True, ("10.0.0.0/8",), "60/min")
            assert (shared.concurrency, shared.max_body, shared.url) == (8, None, live.shares[0].url)
            assert card.failure is not None
            assert (card.failure.summary, card.failure.total) == ("ZeroDivisionError: division by zero", 2)
            assert 'raise ZeroDivisionError("division by zero")' in card.failure.own

    run(work)


def test_a_record_stays_as_it_was() -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            card = live.card_state()
            told = card.as_json()
            await provider.stop(live)
            live.notes = ("It has gone.",)
            assert live.card_state() != card
            assert (card.status, live.card_state().status) == ("live", "stopped")
            assert card.as_json() == told

    run(work)


def test_a_record_keeps_nothing_alive() -> None:
    """Whatever can be reached from it is a plain value."""

    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), failing, ADDRESS)
            await hub.ask("app").ended
            seen, left = set(), [live.card_state()]
            while left:
                value = left.pop()
                if id(value) not in seen and not isinstance(value, type):
                    seen.add(id(value))
                    assert isinstance(value, (CardState, FailureState, str, int, float, tuple, type(None))), value
                    left += gc.get_referents(value)

    run(work)


@pytest.mark.parametrize(
    ("address", "holder"),
    [
        (HubAddress("http://hub.test/", "t", "the test", kernel_id="k1"), "kernel"),
        (HubAddress("http://hub.test/", "t", "the test"), "process"),
        (HubAddress("http://site.test/", "", PREVIEW), "tab"),
    ],
)
def test_what_it_ends_with_is_told_by_where_it_is_published(address: HubAddress, holder: str) -> None:
    made = service(Provider())
    made.address = address
    card = made.card_state()
    assert (card.holder, card.is_previewed, card.status, card.is_live) == (holder, holder == "tab", "starting", False)


def test_the_documentation_of_an_app_is_found_as_fastapi_has_it() -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):

            class App:
                docs_url: Any = "/docs"

                async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                    await failing(scope, receive, send)

            app = App()
            live = await provider.publish(service(provider), app, ADDRESS)
            assert live.card_state().docs_url == live.url + "docs"
            app.docs_url = None
            assert live.card_state().docs_url == ""
            app.docs_url = asyncio
            assert live.card_state().docs_url == ""

    run(work)
