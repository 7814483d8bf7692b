"""Small GETs through a relay, 16 at a time, beside the app on uvicorn directly and Hypha: each takes its turn."""

from statistics import median

import psutil

from benchmarks.load import wrk
from benchmarks.measures.throughput import WARM_UP, ratio
from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.relay import RelayStage
from benchmarks.row import Bar, Effort, Row, Say

TO_UVICORN = Bar("at least", 0.4)
TO_HYPHA = Bar("at least", 80)
MEASURE = "relay-gets"


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    relay = stage.part(RelayStage)
    paths = [relay.direct, relay.path, relay.thread_path]
    processes = {
        "uvicorn": {"uvicorn's": psutil.Process(stage.uvicorn.pid)},
        relay.path.name: {
            "the relay's": psutil.Process(relay.server.pid),
            "the provider's": psutil.Process(relay.command.pid),
        },
    }
    no_hypha = ""
    try:
        paths.append(relay.hypha)
    except NotServed as error:
        no_hypha = str(error)
        say(f"  {error}")
    for path in paths:
        wrk(path, WARM_UP)
    rates: dict[str, list[float]] = {path.name: [] for path in paths}
    costs: dict[str, list[float]] = {}
    for number in range(effort.rounds):
        start = number % len(paths)
        for path in paths[start:] + paths[:start]:
            rate, spent = watched(path, effort.seconds, processes.get(path.name, {}))
            rates[path.name].append(rate)
            for whose, cost in spent.items():
                costs.setdefault(whose, []).append(cost)
        say(f"round {number + 1} of {effort.rounds}: " + ", ".join(f"{n} {r[-1]:,.0f}" for n, r in rates.items()))
    rows = [
        Row(
            MEASURE,
            name,
            median(own),
            "requests/s",
            None,
            ratio(own, rates["uvicorn"]),
            "uvicorn",
            f"{min(own):,.0f} to {max(own):,.0f}",
        )
        for name, own in rates.items()
    ]
    rows += [
        Row(MEASURE, f"{whose} processor time a request", min(own), "µs", note="the least of the rounds")
        for whose, own in costs.items()
    ]
    rows.append(Row(MEASURE, "relay to uvicorn", ratio(rates["relay"], rates["uvicorn"]), "×", TO_UVICORN))
    rows.append(Row(MEASURE, "relay to hypha", ratio(rates["relay"], rates.get("hypha")), "×", TO_HYPHA, note=no_hypha))
    return rows


def watched(path: ServingPath, seconds: int, processes: dict[str, psutil.Process]) -> tuple[float, dict[str, float]]:
    """Requests/s, and the processor time (microseconds) that each process spent on one."""
    before = {whose: spent(process) for whose, process in processes.items()}
    rate = wrk(path, seconds).requests_per_second
    served = rate * seconds
    return rate, {whose: (spent(process) - before[whose]) / served * 1e6 for whose, process in processes.items()}


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
