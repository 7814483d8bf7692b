"""The control API without a web framework: what a user may do, and how little a kernel may."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.hub.control import MADE_AT_ONCE, MOST_READERS
from portico.hub.descriptor import Principal
from tests.in_process import HereHub, Publisher, a_hub, echo
from tests.transports.recorder import run
from tests.waiting import until

USER = Principal(id="user:ada")


def who_is(kernel_id: str) -> Principal:
    return Principal(id=f"kernel:{kernel_id}", kernel_id=kernel_id, manages=False)


def with_two_kernels(work: Callable[[HereHub, Publisher], Awaitable[None]], config: HubConfig | None = None) -> None:
    """Kernel k1 serves `cat`, kernel k2 serves `dog`."""

    async def inside() -> None:
        async with a_hub(config) as hub:
            one, two = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
            await one.register("cat", echo, title="Cat")
            await two.register("dog", echo)
            await work(hub, one)
            for kernel in (one, two):
                kernel.leave()

    run(inside)


async def refused(awaitable: Awaitable[Any]) -> Answer:
    with pytest.raises(Answer) as raised:
        await awaitable
    return raised.value


def test_it_says_what_a_service_offers_and_keeps_what_it_does_not_know() -> None:
    generate, embed = {"type": "generate", "gpus": 2}, {"type": "embed", "gpus": True}

    async def work(hub: HereHub, kernel: Publisher) -> None:
        more = {"later": {"a": [1, None]}, "url": "https://evil.example/", "status": "stopped", "replicas": []}
        offered = {"kind": "board", "models": ["m"], "tools": {"names": ["add"], "digest": "9f86"}, **more}
        assert (await kernel.register("cat", capabilities=[generate], replica=True, **offered)).ok
        other = await hub.kernel("k3").connect()
        assert (await other.register("cat", echo, capabilities=[embed, generate], replica=True, **offered)).ok
        shown = hub.control.service(USER, "cat")
        assert (shown["kind"], shown["models"], shown["tools"], shown["tools_digest"]) == (
            "board",
            ["m"],
            ["add"],
            "9f86",
        )
        assert shown["capabilities"] == [generate, embed]
        assert [replica["capabilities"] for replica in shown["replicas"]] == [[generate], [embed, generate]]
        assert (shown["more"], shown["status"], len(shown["replicas"])) == (more, "live", 2)
        assert "evil" not in shown["url"]
        other.leave()
        assert (await kernel.register("cat", replica=True)).ok
        shown = hub.control.service(USER, "cat")
        assert (shown["kind"], shown["tools"], shown["tools_digest"], shown["more"]) == ("app", [], "", {})

    with_two_kernels(work)


def test_a_service_that_offers_what_it_may_not_stays_as_it_was() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        before = hub.control.service(USER, "cat")
        for wrong in ({"tools": ["add"]}, {"capabilities": {"a": 1}}, {"kind": ["board"]}, {"more": "x" * 20_000}):
            ack = await kernel.register("cat", **wrong)
            assert (ack.ok, ack.code) == (False, "invalid_option")
            assert len(ack.error) < 500
        assert hub.control.service(USER, "cat") == before

    with_two_kernels(work)


def test_a_kernel_makes_keys_for_what_it_publishes_and_nothing_else() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        control, who = hub.control, who_is("k1")
        made = await control.mint(who, {"services": ["cat"], "expires_in": 60, "label": "for Eve"})
        assert hub.keys.verify(made["key"]).services == ("cat",)
        assert made["created_by"] == "kernel:k1"
        for services in (["dog"], ["cat", "dog"], ["nowhere"]):
            assert (await refused(control.mint(who, {"services": services}))).status == 403
        for call in (
            lambda: control.services(who),
            lambda: control.service(who, "cat"),
            lambda: control.stop(who, "cat"),
            lambda: control.keys(who),
        ):
            with pytest.raises(Answer) as raised:
                call()
            assert raised.value.status == 403
        assert (await refused(control.revoke(who, made["id"]))).status == 403
        assert (await refused(anext(control.events(who)))).status == 403
        assert (await refused(control.mint(who_is("k3"), {"services": ["cat"]}))).status == 403

    with_two_kernels(work)


def test_a_user_sees_and_stops_everything() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        control = hub.control
        assert [service["name"] for service in control.services(USER)] == ["cat", "dog"]
        shown = control.service(USER, "cat")
        assert shown["title"] == "Cat"
        assert shown["url"] == "/portico/apps/cat/"
        assert shown["status"] == "live"
        assert shown["replicas"][0]["kernel_id"] == "k1"
        assert kernel.token not in json.dumps(control.services(USER))
        assert kernel.session not in json.dumps(control.services(USER))
        control.stop(USER, "cat")
        await until(lambda: kernel.stopped == ["cat"])
        for call in (control.stop, control.service):
            with pytest.raises(Answer) as raised:
                call(USER, "cat")
            assert raised.value.status == 404

    with_two_kernels(work)


def test_a_user_makes_lists_and_revokes_keys_of_any_service_even_a_coming_one() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        control = hub.control
        made = await control.mint(USER, {"services": ["cat", "later"]})
        listed = control.keys(USER)
        assert [key["id"] for key in listed] == [made["id"]]
        assert made["key"] not in json.dumps(listed)
        await control.revoke(USER, made["id"])
        assert control.keys(USER)[0]["revoked"]
        assert (await refused(control.revoke(USER, "nope"))).status == 404

    with_two_kernels(work)


BAD_BODIES: list[Any] = [
    None, [], "cat", 1, {}, {"services": []}, {"services": "cat"}, {"services": ["Cat"]}, {"services": [1.5]},
    {"services": ["cat/../dog"]}, {"services": ["cat"] * 101}, {"services": [["cat"]]}, {"services": [None]},
    {"services": ["cat"], "expires_in": 0}, {"services": ["cat"], "expires_in": -1},
    {"services": ["cat"], "expires_in": math.nan}, {"services": ["cat"], "expires_in": math.inf},
    {"services": ["cat"], "expires_in": 10**400}, {"services": ["cat"], "expires_in": True},
    {"services": ["cat"], "expires_in": "60"}, {"services": ["cat"], "expires_in": 101},
    {"services": ["cat"], "label": 1}, {"services": ["cat"], "label": "x" * 201},
]  # fmt: skip


def test_bodies_that_say_no_key_are_400() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for body in BAD_BODIES:
            assert (await refused(hub.control.mint(USER, body))).status == 400, body
        assert (await hub.control.mint(USER, {"services": ["cat"], "expires_in": 100}))["expires"]

    with_two_kernels(work, HubConfig(max_key_lifetime=100.0))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)  # each example starts a hub and its threads, which takes a while on a busy machine
@given(st.dictionaries(st.sampled_from(["services", "expires_in", "label"]), ANY_JSON))
def test_any_body_makes_a_key_or_is_refused(body: dict[str, Any]) -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            try:
                await hub.control.mint(USER, body)
            except Answer as answer:
                assert answer.status in (400, 403)  # noqa: PT017 -- the other outcome is right too

    asyncio.run(inside())


def test_one_maker_holds_so_many_keys() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for _ in range(3):
            await hub.control.mint(who_is("k1"), {"services": ["cat"]})
        assert (await refused(hub.control.mint(who_is("k1"), {"services": ["cat"]}))).status == 429
        await hub.control.mint(who_is("k2"), {"services": ["dog"]})

    with_two_kernels(work, HubConfig(max_keys=3))


def parsed(event: str) -> tuple[str, Any]:
    name, data = event.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def following(events: AsyncIterator[str], *, wanted: str) -> Any:
    async for event in events:
        name, data = parsed(event)
        if name == wanted:
            return data
    raise AssertionError(f"the stream ended before {wanted}")


def test_events_tell_the_whole_then_what_changes() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        events = hub.control.events(USER)
        name, data = parsed(await anext(events))
        assert name == "services"
        assert [service["name"] for service in data["services"]] == ["cat", "dog"]
        await kernel.register("cow", echo)
        assert (await following(events, wanted="registered"))["service"]["name"] == "cow"
        await kernel.register("cow", echo, title="Cow")
        assert (await following(events, wanted="updated"))["service"]["title"] == "Cow"
        await kernel.unregister("cow")
        assert (await following(events, wanted="removed"))["name"] == "cow"
        await kernel.cut()
        assert (await following(events, wanted="status"))["service"]["status"] == "reconnecting"
        hub.links.kernel_ended(hub.registry, "k1")
        assert (await following(events, wanted="removed"))["reason"]
        await hub.visit("dog/", headers=[(b"authorization", b"Bearer the-hubs-own-token")])
        assert (await following(events, wanted="activity"))["services"]["dog"]["requests"] == 1
        await events.aclose()  # type: ignore[attr-defined]

    with_two_kernels(work)


def test_a_stream_of_events_ends_so_that_its_reader_is_asked_again() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        events = hub.control.events(USER)
        await anext(events)
        with pytest.raises(StopAsyncIteration):
            await anext(events)

    with_two_kernels(work, HubConfig(events_lifetime=0.0))


def test_a_reader_that_lags_starts_over_from_the_whole() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        events = hub.control.events(USER)
        await anext(events)
        for _ in range(1100):
            hub.registry.stalled(next(iter(hub.registry.sessions.values())), True)
        assert len(await following(events, wanted="services")) == 2
        await events.aclose()  # type: ignore[attr-defined]

    with_two_kernels(work)


def test_keys_that_are_made_at_once_are_no_more_than_their_maker_may_hold() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        tries = [hub.control.mint(who_is("k1"), {"services": ["cat"]}) for _ in range(20)]
        made = [item for item in await asyncio.gather(*tries, return_exceptions=True) if isinstance(item, dict)]
        assert len(made) == hub.keys.held_by("kernel:k1") == 3

    with_two_kernels(work, HubConfig(max_keys=3))


def test_a_key_that_could_not_be_kept_does_not_count() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        def full(key: Any) -> None:
            raise OSError("the disk is full")

        save, hub.keys._store.save = hub.keys._store.save, full  # type: ignore[method-assign]
        with pytest.raises(OSError, match="full"):
            await hub.control.mint(USER, {"services": ["cat"]})
        hub.keys._store.save = save  # type: ignore[method-assign]
        assert hub.keys.held_by(USER.id) == 0

    with_two_kernels(work)


def test_keys_made_in_a_loop_come_slowly_for_their_maker_alone() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        for _ in range(MADE_AT_ONCE):
            await hub.control.mint(who_is("k1"), {"services": ["cat"], "expires_in": 1})
        answer = await refused(hub.control.mint(who_is("k1"), {"services": ["cat"]}))
        assert (answer.status, answer.code) == (429, "made_too_often")
        assert answer.retry_after == 1
        await hub.control.mint(who_is("k2"), {"services": ["dog"]})

    with_two_kernels(work)


def test_one_user_reads_so_many_streams_of_events() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        streams = [hub.control.events(USER) for _ in range(MOST_READERS)]
        for events in streams:
            await anext(events)
        answer = await refused(anext(hub.control.events(USER)))
        assert (answer.status, answer.code) == (429, "too_many_readers")
        assert answer.retry_after
        other = hub.control.events(Principal(id="user:eve"))
        await anext(other)
        await streams.pop().aclose()  # type: ignore[attr-defined]
        streams += [hub.control.events(USER), other]
        await anext(streams[-2])
        for events in streams:
            await events.aclose()  # type: ignore[attr-defined]
        assert hub.control._readers.total == 0

    with_two_kernels(work)
