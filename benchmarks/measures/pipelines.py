"""The server of pipelines beside Hayhooks itself, on the same wrapper: a token of a chat, and a run, by processor time.

Hayhooks is that of PyPI, with its log of requests off, in an environment of its own that is made at the first run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from benchmarks.http_client import Cut, HttpConnection, request_bytes
from benchmarks.measures.functions import clock_of
from benchmarks.measures.throughput import ratio
from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.pipelines_app import FOLDER
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import HOST, Server, free_port
from tests.environments import python

TOKEN = Bar("at most", 0.5)  # of Hayhooks' time
RUN = Bar("at most", 0.8)
REQUIREMENTS = Path(__file__).resolve().parent.parent / "hayhooks-requirements.txt"
WARM_UP = 300  # runs, and tokens
RUNS = 400  # of one turn, for each second of it
TOKENS = 10_000
TURNS = 4  # of each server in a round
QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "False", "HAYHOOKS_LOG_LEVEL": "ERROR", "LOG": "ERROR"}

KINDS = {"plain": "of a plain generator", "pipeline": "of a pipeline, by streaming_generator"}


class PorticoServer(Server):
    """The server of pipelines on uvicorn, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.pipelines_app:served"]
        command += ["--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        super().__init__("portico", [*command, "--log-level", "warning", "--no-access-log"], port, directory, QUIET)


class HayhooksServer(Server):
    """Hayhooks by its own command, which is uvicorn with the same loop and parser."""

    def __init__(self, directory: Path, interpreter: Path) -> None:
        port = free_port()
        command = [str(interpreter.with_name("hayhooks")), "run", "--host", HOST, "--port", str(port)]
        super().__init__("hayhooks", [*command, "--pipelines-dir", str(FOLDER)], port, directory, QUIET)


def servers(stage: Stage, say: Say) -> dict[str, Server]:
    say("  Hayhooks' environment is made at the first run: some minutes")
    try:
        interpreter = python("hayhooks", REQUIREMENTS)
    except RuntimeError as error:
        raise NotServed(f"Hayhooks cannot be installed: {str(error).splitlines()[-1]}") from error
    return {
        "portico": stage.keep(PorticoServer(stage.directory)),
        "hayhooks": stage.keep(HayhooksServer(stage.directory, interpreter)),
    }


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """Both servers in turns."""
    running = servers(stage, say)
    paths = {name: ServingPath(name, server.port) for name, server in running.items()}
    clocks = {name: clock_of(server.pid) for name, server in running.items()}
    asked = {"run": RUNS, **dict.fromkeys(KINDS, TOKENS)}
    for path in paths.values():
        for what in asked:
            ask(path, what, WARM_UP)
    costs: dict[str, dict[str, list[float]]] = {what: {name: [] for name in paths} for what in asked}
    for number in range(effort.rounds):
        for what, many in asked.items():
            total = dict.fromkeys(paths, 0.0)
            for turn in range(TURNS):
                for name in list(paths) if (number + turn) % 2 else reversed(list(paths)):
                    before = clocks[name]()
                    ask(paths[name], what, many * effort.seconds)
                    total[name] += clocks[name]() - before
            for name, cost in total.items():
                costs[what][name].append(cost / (TURNS * many * effort.seconds) * 1e6)
            say(f"{what}: " + ", ".join(f"{name} {own[-1]:.1f} µs" for name, own in costs[what].items()))
    rows = []
    for what, own in costs.items():
        shown = f"a token, {KINDS[what]}" if what in KINDS else "a run"
        note = "processor time"
        rows += [Row("pipelines", f"{shown}, {name}", median(each), "µs", note=note) for name, each in own.items()]
        bar = TOKEN if what in KINDS else RUN
        rows.append(Row("pipelines", f"{shown}, to Hayhooks", ratio(own["portico"], own["hayhooks"]), "×", bar))
    return rows


def ask(path: ServingPath, what: str, many: int) -> None:
    """Have *many* runs or tokens. Raises AssertionError for any other answer."""
    if what == "run":
        runs(path, many)
    else:
        tokens(path, what, many)


def runs(path: ServingPath, many: int) -> None:
    body = b'{"text": "hello"}'
    request = request_bytes(path, "bench/run", "POST", _json(body)) + body
    with HttpConnection(path) as connection:
        for _ in range(many):
            connection.socket.sendall(request)
            status, headers = connection.read_head()
            answer = b"".join(connection.read_exactly(int(headers["content-length"])))
            if status != 200 or answer != b'{"result":"hello"}':
                raise AssertionError(f"{path.name}: {status} {answer[:200]!r}")


def tokens(path: ServingPath, kind: str, many: int) -> None:
    asked = {"model": "bench", "stream": True, "user": kind, "messages": [{"role": "user", "content": str(many)}]}
    body = json.dumps(asked).encode()
    with HttpConnection(path) as connection:
        connection.socket.sendall(request_bytes(path, "v1/chat/completions", "POST", _json(body)) + body)
        status, _ = connection.read_head()
        if status != 200:
            raise AssertionError(f"{path.name}: {status}")
        heard = 0
        end = b""
        try:
            for chunk in connection.read_chunks():
                heard += chunk.count(b"token ")
                end = chunk
        except Cut:
            raise AssertionError(f"{path.name} was cut after {heard} tokens: {end[-200:]!r}") from None
        if heard != many:
            raise AssertionError(f"{path.name}: {heard} tokens of {many}")


def _json(body: bytes) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(len(body))}
