"""What a user of the command line waits for: `portico serve` until its URL is printed."""

import os
import subprocess
import time
from statistics import median

from benchmarks.paths import Stage
from benchmarks.relay import RelayServer, RelayStage, serve_command
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import PYTHONPATH, ROOT, STOP_TIMEOUT

TO_URL = Bar("at most", 1000)  # ms
APPS = {"a raw app": "benchmarks.app:app", "a FastAPI app": "benchmarks.fastapi_app:app"}


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    relay = stage.part(RelayStage).server
    rows = []
    for number, (what, app) in enumerate(APPS.items()):
        time_to_url(relay, app, f"warm-{number}")  # the first one reads everything from the disk
        times = [time_to_url(relay, app, f"start-{number}-{round_}") for round_ in range(2 * effort.rounds)]
        note = f"{min(times):.0f} to {max(times):.0f}"
        rows.append(
            Row("relay-startup", f"portico serve of {what}, to its URL", median(times), "ms", TO_URL, note=note)
        )
    return rows


def time_to_url(relay: RelayServer, app: str, service: str) -> float:
    """In milliseconds, from the command's start."""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "PORTICO_TOKEN": relay.token}
    started = time.perf_counter()
    with subprocess.Popen(
        serve_command(app, service, relay), env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        took = (time.perf_counter() - started) * 1000
        if not line.startswith(b"http"):
            raise AssertionError(f"portico serve printed {line!r}, and {process.stderr.read()!r}")
        process.terminate()
        process.wait(STOP_TIMEOUT)
    return took
