"""One who takes all the links, sessions, names and registrations that they may leaves room for the others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from portico.errors import Refused
from portico.hub.config import HubConfig
from portico.link import Link
from portico.protocol import Connection, Limits, ResetCode, Role
from portico.protocol.events import GoAway, Hello, Register
from portico.transports.memory import MemoryTransport, pair
from tests.in_process import TOKEN, HereHub, Publisher, a_hub, echo
from tests.transports.recorder import run
from tests.waiting import until

Work = Callable[[HereHub], Awaitable[None]]


def with_hub(work: Work, config: HubConfig) -> None:
    async def inside() -> None:
        async with a_hub(config) as hub:
            await work(hub)

    run(inside)


class Dialler(Publisher):
    """A provider that dials from an address."""

    def __init__(self, hub: HereHub, token: str = TOKEN.decode(), address: str = "192.0.2.1") -> None:
        super().__init__(hub, token)
        self.address = address

    async def connect(self, **options: object) -> Publisher:
        accept = self.hub.links.accept

        def from_address(transport: MemoryTransport) -> Link:
            transport.address = self.address  # type: ignore[attr-defined]
            return accept(transport)

        self.hub.links.accept = from_address  # type: ignore[assignment,method-assign]
        try:
            return await super().connect(**options)  # type: ignore[arg-type]
        finally:
            del self.hub.links.accept


def silent(hub: HereHub, address: str) -> Link:
    """The hub's end of a link on which nothing is said."""
    _, theirs = pair()
    theirs.address = address  # type: ignore[attr-defined]
    return hub.links.accept(theirs)


async def refused(publisher: Publisher, match: str) -> None:
    with pytest.raises(Refused, match=match):
        await publisher.connect()
    assert publisher.goaway is not None
    assert publisher.goaway.code == ResetCode.OVERLOAD
    assert publisher.goaway.retry_jitter > 0


def test_silent_links_of_one_address_leave_room_for_others() -> None:
    async def work(hub: HereHub) -> None:
        links = [silent(hub, "192.0.2.66") for _ in range(1000)]
        assert sum(not link.closed for link in links) == 4
        assert hub.links.refusals.counts["new_links_of_address"] > 0
        await refused(Dialler(hub, address="192.0.2.66"), "have not said who they are")
        await Dialler(hub).connect()
        for link in links:
            link.close()
        await until(lambda: hub.links.shares.new.total == 0)

    with_hub(work, HubConfig(by_address=True, max_new_links_of_address=4))


def test_silent_links_of_one_ipv6_network_are_of_one_address() -> None:
    async def work(hub: HereHub) -> None:
        links = [silent(hub, f"2001:db8:0:1::{number:x}") for number in range(100)]
        links += [silent(hub, f"::ffff:192.0.2.{number}") for number in (9, 9, 9, 9, 9)]
        assert [not link.closed for link in links].count(True) == 4 + 4
        await Dialler(hub, address="2001:db8:0:2::1").connect()

    with_hub(work, HubConfig(by_address=True, max_new_links_of_address=4))


def test_of_too_many_silent_links_in_all_the_oldest_of_who_has_most_goes() -> None:
    async def work(hub: HereHub) -> None:
        one = silent(hub, "192.0.2.1")
        many = [silent(hub, "192.0.2.66") for _ in range(5)]
        await Dialler(hub, address="192.0.2.7").connect()
        assert not one.closed
        assert [link.closed for link in many] == [True, False, False, False, False]

    with_hub(work, HubConfig(by_address=True, max_new_links=6, max_new_links_of_address=5))


def test_where_addresses_are_not_known_a_silent_flood_keeps_nobody_out() -> None:
    async def work(hub: HereHub) -> None:
        links = [silent(hub, "") for _ in range(200)]
        assert sum(not link.closed for link in links) == 8
        await hub.kernel().connect()

    with_hub(work, HubConfig(max_new_links=8))


def test_silent_links_take_no_room_of_providers() -> None:
    async def work(hub: HereHub) -> None:
        for number in range(8):
            silent(hub, f"192.0.2.{number}")
        for number in range(4):
            await hub.kernel(f"k{number}").connect()
        await refused(hub.kernel("k9"), "as many links as it can")

    with_hub(work, HubConfig(max_links=4))


