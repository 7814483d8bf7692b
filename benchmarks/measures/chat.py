"""A chat model in a kernel, by its own wire: how soon the first token comes, and how late those of many streams are."""

import asyncio
import json
import time
from statistics import median

from benchmarks.http_client import HttpConnection
from benchmarks.kernel import CellFailed
from benchmarks.measures.many_streams import BATCH, BATCH_GAP
from benchmarks.measures.sse import percentile
from benchmarks.paths import NotServed, ServingPath, Stage
from benchmarks.row import Bar, Effort, Row, Say

FIRST_TOKEN = Bar("at most", 5.0)  # ms, over what the function itself takes
DELAY = Bar("at most", 50.0)  # ms, at p99
STREAMS = 64
EVERY = 0.01  # seconds: 100 tokens/s on each stream
THINKING = 0.02  # seconds that the function takes for its first token

# A token is the wall clock of its yield, in nanoseconds; the first also tells when the function was called.
MODEL = f"""
import asyncio, time
import portico

@portico.model("stamps")
async def stamps(request):
    called = time.time_ns()
    await asyncio.sleep({THINKING})
    yield f"<{{called}}:{{time.time_ns()}}>"
    due = time.perf_counter()
    for _ in range(request["max_tokens"] - 1):
        due += {EVERY}
        await asyncio.sleep(due - time.perf_counter())
        yield f"<{{time.time_ns()}}>"

chat_service = portico.serve(stamps, name="bench-chat")
print("KEY", chat_service.key(expires="1h"))
"""


def first_token(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """From the request's being sent to the first token's being here, without what the function took for it."""
    path = serve_model(stage)
    times = []
    for _ in range(40 * effort.rounds):
        with HttpConnection(path) as connection:
            sent = time.time_ns()
            connection.socket.sendall(request(path, tokens=1))
            connection.read_head()
            for chunk in connection.read_chunks():
                if b"<" in chunk:
                    here = time.time_ns()
                    called, yielded = token(chunk).split(b":")
                    times.append((here - sent - (int(yielded) - int(called))) / 1e6)
    note = f"{len(times)} requests, each on a connection of its own"
    return [
        Row("chat.first-token", "portico, p50", median(times), "ms", FIRST_TOKEN, note=note),
        Row("chat.first-token", "portico, p99", percentile(times, 99), "ms"),
    ]


def streams(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """64 streams with 100 tokens/s each: from a token's yield to its arrival."""
    path = serve_model(stage)
    delays = asyncio.run(listen(path, tokens=int(effort.seconds * effort.rounds / EVERY)))
    note = f"{STREAMS} streams, {len(delays)} tokens in all"
    return [
        Row("chat.streams", "delay, p50", percentile(delays, 50), "ms", note=note),
        Row("chat.streams", "delay, p99", percentile(delays, 99), "ms", DELAY),
        Row("chat.streams", "delay, worst", max(delays), "ms"),
    ]


def serve_model(stage: Stage) -> ServingPath:
    try:
        printed = stage.kernel.run(MODEL)
    except CellFailed as error:
        raise NotServed(str(error).splitlines()[-1]) from error
    key = next(line.split()[1] for line in printed.splitlines() if line.startswith("KEY "))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return ServingPath("portico", stage.jupyter.port, "/portico/apps/bench-chat/", headers)


def request(path: ServingPath, tokens: int) -> bytes:
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": "stamps", "messages": messages, "stream": True, "max_tokens": tokens}).encode()
    lines = [f"POST {path.prefix}v1/chat/completions HTTP/1.1", f"Host: {path.host}:{path.port}"]
    lines += [f"{name}: {value}" for name, value in path.headers.items()]
    lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def token(chunk: bytes) -> bytes:
    return chunk[chunk.index(b"<") + 1 : chunk.index(b">")]


class Listener(asyncio.Protocol):
    """One visitor: asks, then notes the delay of each token."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._rest = b""
        self.delays: list[float] = []  # milliseconds
        self.whole = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        *stamps, self._rest = (self._rest + data).split(b">")
        for stamp in stamps:
            yielded = stamp[stamp.rindex(b"<") + 1 :].split(b":")[-1]
            self.delays.append((now - int(yielded)) / 1e6)
        if b"data: [DONE]" in self._rest:
            self.whole = True
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def listen(path: ServingPath, tokens: int) -> list[float]:
    """The delay of each token, in milliseconds. Raises AssertionError when one is missing."""
    loop = asyncio.get_running_loop()
    asked = request(path, tokens)
    listeners: list[Listener] = []
    for first in range(0, STREAMS, BATCH):
        batch = [
            loop.create_connection(lambda: Listener(asked), path.host, path.port)
            for _ in range(min(BATCH, STREAMS - first))
        ]
        listeners += [listener for _, listener in await asyncio.gather(*batch)]
        await asyncio.sleep(BATCH_GAP)
    await asyncio.wait_for(asyncio.gather(*(listener.done for listener in listeners)), tokens * EVERY + 30)
    if not all(listener.whole and len(listener.delays) == tokens for listener in listeners):
        raise AssertionError("a stream was cut, or tokens are missing")
    return [delay for listener in listeners for delay in listener.delays]
