"""One stream of server-sent events through a relay, beside uvicorn directly and Hypha."""

from statistics import median

from benchmarks.measures.sse import events_per_second, percentile, stamped_events
from benchmarks.measures.throughput import ratio
from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.relay import RelayStage
from benchmarks.row import Bar, Effort, Row, Say

TO_HYPHA = Bar("at least", 25)
FIRST_BYTE = Bar("at most", 5.0)  # ms


def flood(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """The app yields without waiting: events/s, from the first byte to the last."""
    paths, no_hypha = compared(stage, say)
    rates: dict[str, list[float]] = {path.name: [] for path in paths}
    for _ in range(effort.rounds):
        for path in paths:
            rates[path.name].append(events_per_second(path, effort.seconds))
    rows = [
        Row("relay-sse.flood", name, median(own), "events/s", None, ratio(own, rates["uvicorn"]), "uvicorn")
        for name, own in rates.items()
    ]
    value = ratio(rates["relay"], rates.get("hypha"))
    return [*rows, Row("relay-sse.flood", "relay to hypha", value, "×", TO_HYPHA, note=no_hypha)]


def first_byte(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """From the app's send of its first event to the visitor's having it; the head went the same instant."""
    rows = []
    for path in compared(stage, say)[0]:
        delays = []
        for _ in range(20 * effort.rounds):
            delays += [delay for _, delay in stamped_events(path, 1, 0.01)]
        barred = FIRST_BYTE if path.name == "relay" else None
        rows.append(Row("relay-sse.first-byte", f"{path.name}, p50", median(delays), "ms"))
        rows.append(Row("relay-sse.first-byte", f"{path.name}, p99", percentile(delays, 99), "ms", barred))
    return rows


def compared(stage: Stage, say: Say) -> tuple[list[ServingPath], str]:
    """The paths, and why Hypha is not among them."""
    relay = stage.part(RelayStage)
    paths = [relay.direct, relay.path, relay.thread_path]
    try:
        return [*paths, relay.hypha], ""
    except NotServed as error:
        say(f"  {error}")
        return paths, str(error)
