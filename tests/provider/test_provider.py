"""A provider and its sessions against a hub's own links, over the in-memory pair: what is promised over lost links."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from portico.card import render as card
from portico.errors import LinkClosed, NameTaken, Refused, StartupFailed
from portico.protocol import Limits, ResetCode
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.serving import serve
from portico.provider.session import HubSession
from portico.provider.thread import LoopThread
from portico.transports.memory import MemoryTransport, pair
from portico.types import ASGIApp, Receive, Scope, Send
from tests.in_process import ADDRESS, BASE, SOON, a_hub, linked
from tests.integration.apps import failing
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

AWAY = LinkClosed("the hub cannot be reached")


def test_published_asked_and_stopped() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            ended: list[bytes] = []
            live = await provider.publish(service(provider), saying(b"hello", ended), ADDRESS)
            assert (live.status, live.url) == ("live", f"{BASE}app/")
            visit = hub.ask("app")
            assert await visit.ended == "whole"
            assert visit.body == b"hello"
            await provider.stop(live)
            assert hub.names == set()
            assert live.status == "stopped"
            await until(lambda: ended)
            await until(lambda: not provider.sessions)

    run(work)


def answering(*statuses: int) -> ASGIApp:
    """An app that answers each request with the next of *statuses*."""
    left = list(statuses)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": left.pop(0), "headers": []})
            await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize(
    ("statuses", "mounted", "hinted"),
    [
        ((404, 404, 404), None, True),
        ((404, 404, 404, 404, 404), "root_path", True),
        ((404, 404), None, False),
        ((200, 404, 404, 404), None, False),
        ((404, 405, 404, 404, 404), None, False),
        ((404, 404, 404), "strip", False),
    ],
)
def test_an_app_that_answers_nothing_but_404_gets_a_hint(
    statuses: tuple[int, ...], mounted: str | None, hinted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            made = service(provider)
            made.options = replace(made.options, mount=mounted)
            live = await provider.publish(made, answering(*statuses), ADDRESS)
            shown: list[str] = []
            provider.subscribe(lambda service: shown.append(card.text(service.card_state())))
            for _ in statuses:
                assert await hub.ask("app").ended == "whole"
            assert ("--mount strip" in repr(live.log)) is hinted
            assert [text.count("nothing but 404") for text in shown] == [1] * hinted, "it is said once"
            assert caplog.text.count("nothing but 404") == hinted

    run(work)


def test_a_lost_link_is_taken_up_again() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b"hello"), ADDRESS)
            hub.cut()
            await until(lambda: live.status == "reconnecting")
            await until(lambda: live.status == "live")
            assert await hub.ask("app").ended == "whole"
            assert len(hub.registry.sessions) == 1

    run(work)


def test_stopped_while_the_link_is_lost_is_told_with_the_next() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            first = await provider.publish(service(provider, "first"), saying(b"1"), ADDRESS)
            second = await provider.publish(service(provider, "second"), saying(b"2"), ADDRESS)
            hub.cut()
            await until(lambda: first.status == "reconnecting")
            await provider.stop(first)
            assert hub.names == {"first", "second"}
            await until(lambda: second.status == "live")
            await until(lambda: hub.names == {"second"})

    run(work)


def test_a_registration_whose_link_is_lost_is_made_again() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            await provider.publish(service(provider, "first"), saying(b"1"), ADDRESS)
            hub.ends[-1].paused = True  # the hub's answer stays on the way
            publishing = asyncio.ensure_future(provider.publish(service(provider, "second"), saying(b"2"), ADDRESS))
            await until(lambda: "second" in hub.names)
            hub.cut()
            live = await publishing
            assert live.status == "live"
            assert hub.names == {"first", "second"}

    run(work)


def test_a_publishing_that_is_given_up_leaves_nothing_behind() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            await provider.publish(service(provider, "first"), saying(b"1"), ADDRESS)
            hub.ends[-1].paused = True
            ended: list[bytes] = []
            second = service(provider, "second")
            publishing = asyncio.ensure_future(provider.publish(second, saying(b"2", ended), ADDRESS))
            await until(lambda: "second" in hub.names)
            publishing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await publishing
            assert second.status == "failed"
            assert ended == [b"2"]
            hub.ends[-1].resume()
            await until(lambda: hub.names == {"first"})

    run(work)


def test_what_was_live_stays_when_serving_it_again_fails() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            first = await provider.publish(service(provider), saying(b"first"), ADDRESS)
            again = service(provider)
            with pytest.raises(StartupFailed, match="the model file is missing"):
                await provider.publish(again, failing(), ADDRESS)
            assert (first.status, again.status) == ("live", "failed")
            with pytest.raises(Refused):
                await provider.publish(service(provider), saying(b"new"), HubAddress("http://other.test/", "bad", "it"))
            visit = hub.ask("app")
            assert await visit.ended == "whole"
            assert visit.body == b"first"

    run(work)


def test_served_again_the_old_app_ends_after_its_last_request() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            hold, ended = asyncio.Event(), []
            old = await provider.publish(service(provider), saying(b"old", ended, hold), ADDRESS)
            running = hub.ask("app")
            await until(lambda: old.instance is not None and old.instance.in_flight)
            new = await provider.publish(service(provider), saying(b"new", ended), ADDRESS)
            assert (old.status, new.status) == ("stopped", "live")
            quick = hub.ask("app")
            assert await quick.ended == "whole"
            assert quick.body == b"new"
            assert ended == []
            hold.set()
            assert await running.ended == "whole"
            assert running.body == b"old"
            await until(lambda: ended == [b"old"])
            await provider.stop(old)
            assert hub.names == {"app"}, "stopping the old one stops nothing"

    run(work)


def test_a_wrong_token_is_refused_for_good() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            bad = service(provider)
            with pytest.raises(Refused, match="no provider's token"):
                await provider.publish(bad, saying(b""), HubAddress(ADDRESS.url, "bad", "the test"))
            assert provider.services == {}
            assert provider.sessions == {}
            assert hub.dialled == 1
            assert (await provider.publish(service(provider), saying(b""), ADDRESS)).status == "live"

    run(work)


def test_a_hub_that_restarts_behind_a_proxy_is_waited_for() -> None:
    """The proxy says 404 meanwhile: only before the first link does that mean that there is no hub."""

    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            hub.away = Refused("answered 404")
            dialled = hub.dialled
            hub.cut()
            await until(lambda: hub.dialled >= dialled + 2)
            assert live.status == "reconnecting"
            hub.away = None
            await until(lambda: live.status == "live")
            hub.away = Refused("answered 404")
            other = HubAddress("http://other.test/", "good", "the test")
            with pytest.raises(Refused):
                await provider.publish(service(provider, "other"), saying(b""), other)

    run(work)


def test_a_name_that_passed_to_another_meanwhile() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b"first"), ADDRESS)
            hub.away = AWAY
            hub.cut()
            await until(lambda: live.status == "reconnecting")
            await until(lambda: hub.names == set())  # held for hold_name seconds

            async def another_way(address: HubAddress, limits: Limits) -> MemoryTransport:
                near, far = pair()
                hub.accept(far)
                return near

            taker = Provider(dial=another_way)
            await taker.publish(service(taker), saying(b"second"), ADDRESS)
            hub.away = None
            await until(lambda: live.status == "stopped")
            assert "is held by" in live.error
            with pytest.raises(NameTaken):
                await provider.publish(service(provider), saying(b"again"), ADDRESS)
            taken = await provider.publish(service(provider, replace=True), saying(b"again"), ADDRESS)
            assert taken.status == "live"
            await until(lambda: taker.services == {})
            await taker.shutdown()

    run(work)


def test_goodbye_frees_names_at_once() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            ended: list[bytes] = []
            await provider.publish(service(provider), saying(b"x", ended), ADDRESS)
            await provider.shutdown()
            assert ended == [b"x"]
            await until(lambda: hub.names == set())
            assert "The process that served this has gone" in str(hub.registry.why_gone("app"))

    run(work)


def test_closed_while_dialling() -> None:
    """A dial that comes through after the close leaves no link behind."""

    async def work() -> None:
        dialling, go_on = asyncio.Event(), asyncio.Event()
        near, far = pair()

        async def dial(address: HubAddress, limits: Limits) -> MemoryTransport:
            dialling.set()
            await go_on.wait()
            return near

        provider = Provider(dial=dial)
        session = HubSession(provider, ADDRESS, {}, dial=dial)
        running = asyncio.ensure_future(session.run())
        await dialling.wait()
        session.close()
        go_on.set()
        await running
        told = _Told()
        far.start(told)
        await until(lambda: told.closed)
        assert told.messages == [], "no HELLO goes out after the close"

    run(work)


class _Told:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.closed = ""

    def message_received(self, message: bytes) -> None:
        self.messages.append(message)

    def transport_writable(self) -> None: ...

    def transport_closed(self, reason: str) -> None:
        self.closed = reason


def test_a_silent_link_is_given_up_and_dialled_again() -> None:
    async def work() -> None:
        limits = Limits(ping_interval=1.5, pong_timeout=0.5, silence_timeout=3.5)  # the link looks once a second
        async with a_hub() as hub:
            provider = Provider(dial=hub.dial, limits=limits)
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            hub.ends[-1].paused = True  # half-open: nothing comes any more, and nothing says so
            await until(lambda: hub.dialled == 2)
            await until(lambda: live.status == "live")
            await provider.shutdown()

    run(work)


def test_a_hub_that_goes_away_is_come_back_to() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            for link in tuple(hub.links._links):
                link.close(ResetCode.NO_ERROR, "the server is stopping", retry_jitter=0.05)
            await until(lambda: live.status == "reconnecting")
            await until(lambda: live.status == "live")

    run(work)


def test_a_hub_without_room_is_asked_again_and_the_card_says_why() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            hub.links.shares.of_owner.of_one = 0
            hub.cut()
            await until(lambda: "has no room" in live.error)
            assert live.status == "reconnecting"
            assert "max_links_of_user" in live.error
            assert "max_links_of_user" in card.text(live.card_state())
            assert "max_links_of_user" in card.html(live.card_state())
            hub.links.shares.of_owner.of_one = 1
            await until(lambda: live.status == "live")
            assert live.error == ""
            assert hub.dialled <= 4, "it is asked seldom"

    run(work)


def test_who_finds_no_room_at_first_is_told_why() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            hub.links.shares.of_owner.of_one = 0
            session = HubSession(provider, ADDRESS, {}, dial=hub.dial)
            running = asyncio.create_task(session.run())
            await until(lambda: session.no_room)
            with pytest.raises(LinkClosed, match="max_links_of_user"):
                await session.linked(timeout=0.0)
            assert session.status == "connecting"
            session.close()
            await running

    run(work)


def test_a_link_that_the_hub_takes_leave_of_serves_its_streams_to_their_end() -> None:
    async def work() -> None:
        # another process takes the leaving one's place
        async with a_hub(SOON) as coming, linked() as (leaving, provider):
            hold = asyncio.Event()
            live = await provider.publish(service(provider), saying(b"whole", hold=hold), ADDRESS)
            running = leaving.ask("app")
            await until(lambda: live.instance is not None and live.instance.in_flight)
            provider.sessions[ADDRESS.url, ""]._dial = coming.dial
            leaving.links.drain(0.01)
            await until(lambda: coming.names == {"app"} and live.status == "live")
            assert leaving.links.count == 1
            assert running.body == b""
            hold.set()
            assert await coming.ask("app").ended == "whole"
            assert await running.ended == "whole"
            assert running.body == b"whole"
            await until(lambda: leaving.links.count == 0)
            await provider.stop(live)
            await until(lambda: coming.links.count == 0)

    run(work)


def test_a_hub_that_stays_and_asks_for_a_new_link_gets_one() -> None:
    """As one does that has used up a link's stream ids: the names stay with the session throughout."""

    async def work() -> None:
        async with linked() as (hub, provider):
            hold = asyncio.Event()
            live = await provider.publish(service(provider), saying(b"whole", hold=hold), ADDRESS)
            running = hub.ask("app")
            await until(lambda: live.instance is not None and live.instance.in_flight)
            hub.links.drain(0.0)
            hub.links._draining = False
            await until(lambda: hub.dialled == 2 and live.status == "live")
            assert (hub.names, len(hub.registry.sessions), hub.links.count) == ({"app"}, 1, 2)
            hold.set()
            assert await running.ended == "whole"
            await until(lambda: hub.links.count == 1)
            assert hub.names == {"app"}, "the old link's goodbye gives nothing away"

    run(work)


