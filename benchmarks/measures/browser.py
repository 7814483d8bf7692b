"""FastAPI in a browser tab, under Pyodide, by a relay."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from websockets.sync.server import ServerConnection, serve

from benchmarks.http_client import HttpConnection, time_gets
from benchmarks.load import wrk
from benchmarks.measures.sse import percentile
from benchmarks.paths import Stage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import HOST
from benchmarks.tab import TabStage

AT_ONCE = 8
GETS = Bar("at least", 1500)
OVER_ROUND_TRIP = Bar("at most", 1.5)  # ms
EVERY = 0.05  # seconds between events
LATE = Bar("at most", 30)  # ms
DOWNLOAD = Bar("at least", 40)  # MB/s
MOST = 1 << 28  # bytes: a tab is no place for a gigabyte each time
WARM_UP = 1  # seconds


def gets(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    wrk(path, WARM_UP, AT_ONCE)
    rates = [wrk(path, effort.seconds, AT_ONCE).requests_per_second for _ in range(effort.rounds)]
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    return [Row("browser.gets", f"tab, {AT_ONCE} at once", median(rates), "requests/s", GETS, note=spread)]


def latency(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    times: list[float] = []
    trips: list[float] = []
    with echoing() as url, HttpConnection(path) as connection:
        for _ in range(effort.rounds):
            times += time_gets(path, effort.seconds / 2)
            trips += json.loads(connection.get(f"round-trips?count=300&url={url}"))
    own, trip = median(times), median(trips)
    return [
        Row("browser.latency", "the tab's WebSocket there and back, p50", trip, "ms"),
        Row("browser.latency", "tab, p50", own, "ms"),
        Row("browser.latency", "tab over its WebSocket, p50", own - trip, "ms", OVER_ROUND_TRIP),
    ]


def pacing(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    count = int(effort.seconds * effort.rounds / EVERY)
    late = []
    with HttpConnection(path) as connection:
        connection.send(f"events?count={count}&every={EVERY}")
        connection.read_head()
        for chunk in connection.read_chunks():
            now = time.time()
            late += [(now - float(line[6:])) * 1000 for line in chunk.splitlines() if line.startswith(b"data: ")]
    return [
        Row("browser.pacing", "an event's way, p50", median(late), "ms"),
        Row("browser.pacing", "an event's way, p99", percentile(late, 99), "ms", LATE, note=f"{len(late)} events"),
    ]


def download(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.part(TabStage).path
    size = min(effort.transfer, MOST)
    speeds = []
    for _ in range(effort.rounds):
        with HttpConnection(path) as connection:
            began = time.perf_counter()
            connection.send(f"bytes?size={size}")
            connection.read_head()
            got = sum(len(piece) for piece in connection.read_exactly(size))
            speeds.append(got / 1e6 / (time.perf_counter() - began))
    spread = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
    return [Row("browser.download", "tab", median(speeds), "MB/s", DOWNLOAD, note=spread)]


@contextmanager
def echoing() -> Iterator[str]:
    """A WebSocket server that sends back what comes; its URL."""

    def echo(socket: ServerConnection) -> None:
        for message in socket:
            socket.send(message)

    with serve(echo, HOST, 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://{HOST}:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
