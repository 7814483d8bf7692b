"""One URL for all tools: who sees which, in both eras, and how calls go to their service and back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from portico.hub.tools import call as call_module
from portico.hub.tools.events import BEAT
from portico.hub.tools.messages import REFUSED
from portico.version import __version__
from tests.hub.tools.agents import MODERN, OLD, Agent, Call, Toolbox, a_key, a_toolbox, ask, begin, text_of
from tests.waiting import until

ERAS = [MODERN, OLD]


@pytest.mark.parametrize("version", ERAS)
def test_tools_of_several_services_are_listed_and_called_at_one_url(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("flats", "predict", "explain")
            other = await Toolbox.link(hub, "k2")
            await other.serve("cats", "predict")
            agent = Agent(hub, version=version)
            tools = await agent.tools()
            assert list(tools) == ["cats__predict", "flats__predict", "flats__explain"]
            assert tools["cats__predict"]["description"] == "Does predict."
            said = json.loads(text_of(await agent.call("flats__predict", {"area": 72.5})))
            assert said["name"] == "predict"
            assert said["arguments"] == {"area": 72.5}
            assert said["identity"]["user"]["id"] == "owner"
            assert [len(box.calls), len(other.calls)] == [1, 0]
            assert box.calls[0].path == "/portico/apps/flats/mcp"

    asyncio.run(inside())


def test_a_service_is_sent_a_request_of_2026_whoever_asks() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("flats", "a tool")
            name = next(iter(await Agent(hub).tools()))
            for version in ERAS:
                agent = Agent(hub, version=version)
                agent.given += [(b"cookie", b"app=1"), (b"x-mine", b"yes"), (b"mcp-session-id", b"abc")]
                await agent.call(name)
                call = box.calls.pop()
                assert call.headers[b"mcp-protocol-version"] == MODERN.encode()
                assert call.headers[b"mcp-method"] == b"tools/call"
                assert call.headers[b"mcp-name"] == b"a tool"
                assert call.headers[b"x-mine"] == b"yes"
                assert not call.headers.keys() & {b"cookie", b"authorization", b"mcp-session-id"}
                meta = call.params["_meta"]
                assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
                assert meta["io.modelcontextprotocol/clientCapabilities"] == {}

    asyncio.run(inside())


def test_the_url_says_that_it_is_portico_and_which_services_there_are() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("flats", "predict", "explain", title="Prices of flats")
            told = (await Agent(hub).ask("server/discover"))["result"]
            assert told["supportedVersions"][0] == MODERN
            assert told["capabilities"] == {"tools": {"listChanged": True}}
            server = told["_meta"]["io.modelcontextprotocol/serverInfo"]
            assert (server["name"], server["version"]) == ("portico", __version__)
            assert "- flats: Prices of flats, 2 tools" in told["instructions"]
            for asked, answered in [("2025-03-26", "2025-03-26"), ("2024-11-05", "2024-11-05"), ("1", "2025-11-25")]:
                agent = Agent(hub, version="")
                message = agent.message("initialize", {"protocolVersion": asked, "capabilities": {}, "clientInfo": {}})
                reading = await agent.send(message)
                result = reading.json()["result"]
                assert result["protocolVersion"] == answered
                assert result["serverInfo"] == server
                assert result["instructions"] == told["instructions"]
                assert len(reading.header(b"mcp-session-id")) == 1

    asyncio.run(inside())


def test_what_a_caller_is_not_told_it_cannot_call() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("private", "run")
            await box.serve("keyed", "run", access="key")
            await box.serve("open", "run", access="public")
            await box.serve("over", "run", access="public", conditions={"expires": 1})
            await box.serve("near", "run", access="public", conditions={"cidr": ["10.0.0.0/8"]})
            await box.serve("secret", "run", access="public", conditions={"password": "sesame"})
            everything = ["private", "keyed", "open", "over", "near", "secret"]
            of_keyed = await a_key(hub, "keyed")
            of_secret = await a_key(hub, "secret", "over")
            for version in ERAS:
                for key, mine in [
                    (None, ["open"]),
                    (b"the-hubs-own-token", ["open", "private"]),
                    (of_keyed, ["keyed", "open"]),
                    (of_secret, ["open", "secret"]),
                ]:
                    agent = Agent(hub, key, version=version)
                    assert list(await agent.tools()) == [f"{name}__run" for name in mine]
                    for name in everything:
                        said = await agent.call(f"{name}__run")
                        assert ("result" in said) == (name in mine), (key, name, said)
                        if name not in mine:
                            assert said["error"]["code"] == -32602
                            assert "Unknown tool" in said["error"]["message"]
            assert {call.path.split("/")[3] for call in box.calls} == {"private", "keyed", "open", "secret"}

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("key", [b"portico_nothing", b"user-token-of-eve", b"x"])
def test_a_bad_key_is_refused_also_where_tools_are_public_and_a_cookie_says_more(key: bytes, version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("open", "run", access="public")
            await box.serve("private", "run")
            cookie = (b"cookie", b"username-hub-example-8888=signed-and-sealed")
            for headers in ([], [cookie]):
                agent = Agent(hub, key, version=version, headers=headers)
                for method in ("tools/list", "tools/call"):
                    reading = await agent.send(agent.message(method, {"name": "private__run"}))
                    assert reading.status == 401
                    assert reading.json()["error"]["code"] == REFUSED
                    assert reading.header(b"www-authenticate") == [b'Bearer realm="portico", error="invalid_token"']
                    assert reading.header(b"content-type") == [b"application/json"]
                if version != MODERN:
                    assert (await agent.listen()).status == 401
            assert box.calls == []

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_a_cookie_and_a_token_in_the_url_speak_for_nobody(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("private", "run")
            key = (await a_key(hub, "private")).decode()
            for cookie, query in [
                (b"username-hub-example-8888=signed-and-sealed", ""),
                (b"portico_key=" + key.encode(), ""),
                (b"", f"portico_key={key}"),
                (b"", "token=the-hubs-own-token"),
            ]:
                headers = [(b"cookie", cookie)] if cookie else []
                headers.append((b"origin", b"http://hub.example:8888"))
                agent = Agent(hub, None, version=version, query=query, headers=headers)
                reading = await agent.send(agent.message("tools/list"))
                assert reading.status == 401
                assert reading.header(b"www-authenticate") == [b'Bearer realm="portico"']
                assert "service.key()" in reading.json()["error"]["message"]
            await box.serve("open", "run", access="public")
            agent = Agent(hub, None, headers=[(b"cookie", b"username-hub-example-8888=signed-and-sealed")])
            assert list(await agent.tools()) == ["open__run"], "it is nobody's request"
            assert json.loads(text_of(await agent.call("open__run")))["identity"] == {"access": "anonymous"}

    asyncio.run(inside())


def test_the_url_narrows_to_services_that_it_names() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            for name in ("cats", "dogs", "flats"):
                await box.serve(name, "run")
            agent = Agent(hub, query="services=flats,cats,elsewhere")
            assert list(await agent.tools()) == ["cats__run", "flats__run"]
            assert "result" in await agent.call("cats__run")
            assert "error" in await agent.call("dogs__run")
            assert list(await Agent(hub, query="services=flats&services=dogs").tools()) == ["dogs__run", "flats__run"]
            assert list(await Agent(hub, query="services=elsewhere").tools()) == []
            assert len(await Agent(hub, query="other=1").tools()) == 3
            for query in ("services=", "services=No%20Name", "services=a,,b", "services=" + "a," * 200 + "a"):
                reading = await Agent(hub, query=query).send(Agent(hub).message("tools/list"))
                assert reading.status == 400
                assert "services" in reading.json()["error"]["message"]

    asyncio.run(inside())


def test_other_origins_call_what_names_them_and_nothing_else() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("chat", "run", origins=["https://chat.example"])
            await box.serve("other", "run")
            page = Agent(hub, headers=[(b"origin", b"https://chat.example")])
            assert list(await page.tools()) == ["chat__run"]
            reading = await page.send(page.message("tools/call", {"name": "chat__run"}))
            assert reading.header(b"access-control-allow-origin") == [b"https://chat.example"]
            assert "result" in reading.json()
            assert "error" in await page.call("other__run"), "with a key that opens it"
            for origin in (b"https://evil.example", b"null", b"http://[", b"http://hub.example"):
                evil = Agent(hub, headers=[(b"origin", origin)])
                for message in (evil.message("tools/list"), evil.message("tools/call", {"name": "chat__run"})):
                    reading = await evil.send(message)
                    assert reading.status == 403, origin
                    assert reading.header(b"access-control-allow-origin") == []
            same = Agent(hub, headers=[(b"origin", b"http://hub.example:8888")])
            assert len(await same.tools()) == 2
            said = await _preflight(hub, b"https://chat.example")
            assert said.status == 204
            assert (b"access-control-allow-origin", b"https://chat.example") in said.headers
            assert (b"access-control-allow-headers", b"authorization, mcp-method") in said.headers
            assert (await _preflight(hub, b"https://evil.example")).status == 403
            assert len(box.calls) == 1

    asyncio.run(inside())


async def _preflight(hub: Any, origin: bytes) -> Any:
    asked = [
        (b"origin", origin),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"authorization, mcp-method"),
    ]
    return await ask(hub, method="OPTIONS", headers=asked)


@pytest.mark.parametrize("version", ERAS)
def test_progress_is_told_and_then_the_result(version: str) -> None:
    async def answer(call: Call) -> None:
        token = call.params["_meta"]["progressToken"]
        await call.head()
        for done in (1, 2):
            params = {"progressToken": token, "progress": done, "total": 2}
            await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        await call.event({"jsonrpc": "2.0", "id": call.id, "result": {"content": []}}, False)

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("slow", "run", answer=answer)
            for token in ("t", 7):
                reading = await Agent(hub, version=version).begin_call("slow__run", id_="x", progressToken=token)
                await until(lambda: reading.done)  # noqa: B023
                *progress, last = reading.events
                assert [event["params"]["progress"] for event in progress] == [1, 2]
                assert all(event["params"]["progressToken"] == token for event in progress)
                assert last == {"jsonrpc": "2.0", "id": "x", "result": {"content": []}}

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_who_closes_the_request_cancels_the_call(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            left = asyncio.Event()

            async def answer(call: Call) -> None:
                await call.left.wait()
                left.set()

            await box.serve("slow", "run", answer=answer)
            reading = await Agent(hub, version=version).begin_call("slow__run")
            await until(lambda: box.calls)
            reading.leave()
            async with asyncio.timeout(1):
                await left.wait()
            assert not hub.workspace.tools.calls
            assert reading.status == 0

    asyncio.run(inside())


def test_an_old_client_cancels_its_own_call_in_its_own_session() -> None:
    async def answer(call: Call) -> None:
        await call.left.wait()

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("slow", "run", answer=answer)

            def client(session: bytes, key: bytes = b"the-hubs-own-token") -> Agent:
                return Agent(hub, key, version=OLD, headers=[(b"mcp-session-id", session)])

            mine = client(b"one")
            reading = await mine.begin_call("slow__run", id_=5)
            await until(lambda: box.calls)
            for other, id_ in [
                (client(b"two"), 5),
                (client(b"one", b"user-token-of-ada"), 5),
                (mine, 6),
                (mine, "5"),
                (mine, 5.0),
                (mine, None),
                (mine, [[]]),
            ]:
                note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id_}}
                assert (await other.send(note)).status == 202
                assert not box.calls[0].left.is_set()
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
            assert (await mine.send(note)).status == 202
            async with asyncio.timeout(1):
                await box.calls[0].left.wait()
            await until(lambda: reading.done)
            assert reading.json()["error"]["message"] == "The call was cancelled."

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_a_long_silence_is_filled_with_signs_of_life(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            monkeypatch.setattr(call_module, "BEAT_EVERY", 0.01)
            go = asyncio.Event()

            async def answer(call: Call) -> None:
                await go.wait()
                await call.result("at last")

            await box.serve("slow", "run", answer=answer)
            agent = Agent(hub, version=version)
            reading = await agent.begin_call("slow__run", id_=1)
            await until(lambda: reading.body.count(BEAT) > 2)
            message = agent.message("tools/call", {"name": "slow__run"}, 2)
            headers = [pair for pair in agent.headers(message) if pair[0] != b"accept"]
            headers.append((b"accept", b"application/json"))
            whole = await begin(hub, json.dumps(message).encode(), headers=headers)
            await until(lambda: len(box.calls) == 2 and reading.body.count(BEAT) > 4)
            assert whole.status == 0, "who takes no events is sent none"
            go.set()
            await until(lambda: reading.done and whole.done)
            assert reading.events[-1]["result"]["content"][0]["text"] == "at last"
            assert whole.json()["result"]["content"][0]["text"] == "at last"
            size = len(reading.body)
            await asyncio.sleep(0.05)
            assert len(reading.body) == size

    asyncio.run(inside())


HOSTILE = {
    "another's answer": [{"jsonrpc": "2.0", "id": 999, "result": {"content": []}}],
    "the same id as a text": [{"jsonrpc": "2.0", "id": "1", "result": {"content": []}}],
    "a request": [{"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}],
    "another's progress": [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "u", "progress": 1}}
    ],
    "a change of tools": [{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}],
    "a list": [[{"jsonrpc": "2.0", "id": 1, "result": {}}]],
    "a number": [7],
}


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("what", HOSTILE)
def test_a_service_answers_its_own_call_and_nothing_else(what: str, version: str) -> None:
    async def answer(call: Call) -> None:
        await call.head()
        for message in HOSTILE[what]:
            await call.event(message)
        await call.event({"jsonrpc": "2.0", "id": call.id, "result": {"content": []}})
        await call.event({"jsonrpc": "2.0", "id": call.id, "result": {"content": [], "twice": True}}, False)

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("evil", "run", answer=answer)
            reading = await Agent(hub, version=version).begin_call("evil__run", id_=1, progressToken="t")
            await until(lambda: reading.done)
            assert reading.json() == {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}

    asyncio.run(inside())


async def _page(call: Call) -> None:
    await call.head(200, b"text/html")
    await call.say(b"<script>", False)


async def _not_found(call: Call) -> None:
    await call.json({"detail": "Not Found"}, 404)


async def _no_json(call: Call) -> None:
    await call.head(200, b"application/json")
    await call.say(b"{", False)


async def _no_end(call: Call) -> None:
    await call.head()
    await call.say(b": nothing\n\n", False)


async def _too_long(call: Call) -> None:
    await call.head()
    for _ in range(20):
        await call.say(b"data: " + b"x" * (1 << 20))


async def _fails(call: Call) -> None:
    raise RuntimeError("on purpose")


async def _fails_late(call: Call) -> None:
    await call.head()
    params = {"progressToken": "t", "progress": 1}
    await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    raise RuntimeError("on purpose")


def _raw(said: str) -> Any:
    async def answer(call: Call) -> None:
        await call.head(200, b"application/json")
        await call.say(f'{{"jsonrpc": "2.0", "id": {json.dumps(call.id)}, {said}}}'.encode(), False)

    return answer


_no_number = _raw('"result": {"content": [], "more": 1e999}')
_no_number_in_an_error = _raw('"error": {"code": 1, "message": "x", "data": [1e999]}')
_no_code = _raw('"error": {"code": true, "message": "x"}')
_long_code = _raw(f'"error": {{"code": {"9" * 4000}, "message": "x"}}')


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        *((_page, 502), (_not_found, 502), (_no_json, 502), (_no_end, 502), (_too_long, 502), (_fails, 500)),
        *((_no_number, 502), (_no_number_in_an_error, 502), (_no_code, 502), (_long_code, 502)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_is_no_answer_becomes_one_that_says_so(answer: Any, status: int) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("bad", "run", answer=answer)
            reading = await Agent(hub).begin_call("bad__run", id_=1)
            await until(lambda: reading.done)
            assert reading.status == status
            assert reading.json()["id"] == 1
            assert reading.json()["error"]["data"]["status"] == status
            old = (await Agent(hub, version=OLD).call("bad__run"))["result"]
            assert old["isError"]
            assert old["content"][0]["text"] == reading.json()["error"]["message"]
            assert hub.workspace.tools.limits.held.total == 0

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_a_stream_that_has_begun_ends_with_an_error(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("bad", "run", answer=_fails_late)
            reading = await Agent(hub, version=version).begin_call("bad__run", id_=1, progressToken="t")
            await until(lambda: reading.done)
            progress, last = reading.events
            assert progress["method"] == "notifications/progress"
            assert last["id"] == 1
            assert ("error" in last) == (version == MODERN)
            assert "broke off" in json.dumps(last)

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_a_provider_that_is_lost_in_a_call_ends_it(version: str) -> None:
    async def answer(call: Call) -> None:
        await asyncio.Event().wait()

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("slow", "run", answer=answer)
            reading = await Agent(hub, version=version).begin_call("slow__run", id_=1)
            await until(lambda: box.calls)
            await box.kernel.cut()
            await until(lambda: reading.done)
            said = reading.json()
            if version == MODERN:
                assert reading.status == 502
                assert said["error"]["data"]["code"] == "provider_lost"
            else:
                assert reading.status == 200
                assert said["result"]["isError"]

    asyncio.run(inside())


def test_conditions_hold_for_calls_and_models_understand_why() -> None:
    async def answer(call: Call) -> None:
        await call.left.wait()

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("rated", "run", access="public", conditions={"rate": "1/h"})
            await box.serve("busy", "run", access="public", conditions={"concurrency": 1}, answer=answer)
            agent, old = Agent(hub, None), Agent(hub, None, version=OLD)
            assert "result" in await agent.call("rated__run")
            reading = await agent.begin_call("rated__run", id_=1)
            await until(lambda: reading.done)
            assert reading.status == 429
            assert int(reading.header(b"retry-after")[0]) > 0
            assert reading.json()["error"]["data"]["code"] == "rate_limited"
            assert "Try again later" in (await old.call("rated__run"))["result"]["content"][0]["text"]
            assert list(await agent.tools()) == ["busy__run", "rated__run"], "to list counts for nothing"
            first = await agent.begin_call("busy__run")
            await until(lambda: box.calls[-1].path.endswith("busy/mcp"))
            reading = await agent.begin_call("busy__run", id_=1)
            await until(lambda: reading.done)
            assert (reading.status, reading.json()["error"]["data"]["code"]) == (429, "concurrency")
            first.leave()

    asyncio.run(inside())


def test_a_message_is_read_strictly_and_answered_at_its_status() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            agent = Agent(hub)

            async def said(message: Any, **headers: str) -> tuple[int, int]:
                given = dict(agent.headers(message)) | {
                    k.replace("_", "-").encode(): v.encode() for k, v in headers.items()
                }
                reading = await ask(hub, json.dumps(message).encode(), headers=[*given.items()])
                return reading.status, reading.json()["error"]["code"]

            whole = agent.message("tools/call", {"name": "cats__run"})
            assert await said(whole, mcp_method="tools/list") == (400, -32020)
            assert await said(whole, mcp_name="cats__other") == (400, -32020)
            assert await said(agent.message("prompts/list")) == (404, -32601)
            assert await said(agent.message("initialize")) == (404, -32601)
            assert await said(agent.message("tools/call", {"name": "nobody__run"})) == (400, -32602)
            assert await said(agent.message("tools/list", {"cursor": 7})) == (400, -32602)
            assert await said(agent.message("tools/list", {"cursor": "x"})) == (400, -32602)
            assert await said([whole]) == (400, -32600)
            assert await said({**whole, "jsonrpc": "1.0"}) == (400, -32600)
            assert await said({**whole, "params": {"name": "cats__run"}}) == (400, -32602)
            assert await said(whole, mcp_protocol_version="2099-01-01") == (400, -32022)
            bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": whole["params"]["_meta"]}}
            old = Agent(hub, version="")
            assert (await old.send(bare)).json()["error"]["code"] == -32020, "it says a version in one place alone"

    asyncio.run(inside())


def test_old_clients_send_lists_of_messages() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            for version in ("2025-03-26", ""):
                agent = Agent(hub, version=version)
                call = agent.message("tools/call", {"name": "cats__run", "arguments": {"n": 1}}, "a")
                note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
                reading = await agent.send([agent.message("ping", id_="p"), note, call, 7, agent.message("x", id_="m")])
                ping, called, bad, missing = reading.json()
                assert (reading.status, ping["id"], ping["result"]) == (200, "p", {})
                assert json.loads(text_of(called))["arguments"] == {"n": 1}
                assert (bad["id"], bad["error"]["code"]) == (None, -32600)
                assert (missing["id"], missing["error"]["code"]) == ("m", -32601)
                assert (await agent.send([note, note])).status == 202
                assert (await agent.send([])).status == 400
                assert (await agent.send([note] * 51)).status == 400
            later = Agent(hub, version=OLD)
            assert (await later.send([later.message("ping")])).json()["error"]["code"] == -32600

    asyncio.run(inside())


def test_the_answers_to_a_list_are_bounded_together() -> None:
    async def large(call: Call) -> None:
        await call.result("x" * 6_000_000)

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run", answer=large)
            agent = Agent(hub, version="2025-03-26")
            calls = [agent.message("tools/call", {"name": "cats__run"}) for _ in range(10)]
            reading = await agent.send(calls)
            said = [answer["result"] for answer in reading.json()]
            assert ["isError" in result for result in said] == [False] * 2 + [True] * 8
            assert "Send them one by one" in said[-1]["content"][0]["text"]
            assert hub.workspace.tools.limits.held.total == 0

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("id_", [0, -1, 1, 2**70, "", "x", "ü", "é" * 500, 1.5, -0.0, 1e300])
def test_ids_of_any_kind_come_back_as_they_are(id_: Any, version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            agent = Agent(hub, version=version)
            for message in (
                agent.message("tools/list", id_=id_),
                agent.message("tools/call", {"name": "cats__run"}, id_),
            ):
                said = (await agent.send(message)).json()
                assert "result" in said
                assert (type(said["id"]), said["id"]) == (type(id_), id_)

    asyncio.run(inside())


@pytest.mark.parametrize("id_", [None, True, [], {}, "x" * 2000])
def test_what_is_no_id_is_refused(id_: Any) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, _):
            agent = Agent(hub)
            message = agent.message("tools/list") | {"id": id_}
            reading = await agent.send(message)
            assert (reading.status, reading.json()["id"]) == (400, None)
            assert reading.json()["error"]["code"] == -32600

    asyncio.run(inside())


def test_a_hub_knows_no_library_of_mcp() -> None:
    """It is in every Jupyter server, whose start nobody should wait half a second longer for."""
    program = "import sys, portico.hub.hub, portico.hub.tools.exchange; print({'mcp', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
