"""Minutes of everything that visitors do, rude ones included: what the hub and the kernel have grown by at the end.

Growth is counted from the end of the first lap, when everything that is made once has been made.
"""

import time

import psutil

from benchmarks.http_client import HttpConnection
from benchmarks.load import wrk
from benchmarks.memory import MIB
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Effort, Row, Say
from benchmarks.websocket_client import connect

RUDE_VISITORS = 100  # a lap, of either kind
MESSAGES = 20  # on each WebSocket


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.path("portico")
    processes = {"hub": psutil.Process(stage.jupyter.pid), "kernel": psutil.Process(stage.kernel.pid)}
    lap(path)
    before = {name: process.memory_info().rss for name, process in processes.items()}
    until, laps = time.monotonic() + effort.soak, 0
    while time.monotonic() < until:
        lap(path)
        laps += 1
        growth = {name: (p.memory_info().rss - before[name]) / MIB for name, p in processes.items()}
        say(f"lap {laps}: " + ", ".join(f"{name} {mib:+.1f} MiB" for name, mib in growth.items()))
    return [
        Row("soak", f"{name}'s growth", mib, "MiB", note=f"{laps} laps in {effort.soak} s")
        for name, mib in growth.items()
    ]


def lap(path: ServingPath) -> None:
    wrk(path, 5)
    for rest in ("hang", "paced?count=10000&every=0.01", "download?bytes=100000000"):
        for _ in range(RUDE_VISITORS):
            with HttpConnection(path) as connection:
                connection.send(rest)
    for _ in range(RUDE_VISITORS):
        with connect(path) as connection:
            for _ in range(MESSAGES):
                connection.send_binary(b"x" * 64)
                connection.receive_binary()
