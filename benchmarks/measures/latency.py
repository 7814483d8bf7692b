"""One small GET at a time on a kept-alive connection: what a path adds to a call."""

from statistics import median

from benchmarks.http_client import time_gets
from benchmarks.paths import NotServed, Stage
from benchmarks.row import Bar, Effort, Row, Say

PATHS = ("uvicorn", "portico", "request-handler", "jupyter-handler", "jupyter-server-proxy")
OVER_UVICORN = Bar("at most", 0.5)  # ms


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    paths = [stage.paths[name] for name in PATHS if name in stage.paths]
    times: dict[str, list[float]] = {path.name: [] for path in paths}
    for _ in range(effort.rounds):
        for path in paths:
            times[path.name] += time_gets(path, effort.seconds / 2)
    p50 = {name: median(own) for name, own in times.items()}
    rows = [
        Row("latency", f"{name}, p50", own, "ms", ratio=own / p50["uvicorn"], ratio_to="uvicorn")
        for name, own in p50.items()
    ]
    try:
        stage.path("portico")
        rows.append(Row("latency", "portico over uvicorn, p50", p50["portico"] - p50["uvicorn"], "ms", OVER_UVICORN))
    except NotServed as error:
        rows.append(Row("latency", "portico over uvicorn, p50", None, "ms", OVER_UVICORN, note=str(error)))
    return rows
