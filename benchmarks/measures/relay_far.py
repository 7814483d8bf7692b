"""One download and one upload through a relay whose provider is 50 ms away: does a window hold the path back?"""

import time

from benchmarks.http_client import HttpConnection
from benchmarks.measures.transfer import require_ok, timed_download, timed_upload
from benchmarks.paths import ServingPath, Stage
from benchmarks.relay import FarProvider, RelayStage
from benchmarks.row import Bar, Effort, Row, Say

ROUND_TRIP = 50  # ms
RATE = Bar("at least", 20)  # MB/s
LONGEST = 256 << 20  # bytes: some seconds
MEASURE = "relay-far"


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    relay = stage.part(RelayStage)
    path = stage.keep(FarProvider(relay.server, stage.directory, ROUND_TRIP)).path
    size = min(effort.transfer, LONGEST)
    note = f"{size >> 20} MiB, {ROUND_TRIP} ms between relay and provider"
    rows = [Row(MEASURE, "a small answer", small(path), "ms", note="a connection that is there already")]
    for what, transfer in (("download", timed_download), ("upload", timed_upload)):
        rate = transfer(path, size)
        say(f"{what}: {rate:,.0f} MB/s")
        rows.append(Row(MEASURE, what, rate, "MB/s", RATE, note=note))
    return rows


def small(path: ServingPath) -> float:
    """Milliseconds, the least of some."""
    took = []
    with HttpConnection(path) as connection:
        for _ in range(5):
            started = time.perf_counter()
            connection.send("")
            headers = require_ok(connection)
            for _ in connection.read_exactly(int(headers["content-length"])):
                pass
            took.append((time.perf_counter() - started) * 1000)
    return min(took)
