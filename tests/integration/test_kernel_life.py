"""A kernel restarts, is shut down, or dies: its service goes at once, and comes back with the kernel."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conformance.wire import Head
from tests.integration.conftest import Measured
from tests.integration.visit import get, new_id
from tests.live_jupyter import TOKEN, JupyterServer, Kernel
from tests.waiting import eventually

GONE = "The kernel that served this has gone"
OWNER = {"Authorization": f"token {TOKEN}"}


def _serve(kernel: Kernel, name: str, options: str = "") -> int:
    """Serve an app from a cell; returns the kernel's process id."""
    output = kernel.execute(
        f"""
import os, portico
from tests.integration import apps
service = portico.serve(apps.raw, {name!r}{options})
print(os.getpid())
"""
    ).check()
    return int(output.text)


def _expect_gone(url: str) -> None:
    head, body = get(url, OWNER)
    assert head.status == 503
    assert json.loads(body)["error"]["message"].startswith(GONE)
    head, body = get(url, {**OWNER, "Accept": "text/html,*/*"})
    assert head.status == 503
    assert head.get("content-type")[0].startswith("text/html")
    assert GONE.encode() in body


def _status(url: str) -> int:
    head: Head = get(url, OWNER)[0]
    return head.status


def test_a_restart(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    _serve(kernel, name)
    key = kernel.execute("print(service.key())").check().text.strip()
    assert _status(url) == 200
    kernel.restart()
    _expect_gone(url)
    _serve(kernel, name)
    assert _status(url) == 200
    assert get(url, {"Authorization": f"Bearer {key}"})[1] == b"hello", "keys outlive the kernel"


def test_a_shutdown(jupyter_server: JupyterServer) -> None:
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    kernel = jupyter_server.kernel()
    _serve(kernel, name)
    kernel.shutdown()
    _expect_gone(url)
    again = jupyter_server.kernel()
    _serve(again, name)  # another kernel may have the name now
    assert _status(url) == 200
    again.shutdown()


def test_a_death_and_the_servers_own_restart(jupyter_server: JupyterServer, kernel: Kernel, measured: Measured) -> None:
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    pid = _serve(kernel, name)
    os.kill(pid, signal.SIGKILL)
    killed = time.perf_counter()
    eventually(lambda: _status(url) == 503, 10)
    measured("503 after", time.perf_counter() - killed)
    _expect_gone(url)
    eventually(lambda: _alive_again(kernel, pid), 30, "the server's restart of the kernel")
    assert _serve(kernel, name) != pid
    assert _status(url) == 200


def _alive_again(kernel: Kernel, dead: int) -> bool:
    model = kernel.server.api("GET", f"api/kernels/{kernel.id}")
    if model["execution_state"] in ("dead", "restarting", "autorestarting"):
        return False
    kernel.reconnect()
    try:
        return int(kernel.execute("import os; print(os.getpid())", 3).text) != dead
    except TimeoutError:
        return False


def test_the_new_process_serves_before_the_hub_has_missed_the_old_one(
    jupyter_server: JupyterServer, kernel: Kernel
) -> None:
    """The other order of events: a second session of the same kernel takes the name while the first is still linked."""
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    _serve(kernel, name)
    output = kernel.execute(
        f"""
from portico.provider.provider import Provider
second = Provider()
newer = portico.serve(apps.pid_app(), {name!r}, provider=second)
"""
    ).check()
    assert output.error is None
    assert get(url, OWNER)[1].isdigit(), "the newer one answers"
    eventually(lambda: kernel.execute("print(service.status)").text.strip() == "stopped", 5)
    kernel.execute("second.run(second.shutdown())").check()


def test_an_interrupt_leaves_the_provider_alone(jupyter_server: JupyterServer, kernel: Kernel, tmp_path: Path) -> None:
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    _serve(kernel, name)
    begun = tmp_path / "begun"
    # A kernel is busy before its cell is, and takes an interrupt then for nothing.
    cell = kernel.send(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(60)")
    eventually(begun.exists)
    jupyter_server.api("POST", f"api/kernels/{kernel.id}/interrupt")
    error = kernel.wait(cell).error
    assert error is not None
    assert error[0] == "KeyboardInterrupt"
    assert _status(url) == 200


def test_an_interrupted_serve_is_taken_back(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    name = new_id()
    kernel.execute("import portico, asyncio").check()
    cell = kernel.send(
        f"""
print("here", flush=True)
async def slow_to_start(scope, receive, send):
    await asyncio.sleep(60)
portico.serve(slow_to_start, {name!r})
"""
    )
    eventually(lambda: jupyter_server.api("GET", f"api/kernels/{kernel.id}")["execution_state"] == "busy", 10)
    eventually(lambda: jupyter_server.api("POST", f"api/kernels/{kernel.id}/interrupt") is None, 5)
    error = kernel.wait(cell).error
    assert error is not None
    assert error[0] == "KeyboardInterrupt"
    listed = [service["name"] for service in jupyter_server.api("GET", "portico/api/services")["services"]]
    assert name not in listed
    assert _status(f"{jupyter_server.url}portico/apps/{name}/") == 404
    assert (
        kernel.execute("from portico.provider.provider import current; print(current().services)").text.strip() == "{}"
    )


@pytest.mark.parametrize("path", ["", "v1/models"])
def test_an_anonymous_visitor_is_not_told_that_a_private_service_was_here(
    jupyter_server: JupyterServer, path: str
) -> None:
    name = new_id()
    kernel = jupyter_server.kernel()
    _serve(kernel, name)
    kernel.shutdown()
    assert get(f"{jupyter_server.url}portico/apps/{name}/{path}")[0].status == 401


def test_traffic_is_the_kernels_activity(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    name = new_id()
    _serve(kernel, name)

    def activity() -> str:
        return str(jupyter_server.api("GET", f"api/kernels/{kernel.id}")["last_activity"])

    before = activity()
    get(f"{jupyter_server.url}portico/apps/{name}/", OWNER)
    eventually(lambda: activity() > before, 2, "the kernel's last activity moved on")
