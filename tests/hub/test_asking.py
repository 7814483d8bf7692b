"""What a hub asks of providers, most of them hostile: an answer has a size and a time, and costs visitors nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from portico.errors import LocalProtocolError
from portico.hub.answers import Answer
from portico.hub.asking import ask
from portico.hub.control import MOST_ASKED, MOST_ASKED_OF_ONE
from portico.hub.descriptor import Principal
from portico.hub.replicas import Replica
from portico.link import Stream, StreamHandler
from portico.protocol import Limits, ResetCode, frames
from portico.protocol.control import FEATURE, SERVICE
from portico.protocol.events import Open
from portico.protocol.offer import ToolList
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.thread import LoopThread
from tests.in_process import ADDRESS, SOON, HereHub, Publisher, a_hub, echo
from tests.link_pair import Owner
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import turns, until

USER = Principal(id="user:ada")
KERNEL = Principal(id="kernel:k1", kernel_id="k1", manages=False)

Behave = Callable[[Stream, Open], None]
"""What a provider does with a stream that a question is asked on."""


class Hostile(Publisher):
    """Answers questions as the test says, and visitors by its apps."""

    behave: Behave
    asked: list[Open]
    owners: list[Owner]

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        if request.service != SERVICE:
            return super().on_open(stream, request)
        self.asked.append(request)
        owner = Owner()
        owner.stream = stream
        self.owners.append(owner)
        self.behave(stream, request)
        return owner


def hostile(
    behave: Behave, work: Callable[[HereHub, Hostile, Replica], Awaitable[None]], *, limits: Limits | None = None
) -> None:
    """A hub with one provider that serves `cat`; afterwards nothing of a question is left."""

    async def inside() -> None:
        async with a_hub(SOON) as hub:
            hub.kernels["k1"] = 100
            provider = Hostile(hub, hub.keys.mint_provider("k1"))
            provider.features, provider.behave, provider.asked, provider.owners = (FEATURE,), behave, [], []
            await provider.connect(limits=limits)
            await provider.register("cat", echo)
            cat = hub.registry.services["cat"]
            (replica,) = cat.replicas
            link = replica.session.link
            assert link is not None
            await work(hub, provider, replica)
            assert link.streams == {}
            assert link.connection.streams == link.connection.held == 0
            assert (replica.in_flight, replica.requests, replica.session.callers) == (0, 0, {})
            assert (cat.requests, cat.used) == (0, 0.0)

    run(inside)


async def fails(asking: Awaitable[Any]) -> Answer:
    with pytest.raises(Answer) as raised:
        await asking
    return raised.value


def silent(stream: Stream, request: Open) -> None:
    """Says nothing."""


def says(*pieces: bytes, status: int = 200) -> Behave:
    def behave(stream: Stream, request: Open) -> None:
        stream.send_head(status, [(b"content-type", b"application/json")])
        for piece in pieces:
            stream.send_data(piece)
        stream.send_data(b"", fin=True)

    return behave


def raw(*made: Callable[[int], bytes]) -> Behave:
    """Frames that no connection of ours would make, put on the wire as they are."""

    def behave(stream: Stream, request: Open) -> None:
        stream.link.transport.send(b"".join(make(stream.id) for make in made))

    return behave


def test_an_answer_comes_whole_with_its_status() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        assert await ask(replica, "GET", "/log?service=cat", asker="user:ada") == (201, b'{"a": 1}')
        request = provider.asked[0]
        assert (request.service, request.method, request.raw_path, request.query) == (
            *(SERVICE, "GET", b"/log", b"service=cat"),
        )
        assert (request.headers, request.client, request.server, request.root_path) == ([], None, None, "")
        assert json.loads(request.identity) == {"asker": "user:ada"}, "no more of them than that"

    hostile(says(b'{"a"', b": 1}", status=201), work)


def test_a_body_is_sent() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "POST", "/x", asker="user:ada", body=b"some"))
        await until(lambda: provider.owners and provider.owners[0].fin)
        assert provider.owners[0].body == b"some"
        provider.owners[0].stream.send_head(204, [], fin=True)
        assert await asking == (204, b"")

    hostile(silent, work)


def test_a_provider_that_never_answers_is_given_up() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        answer = await fails(ask(replica, "GET", "/log", asker="user:ada", seconds=0.05))
        assert (answer.status, answer.code) == (504, "provider_timeout")
        await until(lambda: provider.owners[0].resets)
        assert provider.owners[0].resets[0][0] is ResetCode.CANCEL

    hostile(silent, work)


def test_one_that_answers_a_byte_at_a_time_has_no_more_time() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "GET", "/log", asker="user:ada", seconds=0.2))
        await until(lambda: provider.owners)
        stream = provider.owners[0].stream
        stream.send_head(200, [])
        sent = 0
        while not asking.done():
            try:
                stream.send_data(b"x")
                sent += 1
            except LocalProtocolError:  # it was reset
                break
            await asyncio.sleep(0.001)
        assert (await fails(asking)).code == "provider_timeout"
        assert sent > 2

    hostile(silent, work)


def test_one_that_floods_is_stopped_by_its_window_and_reset() -> None:
    most = 100_000

    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "GET", "/log", asker="user:ada", most=most))
        await until(lambda: provider.owners)
        owner = provider.owners[0]
        owner.stream.send_head(200, [])
        for _ in range(1000):
            owner.stream.send_data(bytes(64 * 1024))  # 64 MiB that wait to go
        answer = await fails(asking)
        assert (answer.status, answer.code) == (502, "answer_too_large")
        await until(lambda: owner.resets)
        assert owner.resets[0][0] is ResetCode.TOO_LARGE
        assert hub.registry.sessions[provider.session].link is not None, "its visitors keep their link"

    hostile(silent, work)


def test_what_it_floods_with_never_leaves_the_window() -> None:
    """Of 64 MiB that are to come, no more is sent than what may be read, and a window."""
    most = 100_000

    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        assert provider.transport is not None
        sent: list[int] = []
        send = provider.transport.send
        provider.transport.send = lambda message: (sent.append(len(message)), send(message))[1]  # type: ignore[method-assign]
        answer = await fails(ask(replica, "GET", "/log", asker="user:ada", most=most))
        assert answer.code == "answer_too_large"
        await until(lambda: provider.owners[0].resets)
        assert sum(sent) <= most + 2 * Limits().stream_window + Limits().max_batch

    hostile(says(*[bytes(64 * 1024)] * 1000), work)


@pytest.mark.parametrize(
    ("code", "status"),
    [(ResetCode.REFUSED, 503), (ResetCode.APP_ERROR, 502), (ResetCode.CANCEL, 502), (ResetCode.NO_ERROR, 502)],
)
@pytest.mark.parametrize("begun", [False, True])
def test_one_that_resets_is_told_of_as_lost(code: ResetCode, status: int, begun: bool) -> None:
    def behave(stream: Stream, request: Open) -> None:
        if begun:
            stream.send_head(200, [])
            stream.send_data(b"half")
        stream.reset(code, "<script>")

    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        answer = await fails(ask(replica, "GET", "/log", asker="user:ada"))
        assert answer.status == status
        assert "script" not in answer.message

    hostile(behave, work)


HEAD = frames.pack_head(7, 0, 200, [], False, b"")
LARGE = frames.pack_head(7, 0, 200, [(b"a", b"")] * 13_000, False, b"")


def _head(made: bytes) -> Callable[[int], bytes]:
    return lambda stream_id: made[:4] + stream_id.to_bytes(4, "big") + made[8:]


def _data(stream_id: int, flags: int, data: bytes) -> bytes:
    return bytes((0x12, flags, 0, 0)) + stream_id.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data


BREAKS = {
    "two heads": (_head(HEAD), _head(HEAD)),
    "a body before its head": (lambda stream_id: _data(stream_id, 0, b"x"),),
    "a head that is too long": (_head(frames.pack_head(7, 0, 200, [(b"a" * 60, b"b" * 60)] * 1000, False, b"")),),
    "a head that says 1xx": (_head(frames.pack_head(7, 0, 200, [], False, b"").replace(b"\x00\xc8", b"\x00\x67", 1)),),
}


@pytest.mark.parametrize("how", BREAKS)
def test_one_that_breaks_the_protocol_loses_its_link_and_the_question_ends(how: str) -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        other = await hub.kernel("k2").connect()
        await other.register("dog", echo)
        answer = await fails(ask(replica, "GET", "/log", asker="user:ada"))
        assert answer.status == 502
        await until(lambda: provider.closed)
        assert (await hub.visit("dog/", headers=[(b"authorization", b"token the-hubs-own-token")])).status == 200

    hostile(raw(*BREAKS[how]), work)


def test_as_many_fields_as_a_head_may_have_are_not_kept() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        assert await ask(replica, "GET", "/log", asker="user:ada") == (200, b"{}")

    hostile(raw(_head(LARGE), lambda stream_id: _data(stream_id, frames.FIN, b"{}")), work)


def test_a_link_that_is_lost_meanwhile_ends_the_question() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "GET", "/log", asker="user:ada"))
        await until(lambda: provider.owners)
        await provider.cut()
        assert (await fails(asking)).code in ("provider_lost", "provider_reconnecting")
        assert (await fails(ask(replica, "GET", "/log", asker="user:ada"))).code == "provider_reconnecting"

    hostile(silent, work)


def test_who_leaves_gives_the_question_up() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "GET", "/log", asker="user:ada"))
        await until(lambda: provider.owners)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: provider.owners[0].resets)
        assert provider.owners[0].resets[0][0] is ResetCode.CANCEL

    hostile(silent, work)


def test_an_older_provider_is_not_asked_and_it_is_said_why() -> None:
    async def work() -> None:
        async with a_hub(SOON) as hub:
            old = await hub.kernel().connect()
            await old.register("cat", echo)
            (replica,) = hub.registry.services["cat"].replicas
            answer = await fails(ask(replica, "GET", "/log", asker="user:ada"))
            assert (answer.status, answer.code) == (501, "cannot_ask")
            assert "older Portico" in answer.message
            assert replica.session.link is not None
            assert replica.session.link.connection.streams == 0
            old.features = (FEATURE,)  # it is updated, and comes back
            await old.connect()
            assert (await fails(ask(replica, "GET", "/log", asker="user:ada"))).code == "provider_reconnecting"

    run(work)


def test_a_link_that_is_full_takes_no_questions() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking = asyncio.create_task(ask(replica, "GET", "/log", asker="user:ada"))
        await until(lambda: provider.owners)
        answer = await fails(ask(replica, "GET", "/log", asker="user:ada"))
        assert (answer.status, answer.code) == (503, "overloaded")
        asking.cancel()
        await turns()

    hostile(silent, work, limits=replace(Limits(), max_streams=1))


# --- the control API --------------------------------------------------------------------------------------------


def with_a_provider(work: Callable[[HereHub, Provider, Service], Awaitable[None]], *, own: bool = True) -> None:
    """A real one, which serves `cat` on what is its author's *own* hub, or on another."""

    async def inside() -> None:
        async with a_hub(SOON) as hub:
            provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            cat = await provider.publish(service(provider, "cat"), saying(b"cat"), replace(ADDRESS, own=own))
            await work(hub, provider, cat)
            await provider.shutdown()

    run(inside)


