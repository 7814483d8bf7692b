"""What another package's adapter takes, served by a real provider to a real hub: a package that pip has installed."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from portico.adapters import Taken, ToolList
from portico.errors import InvalidOption, NotServable
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.protocol import Limits
from portico.provider.connect import open_server
from portico.provider.options import Options
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.serving import renew, serve
from portico.provider.thread import LoopThread
from portico.tab import bridge
from portico.transports.memory import MemoryTransport
from portico.types import service_name
from tests.adapters.packages import ADAPTER, LIBRARY, PYPROJECT, install, lay
from tests.in_process import ADDRESS, HereHub, a_hub
from tests.provider.published import saying
from tests.transports.recorder import run
from tests.waiting import until

USER = Principal(id="user:ada")


@asynccontextmanager
async def here(config: HubConfig | None = None) -> AsyncIterator[tuple[HereHub, Provider]]:
    async with a_hub(config) as hub:
        provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
        try:
            yield hub, provider
        finally:
            await provider.shutdown()


async def served(provider: Provider, thing: Any, name: str = "board") -> Service:
    """From a thread of its own, as a script's."""
    options = {"hub": ADDRESS.url, "token": ADDRESS.token, "provider": provider}
    return await asyncio.to_thread(serve, thing, name, **options)  # type: ignore[arg-type]


async def renewed(live: Service, thing: Any) -> None:
    await asyncio.to_thread(renew, live, thing)


def test_a_package_that_pip_installs_is_served(tmp_path: Path, site: Path) -> None:
    source = tmp_path / "source"
    (source / "boards").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PYPROJECT.format(name="boards", entries='boards = "boards.portico_adapter"'))
    (source / "boards" / "__init__.py").write_text(LIBRARY)
    (source / "boards" / "portico_adapter.py").write_text(ADAPTER)

    async def work() -> None:
        async with here() as (hub, provider):
            with pytest.raises(NotServable):
                await served(provider, object())
            await asyncio.to_thread(install, source, site)
            boards = importlib.import_module("boards")
            live = await served(provider, boards.Board("todo, done"))
            assert (live.kind, live.how, live.tools.names) == ("board", "Board, by boards", ("add",))
            visit = hub.ask("board")
            assert (await visit.ended, visit.body) == ("whole", b"todo, done")
            shown = hub.control.service(USER, "board")
            assert (shown["kind"], shown["tools"], shown["tools_digest"]) == ("board", ["add"], live.tools.digest)
            assert shown["capabilities"] == [{"type": "board"}] == list(live.capabilities)
            with pytest.raises(NotServable):
                await renewed(live, object())
            await renewed(live, boards.Board("other"))
            assert hub.control.service(USER, "board")["kind"] == "board"
            visit = hub.ask("board")
            assert (await visit.ended, visit.body) == ("whole", b"other")

    run(work)


CHANGING = ADAPTER.replace('capabilities=[{"type": "board"}]', "capabilities=thing.can").replace(
    'ToolList.of({"add": {"type": "object"}})', "ToolList.of(thing.tools)"
)


def test_what_it_offers_follows_it(site: Path) -> None:
    """As a cell is run again: the hub is told, and a hub that it is shared by too."""
    lay(site, "boards", {"boards": "boards_portico"}, {"boards.py": LIBRARY, "boards_portico.py": CHANGING})
    board = importlib.import_module("boards").Board()
    board.tools, board.can = {"add": 1}, [{"gpus": 1}]

    async def work() -> None:
        async with here() as (hub, provider):
            live = await served(provider, board)
            digest = hub.control.service(USER, "board")["tools_digest"]
            board.tools = {"add": 2}
            await renewed(live, board)
            assert hub.control.service(USER, "board")["tools_digest"] != digest
            board.can = []
            await renewed(live, board)
            assert hub.control.service(USER, "board")["capabilities"] == []

    run(work)


def test_too_many_tools_are_refused_with_the_limit_and_what_was_before_stays(site: Path) -> None:
    lay(site, "boards", {"boards": "boards_portico"}, {"boards.py": LIBRARY, "boards_portico.py": CHANGING})
    boards = importlib.import_module("boards")
    few, many = boards.Board("few"), boards.Board("many")
    few.tools, few.can, many.can = {"add": 1}, [], [{"gpus": 1}]
    many.tools = {f"tool_number_{number}": {"type": "object"} for number in range(5000)}
    says = r"'board' is too long for the link: 5000 tools \(\d+ bytes\), 1 capabilities .* reads at most 65536\)"

    async def work() -> None:
        async with here() as (hub, provider):
            with pytest.raises(InvalidOption, match=says):
                await served(provider, many)
            assert hub.names == set()
            assert provider.services == {}
            live = await served(provider, few)
            with pytest.raises(InvalidOption, match=says):
                await renewed(live, many)
            assert (live.status, live.tools.names) == ("live", ("add",))
            assert hub.control.service(USER, "board")["tools"] == ["add"]
            visit = hub.ask("board")
            assert (await visit.ended, visit.body) == ("whole", b"few")
            hub.cut()
            await until(lambda: live.status == "reconnecting")
            await until(lambda: live.status == "live")

    run(work)


def test_models_that_do_not_fit_leave_those_that_did() -> None:
    def reply(messages: Any) -> str:
        return ""

    async def work() -> None:
        async with here() as (hub, provider):
            live = await served(provider, {"cat": reply}, "zoo")
            with pytest.raises(InvalidOption, match=r"500 models \(\d+ bytes\)"):
                await renewed(live, {f"{number:0190}": reply for number in range(500)})
            assert (live.models, live.app.model_ids) == (("cat",), ["cat"])  # type: ignore[union-attr]
            assert hub.control.service(USER, "zoo")["models"] == ["cat"]

    run(work)


