"""What is told of tools: asked once, kept within a bound, and harmless to others whatever a provider says."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from portico.hub.tools import definitions, listening
from portico.hub.tools.cleaning import MOST_OF_A_TOOL, cleaned
from portico.hub.tools.definitions import Definitions
from tests.hub.tools.agents import Agent, Toolbox, a_toolbox, changes, text_of
from tests.waiting import until


def test_a_provider_is_asked_once_and_again_when_its_digest_is_another() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            agent = Agent(hub)
            for _ in range(3):
                await agent.tools()
            assert box.asked == ["cats"]
            await box.describe("cats", {"run": {"description": "Anew."}, "walk": {}})
            tools = await agent.tools()
            assert [tool.get("description") for tool in tools.values()] == ["Anew.", None]
            assert box.asked == ["cats", "cats"]
            await box.kernel.unregister("cats")
            assert hub.workspace.tools.limits.definitions.size == 0

    asyncio.run(inside())


def test_many_who_ask_at_once_are_one_question() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            await asyncio.gather(*(Agent(hub).tools() for _ in range(20)))
            assert box.asked == ["cats"]

    asyncio.run(inside())


async def _never() -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "says",
    [
        _never,
        b"",
        b"{",
        b"[" * 100_000,
        b'{"tools": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"tools": [' + b"{}," * 600_000 + b"{}]}",
        b"x" * (5 << 20),
        b'{"tools": 7}',
        b"null",
    ],
    ids=["never", "empty", "broken", "deep", "deeper", "many", "long", "number", "null"],
)
def test_a_provider_that_says_nothing_of_use_hides_its_own_tools_and_costs_a_second(says: Any) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("evil", "run")
            box.says["evil"] = says
            other = await Toolbox.link(hub, "k2")
            await other.serve("cats", "run")
            began = time.monotonic()
            assert list(await Agent(hub).tools()) == ["cats__run"]
            assert time.monotonic() - began < 2
            assert "result" in await Agent(hub).call("evil__run"), "it can be called by those who know it"
            began = time.monotonic()
            if says is not _never:
                assert list(await Agent(hub).tools()) == ["cats__run"]
                assert time.monotonic() - began < 0.5, "it is left alone for a while"
                assert box.asked == ["evil"]

    asyncio.run(inside())


def test_definitions_that_come_late_are_told_to_who_listens() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            told = asyncio.Event()

            async def late() -> None:
                await told.wait()

            await box.serve("slow", "run")
            box.says["slow"] = late
            agent = Agent(hub)
            heard = await agent.listen()
            assert await agent.tools() == {}
            told.set()
            await until(lambda: len(heard.events) == 2)
            assert list(await agent.tools()) == ["slow__run"]
            assert box.asked == ["slow"]

    asyncio.run(inside())


def test_a_provider_that_has_not_heard_yet_that_it_serves_is_asked_again() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            asked = []

            async def late() -> Any:
                asked.append(1)
                return None if len(asked) == 3 else 404

            await box.serve("cats", "run")
            box.says["cats"] = late
            assert list(await Agent(hub).tools()) == ["cats__run"]
            assert len(asked) == 3

    asyncio.run(inside())


def test_a_provider_that_failed_is_asked_again_while_somebody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            monkeypatch.setattr(listening, "BEAT_EVERY", 0.02)
            monkeypatch.setattr(definitions, "_LEFT_ALONE", 0.05)
            await box.serve("cats", "run")
            box.says["cats"] = b"{"
            agent = Agent(hub)
            assert await agent.tools() == {}
            heard = await agent.listen()
            await until(lambda: len(box.asked) > 2)
            assert changes(heard) == 0
            del box.says["cats"]
            await until(lambda: changes(heard) == 1)
            assert list(await agent.tools()) == ["cats__run"]

    asyncio.run(inside())


def test_who_says_much_forgets_their_own() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            kept = hub.workspace.tools.limits.definitions = Definitions(400_000)
            other = await Toolbox.link(hub, "k2")
            await other.serve("cats", "run")
            agent = Agent(hub)
            await agent.tools()
            for number in range(20):
                await box.describe(f"big{number}", {"run": {"description": "x" * 9000}})
            assert len(await Agent(hub, query="services=cats").tools()) == 1
            for _ in range(3):
                await agent.tools()
                assert kept.size <= 400_000
                assert kept._sizes["kernel:k1"] <= 100_000
            assert other.asked == ["cats"], "theirs is not forgotten for it"

    asyncio.run(inside())


def test_a_provider_speaks_of_its_registered_tools_alone_and_of_each_once() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("evil", "run", "walk")
            box.says["evil"] = {
                "tools": [
                    {"name": "run", "schema": {"description": "first"}},
                    {"name": "run", "schema": {"description": "second"}},
                    {"name": "cats__run", "schema": {"description": "not registered"}},
                    {"name": 7, "schema": {}},
                    "walk",
                    {"name": "walk", "schema": None},
                ]
            }
            tools = await Agent(hub).tools()
            assert list(tools) == ["evil__run", "evil__walk"]
            assert tools["evil__run"]["description"] == "first"
            assert tools["evil__walk"] == {"name": "evil__walk", "inputSchema": {"type": "object"}}

    asyncio.run(inside())


def test_odd_names_are_listed_fit_and_called_by_their_own() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            names = ["a b", "a.b", "a/b", "ü", "x" * 128, "a__b", "../run", "\N{PILE OF POO}", "a_b"]
            await box.serve("odd", *names)
            agent = Agent(hub)
            tools = list(await agent.tools())
            assert len(tools) == len(names)
            for name, tool in zip(names, tools, strict=True):
                assert json.loads(text_of(await agent.call(tool)))["name"] == name

    asyncio.run(inside())


def test_a_list_is_told_in_pages_that_hold_each_tool_once() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("many", *(f"tool{number}" for number in range(250)))
            await box.describe("wide", {f"t{number}": {"description": "x" * 9000} for number in range(100)})
            agent = Agent(hub)
            pages: list[int] = []
            cursor = None
            while True:
                reading = await agent.send(agent.message("tools/list", {"cursor": cursor} if cursor else {}))
                assert len(reading.body) < 600_000
                result = reading.json()["result"]
                pages.append(len(result["tools"]))
                cursor = result.get("nextCursor")
                if cursor is None:
                    break
            assert sum(pages) == 350
            assert max(pages) == 100
            assert len(await agent.tools()) == 350
            said = (await agent.ask("tools/list", {"cursor": "many__gone"}))["result"]
            assert said["tools"][0]["name"] == "wide__t0"

    asyncio.run(inside())


def test_fifty_tools_are_listed_fast() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("many", *(f"tool{number}" for number in range(50)))
            began = time.monotonic()
            assert len(await Agent(hub).tools()) == 50
            assert time.monotonic() - began < 0.3

    asyncio.run(inside())


# --- one definition ---------------------------------------------------------------------------------------------


def test_what_is_known_of_a_definition_is_told() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "string", "default": "x"}},
        "$defs": {"A": {"enum": [1, 2]}},
        "required": ["a"],
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    definition = {
        "title": "Predict",
        "description": "One.\n\n\tTwo.",
        "inputSchema": schema,
        "outputSchema": {"type": "object", "properties": {"result": {"type": "number"}}},
        "annotations": {"title": "P", "readOnlyHint": True, "destructiveHint": False},
    }
    assert cleaned("s__t", definition) == {"name": "s__t", **definition}


@pytest.mark.parametrize("definition", [None, 7, [], "text", {"inputSchema": 7}, {"inputSchema": {"type": "array"}}])
def test_what_is_no_definition_is_a_tool_without_one(definition: Any) -> None:
    assert cleaned("s__t", definition) == {"name": "s__t", "inputSchema": {"type": "object"}}


def test_what_is_hidden_unknown_or_leads_elsewhere_is_left_out() -> None:
    told = cleaned(
        "s__t",
        {
            "name": "other__tool",
            "title": "a\nb\x1b[0m\u202ec\u200b",
            "description": "see\U000e0041\U000e0042\x00\u2028 this\n",
            "icons": [{"src": "http://evil.example"}],
            "_meta": {"x": 1},
            "annotations": {"readOnlyHint": "yes", "openWorldHint": True, "x": 1, "title": 7},
            "inputSchema": {
                "$schema": "http://evil.example/schema",
                "$id": "http://evil.example/",
                "properties": {"a": {"$ref": "http://evil.example/a"}, "$ref": {"type": "string"}},
                "allOf": [{"$dynamicRef": "file:///etc/passwd"}],
                "$defs": {"title": {"description": "see\U000e0041 \u202ethis", "enum": ["\u200b"], "title": "a\x1bb"}},
            },
        },
    )
    assert told == {
        "name": "s__t",
        "title": "ab[0mc",
        "description": "see this\n",
        "annotations": {"openWorldHint": True},
        "inputSchema": {
            "type": "object",
            "properties": {"a": {}, "$ref": {"type": "string"}},
            "allOf": [{}],
            "$defs": {"title": {"description": "see this", "enum": ["\u200b"], "title": "ab"}},
        },
    }


def test_a_definition_is_bounded() -> None:
    huge = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(10_000)}}
    told = cleaned("s__t", {"description": "Says.", "inputSchema": huge, "outputSchema": huge})
    assert len(json.dumps(told)) < MOST_OF_A_TOOL
    assert told["inputSchema"] == {"type": "object"}
    assert told["description"].startswith("Says.\n")
    deep: Any = {}
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    assert cleaned("s__t", {"inputSchema": deep})["inputSchema"] == {"type": "object"}
    assert len(cleaned("s__t", {"description": "x" * 1_000_000, "title": "y" * 1000})["description"]) == 10_000
    assert definitions.MOST_OF_A_SERVICE < definitions.MOST_KEPT / 4