def test_one_kernel_cannot_take_all_links() -> None:
    async def work(hub: HereHub) -> None:
        mine = [await hub.kernel("k1").connect() for _ in range(2)]
        await refused(hub.kernel("k1"), "max_links_of_user")
        await hub.kernel("k2").connect()
        assert hub.links.refusals.counts == {"links_of_user": 1}
        mine[0].leave()
        await until(lambda: hub.links.count == 2)
        await hub.kernel("k1").connect()

    with_hub(work, HubConfig(max_links=8))


def test_one_address_cannot_take_all_links_whatever_its_tokens() -> None:
    async def work(hub: HereHub) -> None:
        mine = []
        for name in ("k1", "k2"):
            hub.kernels[name] = 100
            mine.append(await Dialler(hub, hub.keys.mint_provider(name), "192.0.2.66").connect())
        await refused(Dialler(hub, address="192.0.2.66"), "max_links_of_address")
        await Dialler(hub, address="192.0.2.7").connect()
        await mine[0].cut()
        await until(lambda: hub.links.count == 2)
        await Dialler(hub, address="192.0.2.66").connect()

    with_hub(work, HubConfig(by_address=True, max_links=8, max_links_of_address=2))


def test_a_session_that_comes_back_needs_no_second_place() -> None:
    """Its half-open link goes: a provider with all the links that it may have reconnects all the same."""

    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect()
        await kernel.register("cat", echo)
        for _ in range(5):
            await kernel.connect()
        await until(lambda: hub.links.count == 1)
        assert hub.links.shares.of_owner.total == 1

    with_hub(work, HubConfig(max_links=1))


def test_links_that_said_goodbye_and_stay_count_all_the_same() -> None:
    """A session may have a new link beside one that goes away; but not links without end."""

    async def work(hub: HereHub) -> None:
        kernel = hub.kernel()
        for _ in range(2):
            await kernel.connect()
            assert kernel.link is not None
            kernel.link.connection.send_goaway(ResetCode.CANCEL, "back soon")
            kernel.link.flush_soon()
            await until(lambda: all(known.link.connection.going_away for known in hub.links.all()))
        await refused(kernel, "max_links_of_user")

    with_hub(work, HubConfig(max_links=8))


def test_a_takeover_in_a_loop_is_slowed_down() -> None:
    async def work(hub: HereHub) -> None:
        kernel = hub.kernel()

        async def in_a_loop() -> None:
            for _ in range(100):
                await kernel.connect()

        with pytest.raises(Refused, match="too often"):
            await in_a_loop()
        assert kernel.epoch <= 40
        assert kernel.goaway is not None
        assert kernel.goaway.code == ResetCode.OVERLOAD
        await hub.kernel("k2").connect()

    with_hub(work, HubConfig(max_links_of_user=1))


def test_one_kernel_cannot_take_all_names() -> None:
    async def work(hub: HereHub) -> None:
        one, other = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
        acks = [await one.register(f"cat{number}") for number in range(4)]
        assert [ack.ok for ack in acks] == [True, True, True, False]
        assert acks[-1].code == "no_room"
        assert "max_services_of_user" in acks[-1].error
        again = await hub.kernel("k1").connect()  # by another link of the same kernel
        assert not (await again.register("dog")).ok
        assert (await one.register("cat0", title="again")).ok
        assert (await other.register("dog")).ok
        assert (await other.register("cat0", replace=True)).ok
        assert one.stopped == ["cat0"]
        await one.unregister("cat1")
        assert (await one.register("cow")).ok

    with_hub(work, HubConfig(max_services=4))


def test_a_refused_name_is_taken_from_nobody() -> None:
    async def work(hub: HereHub) -> None:
        one, other = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
        for number in range(3):
            assert (await one.register(f"cat{number}")).ok
        await other.register("dog", echo, access="public")
        assert not (await one.register("dog", replace=True)).ok
        assert other.stopped == []
        assert (await hub.visit("dog/")).status == 200

    with_hub(work, HubConfig(max_services=5, max_services_of_user=3))


