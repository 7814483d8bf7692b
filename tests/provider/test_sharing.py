"""A service on two hubs, each a hub's own links over the in-memory pair: one app, and links that come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from portico.card import render as card
from portico.errors import InvalidOption, LinkClosed, NameTaken, NoHub, Refused
from portico.protocol import Limits
from portico.provider import sharing
from portico.provider.discovery import HubAddress
from portico.provider.options import conditions
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.serving import replace, serve
from portico.provider.sharing import Share
from portico.provider.thread import LoopThread
from portico.transports.memory import MemoryTransport
from tests.in_process import ADDRESS, SOON, HereHub, a_hub
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

RELAY = HubAddress("https://share.test/", ADDRESS.token, "the test")


@asynccontextmanager
async def two_hubs() -> AsyncIterator[tuple[HereHub, HereHub, Provider]]:
    """A hub that is a service's home, and another that it is shared by."""
    async with a_hub(SOON) as home, a_hub(SOON) as relay:
        hubs = {ADDRESS.url: home, RELAY.url: relay}

        async def dial(address: HubAddress, limits: Limits) -> MemoryTransport:
            return await hubs[address.url].dial(address, limits)

        provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
        try:
            yield home, relay, provider
        finally:
            await provider.shutdown()


async def share(live: Service, name: str = "", **options: Any) -> Share:
    made = sharing.make(live, RELAY, name=name or live.name, conditions=options.pop("conditions", {}), **options)
    return await live.provider.share(made)


async def says(hub: HereHub, name: str = "app") -> bytes:
    visit = hub.ask(name)
    assert await visit.ended == "whole"
    return visit.body


def test_one_app_answers_whichever_hub_a_request_came_by() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            live = await provider.publish(service(provider), saying(b"here"), ADDRESS)
            shared = await share(live, "link", conditions=conditions(password="sesame"))
            assert (shared.status, shared.url) == ("live", "http://hub.example:8888/portico/apps/link/")
            assert live.shares == (shared,)
            assert (home.names, relay.names) == ({"app"}, {"link"})
            assert (await says(home), await says(relay, "link")) == (b"here", b"here")
            assert live.requests == 2
            descriptor = relay.registry.services["link"].descriptor
            assert (descriptor.access, descriptor.conditions is not None) == ("public", True)
            assert home.registry.services["app"].descriptor.access == "private"
            await replace(live, saying(b"new"))
            assert (await says(home), await says(relay, "link")) == (b"new", b"new")

    run(work)


def test_unshared_it_stays_at_home() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            hold = asyncio.Event()
            live = await provider.publish(service(provider), saying(b"whole", hold=hold), ADDRESS)
            shared = await share(live)
            running = relay.ask("app")
            await until(lambda: live.instance is not None and live.instance.in_flight)
            await provider.stop(shared)
            assert (home.names, relay.names, shared.status) == ({"app"}, set(), "stopped")
            assert relay.links.count == 1, "a request is on it"
            hold.set()
            assert await running.ended == "whole"
            assert running.body == b"whole"
            await until(lambda: relay.links.count == 0)
            assert live.status == "live"

    run(work)


def test_stopped_it_is_shared_no_more() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            shared = await share(live)
            await provider.stop(live)
            assert (home.names, relay.names, shared.status) == (set(), set(), "stopped")
            await until(lambda: not provider.sessions)
            with pytest.raises(LinkClosed, match="serve it again"):
                sharing.make(live, RELAY, name="app", conditions={})

    run(work)


def test_each_link_is_kept_by_itself() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            live = await provider.publish(service(provider), saying(b"here"), ADDRESS)
            shared = await share(live)
            relay.cut()
            await until(lambda: shared.status == "reconnecting")
            assert live.status == "live"
            assert await says(home) == b"here"
            await until(lambda: shared.status == "live")
            home.cut()
            await until(lambda: live.status == "reconnecting")
            assert (shared.status, await says(relay)) == ("live", b"here")
            await until(lambda: live.status == "live")

    run(work)


