"""Minutes of mixed visitors through a relay: does it, or its provider, grow, and does anything go wrong?

GETs by `wrk`; streams of events that are read to their end, or left; WebSockets; uploads whose digest is compared;
requests whose visitors leave. All at once, each in a thread of its own. The first minute (or the first third of a
shorter run) is not counted: what is made once is made then.
"""

import os
import threading
import time
from collections.abc import Callable
from statistics import linear_regression

import psutil

from benchmarks.http_client import HttpConnection
from benchmarks.load import wrk
from benchmarks.measures.sse import ACCEPT, stamped_events
from benchmarks.measures.transfer import digest, uploaded
from benchmarks.memory import MIB
from benchmarks.paths import ServingPath, Stage
from benchmarks.relay import RelayStage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.websocket_client import connect

GROWTH = Bar("at most", 2.0)  # MiB: of allocators, whose arenas come and go
NO_ERRORS = Bar("at most", 0)
SHORTEST = 40  # seconds
LOOK_EVERY = 10.0  # seconds
WARM_UP = 60.0  # seconds
UPLOAD = 3 * MIB + 17  # bytes
GET_SECONDS = 2
BREATH = 0.02  # seconds between two laps of one visitor


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """`--seconds 300` for five minutes."""
    relay = stage.part(RelayStage)
    path = relay.path
    seconds = max(effort.seconds, min(effort.soak, SHORTEST))
    processes = {"relay": psutil.Process(relay.server.pid), "provider": psutil.Process(relay.command.pid)}
    crowd = Crowd(path)
    samples: list[tuple[float, dict[str, float]]] = []
    every = min(LOOK_EVERY, seconds / 20)
    started = time.monotonic()
    with crowd:
        while (at := time.monotonic() - started) < seconds:
            look = {name: process.memory_info().rss / MIB for name, process in processes.items()}
            samples.append((at, look))
            say(f"{at:4.0f} s: " + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in look.items()))
            time.sleep(every)
    for error in crowd.errors[:5]:
        say(f"  {error}")
    warm = min(WARM_UP, seconds / 3)
    counted = [(at, look) for at, look in samples if at >= warm]
    note = ", ".join(f"{count} {what}" for what, count in crowd.done.items())
    rows = [Row("relay-soak", "errors", len(crowd.errors), "", NO_ERRORS, note=note)]
    for name in processes:
        slope = linear_regression([at / 60 for at, _ in counted], [look[name] for _, look in counted]).slope
        growth = slope * (seconds - warm) / 60
        note = f"{slope:+.2f} MiB a minute, by {len(counted)} looks; {counted[-1][1][name]:.0f} MiB at the end"
        rows.append(Row("relay-soak", f"the {name}'s growth after {warm:.0f} s", growth, "MiB", GROWTH, note=note))
    return rows


class Crowd:
    """The visitors, within its `with` block."""

    def __init__(self, path: ServingPath) -> None:
        self._path = path
        self._over = threading.Event()
        self.errors: list[str] = []
        visits: dict[str, Callable[[ServingPath], None]] = {
            "runs of GETs": gets,
            "streams": stream,
            "streams left": left_stream,
            "WebSockets": websocket,
            "uploads": upload,
            "requests left": left_request,
        }
        self.done = dict.fromkeys(visits, 0)
        self._threads = [threading.Thread(target=self._visit, args=item, daemon=True) for item in visits.items()]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _visit(self, what: str, visit: Callable[[ServingPath], None]) -> None:
        while not self._over.wait(BREATH):
            try:
                visit(self._path)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is looked for
                self.errors.append(f"{what}: {type(error).__name__}: {error}")
            self.done[what] += 1


def gets(path: ServingPath) -> None:
    wrk(path, GET_SECONDS)


def stream(path: ServingPath) -> None:
    stamped_events(path, 20, 0.01)


def left_stream(path: ServingPath) -> None:
    with HttpConnection(path) as connection:
        connection.send("paced?count=10000&every=0.005", headers=ACCEPT)
        connection.read_head()
        chunks = connection.read_chunks()
        for _ in range(5):
            next(chunks)


def websocket(path: ServingPath) -> None:
    with connect(path) as connection:
        for number in range(20):
            message = b"%d" % number * 20
            connection.send_binary(message)
            if connection.receive_binary() != message:
                raise AssertionError("the echo differs")


def upload(path: ServingPath) -> None:
    if uploaded(path, UPLOAD, "upload?sha256=1")["sha256"] != digest(UPLOAD):
        raise AssertionError("the upload differs")


def left_request(path: ServingPath) -> None:
    for rest in ("hang", "download?bytes=100000000", ""):
        with HttpConnection(path) as connection:
            connection.send(rest)
            if os.urandom(1)[0] & 1:  # some leave at once, some when the app has it
                time.sleep(0.05)
