"""Two processes behind one name on a relay, under load, one of which goes: by order, or from one moment to the next."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.live_relay import RelayProcess

_HANGS = 20.0  # seconds that nothing here may take
_VISITORS = 8

_APP = """
import os
from tests.integration.visited_app import app as visited

begun = os.open(os.environ["BEGUN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


async def app(scope, receive, send):
    if scope["type"] == "http":
        os.write(begun, scope["query_string"] + b"\\n")  # it stays, whatever becomes of the process
    await visited(scope, receive, send)
"""


class Replica:
    """One `portico serve`, which writes down what it begins."""

    def __init__(self, relay: RelayProcess, folder: Path, name: str) -> None:
        folder.joinpath("noted_app.py").write_text(_APP)
        self._begun = folder / name
        command = [sys.executable, "-m", "portico", "serve", "noted_app:app", "--id=cat", "--replica"]
        command += ["--access=public", f"--server-url={relay.url}", f"--token={relay.token()}", f"--app-dir={folder}"]
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"BEGUN": str(self._begun), "PYTHONPATH": root},
        )
        assert self._process.stdout is not None
        while relay.service_url("cat") not in (line := self._process.stdout.readline()):
            assert line, "it did not start"

    @property
    def begun(self) -> list[str]:
        """The queries of the requests that it began."""
        return self._begun.read_text().split() if self._begun.exists() else []

    def send_signal(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess(tmp_path).start()
    yield relay
    relay.stop(signal.SIGKILL)


@pytest.fixture
def replicas(relay: RelayProcess, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    goes = Replica(relay, tmp_path, "goes")
    stays = Replica(relay, tmp_path, "stays")
    yield goes, stays
    goes.end()
    stays.end()


async def visit(url: str, method: str, outcomes: dict[str, str], until: Callable[[], bool], who: int) -> None:
    """Ask again and again, each time with a query of its own; write down what came of it."""
    body = b"x" * 100 if method == "POST" else None
    async with httpx.AsyncClient(timeout=_HANGS) as client:
        number = 0
        while not until():
            number += 1
            query = f"{who}-{number}"
            try:
                answer = await client.request(method, f"{url}?{query}", content=body)
                outcomes[query] = str(answer.status_code)
            except httpx.HTTPError as error:
                outcomes[query] = repr(error)


def under_load(relay: RelayProcess, goes: Replica, how: signal.Signals) -> dict[str, str]:
    """Visit both, end one by a signal, and go on for a while; returns each request's outcome."""
    outcomes: dict[str, str] = {}
    url = relay.service_url("cat")

    async def load() -> None:
        over = False
        async with asyncio.TaskGroup() as group:
            for who in range(_VISITORS):
                path, method = ("hello", "GET") if who % 2 else ("size", "POST")
                group.create_task(visit(url + path, method, outcomes, lambda: over, who))
            async with asyncio.timeout(60):
                while len(outcomes) < 200 or not goes.begun:  # noqa: ASYNC110 -- what it waits for is the network's
                    await asyncio.sleep(0.01)
                goes.send_signal(how)
                enough = len(outcomes) + 500
                while len(outcomes) < enough:  # noqa: ASYNC110 -- as above
                    await asyncio.sleep(0.01)
            over = True

    asyncio.run(load())
    return outcomes


def test_one_that_is_told_to_stop_is_missed_by_nobody(relay: RelayProcess, replicas: tuple[Replica, Replica]) -> None:
    goes, stays = replicas
    outcomes = under_load(relay, goes, signal.SIGTERM)
    assert {outcome for outcome in outcomes.values() if outcome != "200"} == set()
    begun = goes.begun + stays.begun
    assert sorted(begun) == sorted(outcomes), "each was begun once"


def test_of_one_that_is_killed_only_what_it_was_given_is_lost(
    relay: RelayProcess, replicas: tuple[Replica, Replica]
) -> None:
    goes, stays = replicas
    outcomes = under_load(relay, goes, signal.SIGKILL)
    lost = {query for query, outcome in outcomes.items() if outcome != "200"}
    assert {outcomes[query] for query in lost} <= {"502"}
    assert len({query.partition("-")[0] for query in lost}) == len(lost), "what each visitor asked next was answered"
    begun = goes.begun + stays.begun
    assert len(begun) == len(set(begun)), "none was begun twice"
    assert not lost & set(stays.begun)
    assert set(outcomes) - lost <= set(begun)