def test_a_hub_that_is_back_with_a_smaller_frame_takes_what_fits() -> None:
    """The other services stay, and whose descriptor is too long says why it ended."""

    async def work() -> None:
        async with a_hub() as first, a_hub(HubConfig(limits=Limits(max_control_frame=4096))) as second:
            at = [first]

            async def dial(address: Any, limits: Limits) -> MemoryTransport:
                return await at[0].dial(address, limits)

            provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            long = Service(service_name("long"), Options(), "app", (), "", provider=provider)
            long._takes(Taken(saying(b"long"), tools=ToolList.of({f"tool{number}": 1 for number in range(1000)})))
            await provider.publish(long, saying(b"long"), ADDRESS)
            short = Service(service_name("short"), Options(), "app", (), "", provider=provider)
            await provider.publish(short, saying(b"short"), ADDRESS)
            at[0] = second
            first.cut()
            await until(lambda: short.status == "live" and second.names == {"short"})
            assert long.status == "stopped"
            assert "1000 tools" in long.error
            assert "reads at most 4096" in long.error
            await provider.shutdown()

    run(work)


def test_a_program_that_is_asynchronous_registers_it_and_its_loop_goes_on(site: Path) -> None:
    slow = "import time\ntime.sleep(0.2)\n" + ADAPTER  # on the loop it would be an error: `blockbuster` looks for that
    lay(site, "boards", {"boards": "boards_portico"}, {"boards.py": LIBRARY, "boards_portico.py": slow})
    board = importlib.import_module("boards").Board("todo")

    async def work() -> None:
        async with here() as (hub, provider):
            server = await open_server(provider, ADDRESS)
            await server.register_service({"id": "board", "type": "asgi", "serve": board})
            assert hub.control.service(USER, "board")["kind"] == "board"
            visit = hub.ask("board")
            assert (await visit.ended, visit.body) == ("whole", b"todo")
            with pytest.raises(NotServable, match="is no app"):
                await server.register_service({"id": "other", "serve": object()})

    run(work)


def test_a_tabs_worker_takes_it_too(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(site, "boards", {"boards": "boards_portico"}, {"boards.py": LIBRARY, "boards_portico.py": ADAPTER})
    (tmp_path / "page_of_boards.py").write_text("import boards\napp = boards.Board()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    taken = bridge._take("page_of_boards", str(tmp_path), False, lambda doing, error: None)
    assert (taken.kind, taken.how) == ("board", "Board, by boards")


@pytest.mark.parametrize(
    ("source", "kind", "names"),
    [
        (
            "from portico.models import get_last_user_message\nimport portico\n"
            "@portico.tool\ndef predict(area: float) -> float: return area\n"
            "def other(messages): return 'not marked'\n",
            "functions",
            ("predict",),
        ),
        (
            "import portico\n@portico.tool\ndef a(x: int): return x\n@portico.tool\ndef b(x: int): return x\n",
            "functions",
            ("a", "b"),
        ),
        (
            "import portico\n@portico.tool\ndef a(x: int) -> int: return x\n@portico.model\ndef b(text): return text\n",
            "chat",
            ("b",),
        ),
        ("app = [lambda x: x]\n", "functions", ("function",)),
    ],
    ids=["one tool", "two tools", "a model first", "by name"],
)
def test_a_tabs_worker_finds_what_is_marked(
    source: str, kind: str, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file imports or defines besides is nothing that its author meant to serve."""
    (tmp_path / "page_of_tools.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    taken = bridge._take("page_of_tools", str(tmp_path), False, lambda doing, error: None)
    assert taken.kind == kind
    assert (tuple(taken.models) or tuple(taken.app.functions)) == names


def test_functions_are_swapped_in_place_and_the_hub_is_told() -> None:
    def predict(area: float) -> float:
        return area

    def explain(area: float) -> str:
        return "because"

    async def work() -> None:
        async with here() as (hub, provider):
            live = await served(provider, predict, "flats")
            assert (live.kind, live.tools.names, live.how) == ("functions", ("predict",), "function predict")
            app, digest = live.app, hub.control.service(USER, "flats")["tools_digest"]
            await renewed(live, {"predict": predict, "why": explain})
            shown = hub.control.service(USER, "flats")
            assert (shown["kind"], shown["tools"]) == ("functions", ["predict", "why"])
            assert (live.app is app, shown["tools_digest"] != digest) == (True, True)
            assert (live.how, live.call and live.call.path) == ("functions predict, why", "predict/run")
            with pytest.raises(NotServable, match="is a function, and reply is a chat model"):
                await renewed(live, [predict, reply])
            assert live.tools.names == ("predict", "why")
            await renewed(live, reply)
            shown = hub.control.service(USER, "flats")
            assert (shown["kind"], shown["models"], shown["tools"]) == ("chat", ["reply"], [])
            assert (live.call, live.app is app) == (None, False)
            await renewed(live, [explain])
            assert hub.control.service(USER, "flats")["tools"] == ["explain"]

    def reply(messages: Any) -> str:
        return ""

    run(work)


def test_too_many_functions_are_refused_with_the_limit_and_those_before_stay() -> None:
    def predict(area: float) -> float:
        return area

    async def work() -> None:
        async with here() as (_, provider):
            live = await served(provider, predict, "flats")
            with pytest.raises(InvalidOption, match=r"too long for the link: 3000 tools"):
                await renewed(live, {f"function_with_a_long_name_{number}": predict for number in range(3000)})
            assert (live.status, live.tools.names) == ("live", ("predict",))
            assert tuple(live.app.functions) == ("predict",)  # type: ignore[union-attr]

    run(work)
