"""The providers' side: who is let in, and who takes a session up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from portico.errors import Refused
from portico.hub.config import HubConfig
from portico.protocol import Limits
from portico.transports.memory import pair
from tests.in_process import TOKEN, HereHub, Publisher, a_hub, echo
from tests.transports.recorder import Recorder, run
from tests.waiting import until


def with_hub(work: Callable[[HereHub], Awaitable[None]], config: HubConfig | None = None) -> None:
    async def inside() -> None:
        async with a_hub(config) as hub:
            await work(hub)

    run(inside)


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "日本", "x\r\ny", "k" * 5000])
def test_a_wrong_token_is_refused_with_a_reason(token: str) -> None:
    async def work(hub: HereHub) -> None:
        with pytest.raises(Refused, match="token"):
            await Publisher(hub, token).connect()
        assert hub.registry.sessions == {}

    with_hub(work)


def test_a_visitors_key_publishes_nothing() -> None:
    async def work(hub: HereHub) -> None:
        key, _ = await hub.keys.mint(["cat"], 60)
        with pytest.raises(Refused):
            await Publisher(hub, key).connect()

    with_hub(work)


def test_a_kernel_that_has_ended_publishes_nothing() -> None:
    async def work(hub: HereHub) -> None:
        kernel = hub.kernel()
        hub.kernels.clear()
        with pytest.raises(Refused, match="no such kernel"):
            await kernel.connect()

    with_hub(work)


def test_a_stranger_is_not_kept_when_the_token_cannot_be_checked(caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        async def broken(token: str) -> None:
            raise OSError("the directory of users is away")

        hub.links._authenticate = broken  # type: ignore[assignment]
        with pytest.raises(Refused, match="could not be checked"):
            await Publisher(hub, TOKEN.decode()).connect()
        assert not hub.links._links

    with_hub(work)
    assert "could not be checked" in caplog.text


def test_who_says_nothing_is_sent_away() -> None:
    async def work(hub: HereHub) -> None:
        mine, theirs = pair()
        hub.links.accept(theirs)
        recorder = Recorder()
        mine.start(recorder)
        await until(lambda: recorder.closed)
        assert "no HELLO" in recorder.closed[0]

    with_hub(work, HubConfig(limits=Limits(hello_timeout=0.1)))


@pytest.mark.parametrize("message", [b"x" * 9000, b"\x00" * 8, b"\x01\x00\x00\x00" * 3 + b"{}", b""])
def test_what_is_no_hello_ends_the_link(message: bytes) -> None:
    async def work(hub: HereHub) -> None:
        mine, theirs = pair()
        hub.links.accept(theirs)
        recorder = Recorder()
        mine.start(recorder)
        mine.send(message)
        await until(lambda: recorder.closed)
        assert not hub.links._links

    with_hub(work, HubConfig(limits=Limits(hello_timeout=0.1)))


def test_more_links_than_there_may_be_are_refused() -> None:
    async def work(hub: HereHub) -> None:
        kernels = [await hub.kernel(f"k{number}").connect() for number in range(2)]
        with pytest.raises(Refused, match="as many links as it can"):
            await hub.kernel("k3").connect()
        kernels[0].leave()
        while len(hub.links._links) > 1:  # noqa: ASYNC110 -- the hub hears in a later turn, and tells nobody
            await asyncio.sleep(0)
        await hub.kernel("k3").connect()

    with_hub(work, HubConfig(max_links=2))


def test_a_session_is_taken_up_again_with_its_names() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect()
        await kernel.register("cat", echo, access="public")
        before = hub.registry.services["cat"]
        await kernel.cut()
        assert before.status == "reconnecting"
        await kernel.connect()
        assert hub.registry.services["cat"] is before
        assert (await hub.visit("cat/")).status == 200

    with_hub(work)


def test_a_newer_link_takes_a_half_open_ones_place() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect()
        await kernel.register("cat", echo, access="public")
        old = kernel.link
        await kernel.connect()
        assert old is not None
        await until(lambda: old.closed)
        assert (await hub.visit("cat/")).status == 200

    with_hub(work)


def test_another_kernel_cannot_take_a_session_over_even_if_it_knows_its_id() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel("k1").connect()
        await kernel.register("cat", echo, access="public")
        thief = hub.kernel("k2")
        thief.session = kernel.session
        with pytest.raises(Refused, match="another provider"):
            await thief.connect(epoch=99)
        assert kernel.link is not None
        assert not kernel.link.closed
        assert (await hub.visit("cat/")).status == 200
        await kernel.cut()
        with pytest.raises(Refused, match="another provider"):
            await thief.connect(epoch=99)
        await kernel.connect()

    with_hub(work)


def test_an_old_epoch_is_not_let_in() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect(epoch=5)
        late = hub.kernel()
        late.session = kernel.session
        with pytest.raises(Refused, match="newer"):
            await late.connect(epoch=5)

    with_hub(work)


def test_a_registration_that_is_refused_says_why() -> None:
    async def work(hub: HereHub) -> None:
        kernel, other = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
        assert (await kernel.register("cat", echo)).url.endswith("/portico/apps/cat/")
        taken = await other.register("cat", echo)
        assert (taken.ok, taken.code, taken.detail["kernel_id"]) == (False, "name_taken", "k1")
        assert (await other.register("Cat")).code == "invalid_name"
        assert (await other.register("dog", access="open")).code == "invalid_option"
        assert not (await other.unregister("cat")).ok
        assert (await other.register("cat", echo, replace=True)).ok
        await until(lambda: kernel.stopped == ["cat"])

    with_hub(work)


def test_what_a_holder_says_of_itself_cannot_silence_the_answer_to_others() -> None:
    async def work(hub: HereHub) -> None:
        loud = hub.kernel("k1")
        loud.info = {"notebook": "\u00e9" * 1000}
        await loud.connect()
        await loud.register("cat", echo)
        other = await hub.kernel("k2").connect(limits=Limits(max_control_frame=16 * 1024))
        assert (await other.register("cat", echo)).code == "name_taken"

    with_hub(work)
