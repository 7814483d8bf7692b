"""1 GiB each way: how fast, is it the same at the other end, and what the hub and the kernel hold of it.

Speed and digest are found in transfers of their own, because hashing costs a processor that the path needs.
"""

import hashlib
import json
import time
from functools import cache

from benchmarks.app import payload
from benchmarks.http_client import HttpConnection
from benchmarks.memory import MIB, PeakMemory
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say

PATHS = ("uvicorn", "portico")  # jupyter-server-proxy answers 599 from some 100 MB on
RATE = Bar("at least", 300)  # MB/s
GROWTH = Bar("at most", 32)  # MiB
SAME = Bar("at least", 1)
WARM_UP = 1 << 20  # bytes


def download(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    rates = {}
    for name in PATHS:
        path = stage.path(name)
        with PeakMemory(hub=stage.jupyter.pid, kernel=stage.kernel.pid) as memory:
            timed_download(path, WARM_UP)
            rates[name] = timed_download(path, effort.transfer)
            say(f"{name}: {rates[name]:,.0f} MB/s down")
            same = name != "portico" or downloaded_digest(path, effort.transfer) == digest(effort.transfer)
    return rows("transfer.download", rates, same, memory, effort)


def upload(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    rates = {}
    for name in PATHS:
        path = stage.path(name)
        with PeakMemory(hub=stage.jupyter.pid, kernel=stage.kernel.pid) as memory:
            timed_upload(path, WARM_UP)
            rates[name] = timed_upload(path, effort.transfer)
            say(f"{name}: {rates[name]:,.0f} MB/s up")
            same = name != "portico" or uploaded_digest(path, effort.transfer) == digest(effort.transfer)
    return rows("transfer.upload", rates, same, memory, effort)


def rows(measure: str, rates: dict[str, float], same: bool, memory: PeakMemory, effort: Effort) -> list[Row]:
    size = f"{effort.transfer / MIB:,.0f} MiB"
    ratio = rates["portico"] / rates["uvicorn"]
    return [
        Row(measure, "uvicorn", rates["uvicorn"], "MB/s", note=size),
        Row(measure, "portico", rates["portico"], "MB/s", RATE, ratio, "uvicorn", size),
        Row(measure, "sha256 equal", float(same), "", SAME),
        Row(measure, "hub's growth", memory.growth["hub"] / MIB, "MiB", GROWTH),
        Row(measure, "kernel's growth", memory.growth["kernel"] / MIB, "MiB", GROWTH),
    ]


def timed_download(path: ServingPath, size: int) -> float:
    """MB/s, from the request to the last byte."""
    with HttpConnection(path) as connection:
        started = time.perf_counter()
        connection.send(f"download?bytes={size}")
        require_ok(connection)
        for _ in connection.read_exactly(size):
            pass
        return size / 1e6 / (time.perf_counter() - started)


def downloaded_digest(path: ServingPath, size: int) -> str:
    with HttpConnection(path) as connection:
        connection.send(f"download?bytes={size}")
        require_ok(connection)
        found = hashlib.sha256()
        for piece in connection.read_exactly(size):
            found.update(piece)
        return found.hexdigest()


def timed_upload(path: ServingPath, size: int) -> float:
    """MB/s, from the request to the answer, which the app gives when it has all."""
    started = time.perf_counter()
    answer = uploaded(path, size, "upload")
    took = time.perf_counter() - started
    if answer["bytes"] != size:
        raise AssertionError(f"{path.name}: the app got {answer['bytes']} bytes of {size}")
    return size / 1e6 / took


def uploaded_digest(path: ServingPath, size: int) -> object:
    return uploaded(path, size, "upload?sha256=1")["sha256"]


def uploaded(path: ServingPath, size: int, rest: str) -> dict[str, object]:
    with HttpConnection(path) as connection:
        length = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        connection.send(rest, "POST", length, payload(size))
        headers = require_ok(connection)
        answer: dict[str, object] = json.loads(b"".join(connection.read_exactly(int(headers["content-length"]))))
        return answer


def require_ok(connection: HttpConnection) -> dict[str, str]:
    status, headers = connection.read_head()
    if status != 200:
        raise AssertionError(f"answered with {status}")
    return headers


@cache
def digest(size: int) -> str:
    found = hashlib.sha256()
    for chunk in payload(size):
        found.update(chunk)
    return found.hexdigest()
