"""What a user waits for: `%serve app` until the first answer, and the import of portico."""

import subprocess
import sys
import time
from statistics import median

from benchmarks.http_client import HttpConnection
from benchmarks.kernel import Kernel
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say
from benchmarks.servers import ROOT

TO_FIRST_ANSWER = Bar("at most", 150)  # ms
IMPORT = Bar("at most", 150)  # ms
STARTS = 12  # of an interpreter, of either kind


def serve(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """In kernels that have loaded the extension: the first `%serve`, which has to dial, and another."""
    stage.path("portico")
    first, again = [], []
    for number in range(effort.rounds):
        with Kernel(stage.jupyter) as kernel:
            kernel.run("%load_ext portico\nfrom benchmarks.app import app")
            first.append(time_to_first_answer(stage, kernel, f"first-{number}"))
            again.append(time_to_first_answer(stage, kernel, f"again-{number}"))
            kernel.run(f"%serve --stop first-{number}\n%serve --stop again-{number}")
    return [
        Row(
            "startup.serve",
            "a kernel's first %serve to its first answer",
            median(first),
            "ms",
            TO_FIRST_ANSWER,
        ),
        Row("startup.serve", "another %serve in it to its first answer", median(again), "ms"),
    ]


def time_to_first_answer(stage: Stage, kernel: Kernel, name: str) -> float:
    """In milliseconds, from the cell's being sent; the visitor is the server's own user."""
    path = ServingPath("portico", stage.jupyter.port, f"/portico/apps/{name}/", stage.jupyter.authorization)
    started = time.perf_counter()
    kernel.run(f"%serve app --name {name}")
    with HttpConnection(path) as connection:
        connection.get("")
    return (time.perf_counter() - started) * 1000


def import_time(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """A fresh interpreter that takes up `portico.serve`, less one that does nothing."""
    code = "import portico; portico.serve"
    bare, loaded = [], []
    for _ in range(STARTS):
        bare.append(time_interpreter("-c", "pass"))
        loaded.append(time_interpreter("-c", code))
    costly = ", ".join(f"{name} {ms:.0f} ms" for name, ms in costliest(code))
    value = median(loaded) - median(bare)
    return [Row("startup.import", "import portico, and portico.serve", value, "ms", IMPORT, note=costly)]


def time_interpreter(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, timeout=30, capture_output=True, text=True)
    return (time.perf_counter() - started) * 1000


def costliest(code: str, count: int = 4) -> list[tuple[str, float]]:
    """The top-level packages that `-X importtime` finds most of the time in: name, and own milliseconds."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        check=True,
        cwd=ROOT,
        timeout=30,
        capture_output=True,
        text=True,
    )
    own: dict[str, float] = {}
    for line in done.stderr.splitlines():
        microseconds, _, name = line.removeprefix("import time:").split("|")
        if microseconds.strip().isdigit():
            package = name.strip().split(".")[0]
            own[package] = own.get(package, 0.0) + int(microseconds) / 1000
    return sorted(own.items(), key=lambda item: -item[1])[:count]