def test_served_again_it_is_shared_still() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, relay, provider):
            shared = await share(await provider.publish(service(provider), saying(b"old"), ADDRESS))
            new = service(provider)
            new.kind, new.models = "chat", ("m",)
            await provider.publish(new, saying(b"new"), ADDRESS)
            assert (shared.service, shared.status, new.shares) == (new, "live", (shared,))
            assert await says(relay) == b"new"
            await until(lambda: relay.registry.services["app"].descriptor.models == ("m",))

    run(work)


def test_renamed_models_are_told_everywhere() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            await share(live)
            live.kind, live.models = "chat", ("renamed",)
            await provider.republish(live)
            for hub in (home, relay):
                assert hub.registry.services["app"].descriptor.models == ("renamed",)

    run(work)


def test_taken_down_at_one_hub() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            shared = await share(live)
            relay.links.tell_stopped("app", relay.registry.remove("app"))
            await until(lambda: shared.status == "stopped")
            assert (live.status, live.shares) == ("live", ())
            shared = await share(live)
            home.links.tell_stopped("app", home.registry.remove("app"))
            await until(lambda: live.status == "stopped" and relay.names == set())
            await until(lambda: shared.status == "stopped", what="the end of the app")

    run(work)


def test_shared_again_the_new_conditions_hold() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            first = await share(live)
            second = await share(live, access="key")
            assert (first.status, live.shares) == ("stopped", (second,))
            assert relay.registry.services["app"].descriptor.access == "key"

    run(work)


def test_what_is_refused_leaves_nothing_behind() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            bad = sharing.make(live, HubAddress(RELAY.url, "bad", "the test"), name="app", conditions={})
            with pytest.raises(Refused, match="no provider's token"):
                await provider.share(bad)
            with pytest.raises(Refused, match="is a number of requests"):
                await share(live, conditions={"rate": "often"})
            other = Provider(dial=relay.dial)
            await other.publish(service(other), saying(b""), RELAY)
            with pytest.raises(NameTaken):
                await share(live)
            assert (live.shares, bad.status) == ((), "failed")
            await until(lambda: len(provider.sessions) == 1)
            taken = await share(live, replace=True)
            assert taken.status == "live"
            await other.shutdown()

    run(work)


def test_two_services_cannot_have_one_name_there() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, relay, provider):
            one = await provider.publish(service(provider, "one"), saying(b"1"), ADDRESS)
            two = await provider.publish(service(provider, "two"), saying(b"2"), ADDRESS)
            await share(one, "link")
            with pytest.raises(Refused, match="'one' is shared there as 'link'"):
                await share(two, "link")
            with pytest.raises(Refused, match="is shared there already"):
                await provider.publish(service(provider, "link"), saying(b"3"), RELAY)
            at_home = sharing.make(two, ADDRESS, name="one", conditions={})
            with pytest.raises(Refused, match="is served there already"):
                await provider.share(at_home)
            assert await says(relay, "link") == b"1"

    run(work)


def test_an_expired_link_says_so() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            shared = await share(live, conditions={"expires": time.time() + 0.05})
            assert shared.status == "live"
            await until(lambda: shared.status == "expired")
            assert relay.names == {"app"}, "its visitors are told that it has expired"
            relay.cut()
            await until(lambda: relay.dialled == 2)
            assert "expired at" in card.share_text(shared.card_state())

    run(work)


def test_what_an_administrator_allows() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, _relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            assert live.session is not None
            info = live.session.hub_info
            for allowed in (["*"], ["https://share.test"], ["https://other.test", "https://*.test"]):
                info["allowed_relays"] = allowed
                sharing.make(live, RELAY, name="app", conditions={})
            for allowed in (
                [],
                ["https://other.test"],
                ["http://share.test"],
                ["https://share.test:8443"],
                ["https://*.share.test"],
                ["share.test"],
            ):
                info["allowed_relays"] = allowed
                with pytest.raises(Refused, match="administrator") as refusal:
                    sharing.make(live, RELAY, name="app", conditions={})
                assert refusal.value.code == "allowed_relays"
            info["allowed_relays"] = ["https://*.test"]
            evil = HubAddress("https://evil.example/x.test/", "", "the test")
            with pytest.raises(Refused):
                sharing.make(live, evil, name="app", conditions={})

    run(work)


