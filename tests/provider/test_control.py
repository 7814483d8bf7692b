"""What a hub may ask a provider by ``.control``: its author's own hub much, a relay next to nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from portico.card import render
from portico.errors import InvalidName, Refused
from portico.link import Link
from portico.protocol import Kind, Limits, ResetCode
from portico.protocol.control import FEATURE, SERVICE
from portico.protocol.offer import ToolList
from portico.provider import control, sharing
from portico.provider.discovery import HubAddress
from portico.provider.options import conditions
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.serving import serve
from portico.provider.sharing import Share
from portico.provider.thread import LoopThread
from portico.transports.memory import MemoryTransport
from portico.types import service_name
from tests.in_process import ADDRESS, SOON, Asked, HereHub, a_hub
from tests.link_pair import open_stream
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

HOME = replace(ADDRESS, own=True)
RELAY = HubAddress("https://share.test/", ADDRESS.token, "the test")
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}


class World:
    """A provider with two services at home, of which one is shared by a relay, as ``link``."""

    def __init__(self, home: HereHub, relay: HereHub, provider: Provider, cat: Service, dog: Service, shared: Share):
        self.home, self.relay, self.provider = home, relay, provider
        self.cat, self.dog, self.shared = cat, dog, shared


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with a_hub(SOON) as home, a_hub(SOON) as relay:
        hubs = {HOME.url: home, RELAY.url: relay}

        async def dial(address: HubAddress, limits: Limits) -> MemoryTransport:
            return await hubs[address.url].dial(address, limits)

        provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
        try:
            cat = await provider.publish(service(provider, "cat"), saying(b"cat"), HOME)
            dog = await provider.publish(service(provider, "dog"), saying(b"dog"), HOME)
            held = conditions(expires="1h")
            shared = await provider.share(sharing.make(cat, RELAY, name="link", conditions=held))
            yield World(home, relay, provider, cat, dog, shared)
        finally:
            await provider.shutdown()


def link_of(hub: HereHub) -> Link:
    (session,) = hub.registry.sessions.values()
    assert session.link is not None
    return session.link


def begin(hub: HereHub, target: str, method: str = "GET", **more: Any) -> Asked:
    """What *hub* asks of its one provider, by the stream that it opens."""
    path, _, query = target.partition("?")
    asked: dict[str, Any] = {
        "service": SERVICE,
        "method": method,
        "raw_path": b"/" + path.encode(),
        "query": query.encode(),
        "identity": b'{"asker":"user:ada"}',
    }
    return open_stream(link_of(hub), Asked(), **(asked | more))


async def question(hub: HereHub, target: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    asked = begin(hub, target, method, **more)
    assert await asked.ended == "whole"
    assert asked.head is not None
    assert (b"content-type", b"application/json") in asked.head.headers
    return asked.head.status, json.loads(asked.body)


async def code(hub: HereHub, target: str, method: str = "GET", **more: Any) -> tuple[int, str]:
    """Of an answer that is an error."""
    status, answer = await question(hub, target, method, **more)
    assert set(answer) == {"error"}
    assert answer["error"]["status"] == status
    return status, answer["error"]["code"]


# --- the author's own hub ---------------------------------------------------------------------------------------


def test_the_authors_hub_reads_what_was_printed_noted_and_what_failed_in_turn() -> None:
    async def work() -> None:
        async with world() as here:
            log, begun = here.cat.log, time.time()
            log.printed("one")
            log.printed("\n")
            log.report("GET /x", ValueError("it is wrong"))
            log.printed("two\nthree\n")
            log.note("look here")
            status, page = await question(here.home, "log?service=cat")
            assert status == 200
            assert [(one["number"], one["kind"]) for one in page["entries"]] == [
                *((1, "output"), (2, "error"), (3, "output"), (4, "note")),
            ]
            one, error, two, note = (entry["text"] for entry in page["entries"])
            assert (one, two, note) == ("one\n", "two\nthree\n", "look here\n")
            assert error.startswith("GET /x\n")
            assert "ValueError: it is wrong" in error
            assert all(begun <= entry["time"] <= time.time() for entry in page["entries"])
            assert (page["log"], page["next"], page["more"]) == (log.id, 4, False)
            assert (await question(here.home, "log?service=dog"))[1]["entries"] == []

    run(work)


def test_a_log_is_paged_and_nothing_is_missed_or_told_twice() -> None:
    async def work() -> None:
        async with world() as here:
            for number in range(7):
                here.cat.log.printed(f"{number}\n")
            _, newest = await question(here.home, "log?service=cat&limit=3")
            assert [one["text"] for one in newest["entries"]] == ["4\n", "5\n", "6\n"]
            assert (newest["next"], newest["more"]) == (7, True)
            after, texts = 0, []
            while True:
                _, page = await question(here.home, f"log?service=cat&after={after}&limit=3")
                texts += [one["text"] for one in page["entries"]]
                after = page["next"]
                if not page["more"]:
                    break
            assert texts == [f"{number}\n" for number in range(7)]
            here.cat.log.printed("half")
            _, half = await question(here.home, f"log?service=cat&after={after}")
            here.cat.log.printed(" a line\n")
            _, rest = await question(here.home, f"log?service=cat&after={half['next']}")
            assert [one["text"] for page in (half, rest) for one in page["entries"]] == ["half", " a line\n"]
            _, none = await question(here.home, f"log?service=cat&after={rest['next']}")
            assert (none["entries"], none["next"], none["more"]) == ([], rest["next"], False)

    run(work)


def test_an_answer_holds_so_much_text_and_leads_on() -> None:
    async def work() -> None:
        async with world() as here:
            for number in range(20):
                here.cat.log.report("GET /" + "x" * 5000, ValueError(f"{number} " + "\x00" * 15_000))
            after, numbers = 0, []
            for _ in range(20):
                asked = begin(here.home, f"log?service=cat&after={after}")
                assert await asked.ended == "whole"
                assert len(asked.body) < 1 << 20
                page = json.loads(asked.body)
                assert page["entries"], "it goes on"
                numbers += [one["number"] for one in page["entries"]]
                after = page["next"]
                if not page["more"]:
                    break
            assert numbers == list(range(1, 21))

    run(work)


def test_text_that_no_json_can_hold_is_told_all_the_same() -> None:
    async def work() -> None:
        async with world() as here:
            here.cat.log.printed("half a pair: \ud800, a cat: \U0001f408\n")
            _, page = await question(here.home, "log?service=cat")
            assert page["entries"][0]["text"] == "half a pair: ?, a cat: \U0001f408\n"

    run(work)


def test_a_service_that_was_served_again_has_another_log() -> None:
    async def work() -> None:
        async with world() as here:
            here.cat.log.printed("old\n")
            _, before = await question(here.home, "log?service=cat")
            new = await here.provider.publish(service(here.provider, "cat"), saying(b"new"), HOME)
            new.log.printed("new\n")
            _, after = await question(here.home, "log?service=cat")
            assert before["log"] != after["log"]
            assert [one["text"] for one in after["entries"]] == ["new\n"]

    run(work)


def test_the_authors_hub_reads_the_schemas_of_tools() -> None:
    async def work() -> None:
        async with world() as here:
            schemas = {f"tool-{number}": SCHEMA | {"title": "x" * 1000} for number in range(200)}
            here.cat.tools = ToolList.of(schemas)
            schemas["tool-0"] = dict(schemas["tool-0"])
            schemas["tool-0"]["properties"] = SCHEMA["properties"]
            status, told = await question(here.home, "schemas?service=cat")
            assert (status, told["digest"]) == (200, here.cat.tools.digest)
            assert {tool["name"]: tool["schema"] for tool in told["tools"]} == schemas
            assert len(json.dumps(told)) > Limits().max_control_frame, "no frame could hold it"
            assert await question(here.home, "schemas?service=dog") == (200, {"tools": [], "digest": ""})
            here.dog.tools = ToolList(("bare",), "1")
            assert (await question(here.home, "schemas?service=dog"))[1]["tools"] == [{"name": "bare", "schema": None}]

    run(work)


def test_it_stops_a_service_as_its_author_would_and_the_card_says_who() -> None:
    async def work() -> None:
        async with world() as here:
            status, told = await question(here.home, "stop?service=cat", "POST")
            assert (status, told["status"]) == (200, "stopped")
            assert here.home.names == {"dog"}
            assert here.relay.names == set(), "its links go with it"
            assert (here.cat.status, here.shared.status) == ("stopped", "stopped")
            said = f"user:ada stopped it at {HOME.url}"
            assert here.cat.error == said
            assert f"stopped: {said}" in render.text(here.cat.card_state())
            assert await code(here.home, "stop?service=cat", "POST") == (404, "service_not_found")
            assert (here.dog.status, here.home.names) == ("live", {"dog"})

    run(work)


def test_the_last_service_is_stopped_and_its_hub_still_hears_so() -> None:
    async def work() -> None:
        async with world() as here:
            for name in ("cat", "dog"):
                assert (await question(here.home, f"stop?service={name}", "POST"))[0] == 200
            await until(lambda: not here.provider.sessions)

    run(work)


def test_a_stop_goes_on_though_the_hub_asks_no_more() -> None:
    async def work() -> None:
        async with world() as here:
            asked = begin(here.home, "stop?service=cat", "POST")
            await until(lambda: here.provider._control._stopping)
            asked.stream.reset(ResetCode.CANCEL)
            await until(lambda: here.cat.status == "stopped")
            await until(lambda: not here.provider._control._exchanges and not here.provider._control._stopping)

    run(work)


def test_both_kinds_of_hub_hear_the_status_of_what_they_have() -> None:
    async def work() -> None:
        async with world() as here:
            _, home = await question(here.home, "status")
            assert sorted(one["name"] for one in home["services"]) == ["cat", "dog"]
            link = {"name": "link", "status": "live", "expires": here.shared.expires}
            assert link["expires"] == pytest.approx(time.time() + 3600, abs=60)
            assert await question(here.relay, "status") == (200, {"services": [link]})
            assert await question(here.relay, "share?service=link") == (200, link)

    run(work)


# --- a relay ----------------------------------------------------------------------------------------------------

SECRET = "a line of the author's"


@pytest.mark.parametrize("name", ["link", "cat", "dog", "no-such", ".control", ""])
def test_a_relay_is_shown_no_log_whatever_it_asks(name: str) -> None:
    async def work() -> None:
        async with world() as here:
            here.cat.log.printed(SECRET)
            for method in ("GET", "POST"):
                assert await code(here.relay, f"log?service={name}", method) == (403, "not_for_relays")

    run(work)


def test_a_relay_reads_the_schemas_of_what_it_was_given_and_of_nothing_else() -> None:
    async def work() -> None:
        async with world() as here:
            here.cat.tools = ToolList.of({"meow": SCHEMA})
            here.dog.tools = ToolList.of({"bark": SCHEMA})
            status, told = await question(here.relay, "schemas?service=link")
            assert (status, told["tools"]) == (200, [{"name": "meow", "schema": SCHEMA}])
            assert told["digest"] == here.cat.tools.digest, "the link is another way to that service"
            for name in ("cat", "dog", "no-such", ".control"):
                assert await code(here.relay, f"schemas?service={name}") == (404, "service_not_found")
            assert await code(here.relay, "schemas?service=link", "POST") == (405, "method_not_allowed")

    run(work)


def test_to_a_relay_what_is_served_elsewhere_is_as_what_is_not_served() -> None:
    async def work() -> None:
        async with world() as here:
            for path, method in (("share", "GET"), ("schemas", "GET"), ("stop", "POST")):
                answers = []
                for name in ("cat", "dog", "no-such"):
                    asked = begin(here.relay, f"{path}?service={name}", method)
                    assert await asked.ended == "whole"
                    assert asked.head is not None
                    answers.append((asked.head.status, asked.head.headers, asked.body))
                assert answers[0][0] == 404
                assert answers[0] == answers[1] == answers[2]
            assert (here.cat.status, here.dog.status) == ("live", "live")

    run(work)


def test_a_relay_stops_what_it_was_given_and_nothing_else() -> None:
    async def work() -> None:
        async with world() as here:
            assert (await question(here.relay, "stop?service=link", "POST"))[0] == 200
            assert (here.shared.status, here.shared.error) == ("stopped", f"user:ada stopped it at {RELAY.url}")
            assert here.relay.names == set()
            assert (here.cat.status, here.home.names) == ("live", {"cat", "dog"})

    run(work)


def test_nothing_that_a_hub_says_makes_it_the_authors_own() -> None:
    async def work() -> None:
        async with world() as here:
            here.cat.log.printed(SECRET)
            (session,) = (one for one in here.provider.sessions.values() if one.address.url == RELAY.url)
            session.hub_info.update(own=True, kind="kernel", allowed_relays=["*"])
            for more in (
                {"identity": b'{"own":true,"asker":"user:owner"}'},
                {"headers": [(b"authorization", b"token x"), (b"x-own", b"1"), (b"host", b"localhost:8888")]},
                {"root_path": "/portico/apps/cat"},
                {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8888), "scheme": "https"},
            ):
                status, answer = await question(here.relay, "log?service=link", **more)
                assert status in (403, 404)
                assert set(answer) == {"error"}

    run(work)


def test_an_address_is_no_own_one_unless_the_way_there_says_so() -> None:
    assert not RELAY.own
    assert not replace(RELAY, rung="portico login").own


# --- what is no question ----------------------------------------------------------------------------------------

BAD = [
    ("", "GET", (404, "not_found")),
    ("logs", "GET", (404, "not_found")),
    ("log/", "GET", (404, "not_found")),
    ("/log?service=cat", "GET", (404, "not_found")),
    ("%6cog?service=cat", "GET", (404, "not_found")),
    ("../log?service=cat", "GET", (404, "not_found")),
    ("log?service=cat", "POST", (405, "method_not_allowed")),
    ("log?service=cat", "HEAD", (405, "method_not_allowed")),
    ("stop?service=cat", "GET", (405, "method_not_allowed")),
    ("status", "DELETE", (405, "method_not_allowed")),
    ("log", "GET", (400, "invalid_service")),
    ("log?name=cat", "GET", (400, "invalid_service")),
    ("log?service=", "GET", (404, "service_not_found")),
    ("log?service=no-such", "GET", (404, "service_not_found")),
    ("log?service=.control", "GET", (404, "service_not_found")),
    ("log?service=link", "GET", (404, "service_not_found")),
    ("log?service=cat&service=dog", "GET", (400, "invalid_query")),
    ("log?" + "&".join(f"a{number}=" for number in range(9)), "GET", (400, "invalid_query")),
    ("log?service=" + "x" * 1000, "GET", (400, "invalid_query")),
    ("log?service=k\u00e4se", "GET", (400, "invalid_query")),
    ("log?service=cat&after=-1", "GET", (400, "invalid_after")),
    ("log?service=cat&after=1e3", "GET", (400, "invalid_after")),
    ("log?service=cat&after=" + "9" * 16, "GET", (400, "invalid_after")),
    ("log?service=cat&after=\u0663".encode().decode("latin-1"), "GET", (400, "invalid_query")),
    ("log?service=cat&after=" + quote("\u0663"), "GET", (400, "invalid_after")),
    ("log?service=cat&limit=1001", "GET", (400, "invalid_limit")),
    ("log?service=cat&limit=", "GET", (400, "invalid_limit")),
]


def test_what_is_asked_wrongly_is_told_so() -> None:
    async def work() -> None:
        async with world() as here:
            for target, method, said in BAD:
                asked = begin(here.home, target, method)
                assert await asked.ended == "whole"
                assert asked.head is not None
                assert asked.head.status == said[0], target
                if method != "HEAD":
                    assert json.loads(asked.body)["error"]["code"] == said[1], target

    run(work)


def test_a_websocket_is_no_question() -> None:
    async def work() -> None:
        async with world() as here:
            for hub in (here.home, here.relay):
                asked = begin(hub, "log?service=cat", kind=Kind.WEBSOCKET, fin=False)
                assert await asked.ended == "REFUSED"

    run(work)


def test_a_body_is_not_read_and_does_not_stay() -> None:
    async def work() -> None:
        async with world() as here:
            asked = begin(here.home, "status", fin=False)
            asked.stream.send_data(bytes(200_000))
            assert await asked.ended == "whole"
            link = link_of(here.home)
            await until(lambda: not link.streams and not link.connection.streams)
            (session,) = (one for one in here.provider.sessions.values() if one.address.url == HOME.url)
            await until(lambda: not session.streams)

    run(work)


def test_what_fails_in_it_is_logged_and_no_traceback_leaves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with world() as here:
            monkeypatch.setattr(type(here.cat.log), "read", lambda self, after: 1 // 0)
            for _ in range(2):
                status, answer = await question(here.home, "log?service=cat")
                assert (status, answer["error"]["code"]) == (500, "internal_error")
                assert "Zero" not in json.dumps(answer)
            assert (await question(here.home, "status"))[0] == 200
            assert list(here.cat.log) == [], "it is not the app's"

    with caplog.at_level(logging.ERROR):
        run(work)
    assert caplog.text.count("ZeroDivisionError") == len(caplog.records) == 2
    assert {record.name for record in caplog.records} == {control.__name__}


@pytest.mark.fuzz
def test_whatever_is_asked_a_hub_gets_an_answer_and_a_relay_no_more_than_its_own(fuzz_seconds: float) -> None:
    import random

    chance = random.Random(7)
    pieces = [
        "service",
        "=",
        "&",
        "cat",
        "link",
        "dog",
        "after",
        "limit",
        "%",
        "%00",
        "%2e",
        "9" * 20,
        "-1",
        "\xe4",
        ";",
        "?",
        "/",
    ]
    paths = ["log", "schemas", "status", "share", "stop", ".control", "log%", "/", "", "\x7f"]

    async def work() -> None:
        async with world() as here:
            here.cat.log.printed(SECRET)
            here.dog.log.printed(SECRET)
            end = time.monotonic() + fuzz_seconds
            while time.monotonic() < end:
                path, query = chance.choice(paths), "".join(chance.choices(pieces, k=chance.randrange(9)))
                method = chance.choice(["GET", "GET", "HEAD", "PUT", "get", ""])
                for hub in (here.home, here.relay):
                    asked = begin(hub, f"{path}?{query}", method)
                    assert await asked.ended == "whole"
                    assert asked.head is not None
                    assert asked.head.status in (200, 400, 403, 404, 405)
                    if hub is here.relay:
                        assert SECRET.encode() not in asked.body
                        assert b"cat" not in asked.body
                        assert b"dog" not in asked.body
            assert (here.cat.status, here.dog.status, here.shared.status) == ("live",) * 3

    run(work)


# --- the name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".control", "%2econtrol", ".CONTROL", "control.", ".control\n"])
def test_no_service_can_have_the_name(name: str) -> None:
    async def work() -> None:
        async with a_hub(SOON) as hub:
            with pytest.raises(InvalidName):
                service_name(name)
            provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            with pytest.raises(InvalidName):
                serve(saying(b""), name, provider=provider)
            publisher = await hub.kernel().connect()
            for more in ({}, {"replace": True}, {"replica": True}):
                ack = await publisher.register(name, **more)
                assert (ack.ok, ack.code) == (False, "invalid_name")
            assert hub.names == set()
            assert hub.registry.restore({"name": name}, "user:ada") is None
            await provider.shutdown()

    run(work)


def test_a_provider_says_that_it_can_be_asked() -> None:
    async def work() -> None:
        async with world() as here:
            for hub in (here.home, here.relay):
                (session,) = hub.registry.sessions.values()
                assert session.features == {FEATURE}
            old = await here.home.kernel().connect()
            assert here.home.registry.sessions[old.session].features == frozenset()

    run(work)


def test_a_share_of_the_name_is_refused_as_well() -> None:
    async def work() -> None:
        async with world() as here:
            with pytest.raises((InvalidName, Refused)):
                await here.provider.share(sharing.make(here.dog, RELAY, name=".control", conditions={}))
            assert here.relay.names == {"link"}

    run(work)
