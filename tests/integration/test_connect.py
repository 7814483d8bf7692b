"""`connect_to_server`, in a program of its own that serves on a real Jupyter server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.live_jupyter import ROOT, TOKEN, JupyterServer

PROGRAM = """\
import asyncio, sys
from portico import connect_to_server
from fastapi import FastAPI

app = FastAPI()

@app.get("/api/v1/test")
async def test():
    return {"message": "Hello, it works!"}

async def serve_fastapi(args, context=None):
    scope = args["scope"]
    print(f'{context["user"]["id"]} - {scope["client"]} - {scope["method"]} - {scope["path"]}', flush=True)
    await app(args["scope"], args["receive"], args["send"])

async def main():
    server = await connect_to_server({"server_url": sys.argv[1], "token": sys.argv[2]})

    svc_info = await server.register_service({
        "id": "moved-cat",
        "name": "cat",
        "type": "asgi",
        "serve": serve_fastapi,
        "config": {"visibility": "public", "require_context": True}
    })

    print(f"{server.config.public_base_url}/{server.config.workspace}/apps/{svc_info['id'].split(':')[1]}", flush=True)
    print(await server.generate_token({"expires_in": 3600}), flush=True)
    print([service["name"] for service in await server.list_services()], flush=True)
    await server.serve()

asyncio.run(main())
"""


def test_a_program_of_the_reference_runs_on_a_jupyter_server(jupyter_server: JupyterServer, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-W", "error", str(program), jupyter_server.url, TOKEN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        url, key, services = (process.stdout.readline().strip() for _ in range(3))
        assert url == f"{jupyter_server.url}portico/apps/moved-cat"
        assert "cat" in services
        answer = httpx.get(f"{url}/api/v1/test", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
        assert answer.json() == {"message": "Hello, it works!"}
        line = process.stdout.readline()
        assert line.startswith("key:")
        assert line.rstrip().endswith("/api/v1/test")
    finally:
        process.send_signal(2)
        _, errors = process.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Task was destroyed" not in errors
