"""Two checkouts of Portico, side by side: what one request, message, event or token costs in processor time.

::

    python -m benchmarks.against OTHER [--pairs 10] [--only gets ...] [--seconds 2]

*OTHER* is another checkout (``git worktree add ../other COMMIT``). Both run in this environment, each with a Jupyter
server, a kernel, a relay, a provider and a chat server of its own. They are measured in turns, pair by pair; a ratio is
this checkout's figure through the other's in the same pair, and the table shows the median of the pairs' ratios. The
processor time is that of the servers alone, so a machine that is shared does not decide it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import models
from benchmarks.http_client import HttpConnection
from benchmarks.load import CONNECTIONS, wrk
from benchmarks.measures.sse import ACCEPT
from benchmarks.paths import ServingPath, Stage, open_stage
from benchmarks.relay import RelayStage
from benchmarks.servers import SOURCE, Server, free_port
from benchmarks.websocket_client import connect

VARIED = Path(__file__).with_name("varied.lua")
MESSAGES = 8000  # echoes in one sampling: about a second of processor time, whose clock ticks in hundredths
EVENTS = 600_000
TOKENS = 5000  # in one answer; a sampling asks for `ANSWERS`
ANSWERS = 20


# --- one side: what is up ---------------------------------------------------------------------------------------


class ChatServer(Server):
    """Portico's chat server alone, on uvicorn."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        command = [sys.executable, models.__file__, "--serve", "portico", "--port", str(port)]
        super().__init__("chat-server", command, port, directory, {"BENCH_TOKENS": str(TOKENS)})


def describe(stage: Stage) -> dict[str, Any]:
    """Start all that is measured; how to reach it, and the processes that its processor time is that of."""
    jupyter, relay, chat = stage.path("portico"), stage.part(RelayStage), stage.keep(ChatServer(stage.directory))
    return {
        "jupyter": {"path": asdict(jupyter), "pids": [stage.jupyter.pid, stage.kernel.pid]},
        "relay": {"path": asdict(relay.path), "pids": [relay.server.pid, relay.command.pid]},
        "chat": {"path": asdict(ServingPath("chat", chat.port)), "pids": [chat.pid]},
    }


def be_a_side() -> None:
    """Say where everything is, in one line of JSON, and wait for the end of standard input."""
    with open_stage(["portico"], lambda text: print(text, file=sys.stderr)) as stage:
        print(json.dumps(describe(stage)), flush=True)
        sys.stdin.read()


@dataclass(frozen=True, slots=True)
class Part:
    """One server, or two that are behind each other, and how to reach it."""

    path: ServingPath
    processes: list[psutil.Process]

    def spent(self) -> float:
        """Seconds of processor time so far."""
        times = [process.cpu_times() for process in self.processes]
        return float(sum(time.user + time.system for time in times))


Side = dict[str, Part]


@contextlib.contextmanager
def side(source: Path) -> Iterator[Side]:
    """A side that runs the code in *source*, up within the block; what starts it is its own checkout's, too."""
    root = source.parent
    environment = {
        **os.environ,
        "PORTICO_BENCH_SOURCE": str(source),
        "PYTHONPATH": os.pathsep.join((str(root), str(source))),
    }
    command = [sys.executable, "-m", "benchmarks.against", "--side"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=root)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the side of {source} did not come up")
        yield {
            name: Part(ServingPath(**part["path"]), [psutil.Process(pid) for pid in part["pids"]])
            for name, part in json.loads(line).items()
        }
    finally:
        process.stdin.close()
        process.wait(60)


# --- what is measured: microseconds of processor time for one -----------------------------------------------------


def gets(part: Part, seconds: int) -> float:
    return _cost(part, lambda: wrk(part.path, seconds).requests_per_second * seconds)


def varied_gets(part: Part, seconds: int) -> float:
    return _cost(part, lambda: wrk(part.path, seconds, script=VARIED).requests_per_second * seconds)


def messages(part: Part, seconds: int) -> float:
    """Echoes of 64 bytes, one at a time."""

    def run() -> float:
        message = bytes(range(64))
        with connect(part.path) as connection:
            for _ in range(MESSAGES):
                connection.send_binary(message)
                connection.receive_binary()
        return MESSAGES

    return _cost(part, run)


def events(part: Part, seconds: int) -> float:
    """Of an app that yields without waiting; their number is what the last one says."""

    def run() -> float:
        with HttpConnection(part.path) as connection:
            connection.send(f"counted?count={EVENTS}", headers={**ACCEPT, "Connection": "close"})
            connection.read_head()
            tail = b""
            for piece in connection.read_raw():
                tail = (tail + piece)[-100:]
        if b"data: end" not in tail:
            raise AssertionError("the stream was cut")
        return EVENTS

    return _cost(part, run)


def tokens(part: Part, seconds: int) -> float:
    def run() -> float:
        question = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "go"}]}
        for _ in range(ANSWERS):
            answer = models.fetch(part.path.port, "POST", "/v1/chat/completions", json.dumps(question).encode())
            if answer.count(b"token ") != TOKENS:
                raise AssertionError("tokens are missing")
        return ANSWERS * TOKENS

    return _cost(part, run)


def _cost(part: Part, run: Callable[[], float]) -> float:
    before = part.spent()
    number = run()
    return (part.spent() - before) / number * 1e6


MEASURES: dict[str, tuple[str, Callable[[Part, int], float]]] = {
    "gets": ("jupyter", gets),
    "websocket": ("jupyter", messages),
    "sse": ("jupyter", events),
    "relay-gets": ("relay", gets),
    "relay-varied": ("relay", varied_gets),
    "relay-websocket": ("relay", messages),
    "relay-sse": ("relay", events),
    "chat": ("chat", tokens),
}


def compare(ours: Side, theirs: Side, names: Sequence[str], pairs: int, seconds: int) -> None:
    for name in names:
        place, measure = MEASURES[name]
        measure(ours[place], 1)
        measure(theirs[place], 1)  # both are warm
        figures: list[tuple[float, float]] = []
        for number in range(pairs):
            if number % 2:
                other = measure(theirs[place], seconds)
                figures.append((measure(ours[place], seconds), other))
            else:
                figures.append((measure(ours[place], seconds), measure(theirs[place], seconds)))
        ratios = sorted(own / other for own, other in figures)
        own, other = (median(column) for column in zip(*figures, strict=True))
        print(
            f"{time.strftime('%H:%M:%S')}  {name:16} {own:8.2f} µs, other {other:8.2f} µs, "
            f"ratio {median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", nargs="?", type=Path, help="another checkout")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="of one sampling with wrk")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        be_a_side()
        return
    if options.other is None or not (options.other / "src" / "portico").is_dir():
        parser.error("name another checkout of Portico")
    with ExitStack() as stack:
        ours = stack.enter_context(side(Path(SOURCE)))
        theirs = stack.enter_context(side(options.other.resolve() / "src"))
        print(f"{options.pairs} pairs, {CONNECTIONS} connections of wrk; load {os.getloadavg()[0]:.1f}", flush=True)
        compare(ours, theirs, options.only, options.pairs, options.seconds)


if __name__ == "__main__":
    main()