def test_a_user_reads_the_log_and_the_schemas() -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        cat.log.printed("one\ntwo\n")
        cat.log.printed("three\n")
        page = json.loads(await hub.control.log(USER, "cat", {}))
        assert [one["text"] for one in page["entries"]] == ["one\ntwo\n", "three\n"]
        page = json.loads(await hub.control.log(USER, "cat", {"after": "1", "limit": "5", "replica": "0"}))
        assert [one["text"] for one in page["entries"]] == ["three\n"]
        cat.tools = ToolList.of({"add": {"type": "object"}})
        told = json.loads(await hub.control.tools(USER, "cat", {}))
        assert told["tools"] == [{"name": "add", "schema": {"type": "object"}}]

    with_a_provider(work)


def test_a_kernel_reads_no_log_not_its_own_either() -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        for asking in (hub.control.log(KERNEL, "cat", {}), hub.control.tools(KERNEL, "cat", {})):
            assert (await fails(asking)).status == 403
        assert (await fails(hub.control.stop_as_author(KERNEL, "cat"))).status == 403
        assert hub.names == {"cat"}

    with_a_provider(work)


def test_that_a_question_fails_is_told_by_the_control_api_too() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        for _ in range(MOST_ASKED_OF_ONE + 1):
            assert (await fails(hub.control.log(USER, "cat", {}))).code == "provider_lost"

    hostile(lambda stream, request: stream.reset(ResetCode.APP_ERROR, ""), work)


