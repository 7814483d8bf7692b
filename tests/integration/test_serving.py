"""`portico.serve` from wherever people call it, and how its process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Measured
from tests.integration.scripts import Script
from tests.integration.visit import begin, get, new_id
from tests.live_jupyter import ROOT, JupyterServer, Kernel
from tests.waiting import eventually

SETUP = "import asyncio, portico, threading\nfrom tests.integration import apps\n"


def _serves(server: JupyterServer, name: str) -> bool:
    head, body = get(f"{server.url}portico/apps/{name}/")
    return (head.status, body) == (200, b"hello")


WAYS = {
    "a cell": "service = portico.serve(apps.raw, NAME, access='public')",
    "await in a cell": "service = await portico.serve(apps.raw, NAME, access='public')",
    "a thread": """
found = []
thread = threading.Thread(target=lambda: found.append(portico.serve(apps.raw, NAME, access='public')))
thread.start()
thread.join()
service, = found
""",
    "a coroutine of another loop": """
async def main():
    return await portico.serve(apps.raw, NAME, access='public')
found = []
thread = threading.Thread(target=lambda: found.append(asyncio.run(main())))
thread.start()
thread.join()
service, = found
""",
    "an app that is served": """
async def server(scope, receive, send):
    if scope["type"] == "http":
        global service
        service = await portico.serve(apps.raw, NAME, access="public")
        await apps.answer(send, b"served")
portico.serve(server, NAME + "-first", access="public")
import urllib.request
def ask():
    with urllib.request.urlopen(os.environ["PORTICO_HUB_URL"] + "portico/apps/" + NAME + "-first/") as answer:
        print(answer.read())
import os
ask()
""",
}


@pytest.fixture(scope="module")
def cells(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel()
    kernel.execute(SETUP).check()
    yield kernel
    kernel.shutdown()


@pytest.mark.parametrize("way", list(WAYS))
def test_from(jupyter_server: JupyterServer, cells: Kernel, way: str) -> None:
    name = new_id()[:22]
    cells.execute(f"NAME = {name!r}\n" + WAYS[way]).check()
    assert cells.execute("print(service.status)").text.strip() == "live"
    assert _serves(jupyter_server, name)
    cells.execute("service.stop()").check()
    assert cells.execute("print(service.status)").text.strip() == "stopped"
    assert get(f"{jupyter_server.url}portico/apps/{name}/")[0].status == 401


def test_on_the_kernels_loop(jupyter_server: JupyterServer, cells: Kernel) -> None:
    """The app runs where the notebook's own coroutines do; it answers between cells."""
    name = new_id()
    cells.execute(
        f"""
home = asyncio.get_running_loop()
async def local(scope, receive, send):
    if scope["type"] == "http":
        await apps.answer(send, str(asyncio.get_running_loop() is home).encode())
service = await portico.serve(local, {name!r}, access="public", loop="kernel")
"""
    ).check()
    assert cells.execute("print(service.status)").text.strip() == "live"
    assert get(f"{jupyter_server.url}portico/apps/{name}/")[1] == b"True"
    cells.execute(f"service = portico.serve(apps.raw, {name!r}, access='public', loop='kernel')").check()
    eventually(lambda: cells.execute("print(service.status)").text.strip() == "live", 5, "live without an await")
    assert _serves(jupyter_server, name)
    error = cells.execute(f"await portico.serve(apps.failing(), {name!r}, loop='kernel')").error
    assert error is not None
    assert error[0] == "StartupFailed"
    assert _serves(jupyter_server, name)
    cells.execute("service.stop()").check()


def test_served_again_the_old_service_stops_nothing(jupyter_server: JupyterServer, cells: Kernel) -> None:
    name = new_id()
    cells.execute(f"old = portico.serve(apps.raw, {name!r}, access='public')").check()
    cells.execute(f"new = portico.serve(apps.raw, {name!r}, access='public')").check()
    assert cells.execute("print(old.status, new.status)").text.split() == ["stopped", "live"]
    cells.execute("old.stop()").check()
    assert _serves(jupyter_server, name)
    cells.execute("new.stop()").check()
    error = cells.execute("new.key()").error
    assert error is not None
    assert error[0] == "LinkClosed"


def test_a_stopped_service_lets_its_requests_end(jupyter_server: JupyterServer, cells: Kernel) -> None:
    name = new_id()
    cells.execute(f"service = portico.serve(apps.raw, {name!r}, access='public')").check()
    wire, answer = begin(f"{jupyter_server.url}portico/apps/{name}/events?count=5", b"data: 0\n\n")
    cells.execute("service.stop()").check()
    assert answer.read_rest().endswith(b"data: 4\n\n")
    assert answer.complete
    wire.close()


def test_a_script_ends_at_once_and_says_goodbye(jupyter_server: JupyterServer, measured: Measured) -> None:
    """No thread hangs, nothing is complained of, no name is held, and a request in flight is cut."""
    name = new_id()
    arguments = ("-X", "dev", "-W", "error")
    with Script(
        jupyter_server.url, "tests.integration.apps:raw", name=name, access="public", arguments=arguments
    ) as script:
        url = script.url
        wire, answer = begin(f"{url}stream", b"tick\n")
        ended = time.perf_counter()
        code, errors = script.end()
        measured("ended after", time.perf_counter() - ended)
        # what asyncio says of slow callbacks is about the machine
        assert (code, [line for line in errors.splitlines() if not line.startswith("Executing <")]) == (0, [])
        answer.read_rest()
        wire.close()
        assert not answer.complete
        head, body = get(url)
        assert head.status == 503
        assert b"The process that served this has gone" in body


def test_a_script_that_cannot_reach_its_hub(jupyter_server: JupyterServer) -> None:
    with Script(jupyter_server.url, "tests.integration.apps:raw", token="wrong", name=new_id()) as script:
        assert script.told["error"] == "Refused"
        assert "token" in script.told["text"]
        assert script.end()[0] == 0


def test_a_script_with_no_hub_is_told_what_was_tried(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PORTICO_", "JPY_", "JUPYTER"))}
    code = "import portico\nfrom tests.integration import apps\nportico.serve(apps.raw)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env | {"JUPYTER_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 1
    for said in ("NoHub", "PORTICO_HUB_URL", "JPY_PARENT_PID", "jupyter server extension list", "hub="):
        assert said in ran.stderr