def test_stopping_while_a_link_is_seen_off_closes_it_too() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            hold = asyncio.Event()
            live = await provider.publish(service(provider), saying(b"", hold=hold), ADDRESS)
            running = hub.ask("app")
            await until(lambda: live.instance is not None and live.instance.in_flight)
            hub.links.drain(0.01)
            await until(lambda: live.status == "reconnecting")
            await provider.shutdown()
            assert await running.ended == "CANCEL"
            await until(lambda: hub.links.count == 0)

    run(work)


def test_a_session_names_its_workspace_and_keeps_what_the_hub_gave_it() -> None:
    """An anonymous provider comes back to the workspace that was made for it, by the token that it got."""

    async def work() -> None:
        async with linked() as (hub, provider):
            hub.anonymous = True
            hub.welcome |= {"workspace": "quiet-otter", "token": ADDRESS.token}
            nobody = HubAddress(ADDRESS.url, "", "the test")
            live = await provider.publish(service(provider), saying(b""), nobody)
            (session,) = hub.registry.sessions.values()
            assert (hub.shown, session.info["workspace"]) == ([""], "")
            hub.cut()
            await until(lambda: live.status == "reconnecting")
            await until(lambda: live.status == "live")
            (session,) = hub.registry.sessions.values()
            assert (hub.shown, session.info["workspace"]) == (["", ADDRESS.token], "quiet-otter")
            assert set(provider.sessions) == {(nobody.url, "")}
            other = replace(ADDRESS, workspace="other")
            await provider.publish(service(provider, "second"), saying(b""), other)
            assert len(hub.registry.sessions) == 2, "a workspace is a place of its own"

    run(work)


