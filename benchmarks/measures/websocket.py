"""WebSocket echo, 64 bytes, one message at a time: the round trip."""

import time
from statistics import median

from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.websocket_client import connect

PATHS = ("uvicorn", "portico", "jupyter-server-proxy")
MESSAGE = bytes(range(64))
WARM_UP = 50  # messages
TO_JUPYTER_SERVER_PROXY = Bar("at most", 1.0)


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    paths = [stage.paths[name] for name in PATHS if name in stage.paths]
    times: dict[str, list[float]] = {path.name: [] for path in paths}
    for _ in range(effort.rounds):
        for path in paths:
            times[path.name] += round_trips(path, effort.seconds / 2)
    p50 = {name: median(own) for name, own in times.items()}
    rows = [
        Row("websocket", f"{name}, p50", own, "ms", ratio=own / p50["uvicorn"], ratio_to="uvicorn")
        for name, own in p50.items()
    ]
    absent = "; ".join(why for name, why in stage.absent.items() if name in PATHS)
    value = None if absent else p50["portico"] / p50["jupyter-server-proxy"]
    rows.append(Row("websocket", "portico to jupyter-server-proxy", value, "×", TO_JUPYTER_SERVER_PROXY, note=absent))
    return rows


def round_trips(path: ServingPath, seconds: float) -> list[float]:
    """In milliseconds."""
    times = []
    with connect(path) as connection:
        for _ in range(WARM_UP):
            connection.send_binary(MESSAGE)
            connection.receive_binary()
        until = time.perf_counter() + seconds
        while (sent := time.perf_counter()) < until:
            connection.send_binary(MESSAGE)
            if connection.receive_binary() != MESSAGE:
                raise AssertionError(f"{path.name}: the echo differs")
            times.append((time.perf_counter() - sent) * 1000)
    return times
