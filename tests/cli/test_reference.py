"""The programs of Hypha's page on its serve utility, by a relay: imports and URLs are changed, nothing else, and calls
of an SDK long gone are written as today's."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.cli.conftest import Interrupt
from tests.live_commands import Relay, Shell
from tests.live_jupyter import ROOT

PROGRAMS = ROOT / "tests" / "chat_clients" / "reference"

DIRECT = """\
import asyncio
from portico import connect_to_server
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
async def root():
    return \"\"\"
    <html>
        <head><title>Cat</title></head>
        <body><img src="https://cataas.com/cat?type=square" alt="cat"></body>
    </html>
    \"\"\"

@app.get("/api/v1/test")
async def test():
    return {"message": "Hello, it works!"}

async def serve_fastapi(args, context=None):
    # context can be used for authorization, e.g., checking the user's permission
    # e.g., check user id against a list of allowed users
    scope = args["scope"]
    print(f'{context["user"]["id"]} - {scope["client"]} - {scope["method"]} - {scope["path"]}')
    await app(args["scope"], args["receive"], args["send"])

async def main():
    # Connect to the server
    server = await connect_to_server({"server_url": "SERVER_URL"})

    svc_info = await server.register_service({
        "id": "cat",
        "name": "cat",
        "type": "asgi",
        "serve": serve_fastapi,
        "config": {"visibility": "public", "require_context": True}
    })

    print(f"Access your app at:  {server.config.public_base_url}/{server.config.workspace}/apps/{svc_info['id'].split(':')[1]}")
    await server.serve()

asyncio.run(main())
"""  # noqa: E501 -- as it was

STREAMING = """\
from fastapi import FastAPI
from starlette.responses import StreamingResponse
import asyncio

app = FastAPI()

@app.get("/stream")
async def stream_response():
    async def stream_generator():
        for i in range(10):
            yield f"Chunk {i}\\n".encode()
            await asyncio.sleep(0.05)  # Simulate processing time

    return StreamingResponse(
        stream_generator(),
        media_type="text/plain"
    )
"""

TOKEN = """\
import asyncio
from portico import connect_to_server

async def main():
    server = await connect_to_server({"server_url": "SERVER_URL", "token": "PROVIDER_TOKEN"})
    token = await server.generate_token()
    print(token)
    await server.disconnect()

asyncio.run(main())
"""

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
        raise AssertionError(process.communicate(timeout=20)[1])
    yield line.strip().rpartition(" ")[2]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "Task was destroyed" not in said
    assert "ResourceWarning" not in said, said


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20)


def test_registered_directly(shell: Shell, relay: Relay) -> None:
    """Without a token: the relay lets strangers in, and makes a workspace for each."""
    with program(shell, DIRECT, SERVER_URL=relay.url) as url:
        assert re.fullmatch(rf"{re.escape(relay.url)}/anon-[a-z0-9]+/apps/cat", url)
        assert get(url + "/api/v1/test").json() == {"message": "Hello, it works!"}
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            assert "<title>Cat</title>" in browser.get(url).text


def test_registered_directly_with_a_token(shell: Shell, relay: Relay) -> None:
    code = DIRECT.replace('"SERVER_URL"', '"SERVER_URL", "workspace": "my-workspace", "token": "PROVIDER_TOKEN"')
    token = relay.token("--workspace", "my-workspace", "--publish", "*")
    with program(shell, code, SERVER_URL=relay.url, PROVIDER_TOKEN=token) as url:
        assert url == f"{relay.url}/my-workspace/apps/cat"
        assert get(url + "/api/v1/test").status_code == 200


def test_streaming(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    (shell.folder / "streaming.py").write_text(STREAMING)
    process, url = shell.serve("streaming:app", "--id=stream", f"--server-url={relay.url}", PORTICO_TOKEN=relay.token())
    with httpx.stream("GET", url + "stream", trust_env=False) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 1, "as it comes, not all at once"
    assert b"".join(pieces) == b"".join(b"Chunk %d\n" % i for i in range(10))
    interrupt(process)


def run_client(shell: Shell, name: str, **variables: str) -> str:
    """A client of tests/chat_clients, its URL changed to a relay's as the reference has it."""
    code = (PROGRAMS / name).read_text()
    code = code.replace(
        "{os.environ['SERVER_URL']}portico/apps/openai-chat/v1",
        "{os.environ['SERVER_URL']}/my-workspace/apps/openai-chat/v1",
    )
    path = shell.folder / name
    path.write_text(code)
    given = shell.environment | variables
    done = subprocess.run([sys.executable, str(path)], env=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("models", "client", "words"),
    [
        ("random_markdown.py", "ask.py", 100 // 5),
        ("several_models.py", "ask.py", 100 // 5),
        ("streaming_text.py", "ask_for_a_stream.py", 10),
    ],
)
def test_an_openai_chat_server(
    shell: Shell, relay: Relay, interrupt: Interrupt, models: str, client: str, words: int
) -> None:
    (shell.folder / "chat.py").write_text((PROGRAMS / models).read_text())
    provider = relay.token("--workspace", "my-workspace", "--publish", "*", "--scope", "keys")
    process, _ = shell.serve(
        "chat:app", "--id=openai-chat", "--name=OpenAIChat", f"--server-url={relay.url}", "--workspace=my-workspace",
        f"--token={provider}", "--access=key", PYTHONPATH=str(ROOT),
    )  # fmt: skip
    code = TOKEN.replace("SERVER_URL", relay.url).replace("PROVIDER_TOKEN", provider)
    path = shell.folder / "make_token.py"
    path.write_text(code)
    made = subprocess.run(
        [sys.executable, str(path)], env=shell.environment, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    answer = run_client(shell, client, SERVER_URL=relay.url, TOKEN=made.stdout.strip())
    assert answer.count(" ") >= words
    interrupt(process)


def test_functions(shell: Shell, relay: Relay) -> None:
    settings = {"SERVER_URL": relay.url, "PROVIDER_TOKEN": relay.token("--publish", "*")}
    with program(shell, FUNCTIONS, **settings) as nested:
        base = f"{relay.url}/alice/apps/hello-functions/"
        assert get(base).text == "Home page"
        assert get(base + "hello-world/").json() == {"message": "Hi"}
        assert get(base + "count").text == "0 1 2 "
        assert get(base + "any/thing").json() == {"path": "/any/thing", "method": "GET"}
        assert get(nested + "api/v1/users").json() == {"users": ["alice", "bob"], "caller": True, "ws": "alice"}
