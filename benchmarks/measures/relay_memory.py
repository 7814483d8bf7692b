"""What a relay holds for whoever is idle: a provider's link with one service, and a visitor's stream of events.

Growth of resident memory, from when the first few were there, which load and allocate what is there once.
"""

import asyncio
import time

import psutil

from benchmarks.http_client import request_bytes
from benchmarks.measures.many_streams import BATCH, BATCH_GAP, allow_open_files
from benchmarks.measures.sse import ACCEPT
from benchmarks.paths import ServingPath, Stage
from benchmarks.relay import IdleLinks, RelayServer, RelayStage
from benchmarks.row import Bar, Effort, Row, Say

A_LINK = Bar("at most", 40)  # KiB
A_STREAM = Bar("at most", 25)  # KiB
LINKS = 2  # for each of `Effort.streams`
STREAMS = 5  # for each of them
PROCESSES = 4  # that the links are in
FIRST = 20
SETTLE = 2.0  # seconds
IDLE_FOR = 3600  # seconds until the app's first event: it does not come
ANSWER_WITHIN = 60.0  # seconds


def links(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    count = LINKS * effort.streams
    allow_open_files(count + 1000)
    relay = stage.keep(RelayServer(stage.directory, "relay-links"))
    stage.keep(IdleLinks(relay, stage.directory, 0, FIRST))
    time.sleep(SETTLE)
    before = memory(relay.pid)
    each = count // PROCESSES
    for number in range(PROCESSES):
        stage.keep(IdleLinks(relay, stage.directory, FIRST + number * each, each))
        say(f"{(number + 1) * each} links")
    time.sleep(SETTLE)
    kib = (memory(relay.pid) - before) / 1024 / (each * PROCESSES)
    note = f"{each * PROCESSES} links with a service each"
    return [Row("relay-memory.links", "an idle link", kib, "KiB", A_LINK, note=note)]


def streams(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    count = STREAMS * effort.streams
    allow_open_files(count + 1000)
    relay = stage.part(RelayStage)
    # two, as no link has more than 4,096 streams
    kib, provider = asyncio.run(hold([relay.path, relay.thread_path], count, relay.server.pid, relay.command.pid))
    note = f"{count} streams of events"
    return [
        Row("relay-memory.streams", "an idle stream", kib, "KiB", A_STREAM, note=note),
        Row("relay-memory.streams", "the same, in portico serve", provider, "KiB"),
    ]


class Visitor(asyncio.Protocol):
    """Asks for a stream, and keeps it once its head is here."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._head = b""
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head and not self.answered.done():
            if self._head.startswith(b"HTTP/1.1 200 "):
                self.answered.set_result(None)
            else:
                self.answered.set_exception(AssertionError(f"answered with {self._head[:200]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(AssertionError(f"cut: {error}"))


async def hold(paths: list[ServingPath], count: int, relay: int, provider: int) -> tuple[float, float]:
    """KiB a stream, in the relay and in the provider of the first path."""
    visitors = [await open_streams(path, FIRST) for path in paths]
    await asyncio.sleep(SETTLE)
    before = memory(relay), memory(provider)
    each = count // len(paths)
    visitors += [await open_streams(path, each) for path in paths]
    await asyncio.sleep(SETTLE)
    after = memory(relay), memory(provider)
    for visitor in (one for some in visitors for one in some):
        visitor.transport.close()
    await asyncio.sleep(SETTLE)
    return (after[0] - before[0]) / 1024 / (each * len(paths)), (after[1] - before[1]) / 1024 / each


async def open_streams(path: ServingPath, count: int) -> list[Visitor]:
    loop = asyncio.get_running_loop()
    request = request_bytes(path, f"paced?count=1&every={IDLE_FOR}", headers=ACCEPT)
    visitors: list[Visitor] = []
    for first in range(0, count, BATCH):
        batch = [
            loop.create_connection(lambda: Visitor(request), path.host, path.port)
            for _ in range(min(BATCH, count - first))
        ]
        visitors += [visitor for _, visitor in await asyncio.gather(*batch)]
        await asyncio.sleep(BATCH_GAP)
    await asyncio.wait_for(asyncio.gather(*(visitor.answered for visitor in visitors)), ANSWER_WITHIN)
    return visitors


def memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)
