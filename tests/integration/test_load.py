"""Slow visitors, many visitors, large messages and a busy kernel: nobody is held up by another."""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time

import psutil
import pytest
from websockets.sync.client import connect

from tests.conformance.wire import read_answer
from tests.integration.conftest import Measured
from tests.integration.visit import get, new_id, send
from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually

MIB = 1024 * 1024


def _times(url: str, count: int) -> list[float]:
    """How long each of *count* whole exchanges took, in seconds."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        assert get(url)[0].status == 200
        times.append(time.perf_counter() - began)
    return times


def test_a_slow_reader_costs_little_and_slows_nobody(
    jupyter_server: JupyterServer, serving_kernel: Kernel, raw_url: str, measured: Measured
) -> None:
    kernel_pid = int(serving_kernel.execute("print(os.getpid())").check().text)
    processes = {"hub": psutil.Process(jupyter_server.pid), "kernel": psutil.Process(kernel_pid)}
    _times(raw_url, 50)  # warm
    before = {name: process.memory_info().rss for name, process in processes.items()}
    wire = send(f"{raw_url}offer?id={new_id()}")
    assert read_answer(wire).head.status == 200
    beside = _times(raw_url, 200)
    for name, process in processes.items():
        growth = (process.memory_info().rss - before[name]) / MIB
        measured(f"growth of the {name} in MiB", growth)
        assert growth < 16
    measured("p50 beside it", statistics.median(beside))
    assert statistics.median(beside) < 0.1
    wire.close()


def test_three_hundred_streams_at_once(raw_url: str, measured: Measured) -> None:
    async def visit() -> list[bytes]:
        async def one() -> bytes:
            host, port = raw_url.split("/")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            path = "/" + raw_url.split("/", 3)[3] + "events?count=10"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

        return await asyncio.gather(*(one() for _ in range(300)))

    began = time.perf_counter()
    answers = asyncio.run(visit())
    measured("all of 300 streams of 1 s", time.perf_counter() - began)
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200")
        assert [f"data: {number}\n\n".encode() in answer for number in range(10)] == [True] * 10
        assert answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("text", [True, False])
def test_a_websocket_message_of_16_mib_both_ways(raw_url: str, text: bool) -> None:
    message: str | bytes = "x" * (16 * MIB) if text else os.urandom(16 * MIB)
    with connect(raw_url.replace("http", "ws", 1), proxy=None, max_size=None, compression=None) as socket:
        socket.send(message)
        assert socket.recv(30) == message


BUSY = {
    "asleep": "import time; time.sleep(30)",
    "in a pure-Python loop": "n = 0\nwhile True:\n    n += 1",
    "in numpy": "while True:\n    a @ a",
}
BEFORE = "import numpy; a = numpy.random.rand(1000, 1000)"
"""What is interrupted is the loop: an interrupt that comes while numpy is imported may be lost in its C code."""


@pytest.mark.parametrize("cell", list(BUSY))
def test_the_app_answers_while_a_cell_runs(
    jupyter_server: JupyterServer, serving_kernel: Kernel, raw_url: str, measured: Measured, cell: str
) -> None:
    serving_kernel.execute(BEFORE).check()
    running = serving_kernel.send(BUSY[cell])
    eventually(lambda: jupyter_server.api("GET", f"api/kernels/{serving_kernel.id}")["execution_state"] == "busy", 10)
    times = _times(raw_url, 40)
    assert jupyter_server.api("GET", f"api/kernels/{serving_kernel.id}")["execution_state"] == "busy"
    jupyter_server.api("POST", f"api/kernels/{serving_kernel.id}/interrupt")
    serving_kernel.wait(running)
    measured("p50", statistics.median(times))
    measured("longest", max(times))
    assert statistics.median(times) < 0.5


def test_no_request_is_lost_while_the_app_is_replaced(
    jupyter_server: JupyterServer, kernel: Kernel, measured: Measured
) -> None:
    """Those in flight end on the old app, whose lifespan shuts down after them."""
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    kernel.execute(
        f"""
import portico, time
from tests.integration import apps
from portico.provider.serving import renew
ended = []
service = portico.serve(apps.versioned(0, ended), {name!r}, access="public")
"""
    ).check()
    answers: list[tuple[int, bytes]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def visit(path: str) -> None:
        while not done.is_set():
            try:
                head, body = get(url + path)
            except (AssertionError, OSError) as error:
                failures.append(error)
            else:
                answers.append((head.status, body))

    threads = [threading.Thread(target=visit, args=(path,)) for path in ("", "", "slow", "slow")]
    for thread in threads:
        thread.start()
    kernel.execute(
        """
for version in range(1, 21):
    renew(service, apps.versioned(version, ended))
    answered = service.requests + 3  # by this version, or the one before
    while service.requests < answered:
        time.sleep(0.001)
"""
    ).check()
    done.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not failures
    assert {status for status, _ in answers} == {200}
    halves = [body.split(b",") for _, body in answers if b"," in body]
    assert halves
    assert all(first == second for first, second in halves), "a request changed its app half-way"
    assert len({body for _, body in answers}) > 10, "many versions answered"
    eventually(lambda: kernel.execute("print(len(ended))").text.strip() == "20", 10, "the old apps' shutdown")
    assert kernel.execute("print(sorted(ended) == list(range(20)))").text.strip() == "True", "after their requests"
    measured("requests", len(answers))
