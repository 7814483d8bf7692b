"""A call of a tool beside the same as the SDK of MCP serves it, by processor time: for clients of both eras."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from benchmarks.http_client import HttpConnection, request_bytes
from benchmarks.measures.functions import FUNCTIONS, MCP, META, AloneServer, clock_of
from benchmarks.measures.throughput import ratio
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say

CALL = Bar("at most", 1.0)  # of the SDK's own server
WARM_UP = 200  # calls
CALLS = 300  # of one turn, for each second of it
TURNS = 4  # of each path in a round
ARGUMENTS = {"area": 70.5, "rooms": 3, "city": "Basel"}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmarks", "version": "1"}}
ERAS = ("2026-07-28", "handshake")


def call(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """Both on uvicorn, each in a process of its own."""
    servers = {name: stage.keep(AloneServer(stage.directory, name)) for name in ("sdk", "served")}
    paths = {name: ServingPath(name, server.port) for name, server in servers.items()}
    clocks = {name: clock_of(server.pid) for name, server in servers.items()}
    rows = []
    for era in ERAS:
        for function in FUNCTIONS:
            costs: dict[str, list[float]] = {name: [] for name in paths}
            for path in paths.values():
                calls(path, era, function, WARM_UP)
            for number in range(effort.rounds):
                total = dict.fromkeys(paths, 0.0)
                for turn in range(TURNS):
                    names = list(paths) if (number + turn) % 2 else list(reversed(paths))
                    for name in names:
                        before = clocks[name]()
                        calls(paths[name], era, function, CALLS * effort.seconds)
                        total[name] += clocks[name]() - before
                for name, cost in total.items():
                    costs[name].append(cost / (TURNS * CALLS * effort.seconds) * 1e6)
                say(f"{function}, {era}: " + ", ".join(f"{name} {own[-1]:.0f} µs" for name, own in costs.items()))
            rows += [
                Row("tools.call", f"{function}, {era}, {name}", median(own), "µs", note="processor time a call")
                for name, own in costs.items()
            ]
            compared = ratio(costs["served"], costs["sdk"])
            rows.append(Row("tools.call", f"{function}, {era}, to the SDK's server", compared, "×", CALL))
    return rows


def calls(path: ServingPath, era: str, function: str, many: int) -> None:
    """Call *function*, one at a time on one connection. Raises AssertionError for any answer but the result."""
    params: dict[str, Any] = {"name": function, "arguments": ARGUMENTS}
    with HttpConnection(path) as connection:
        if era == ERAS[0]:
            headers = {**MCP, "Mcp-Method": "tools/call", "Mcp-Name": function}
            params["_meta"] = META
        else:
            headers = {"Content-Type": MCP["Content-Type"], "Accept": MCP["Accept"]}
            answered, _ = ask(connection, path, headers, {"method": "initialize", "params": HELLO})
            headers["Mcp-Session-Id"] = answered["mcp-session-id"]
        for _ in range(many):
            _, body = ask(connection, path, headers, {"method": "tools/call", "params": params})
            if b'"structuredContent":{"result":211.5}' not in body:
                raise AssertionError(f"{path.name}: {body[:300]!r}")


def ask(
    connection: HttpConnection, path: ServingPath, headers: dict[str, str], message: dict[str, Any]
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, **message}).encode()
    request = request_bytes(path, "mcp", "POST", {**headers, "Content-Length": str(len(body))})
    connection.socket.sendall(request + body)
    status, answered = connection.read_head()
    if "content-length" in answered:
        got = b"".join(connection.read_exactly(int(answered["content-length"])))
    else:
        got = b"".join(connection.read_chunks())
    if status != 200:
        raise AssertionError(f"{path.name}: {status} {got[:300]!r}")
    return answered, got
