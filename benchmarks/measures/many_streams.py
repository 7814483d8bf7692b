"""Many streams at once, one event a second on each: the worst delay, and the memory that a stream takes."""

import asyncio
import time
from collections.abc import Callable

import psutil

from benchmarks.http_client import request_bytes
from benchmarks.measures.sse import ACCEPT, STAMP, percentile
from benchmarks.paths import ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say

DELAY = Bar("at most", 250)  # ms
MEMORY = Bar("at most", 40)  # KiB a stream
EVENTS = 8  # on each stream
EVERY = 1.0  # seconds
BATCH = 50  # connections opened together: fewer than the 128 that a listening socket holds
BATCH_GAP = 0.03  # seconds


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    path = stage.path("portico")
    allow_open_files(effort.streams + 200)
    hub, kernel = psutil.Process(stage.jupyter.pid), psutil.Process(stage.kernel.pid)
    before = hub.memory_info().rss, kernel.memory_info().rss
    crowd = asyncio.run(listen(path, effort.streams, lambda: (hub.memory_info().rss, kernel.memory_info().rss)))
    kib = [(during - at_first) / 1024 / effort.streams for at_first, during in zip(before, crowd.memory, strict=True)]
    if crowd.failures or len(crowd.delays) != EVENTS * effort.streams:
        raise AssertionError(f"{len(crowd.delays)} events of {EVENTS * effort.streams} arrived; {crowd.failures[:3]}")
    note = f"{effort.streams} streams, {EVENTS} events each"
    return [
        Row("many-streams", "delay, p50", percentile(crowd.delays, 50), "ms", note=note),
        Row("many-streams", "delay, p99", percentile(crowd.delays, 99), "ms"),
        Row("many-streams", "delay, worst", max(crowd.delays), "ms", DELAY),
        Row("many-streams", "hub's memory a stream", kib[0], "KiB", MEMORY),
        Row("many-streams", "kernel's memory a stream", kib[1], "KiB"),
    ]


class Crowd:
    """What all visitors saw."""

    def __init__(self) -> None:
        self.delays: list[float] = []  # milliseconds
        self.failures: list[str] = []
        self.memory: tuple[int, int] = (0, 0)  # bytes, with every stream open


class Listener(asyncio.Protocol):
    """One visitor: asks, then notes the delay of each event."""

    def __init__(self, crowd: Crowd, request: bytes) -> None:
        self._crowd, self._request = crowd, request
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        end = 0
        for event in STAMP.finditer(self._buffer):
            self._crowd.delays.append((now - int(event[1])) / 1e6)
            end = event.end()
        self._buffer = self._buffer[end:]
        if self._buffer.endswith(b"0\r\n\r\n"):
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._buffer.endswith(b"0\r\n\r\n"):
            self._crowd.failures.append(f"{error or 'cut'}: {self._buffer[:200]!r}")
        if not self.done.done():
            self.done.set_result(None)


async def listen(path: ServingPath, streams: int, memory: Callable[[], tuple[int, int]]) -> Crowd:
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    request = request_bytes(path, f"paced?count={EVENTS}&every={EVERY}", headers=ACCEPT)
    listeners: list[Listener] = []
    for first in range(0, streams, BATCH):
        batch = [
            loop.create_connection(lambda: Listener(crowd, request), path.host, path.port)
            for _ in range(min(BATCH, streams - first))
        ]
        listeners += [listener for _, listener in await asyncio.gather(*batch)]
        await asyncio.sleep(BATCH_GAP)
    await asyncio.sleep(EVENTS * EVERY / 2)
    crowd.memory = memory()
    await asyncio.wait_for(asyncio.gather(*(listener.done for listener in listeners)), EVENTS * EVERY + 30)
    return crowd


def allow_open_files(count: int) -> None:
    """Raises this process's own soft limit, where there is such a thing."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
