"""A call of a typed function beside the same in plain FastAPI, by processor time; fifty functions in one service."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from benchmarks.http_client import HttpConnection, request_bytes
from benchmarks.kernel import CellFailed, Kernel
from benchmarks.measures.relay_gets import spent
from benchmarks.measures.throughput import ratio
from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import HOST, Server, free_port

CALL = Bar("at most", 1.25)  # of the same function in plain FastAPI
FIFTY = Bar("at most", 300.0)  # ms, the first time too
BODY = b'{"area": 70.5, "rooms": 3, "city": "Basel"}'
JSON = {"Content-Type": "application/json", "Content-Length": str(len(BODY))}
WARM_UP = 300  # calls
CALLS = 500  # of one turn, for each second of it: enough that clocks with ticks of 10 ms tell them apart
TURNS = 4  # of each path in a round: the load of the machine changes within one

SERVED_BEFORE = 2.0  # seconds before the first visitor: what startup leaves to do is done by then

FUNCTIONS = ("predict_async", "predict")


class AloneServer(Server):
    """One of the apps on uvicorn, with nothing before it."""

    def __init__(self, directory: Path, factory: str) -> None:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.functions_app:{factory}"]
        command += ["--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        super().__init__(f"functions-{factory}", [*command, "--log-level", "warning"], port, directory, {})


def alone(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """Both on uvicorn, each in a process of its own."""
    servers = {name: stage.keep(AloneServer(stage.directory, name)) for name in ("plain", "served")}
    paths = {name: ServingPath(name, server.port) for name, server in servers.items()}
    clocks = {name: clock_of(server.pid) for name, server in servers.items()}
    return compare("functions.alone", paths, clocks, effort, say)


def behind(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """Both behind Portico: in one kernel of the Jupyter server, whose processor time is counted."""
    paths = {name: serve(stage, name, stage.kernel) for name in ("plain", "served")}
    clock = clock_of(stage.kernel.pid)
    return compare("functions.behind-portico", paths, dict.fromkeys(paths, clock), effort, say)


def fifty(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """The page, the docs, the description and the list of tools: the first time in a fresh kernel, and later."""
    path = serve(stage, "fifty", stage.keep(Kernel(stage.jupyter)))
    time.sleep(SERVED_BEFORE)
    listing = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}).encode()
    asked = {
        "page": ("", "GET", {"Accept": "text/html"}, b""),
        "docs": ("docs", "GET", {}, b""),
        "openapi.json": ("openapi.json", "GET", {}, b""),
        "tools/list": ("mcp", "POST", {**MCP, "Content-Length": str(len(listing))}, listing),
    }
    rows = []
    for what, (rest, method, headers, body) in asked.items():
        times = [one(path, rest, method, headers, body) for _ in range(1 + 5 * effort.rounds)]
        rows.append(Row("functions.fifty", f"{what}, first", times[0], "ms", FIFTY))
        rows.append(Row("functions.fifty", what, median(times[1:]), "ms", FIFTY))
    return rows


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmarks", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MCP = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/list",
}


def serve(stage: Stage, factory: str, kernel: Kernel) -> ServingPath:
    name = f"bench-{factory}"
    code = f"""
import portico
from benchmarks import functions_app
{factory}_service = portico.serve(functions_app.{factory}(), name={name!r})
print("KEY", {factory}_service.key(expires="1h"))
"""
    try:
        printed = kernel.run(code)
    except CellFailed as error:
        raise NotServed(str(error).splitlines()[-1]) from error
    key = next(line.split()[1] for line in printed.splitlines() if line.startswith("KEY "))
    return ServingPath(factory, stage.jupyter.port, f"/portico/apps/{name}/", {"Authorization": f"Bearer {key}"})


def clock_of(pid: int) -> Callable[[], float]:
    process = psutil.Process(pid)
    return lambda: spent(process)


def compare(
    measure: str, paths: dict[str, ServingPath], clocks: dict[str, Callable[[], float]], effort: Effort, say: Say
) -> list[Row]:
    rows = []
    for function in FUNCTIONS:
        for path in paths.values():
            calls(path, function, WARM_UP)
        costs: dict[str, list[float]] = {name: [] for name in paths}
        for number in range(effort.rounds):
            total = dict.fromkeys(paths, 0.0)
            for turn in range(TURNS):
                names = list(paths) if (number + turn) % 2 else list(reversed(paths))
                for name in names:
                    before = clocks[name]()
                    calls(paths[name], function, CALLS * effort.seconds)
                    total[name] += clocks[name]() - before
            for name, cost in total.items():
                costs[name].append(cost / (TURNS * CALLS * effort.seconds) * 1e6)
            say(f"{function}: " + ", ".join(f"{name} {own[-1]:.0f} µs" for name, own in costs.items()))
        rows += [
            Row(measure, f"{function}, {name}", median(own), "µs", note="processor time a call")
            for name, own in costs.items()
        ]
        compared = ratio(costs["served"], costs["plain"])
        rows.append(Row(measure, f"{function}, to plain FastAPI", compared, "×", CALL))
    return rows


def calls(path: ServingPath, function: str, many: int) -> None:
    """Call *function*, one at a time on one connection. Raises AssertionError for any answer but the result."""
    request = request_bytes(path, f"{function}/run", "POST", JSON) + BODY
    with HttpConnection(path) as connection:
        for _ in range(many):
            connection.socket.sendall(request)
            status, headers = connection.read_head()
            body = b"".join(connection.read_exactly(int(headers["content-length"])))
            if status != 200 or body != b'{"result":211.5}':
                raise AssertionError(f"{path.name}: {status} {body[:200]!r}")


def one(path: ServingPath, rest: str, method: str, headers: dict[str, str], body: bytes) -> float:
    """The time of one request, in milliseconds. Raises AssertionError for any status but 200."""
    with HttpConnection(path) as connection:
        began = time.perf_counter()
        connection.send(rest, method, headers, [body] if body else [])
        status, answered = connection.read_head()
        if "content-length" in answered:
            got = b"".join(connection.read_exactly(int(answered["content-length"])))
        else:
            got = b"".join(connection.read_chunks())
        if status != 200:
            raise AssertionError(f"{path.name} {rest}: {status} {got[:300]!r}")
        return (time.perf_counter() - began) * 1000