def test_a_provider_on_the_callers_own_loop() -> None:
    async def work() -> None:
        async with a_hub() as hub:
            provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            live = serve(saying(b"here"), "app", hub=ADDRESS.url, token=ADDRESS.token, provider=provider)
            awaited = await live
            assert awaited == await live == live, "it can be awaited again"
            assert provider.thread.loop is asyncio.get_running_loop()
            assert await hub.ask("app").ended == "whole"
            live.stop()
            await until(lambda: hub.names == set())
            await provider.shutdown()
            provider.thread.stop()

    run(work)


def test_a_stream_for_what_is_not_served_is_refused() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            provider._board.remove(live)
            assert await hub.ask("app").ended == "REFUSED"
            provider._board.put(live)

    run(work)


def test_waiting_for_a_hub_that_never_answers_ends() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            hub.away = AWAY
            session = HubSession(provider, ADDRESS, {}, dial=hub.dial)
            running = asyncio.ensure_future(session.run())
            with pytest.raises(LinkClosed, match="cannot be reached"):
                await session.linked(0.2)
            session.close()
            await running

    run(work)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_an_app_raises_beside_its_calls_is_reported_and_all_else_goes_on(kind: type[BaseException]) -> None:
    async def work() -> None:
        async with linked() as (hub, provider):

            async def raises() -> None:
                raise kind

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                if scope["type"] == "http":
                    asyncio.get_running_loop().create_task(raises()).add_done_callback(lambda task: task.exception())
                await saying(b"hello")(scope, receive, send)

            made = await provider.publish(service(provider), app, ADDRESS)
            for _ in range(2):
                assert await hub.ask("app").ended == "whole"
            await until(lambda: len(made.log) == 2)
            assert made.status == "live"

    run(work)