def test_a_hundred_registrations_at_once_pass_and_a_flood_is_cut_off() -> None:
    async def work(hub: HereHub) -> None:
        kernel, other = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
        for number in range(100):
            assert (await kernel.register(f"cat{number}")).ok
        assert kernel.link is not None
        for number in range(5000):
            kernel.link.connection.send_register(Register(100_000 + number, {"name": "cat1"}))
            kernel.link.flush_soon()
            if number % 50 == 0:
                await asyncio.sleep(0)
                if kernel.closed:
                    break
        await until(lambda: kernel.closed)
        assert kernel.goaway is not None
        assert kernel.goaway.code == ResetCode.OVERLOAD
        assert any(ack.code == "too_often" and "Try again in" in ack.error for ack in kernel.acks.values())
        assert (await other.register("dog")).ok
        assert hub.links.refusals.counts["registrations"] > 0

    with_hub(work, HubConfig(max_services=200))


@pytest.mark.parametrize("seed", range(8))
def test_counts_never_leak(seed: int) -> None:
    """Whatever comes and goes, and breaks in between: in the end nobody holds anything."""

    async def work(hub: HereHub) -> None:
        chance = random.Random(seed)
        tokens = [TOKEN.decode(), "no token", *(hub.keys.mint_provider(name) for name in ("k1", "k2"))]
        hub.kernels |= {"k1": 100, "k2": 100}
        ends: list[MemoryTransport] = []
        sessions = [f"{number:016d}" for number in range(4)]
        for step in range(300):
            mine, theirs = pair()
            theirs.address = f"192.0.2.{chance.randrange(3)}"  # type: ignore[attr-defined]
            link = hub.links.accept(theirs)
            ends.append(mine)
            if chance.random() < 0.8:
                provider = Connection(Role.PROVIDER, Limits(), now=0.0)
                token, session = chance.choice(tokens), chance.choice(sessions)
                provider.send_hello(Hello(token=token, session=session, epoch=chance.choice([1, step + 1])))
                mine.start(_Deaf())
                mine.send(provider.data_to_send())
                if chance.random() < 0.3:
                    mine.send(chance.choice([b"\xff" * 40, b"x", b""]))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            match chance.randrange(5):
                case 0:
                    chance.choice(ends).cut()
                case 1:
                    link.close(ResetCode.NO_ERROR, "over")
                case 2:
                    hub.links.end(lambda session: chance.random() < 0.3, "revoked")
                case 3:
                    hub.links.kernel_ended(hub.registry, chance.choice(["k1", "k2"]))
            counts = hub.links.shares
            assert counts.new.total + counts.of_owner.total == sum(
                known.standing.state != "" for known in hub.links._links.values()
            )
        for end in ends:
            end.cut()
        await until(lambda: not hub.links._links)
        for shares in (hub.links.shares.new, hub.links.shares.of_address, hub.links.shares.of_owner):
            assert (shares.total, shares._held) == (0, {})

    with_hub(work, HubConfig(by_address=True, max_links=8, max_new_links=6, max_new_links_of_address=3))


class _Deaf:
    def message_received(self, message: bytes) -> None: ...
    def transport_writable(self) -> None: ...
    def transport_closed(self, reason: str) -> None: ...


def test_who_is_turned_away_is_told_by_a_goaway_alone() -> None:
    async def work(hub: HereHub) -> None:
        silent(hub, "192.0.2.66")
        mine, theirs = pair()
        theirs.address = "192.0.2.66"  # type: ignore[attr-defined]
        provider = Connection(Role.PROVIDER, Limits(), now=0.0)
        told: list[object] = []

        class Reader(_Deaf):
            def message_received(self, message: bytes) -> None:
                told.extend(provider.receive_message(message, 0.0))

        provider.send_hello(Hello(token=TOKEN.decode(), session="s" * 16, epoch=1))
        provider.data_to_send()
        mine.start(Reader())
        hub.links.accept(theirs)
        await until(lambda: told)
        [goaway] = told
        assert isinstance(goaway, GoAway)
        assert (goaway.code, goaway.retry_jitter) == (ResetCode.OVERLOAD, 10.0)
        assert "1 links from your address" in goaway.reason

    with_hub(work, HubConfig(by_address=True, max_new_links_of_address=1))
