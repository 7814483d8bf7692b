"""One stream of server-sent events: how many a second, how soon the first, and how evenly."""

import re
import time
from itertools import pairwise
from statistics import median

from benchmarks.http_client import Cut, HttpConnection
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say

# jupyter-server-proxy streams for exactly this value, and buffers the whole answer for any other.
ACCEPT = {"Accept": "text/event-stream"}
PATHS = ("uvicorn", "portico", "jupyter-server-proxy")
STAMP = re.compile(rb"data: (\d+)\n\n")

EVENTS_PER_SECOND = Bar("at least", 40_000)
FIRST_BYTE = Bar("at most", 5.0)  # ms
PACE = 0.02  # seconds
PACE_ERROR = Bar("at most", 10.0)  # ms: from half a pace on, two events could come as one


def flood(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """The app yields without waiting: events/s, from the first byte to the last."""
    rates: dict[str, list[float]] = {path.name: [] for path in served(stage)}
    for _ in range(effort.rounds):
        for path in served(stage):
            rates[path.name].append(events_per_second(path, effort.seconds))
    p50 = {name: median(own) for name, own in rates.items()}
    return [
        Row(
            "sse.flood",
            name,
            rate,
            "events/s",
            EVENTS_PER_SECOND if name == "portico" else None,
            rate / p50["uvicorn"],
            "uvicorn",
        )
        for name, rate in p50.items()
    ] + missing(stage, "sse.flood", "events/s", EVENTS_PER_SECOND)


def first_byte(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """From the app's send of its first event to the visitor's having it; the head went the same instant."""
    rows = []
    for path in served(stage):
        delays = []
        for _ in range(20 * effort.rounds):
            delays += [delay for _, delay in stamped_events(path, 1, 0.01)]
        barred = FIRST_BYTE if path.name == "portico" else None
        rows.append(Row("sse.first-byte", f"{path.name}, p50", median(delays), "ms"))
        rows.append(Row("sse.first-byte", f"{path.name}, p99", percentile(delays, 99), "ms", barred))
    return rows + missing(stage, "sse.first-byte", "ms", FIRST_BYTE)


def pacing(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """The app sends every 20 ms: how far the gaps between arrivals are from the gaps between sends."""
    rows = []
    for path in served(stage):
        delays = [delay for _, delay in stamped_events(path, int(effort.seconds / PACE), PACE)]
        # The difference of two gaps is the difference of their ends' delays.
        errors = [abs(b - a) for a, b in pairwise(delays)]
        barred = PACE_ERROR if path.name == "portico" else None
        rows.append(Row("sse.pacing", f"{path.name}, gap's error, p99", percentile(errors, 99), "ms", barred))
        rows.append(Row("sse.pacing", f"{path.name}, delay, p99", percentile(delays, 99), "ms"))
    return rows + missing(stage, "sse.pacing", "ms", PACE_ERROR)


def served(stage: Stage) -> list[ServingPath]:
    return [stage.paths[name] for name in PATHS if name in stage.paths]


def missing(stage: Stage, measure: str, unit: str, bar: Bar) -> list[Row]:
    if "portico" in stage.paths:
        return []
    return [Row(measure, "portico", None, unit, bar, note=stage.absent.get("portico", "left out"))]


def events_per_second(path: ServingPath, seconds: float) -> float:
    with HttpConnection(path) as connection:
        connection.send(f"flood?seconds={seconds}", headers={**ACCEPT, "Connection": "close"})
        connection.read_head()
        pieces, started = [], None
        # Kept as they come and parsed afterwards: parsing would take a processor from what is measured.
        for piece in connection.read_raw():
            started = started or time.perf_counter()
            pieces.append(piece)
            if piece.endswith(b"0\r\n\r\n"):
                break
        took = time.perf_counter() - (started or 0)
    body = dechunked(b"".join(pieces))
    numbers = [int(number) for number in STAMP.findall(body)]
    if numbers != list(range(1, len(numbers) + 1)) or not body.endswith(b"data: end\n\n"):
        raise AssertionError(f"{path.name}: events were lost, doubled or swapped")
    return len(numbers) / took


def stamped_events(path: ServingPath, count: int, every: float) -> list[tuple[int, float]]:
    """When each event was sent (nanoseconds of the wall clock), and its delay in milliseconds."""
    events = []
    with HttpConnection(path) as connection:
        connection.send(f"paced?count={count}&every={every}", headers=ACCEPT)
        connection.read_head()
        for chunk in connection.read_chunks():
            now = time.time_ns()
            events += [(int(stamp), (now - int(stamp)) / 1e6) for stamp in STAMP.findall(chunk)]
    if len(events) != count:
        raise AssertionError(f"{path.name}: {len(events)} events of {count}")
    return events


def dechunked(raw: bytes) -> bytes:
    """The body within a chunked one. Raises Cut when there is no last chunk."""
    chunks: list[bytes] = []
    at = 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        size = int(raw[at:end], 16)
        if size == 0:
            return b"".join(chunks)
        chunks.append(raw[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    raise Cut("no last chunk")


def percentile(values: list[float], rank: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * rank // 100)]
