"""Small GETs while a cell of the same kernel runs a pure-Python loop, which parts with the GIL only by force."""

from benchmarks.load import wrk
from benchmarks.paths import Stage
from benchmarks.row import Bar, Effort, Row, Say

MARGIN = 2.0  # seconds that the loop runs on after wrk should be done

LOOP = """
import time
rounds, until = 0, time.perf_counter() + {seconds}
while time.perf_counter() < until:
    rounds += 1
print(rounds / {seconds})
"""


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.path("portico")
    alone = float(stage.kernel.run(LOOP.format(seconds=1)))
    duration = effort.seconds + MARGIN
    cell = stage.kernel.submit(LOOP.format(seconds=duration))
    load = wrk(path, effort.seconds)
    beside = float(stage.kernel.wait(cell, duration + 30))
    return [
        Row("busy-kernel", "portico, p50", load.p50, "ms", Bar("at most", 50.0)),
        Row("busy-kernel", "portico, p99", load.p99, "ms"),
        Row("busy-kernel", "portico", load.requests_per_second, "requests/s"),
        Row("busy-kernel", "the loop's own speed, left beside the load", beside / alone, "×"),
    ]
