"""What a streamed token costs: Portico's chat server, beside fastapi-openai-compat and Hypha's, in one run.

Each server runs alone on uvicorn (uvloop, httptools) in a process of its own; a raw client reads 5,000 one-token
chunks over loopback. Printed are the server's processor time a token and the time a token at the client, each the
least of some rounds, and how Portico's compares. "floor" is an app that sends frames made beforehand, so what uvicorn
and the kernel cost: a write to the socket for each frame, whose price is 2 to 6 µs, as it wakes a client on another
processor or finds it awake. Which of the two it is stays the same while a server runs, so each is started several
times, in turns. What is not installed is left out. Run it with a Python that has the others::

    python benchmarks/models.py [--tokens 5000] [--rounds 4] [--starts 8]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKENS = int(os.environ.get("BENCH_TOKENS", "5000"))

SERVERS = ("portico", "floor", "fastapi-openai-compat", "hypha", "portico-sync", "fastapi-openai-compat-sync")


async def from_async(request: Any = None, messages: Any = None) -> Any:
    for _ in range(TOKENS):
        yield "token "


def from_sync(request: Any = None, messages: Any = None) -> Any:
    for _ in range(TOKENS):
        yield "token "


def app_of(name: str) -> Any:
    """The server called *name*, whose one model is ``m``."""
    sync = name.endswith("-sync")
    function: Callable[..., Any] = from_sync if sync else from_async
    match name.removesuffix("-sync"):
        case "portico":
            from portico.models import chat_server

            return chat_server({"m": function})
        case "fastapi-openai-compat":
            from fastapi import FastAPI
            from fastapi_openai_compat import create_openai_router

            async def run(model: str, messages: list[Any], body: dict[str, Any]) -> Any:
                return function()

            app = FastAPI()
            app.include_router(create_openai_router(list_models=lambda: ["m"], run_completion=run))
            return app
        case "hypha":
            from hypha_rpc.utils.serve import create_openai_chat_server

            return create_openai_chat_server({"m": function})
        case "floor":
            return floor
    raise SystemExit(f"no server is called {name}")


async def floor(scope: Any, receive: Any, send: Any) -> None:
    """Send the same frames as Portico does, and do nothing else."""
    choice = '{"index":0,"delta":{"content":"token "},"logprobs":null,"finish_reason":null}'
    start = (
        '{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk","created":1795253525,"model":"m"'
    )
    frame = f'data: {start},"choices":[{choice}]}}\n\n'.encode()
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    turned = time.monotonic()
    for _ in range(TOKENS):
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        if time.monotonic() - turned > 0.006:
            await asyncio.sleep(0)
            turned = time.monotonic()
    await send({"type": "http.response.body", "body": b""})


def serve(name: str, port: int) -> None:
    """Run a server, with a route that tells its processor time."""
    import uvicorn

    app = app_of(name)

    async def with_clock(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/clock":
            spent = time.process_time()
            body = b"%.6f" % spent
            length = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": body})
        else:
            await app(scope, receive, send)

    uvicorn.run(with_clock, port=port, loop="uvloop", http="httptools", lifespan="off", log_level="error")


def fetch(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """One request; everything up to the end of the connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


def measure(name: str, tokens: int, rounds: int) -> tuple[float, float]:
    """Microseconds a token, the least of *rounds*: of the server's processor time, and as the client sees it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "BENCH_TOKENS": str(tokens)}
    command = [sys.executable, __file__, "--serve", name, "--port", str(port)]
    server = subprocess.Popen(command, env=environment)
    try:
        for _ in range(200):
            try:
                fetch(port, "GET", "/clock")
                break
            except OSError:
                time.sleep(0.05)
        message = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "go"}]}
        body = json.dumps(message).encode()
        requests = 8
        least = least_wall = float("inf")
        for round_ in range(rounds + 1):
            before = clock(port)
            began = time.perf_counter()
            for _ in range(requests):
                answer = fetch(port, "POST", "/v1/chat/completions", body)
                got = answer.count(b"token ")
                if got != tokens:
                    raise SystemExit(f"{name} gave {got} tokens, not {tokens}: {answer[:500]!r}")
            wall = time.perf_counter() - began
            spent = clock(port) - before
            if round_:  # the first one warms up
                least = min(least, spent / requests / tokens * 1e6)
                least_wall = min(least_wall, wall / requests / tokens * 1e6)
        return least, least_wall
    finally:
        server.terminate()
        server.wait()


def clock(port: int) -> float:
    return float(fetch(port, "GET", "/clock").rpartition(b"\r\n\r\n")[2])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    sys.path.insert(0, os.environ.get("PORTICO_BENCH_SOURCE", str(Path(__file__).parent.parent / "src")))
    if options.serve:
        serve(options.serve, options.port)
        return
    modules = {
        "portico": "portico",
        "floor": "uvicorn",
        "fastapi-openai-compat": "fastapi_openai_compat",
        "hypha": "hypha_rpc",
    }
    there = [name for name in SERVERS if importlib.util.find_spec(modules[name.removesuffix("-sync")]) is not None]
    costs = dict.fromkeys(there, (float("inf"), float("inf")))
    for _ in range(options.starts):
        for name in there:
            processor, wall = measure(name, options.tokens, options.rounds)
            costs[name] = min(costs[name][0], processor), min(costs[name][1], wall)
    for name in SERVERS:
        if name not in costs:
            print(f"{name:28} not installed")
            continue
        ours = costs["portico-sync" if name.endswith("-sync") else "portico"]
        shown = [
            f"{cost:6.2f} µs (portico's is {own / cost:.2f} of it)" for own, cost in zip(ours, costs[name], strict=True)
        ]
        print(f"{name:28} processor {shown[0]}   client {shown[1]}", flush=True)
    print(
        time.strftime("%Y-%m-%d"),
        f"Python {sys.version.split()[0]}, {options.tokens} tokens, {options.starts} starts of {options.rounds} rounds",
    )


if __name__ == "__main__":
    main()
