"""What is measured, by name. A dot parts the subject from the question, and `--only` takes either."""

from collections.abc import Callable

from benchmarks.measures import (
    browser,
    busy_kernel,
    chat,
    faults,
    functions,
    hostile_memory,
    jupyterlite,
    latency,
    many_streams,
    pipelines,
    relay_far,
    relay_gets,
    relay_memory,
    relay_soak,
    relay_sse,
    relay_startup,
    soak,
    sse,
    startup,
    throughput,
    tools,
    transfer,
    websocket,
)
from benchmarks.paths import Stage
from benchmarks.row import Effort, Row, Say

Measure = Callable[[Stage, Effort, Say], list[Row]]

MEASURES: dict[str, Measure] = {
    "throughput": throughput.measure,
    "busy-kernel": busy_kernel.measure,
    "latency": latency.measure,
    "sse.flood": sse.flood,
    "sse.first-byte": sse.first_byte,
    "sse.pacing": sse.pacing,
    "chat.first-token": chat.first_token,
    "chat.streams": chat.streams,
    "functions.alone": functions.alone,
    "functions.behind-portico": functions.behind,
    "functions.fifty": functions.fifty,
    "pipelines": pipelines.measure,
    "tools.call": tools.call,
    "transfer.download": transfer.download,
    "transfer.upload": transfer.upload,
    "websocket": websocket.measure,
    "startup.serve": startup.serve,
    "startup.import": startup.import_time,
    "many-streams": many_streams.measure,
    "faults.killed-mid-stream": faults.killed_mid_stream,
    "faults.killed-before-head": faults.killed_before_head,
    "faults.visitor-gone": faults.visitor_gone,
    "faults.slow-reader": faults.slow_reader,
    "relay-gets": relay_gets.measure,
    "relay-sse.flood": relay_sse.flood,
    "relay-sse.first-byte": relay_sse.first_byte,
    "relay-memory.links": relay_memory.links,
    "relay-memory.streams": relay_memory.streams,
    "hostile-memory.requests": hostile_memory.requests,
    "hostile-memory.links": hostile_memory.links,
    "hostile-memory.sockets": hostile_memory.sockets,
    "relay-startup": relay_startup.measure,
    "relay-far": relay_far.measure,
    "relay-soak": relay_soak.measure,
    "browser.gets": browser.gets,
    "browser.latency": browser.latency,
    "browser.pacing": browser.pacing,
    "browser.download": browser.download,
    "browser.page-load": browser.page_load,
    "jupyterlite": jupyterlite.measure,
    "soak": soak.measure,
}
WHEN_ASKED_FOR = {"soak"}
"""Measures that take longer than anyone waits for the table; they run when they are named."""


def select(only: list[str]) -> dict[str, Measure]:
    """Those of a name, a subject or a family (``relay`` is that of ``relay-gets``).

    For an empty list, all that are not to be asked for.

    Raises KeyError for a name that there is not.
    """
    chosen: dict[str, Measure] = {}
    for wanted in only or [name for name in MEASURES if name not in WHEN_ASKED_FOR]:
        found = {
            name: m
            for name, m in MEASURES.items()
            if wanted in (name, name.split(".")[0]) or name.startswith(f"{wanted}-")
        }
        if not found:
            raise KeyError(wanted)
        chosen |= found
    return chosen
