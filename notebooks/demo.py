"""`make demo`: the main job, for real. A Jupyter server starts, a notebook serves two apps, and they are called.

Runs notebooks/01-serve.ipynb cell by cell in a kernel of that server, then calls what it serves from outside: HTTP,
WebSocket, and the OpenAI SDK. On a terminal everything stays up until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path

import httpx
from openai import OpenAI
from websockets.asyncio.client import connect

from tests.live_jupyter import JupyterServer, Kernel
from tests.notebook_cells import code_cells

NOTEBOOK = Path(__file__).with_name("01-serve.ipynb")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="portico-demo-") as folder:
        say("Starting a Jupyter server ...")
        server = JupyterServer(Path(folder), root=NOTEBOOK.parent, token=secrets.token_hex(16)).start()
        try:
            run(server)
        finally:
            server.stop()


def run(server: JupyterServer) -> None:
    kernel = server.kernel(NOTEBOOK.name)
    say(f"Running {NOTEBOOK.name} in a kernel of it, cell by cell ...")
    for cell in code_cells(NOTEBOOK):
        kernel.execute(cell).check()
    url, chat_url = server.url + "portico/apps/app/", server.url + "portico/apps/reply/"
    key, chat_key = key_for(kernel, "app"), key_for(kernel, "reply")
    call(url, key, chat_url, chat_key)
    say("")
    say("Open it in a browser (the key is good for an hour):")
    say(f"  the app       {url}?portico_key={key}")
    say(f"  its API docs  {url}docs")
    say(f"  the notebook  {server.url}lab/tree/{NOTEBOOK.name}?token={server.token}")
    if sys.stdin.isatty() and sys.stdout.isatty():
        say("\nCtrl-C ends it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("\nStopping.")


def call(url: str, key: str, chat_url: str, chat_key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(headers=headers) as visitor:
        visitor.get(url + "hello")
        started = time.perf_counter()
        answer = visitor.get(url + "hello")
        took = (time.perf_counter() - started) * 1000
    say("")
    say(f"HTTP        GET {url}hello")
    say(f"            {answer.status_code} {answer.text}  ({took:.1f} ms, on a warm connection)")
    say(f"            without the key: {httpx.get(url + 'hello').status_code}")
    say(f"WebSocket   {url.replace('http', 'ws', 1)}echo")
    say(f"            {asyncio.run(echo(url.replace('http', 'ws', 1) + 'echo', headers))}")
    client = OpenAI(base_url=chat_url + "v1", api_key=chat_key)
    messages = [{"role": "user", "content": "Hello from the OpenAI SDK"}]
    whole = client.chat.completions.create(model="reply", messages=messages)  # type: ignore[arg-type]
    say(f"OpenAI SDK  {chat_url}v1")
    say(f"            {whole.choices[0].message.content}")
    stream = client.chat.completions.create(model="reply", messages=messages, stream=True)  # type: ignore[arg-type]
    deltas = [chunk.choices[0].delta.content or "" for chunk in stream]
    say(f"            streamed: {'|'.join(delta for delta in deltas if delta)}")


async def echo(url: str, headers: dict[str, str]) -> str:
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        await socket.send("Hello from a WebSocket")
        return str(await socket.recv())


def key_for(kernel: Kernel, name: str) -> str:
    code = f"from portico.provider.provider import current\nprint(current().services[{name!r}].key(expires='1h'))"
    return kernel.execute(code).check().text.strip()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
