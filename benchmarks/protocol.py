"""What the protocol alone costs: two connections in memory, no event loop, no socket.

``python -m benchmarks.protocol`` prints, for both ends together:

- one small request at a time: OPEN with FIN, its HEAD and DATA with FIN, consumed;
- the same, 16 in a batch, as a busy link carries them;
- bulk DATA in one direction, consumed as it comes.

``python -m benchmarks.protocol --profile`` adds where the time of a small request goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from time import perf_counter

from portico.protocol import Connection, Kind, Role
from portico.protocol.events import Data, Hello, Open, Welcome

REQUEST_HEADERS = [
    (b"host", b"localhost:8888"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"x-forwarded-proto", b"http"),
    (b"x-forwarded-host", b"localhost:8888"),
    (b"x-forwarded-prefix", b"/portico/apps/hello"),
]
RESPONSE_HEADERS = [(b"content-length", b"17"), (b"content-type", b"application/json")]
BODY = b'{"hello":"world"}'
IDENTITY = b'{"access":"key","key":"abc123"}'


def linked() -> tuple[Connection, Connection]:
    """A hub and a provider that have shaken hands."""
    hub, provider = Connection(Role.HUB, now=0.0), Connection(Role.PROVIDER, now=0.0)
    provider.send_hello(Hello(token="t", session="0" * 32, epoch=0))
    hub.receive_message(provider.data_to_send(), 0.0)
    hub.send_welcome(Welcome(base_url="http://hub/"))
    provider.receive_message(hub.data_to_send(), 0.0)
    return hub, provider


def requests(hub: Connection, provider: Connection, at_once: int, rounds: int) -> None:
    now = 0.0
    for _ in range(rounds):
        now += 0.0001
        for _ in range(at_once):
            hub.open_stream(
                kind=Kind.HTTP,
                service="hello",
                method="GET",
                scheme="http",
                http_version="1.1",
                raw_path=b"/hello",
                query=b"",
                root_path="/portico/apps/hello",
                client=("127.0.0.1", 54321),
                server=("localhost", 8888),
                identity=IDENTITY,
                headers=REQUEST_HEADERS,
                fin=True,
                now=now,
            )
        while message := hub.data_to_send():
            for event in provider.receive_message(message, now):
                assert type(event) is Open
                provider.send_head(event.stream_id, 200, RESPONSE_HEADERS)
                provider.send_data(event.stream_id, BODY, fin=True)
        while message := provider.data_to_send():
            for event in hub.receive_message(message, now):
                if type(event) is Data:
                    hub.consumed(event.stream_id, len(event.data), now)
    assert hub.streams == provider.streams == 0


def bulk(hub: Connection, provider: Connection, size: int, chunk: int) -> None:
    """*size* bytes from the provider to the hub, written *chunk* at a time."""
    stream = hub.open_stream(
        kind=Kind.HTTP,
        service="hello",
        method="GET",
        scheme="http",
        http_version="1.1",
        raw_path=b"/",
        query=b"",
        root_path="",
        client=None,
        server=None,
        headers=[],
        fin=True,
        now=0.0,
    )
    provider.receive_message(hub.data_to_send(), 0.0)
    provider.send_head(stream, 200, [])
    payload = bytes(chunk)
    received = sent = 0
    now = 0.0
    while received < size:
        now += 0.0001
        while sent < size and provider.queued(stream) < provider.limits.queue_high:
            sent += chunk
            provider.send_data(stream, payload, fin=sent >= size)
        while message := provider.data_to_send():
            for event in hub.receive_message(message, now):
                if type(event) is Data:
                    received += len(event.data)
                    hub.consumed(stream, len(event.data), now)
        while message := hub.data_to_send():
            provider.receive_message(message, now)
    assert hub.streams == provider.streams == 0


def best(of: int, work: object, *arguments: object) -> float:
    """The shortest time in seconds of *of* runs: what disturbs a run only makes it longer."""
    times = []
    for _ in range(of):
        pair = linked()
        start = perf_counter()
        work(*pair, *arguments)  # type: ignore[operator]
        times.append(perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true", help="say where the time of a small request goes")
    arguments = parser.parse_args()
    print(f"{'one small request at a time':36}{best(7, requests, 1, 5000) / 5000 * 1e6:8.1f} µs")
    print(f"{'the same, 16 in a batch':36}{best(7, requests, 16, 300) / 4800 * 1e6:8.1f} µs")
    for chunk in (64, 1024, 65536):
        size = min(chunk * 20000, 256 * 1024 * 1024)
        seconds = best(3, bulk, size, chunk)
        per_write = seconds / (size / chunk) * 1e6
        print(f"{f'bulk DATA, {chunk} bytes a write':36}{per_write:8.2f} µs a write {size / seconds / 1e6:8.0f} MB/s")
    if arguments.profile:
        hub, provider = linked()
        with cProfile.Profile() as profile:
            requests(hub, provider, 16, 1000)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
