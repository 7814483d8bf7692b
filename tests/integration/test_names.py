"""Two kernels and one name: refused, taken over, or shared."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.visit import get, new_id
from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually


@pytest.fixture
def two_kernels(jupyter_server: JupyterServer) -> Iterator[tuple[Kernel, Kernel]]:
    kernels = jupyter_server.kernel("work/first.ipynb"), jupyter_server.kernel("work/second.ipynb")
    yield kernels
    for kernel in kernels:
        kernel.shutdown()


SERVE = """
import os, portico
from tests.integration import apps
service = portico.serve(apps.pid_app(), {name!r}, access="public"{options})
print(os.getpid())
"""


def test_refused_with_the_holders_name_and_the_ways_out(two_kernels: tuple[Kernel, Kernel]) -> None:
    first, second = two_kernels
    name = new_id()
    first.execute(SERVE.format(name=name, options="")).check()
    error = second.execute(SERVE.format(name=name, options="")).error
    assert error is not None
    assert error[0] == "NameTaken"
    for said in (name, "work/first.ipynb", first.id, "--replace", "--replica"):
        assert said in error[1]


def test_replace_takes_over(jupyter_server: JupyterServer, two_kernels: tuple[Kernel, Kernel]) -> None:
    first, second = two_kernels
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    first_pid = first.execute(SERVE.format(name=name, options="")).check().text.strip()
    assert get(url)[1].decode() == first_pid
    second_pid = second.execute(SERVE.format(name=name, options=", replace=True")).check().text.strip()
    assert get(url)[1].decode() == second_pid
    eventually(lambda: first.execute("print(service.status)").text.strip() == "stopped", 5)
    assert "stopped at the hub" in first.execute("print(service.error)").text


def test_replicas_share_requests_and_outlive_each_other(
    jupyter_server: JupyterServer, two_kernels: tuple[Kernel, Kernel]
) -> None:
    first, second = two_kernels
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    pids = {
        kernel: kernel.execute(SERVE.format(name=name, options=", replica=True")).check().text.strip()
        for kernel in (first, second)
    }
    seen = Counter(get(url)[1].decode() for _ in range(40))
    assert set(seen) == set(pids.values())
    assert min(seen.values()) >= 10
    os.kill(int(pids[first]), signal.SIGKILL)
    eventually(lambda: len([one for one in _replicas(jupyter_server, name) if one["status"] == "live"]) == 1, 5)
    answers = [get(url) for _ in range(20)]
    assert {(head.status, body.decode()) for head, body in answers} == {(200, pids[second])}


def test_a_replica_that_stops_loses_no_request(
    jupyter_server: JupyterServer, two_kernels: tuple[Kernel, Kernel]
) -> None:
    first, second = two_kernels
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    for kernel in (first, second):
        kernel.execute(SERVE.format(name=name, options=", replica=True")).check()
    stopping = first.send("service.stop()")
    assert {get(url)[0].status for _ in range(50)} == {200}
    first.wait(stopping).check()
    assert len(_replicas(jupyter_server, name)) == 1


def _replicas(server: JupyterServer, name: str) -> list[dict[str, Any]]:
    return list(server.api("GET", f"portico/api/services/{name}")["replicas"])
