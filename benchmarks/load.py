"""`wrk`: many requests at a time. Loopback only, and never longer than it was told to."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import ServingPath

CONNECTIONS = 16
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class WrkMissing(Exception):
    """It is not installed."""


class WrkFailed(Exception):
    """It did not end well, or was answered with errors."""


@dataclass(frozen=True, slots=True)
class Load:
    requests_per_second: float
    p50: float  # milliseconds
    p99: float


def wrk(path: ServingPath, seconds: int, connections: int = CONNECTIONS, script: Path | None = None) -> Load:
    """Runs `wrk -t1 -c16` against a path's hello, or with another number of *connections*, or as a *script* says.

    Raises WrkFailed for any answer but 200, whose requests/s would be a figure about something else, and
    WrkMissing.
    """
    command = shutil.which("wrk")
    if command is None:
        raise WrkMissing("wrk is not installed (apt-get install wrk, brew install wrk)")
    arguments = [command, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency"]
    if script is not None:
        arguments += ["-s", str(script)]
    for name, value in path.headers.items():
        arguments += ["-H", f"{name}: {value}"]
    try:
        done = subprocess.run(
            [*arguments, path.url("")], capture_output=True, text=True, timeout=seconds + 20, check=True
        )
    except subprocess.SubprocessError as error:
        raise WrkFailed(f"{path.name}: {error}") from error
    return parse(done.stdout)


def parse(output: str) -> Load:
    if problem := re.search(r"(Non-2xx or 3xx responses: .*|Socket errors: .*)", output):
        raise WrkFailed(problem[1])
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    if rate is None or float(rate[1]) == 0:
        raise WrkFailed(f"no answer was counted:\n{output}")
    return Load(float(rate[1]), percentile(output, 50), percentile(output, 99))


def percentile(output: str, rank: int) -> float:
    found = re.search(rf"^\s+{rank}%\s+([\d.]+)(us|ms|s|m)$", output, re.MULTILINE)
    if found is None:
        raise WrkFailed(f"no {rank}th percentile in:\n{output}")
    return float(found[1]) * MILLISECONDS[found[2]]