def test_a_hub_that_is_not_its_authors_own_is_told_so() -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        cat.log.printed("a secret\n")
        answer = await fails(hub.control.log(USER, "cat", {}))
        assert (answer.status, answer.code) == (403, "not_own_hub")
        told = json.loads(await hub.control.tools(USER, "cat", {}))
        assert told["tools"] == [], "what its visitors are told is no secret to it"

    with_a_provider(work, own=False)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"after": "x"}, "invalid_after"),
        ({"after": ""}, "invalid_after"),
        ({"limit": "-1"}, "invalid_limit"),
        ({"limit": "1001"}, "invalid_query"),
        ({"limit": "1&service=dog"}, "invalid_limit"),
        ({"after": "9" * 30}, "invalid_after"),
        ({"after": "\u0663"}, "invalid_after"),
        ({"replica": "1"}, "invalid_replica"),
    ],
)
def test_arguments_that_cannot_be_used_are_told(given: dict[str, str], code: str) -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        answer = await fails(hub.control.log(USER, "cat", given))
        assert (answer.status, answer.code) == (400, code)

    with_a_provider(work)


@pytest.mark.parametrize("name", ["no-such", ".control", "%2econtrol", "cat&service=dog", ""])
def test_what_is_not_live_here_is_not_asked_about(name: str) -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        for asking in (hub.control.log(USER, name, {}), hub.control.tools(USER, name, {})):
            assert (await fails(asking)).code == "service_not_found"
        assert (await fails(hub.control.stop_as_author(USER, name))).code == "service_not_found"

    with_a_provider(work)


