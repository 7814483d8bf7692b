"""Services that are functions, registered by a program, by a relay."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.live_commands import Relay, Shell, last_words

FUNCTIONS = """\
import asyncio, json
from portico import connect_to_server

async def hello(event):
    return {"status": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps({"message": "Hi"})}

async def index(event):
    return {"status": 200, "body": "Home page"}

async def users(event, context=None):
    return {"users": ["alice", "bob"], "caller": context["user"]["is_anonymous"], "ws": context["ws"]}

async def count(event):
    for i in range(3):
        yield f"{i} "

async def default(event):
    return {"path": event["function_path"], "method": event["method"]}

async def main():
    async with await connect_to_server({"server_url": "SERVER_URL", "token": "PROVIDER_TOKEN"}) as server:
        await server.register_service({
            "id": "hello-functions",
            "type": "functions",
            "config": {"visibility": "public"},
            "hello-world": hello, "index": index, "count": count, "default": default,
        })
        info = await server.register_service({
            "id": "nested",
            "type": "functions",
            "config": {"visibility": "public", "require_context": True},
            "api": {"v1": {"users": users}},
        })
        print(info["url"], flush=True)
        await server.serve()

asyncio.run(main())
"""


@contextmanager
def program(shell: Shell, code: str, **settings: str) -> Iterator[str]:
    """Run a program, and give the URL that it prints. Ctrl-C ends it, without a word but Python's own."""
    for name, value in settings.items():
        code = code.replace(name, value)
    path = shell.folder / "program.py"
    path.write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", str(path)],
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    shell.running.append(process)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(last_words(process)[1])
    yield line.strip().rpartition(" ")[2]
    process.send_signal(signal.SIGINT)
    out, said = last_words(process)
    assert said.rstrip().endswith("KeyboardInterrupt"), (process.returncode, out, said)
    assert "Task was destroyed" not in said
    assert "ResourceWarning" not in said, said


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20)


def test_functions(shell: Shell, relay: Relay) -> None:
    settings = {"SERVER_URL": relay.url, "PROVIDER_TOKEN": relay.token("--publish", "*")}
    with program(shell, FUNCTIONS, **settings) as nested:
        base = f"{relay.url}/alice/apps/hello-functions/"
        assert get(base).text == "Home page"
        assert get(base + "hello-world/").json() == {"message": "Hi"}
        assert get(base + "count").text == "0 1 2 "
        assert get(base + "any/thing").json() == {"path": "/any/thing", "method": "GET"}
        assert get(nested + "api/v1/users").json() == {"users": ["alice", "bob"], "caller": True, "ws": "alice"}
