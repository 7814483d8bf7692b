"""A relay that is stopped or killed, and started again on its port, while visitors call; a provider that freezes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

import portico
from tests.integration import visited_app
from tests.live_relay import RelayProcess
from tests.waiting import eventually, until

_LONGEST = 20.0  # seconds that nothing may take: beyond it a visitor hangs
_LOAD = 60.0  # seconds in which what is asked for again and again comes, on a machine that does much else
_BACK = 2.0  # seconds after which a restarted relay must serve again


@dataclass
class Seen:
    """What visitors saw, each with the time."""

    gets: list[tuple[float, str]] = field(default_factory=list)
    """When a GET began, and its status or the error."""
    events: list[float] = field(default_factory=list)
    echoes: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)


async def get_again_and_again(url: str, seen: Seen, client: httpx.AsyncClient) -> None:
    while not seen.over.is_set():
        began = time.monotonic()
        try:
            async with asyncio.timeout(_LONGEST):
                outcome = str((await client.get(url)).status_code)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
            await asyncio.sleep(0.01)  # nobody listens: a client does not spin either
        seen.gets.append((began, outcome))


async def follow_events(url: str, seen: Seen, client: httpx.AsyncClient) -> None:
    """As an EventSource does: dial again when the stream is cut."""
    while not seen.over.is_set():
        try:
            async with client.stream("GET", url) as answer:
                lines = answer.aiter_lines()
                while not seen.over.is_set():
                    async with asyncio.timeout(_LONGEST):
                        if await anext(lines):
                            seen.events.append(time.monotonic())
        except (httpx.HTTPError, StopAsyncIteration):
            await asyncio.sleep(0.05)


async def echo(url: str, seen: Seen) -> None:
    while not seen.over.is_set():
        try:
            async with connect(url, open_timeout=_LONGEST, proxy=None) as socket:
                while not seen.over.is_set():
                    async with asyncio.timeout(_LONGEST):
                        await socket.send("x")
                        await socket.recv()
                    seen.echoes.append(time.monotonic())
                    await asyncio.sleep(0.01)
        except (WebSocketException, OSError):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restarted_under_load(how: signal.Signals, tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, drain_timeout="500ms", drain_jitter="500ms").start()
    service = portico.serve(visited_app.app, "cat", access="public", hub=relay.url, token=relay.token())
    assert service.url is not None

    async def load() -> tuple[Seen, float]:
        seen = Seen()
        async with httpx.AsyncClient(timeout=_LONGEST) as client, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(get_again_and_again(service.url + "hello", seen, client))
            for _ in range(3):
                group.create_task(follow_events(service.url + "events", seen, client))
                group.create_task(echo(service.url.replace("http", "ws") + "echo", seen))
            await until(lambda: len(seen.gets) > 100 and len(seen.events) > 10 and len(seen.echoes) > 10, _LOAD)
            await asyncio.to_thread(relay.stop, how)
            await asyncio.to_thread(relay.start)
            listening = time.monotonic()
            gets, events, echoes = len(seen.gets), len(seen.events), len(seen.echoes)
            await until(
                lambda: (
                    sum(outcome == "200" for _, outcome in seen.gets[gets:]) > 100
                    and len(seen.events) > events + 30
                    and len(seen.echoes) > echoes + 30
                ),
                _LOAD,
            )
            seen.over.set()
        return seen, listening

    try:
        seen, listening = asyncio.run(load())
    finally:
        service.stop()
        relay.stop(signal.SIGKILL)
    ok = [began for began, outcome in seen.gets if outcome == "200" and began >= listening]
    assert ok[0] - listening < _BACK
    assert next(when for when in seen.events if when > listening) - listening < _BACK
    assert next(when for when in seen.echoes if when > listening) - listening < _BACK
    # who came to the new relay before the provider did has waited for it, and has seen nothing of the restart
    after = {outcome for began, outcome in seen.gets if began >= listening}
    assert after == {"200"}, after
    # who came before was answered, told to come again, or cut: in time, all of them
    before = {outcome for began, outcome in seen.gets if began < listening}
    assert before <= {"200", "502", "503", "ConnectError", "ReadError", "RemoteProtocolError"}, before
    if how == signal.SIGTERM:
        assert "502" not in before


_PROVIDER = """
import sys
import portico
from tests.integration.visited_app import app

service = portico.serve(app, "cat", access="public", hub=sys.argv[1], token=sys.argv[2])
print(service.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay that gives a silent provider up after two seconds or so."""
    relay = RelayProcess(tmp_path, ping_interval="500ms", silence_timeout="2s", wait_for_provider="1s").start()
    yield relay
    relay.stop(signal.SIGKILL)


def test_a_frozen_provider_keeps_its_name_and_comes_back_under_the_same_url(impatient: RelayProcess) -> None:
    provider = subprocess.Popen(
        [sys.executable, "-c", _PROVIDER, impatient.url, impatient.token()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert provider.stdout is not None
        assert provider.stdin is not None
        url = provider.stdout.readline().strip()
        assert httpx.get(url + "hello").status_code == 200
        with httpx.stream("GET", url + "events", timeout=30) as events:
            lines = events.iter_lines()
            next(lines)
            os.kill(provider.pid, signal.SIGSTOP)
            waiting = time.monotonic()
            with pytest.raises(httpx.RemoteProtocolError):  # cut once the link is given up
                list(lines)
        assert time.monotonic() - waiting < 15
        told = httpx.get(url + "hello", timeout=30)
        assert told.status_code == 503
        assert int(told.headers["retry-after"]) >= 1
        assert told.json()["error"]["code"] in ("provider_reconnecting", "provider_away")
        page = httpx.get(url + "hello", headers={"Accept": "text/html"}, timeout=30)
        assert page.status_code == 503
        assert "<html" in page.text
        os.kill(provider.pid, signal.SIGCONT)
        eventually(lambda: httpx.get(url + "hello", timeout=30).status_code != 503, what="the provider's return")
        assert httpx.get(url + "hello", timeout=30).json() == {"hello": "you"}
        provider.stdin.close()
        assert provider.wait(20) == 0
    finally:
        provider.kill()
        provider.wait()
        for pipe in (provider.stdin, provider.stdout):
            if pipe is not None:
                pipe.close()
