"""What goes wrong in earnest: who notices, and how soon."""

import json
import time
import uuid
from statistics import median

import psutil

from benchmarks.http_client import Cut, HttpConnection, time_gets
from benchmarks.kernel import Kernel
from benchmarks.measures.sse import percentile
from benchmarks.memory import MIB, PeakMemory
from benchmarks.paths import ServingPath, Stage, serve_with_portico
from benchmarks.row import Bar, Effort, Row, Say

WITHIN_A_SECOND = Bar("at most", 1000)  # ms
SLOW_READER_GROWTH = Bar("at most", 16)  # MiB
SLOW_READER_SIZE = 1 << 30  # bytes on offer; it costs nothing to offer them
SETTLE = 0.3  # seconds for a request to reach the app


def killed_mid_stream(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """SIGKILL for the kernel: the visitor's connection is cut, and never ends as if the answer were whole."""
    stage.path("portico")
    with Kernel(stage.jupyter) as kernel:
        path = serve_with_portico(stage.jupyter, kernel, "killed-mid-stream")
        with HttpConnection(path) as connection:
            connection.send("paced?count=10000&every=0.02")
            connection.read_head()
            chunks = connection.read_chunks()
            next(chunks)
            killed = time.perf_counter()
            psutil.Process(kernel.pid).kill()
            try:
                for _ in chunks:
                    pass
            except (Cut, ConnectionError):
                took = (time.perf_counter() - killed) * 1000
            else:
                raise AssertionError("the answer ended as if it were whole")
    return [Row("faults.killed-mid-stream", "kernel killed to connection cut", took, "ms", WITHIN_A_SECOND)]


def killed_before_head(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    stage.path("portico")
    with Kernel(stage.jupyter) as kernel:
        path = serve_with_portico(stage.jupyter, kernel, "killed-before-head")
        with HttpConnection(path) as connection:
            connection.send("hang")
            time.sleep(SETTLE)
            killed = time.perf_counter()
            psutil.Process(kernel.pid).kill()
            status, _ = connection.read_head()
            took = (time.perf_counter() - killed) * 1000
    if status != 502:
        raise AssertionError(f"answered with {status}")
    return [Row("faults.killed-before-head", "kernel killed to 502", took, "ms", WITHIN_A_SECOND)]


def visitor_gone(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """The visitor closes its connection: the app's task is cancelled."""
    path = stage.path("portico")
    rows = []
    for when, rest in (("before the head", "hang"), ("in mid-stream", "paced?count=10000&every=0.2")):
        times = [time_to_cancel(path, rest) for _ in range(effort.rounds)]
        what = f"gone {when} to app cancelled"
        rows.append(Row("faults.visitor-gone", what, median(times), "ms", WITHIN_A_SECOND))
    return rows


def time_to_cancel(path: ServingPath, rest: str) -> float:
    """In milliseconds. Raises AssertionError when the app still runs after five seconds."""
    visitor = uuid.uuid4().hex
    with HttpConnection(path) as connection:
        connection.send(f"{rest}{'&' if '?' in rest else '?'}id={visitor}")
        time.sleep(SETTLE)
        gone = time.time_ns()
    deadline = time.monotonic() + 5
    with HttpConnection(path) as connection:
        while time.monotonic() < deadline:
            stopped: dict[str, int] = json.loads(connection.get("stopped"))
            if visitor in stopped:
                return (stopped[visitor] - gone) / 1e6
            time.sleep(0.02)
    raise AssertionError("the app was not cancelled")


def slow_reader(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """One visitor takes a KiB now and then of a GiB on offer: what the hub holds, and how others fare."""
    path = stage.path("portico")
    before = time_gets(path, effort.seconds / 2)
    with (
        PeakMemory(hub=stage.jupyter.pid, kernel=stage.kernel.pid) as memory,
        HttpConnection(path, receive_buffer=4096) as slow,
    ):
        slow.send(f"download?bytes={SLOW_READER_SIZE}")
        slow.read_head()
        beside = []
        for _ in range(10):
            slow.socket.recv(1024)
            beside += time_gets(path, effort.seconds / 5)
    measure = "faults.slow-reader"
    return [
        Row(measure, "hub's growth", memory.growth["hub"] / MIB, "MiB", SLOW_READER_GROWTH),
        Row(measure, "kernel's growth", memory.growth["kernel"] / MIB, "MiB"),
        Row(
            measure,
            "others' GET beside it, p50",
            median(beside),
            "ms",
            ratio=median(beside) / median(before),
            ratio_to="before",
        ),
        Row(measure, "others' GET beside it, p99", percentile(beside, 99), "ms"),
    ]