def test_stopped_as_its_author_would_the_card_says_who_asked() -> None:
    async def work(hub: HereHub, provider: Provider, cat: Service) -> None:
        await hub.control.stop_as_author(USER, "cat")
        assert hub.names == set()
        assert (cat.status, cat.error) == ("stopped", f"user:ada stopped it at {ADDRESS.url}")

    with_a_provider(work)


def test_a_provider_that_does_not_stop_is_stopped_all_the_same() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        old = await hub.kernel("k2").connect()
        await old.register("cat", echo, replica=True)
        await hub.control.stop_as_author(USER, "cat")
        assert hub.names == set()
        await until(lambda: provider.stopped == ["cat"] == old.stopped)

    for behave in (says(b"{}"), says(b"{}", status=500), lambda stream, request: stream.reset(ResetCode.REFUSED, "")):
        hostile(behave, work)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000], ids=range(8)
)
def test_an_answer_that_is_none_is_not_passed_on(body: bytes) -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        answer = await fails(hub.control.log(USER, "cat", {}))
        assert (answer.status, answer.code) == (502, "bad_answer")

    hostile(says(body), work)


@pytest.mark.parametrize(("status", "said"), [(404, 404), (400, 400), (403, 403), (500, 502), (302, 502), (999, 502)])
def test_a_providers_status_becomes_words_of_the_hubs(status: int, said: int) -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        answer = await fails(hub.control.log(USER, "cat", {}))
        assert answer.status == said
        assert "evil" not in answer.message

    hostile(says(b'{"error": {"message": "evil"}}', status=status), work)


def test_so_many_questions_are_under_way_of_one_user_and_of_all() -> None:
    async def work(hub: HereHub, provider: Hostile, replica: Replica) -> None:
        asking: list[asyncio.Task[bytes]] = []

        def begin(who: str) -> None:
            asking.append(asyncio.create_task(hub.control.log(Principal(id=who), "cat", {})))

        for _ in range(MOST_ASKED_OF_ONE):
            begin("user:ada")
        await until(lambda: len(provider.owners) == MOST_ASKED_OF_ONE)
        assert (await fails(hub.control.log(USER, "cat", {}))).status == 429
        for number in range(MOST_ASKED - MOST_ASKED_OF_ONE):
            begin(f"user:{number}")
        await until(lambda: len(provider.owners) == MOST_ASKED)
        answer = await fails(hub.control.log(Principal(id="user:bob"), "cat", {}))
        assert (answer.status, answer.code, answer.retry_after) == (429, "too_many_questions", 2)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        provider.behave = says(b"{}")
        assert await hub.control.log(USER, "cat", {}) == b"{}", "there is room again"

    hostile(silent, work)