def test_which_relay_is_said_or_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PORTICO_CREDENTIALS", str(tmp_path / "none"))
    for variable in ("PORTICO_RELAY", "PORTICO_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    live = service(Provider())
    with pytest.raises(NoHub, match="portico login"):
        live.share()
    with pytest.raises(InvalidOption, match="access is one of"):
        live.share("https://share.test", access="secret")


def test_the_card_tells_who_may_open_it_and_no_password() -> None:
    async def work() -> None:
        async with two_hubs() as (_home, _relay, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            held = conditions(expires="2h", password="sesame", cidr="10.0.0.0/8", rate="60/min", concurrency=8)
            shared = await share(live, conditions=held)
            for shown in (
                card.text(live.card_state()),
                card.html(live.card_state()),
                card.share_text(shared.card_state()),
                card.share_html(shared.card_state()),
            ):
                assert shared.url in shown
                assert "share.test" in shown
                assert "knows the password" in shown
                assert "10.0.0.0/8" in shown
                assert "60/min, 8 at once" in shown
                assert "open until" in shown
                assert "sesame" not in shown
            assert "<svg" in card.html(live.card_state())
            assert "sesame" not in repr(shared)
            await provider.stop(shared)
            assert "share.test" not in card.html(live.card_state())

    run(work)


def test_what_was_awaited_is_the_same_and_cannot_be_awaited() -> None:
    """JavaScript would await it again and again."""

    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            at = {"hub": ADDRESS.url, "token": ADDRESS.token, "provider": provider}
            served = serve(saying(b"here"), "app", **at)
            service = await served
            assert isinstance(service, Service)
            assert not isinstance(service, Awaitable)
            assert (service, repr(service), card.text(service.card_state())) == (
                served,
                repr(served),
                card.text(served.card_state()),
            )
            assert {service} == {served} == {provider.services["app"]}

            shared = service.share(RELAY.url, name="link", token=RELAY.token)
            share = await shared
            assert isinstance(share, Share)
            assert not isinstance(share, Awaitable)
            assert share == shared == await shared
            assert repr(share) == repr(shared)
            assert service.shares == served.shares == (share,)
            share.stop()
            await until(lambda: shared.status == "stopped")
            assert (served.shares, share.status, relay.names) == ((), "stopped", set())

            other = serve(saying(b"here"), "other", **at)
            assert await other != service
            again = await serve(saying(b"again"), "app", **at)
            assert again != service, "which it took the place of"
            assert service.status == "stopped"
            service.stop()
            again.stop()
            await until(lambda: home.names == {"other"})
            with pytest.raises(LinkClosed):
                await served

    run(work)


def test_a_hub_reaches_what_is_published_there_and_nothing_beside_it() -> None:
    async def work() -> None:
        async with two_hubs() as (home, relay, provider):
            await provider.publish(service(provider, "secret"), saying(b"secret"), ADDRESS)
            shared = await provider.publish(service(provider, "open"), saying(b"open"), ADDRESS)
            await share(shared, "known")
            [session] = [session for session in provider.sessions.values() if session.address.url == RELAY.url]
            (replica,) = relay.registry.services["known"].replicas
            for name in ("secret", "open"):  # the second is shared under another name
                relay.registry.services[name] = relay.registry.services["known"]
                visit = relay.ask(name)
                assert await visit.ended == "REFUSED"
                assert visit.body == b""
                del relay.registry.services[name]
            assert replica.session.link is not None
            assert session.status == "linked"
            assert await says(relay, "known") == b"open"
            assert await says(home, "secret") == b"secret"

    run(work)
