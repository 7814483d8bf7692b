"""The provider's process is killed: what its visitors see, and how soon."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conformance.wire import read_answer
from tests.integration.conftest import Measured
from tests.integration.scripts import Script
from tests.integration.visit import begin, get, new_id, noted, send
from tests.live_jupyter import JupyterServer, Kernel
from tests.waiting import eventually

GENEROUS = 5.0  # seconds; what is measured is recorded, the bar of 1 s is the benchmarks'


@pytest.mark.parametrize(
    ("path", "first", "framing"), [("stream", b"tick\n", "chunked"), ("announced", b"x" * 1000, "length")]
)
def test_a_kill_in_mid_stream_cuts_the_connection(
    script: Script, measured: Measured, path: str, first: bytes, framing: str
) -> None:
    wire, answer = begin(f"{script.url}{path}", first)
    assert answer.framing.startswith(framing)
    killed = time.perf_counter()
    script.process.kill()
    answer.read_rest()
    took = time.perf_counter() - killed
    wire.close()
    assert not answer.complete, "the answer ended as if it were whole"
    measured("cut after", took)
    assert took < GENEROUS


def test_a_kill_before_the_head_is_a_502(script: Script, measured: Measured) -> None:
    request_id = new_id()
    wire = send(f"{script.url}never?id={request_id}")
    eventually(lambda: noted(script.url, request_id), 5, "the app's start")
    killed = time.perf_counter()
    script.process.kill()
    answer = read_answer(wire)
    took = time.perf_counter() - killed
    body = answer.read_rest()
    wire.close()
    assert answer.head.status == 502
    assert answer.complete
    assert "error" in json.loads(body)
    measured("502 after", took)
    assert took < GENEROUS


def test_a_kill_cuts_a_websocket_without_a_closing_handshake(script: Script, measured: Measured) -> None:
    with connect(script.url.replace("http", "ws", 1), proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(5) == "hello"
        killed = time.perf_counter()
        script.process.kill()
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(GENEROUS)
        measured("cut after", time.perf_counter() - killed)
    assert caught.value.rcvd is None


def test_a_killed_kernel_cuts_its_streams(jupyter_server: JupyterServer, kernel: Kernel, measured: Measured) -> None:
    served = kernel.execute(
        """
import os, portico
from tests.integration import apps
portico.serve(apps.raw, "doomed", access="public")
print(os.getpid())
"""
    ).check()
    wire, answer = begin(f"{jupyter_server.url}portico/apps/doomed/stream", b"tick\n")
    killed = time.perf_counter()
    os.kill(int(served.text), signal.SIGKILL)
    answer.read_rest()
    measured("cut after", time.perf_counter() - killed)
    wire.close()
    assert not answer.complete


def test_an_app_that_never_answers_holds_up_nobody_else(raw_url: str) -> None:
    request_id = new_id()
    waiting = send(f"{raw_url}never?id={request_id}")
    eventually(lambda: noted(raw_url, request_id), 5, "the app's start")
    for _ in range(20):
        head, body = get(raw_url)
        assert (head.status, body) == (200, b"hello")
    waiting.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        waiting.socket.recv(1)
    waiting.close()
