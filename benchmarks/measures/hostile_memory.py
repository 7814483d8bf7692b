"""What a relay and a Jupyter server hold for strangers who mean them harm: the growth of resident memory.

Requests of which each is long and like no other; links that are silent, or say HELLO only; WebSockets with a message
that never ends, or with pongs that nobody reads. All by plain sockets, which show what they were answered to nobody.
"""

import contextlib
import itertools
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator

import psutil

from benchmarks.measures.many_streams import allow_open_files
from benchmarks.memory import MIB, PeakMemory
from benchmarks.paths import ServingPath, Stage
from benchmarks.relay import RelayStage
from benchmarks.row import Bar, Effort, Row, Say
from portico.protocol import SUBPROTOCOL, Connection, Limits, Role
from portico.protocol.events import Hello

GROWTH = Bar("at most", 32)  # MiB
REQUESTS = 1500
LINKS = 1000
SOCKETS = 20
LONG = 30_000  # bytes of a name or a value: two of them are a legal head
MESSAGE = 16 * MIB - 1  # bytes of a message that is not ended, which a whole one may have
PINGS = 64 * 1024  # that are sent where nobody reads the pongs: 8 MiB
WARM_UP = 50  # of so many, one before: they load and allocate what is there once
LEAST = 4
SETTLE = 3.0  # seconds
PATIENCE = 2.0  # seconds for an answer, or for more to be taken

Server = tuple[str, int, ServingPath, str]
"""Its name, its process, where its app is, and the path for links."""


def servers(stage: Stage) -> Iterator[Server]:
    relay = stage.part(RelayStage)
    yield "relay", relay.server.pid, relay.path, "/portico/link"
    yield "jupyter-server", stage.jupyter.pid, stage.path("portico"), "/portico/link"


def requests(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    def ask(path: ServingPath, link: str, count: int) -> list[socket.socket]:
        for head in itertools.islice(hostile_heads(path), count):
            with contextlib.suppress(OSError), connected(path) as connection:
                connection.sendall(head)
                while connection.recv(1 << 16):
                    pass
        return []

    return compare(stage, say, "requests", "requests like no other", ask, effort.streams * REQUESTS // 1000)


def links(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    count = effort.streams * LINKS // 1000
    allow_open_files(2 * count + 1000)

    def dial(path: ServingPath, link: str, count: int) -> list[socket.socket]:
        """Every other one says HELLO, with a token that is none, and waits."""
        held = []
        for number in range(count):
            connection = upgraded(path, link, f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n")
            if connection is not None:
                held.append(connection)
                if number % 2:
                    with contextlib.suppress(OSError):
                        connection.sendall(frame(0x82, hello()))
        return held

    return compare(stage, say, "links", "links that say nothing more", dial, count)


def sockets(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    def open_sockets(path: ServingPath, link: str, count: int) -> list[socket.socket]:
        held = []
        for number in range(count):
            credentials = "".join(f"{name}: {value}\r\n" for name, value in path.headers.items())
            connection = upgraded(path, path.prefix, credentials)
            if connection is not None:
                held.append(connection)
                pieces = unfinished() if number % 2 else pings()
                with contextlib.suppress(OSError):  # cut, or nothing more is taken
                    for piece in pieces:
                        connection.sendall(piece)
        return held

    return compare(stage, say, "sockets", "hostile WebSockets", open_sockets, SOCKETS)


Attack = Callable[[ServingPath, str, int], list[socket.socket]]


def compare(stage: Stage, say: Say, measure: str, what: str, attack: Attack, count: int) -> list[Row]:
    """The growth while what *attack* opened is still there, and afterwards."""
    rows = []
    for name, pid, path, link in servers(stage):
        for connection in attack(path, link, max(LEAST, count // WARM_UP)):
            connection.close()
        time.sleep(SETTLE)
        before = psutil.Process(pid).memory_info().rss
        with PeakMemory(server=pid) as peak:
            held = attack(path, link, count)
            time.sleep(SETTLE)
        for connection in held:
            connection.close()
        time.sleep(SETTLE)
        after = (psutil.Process(pid).memory_info().rss - before) / MIB
        say(f"{name}: {what}: {peak.growth['server'] / MIB:.1f} MiB at most, {after:.1f} MiB afterwards")
        note = f"{count} {what}"
        rows += [
            Row(f"hostile-memory.{measure}", f"{name}, at most", peak.growth["server"] / MIB, "MiB", GROWTH, note=note),
            Row(f"hostile-memory.{measure}", f"{name}, afterwards", after, "MiB", GROWTH),
        ]
    return rows


# --- what is sent -----------------------------------------------------------------------------------------------


def hostile_heads(path: ServingPath) -> Iterator[bytes]:
    """Requests, each with a text that no other has, in one place after the other."""
    credentials = "".join(f"{name}: {value}\r\n" for name, value in path.headers.items())
    host = f"{path.host}:{path.port}"
    for number in itertools.count():
        text = f"{number}-{secrets.token_hex(8)}-" + "x" * LONG
        for target, at, more in (
            (path.prefix + text, host, credentials),
            (f"{path.prefix}?{text}=1", host, credentials),
            (f"{path.prefix}?portico_key={text}", host, ""),
            (f"/{text}/apps/cat/", host, ""),
            (f"/portico/apps/{text}/", host, ""),
            (path.prefix, text, credentials),
            (path.prefix, f"{text}.example:{path.port}", ""),
            (path.prefix, host, f"{credentials}X-{text}: 1\r\n"),
            (path.prefix, host, f"{credentials}X-Forwarded-For: {text}\r\n"),
            (path.prefix, host, f"{credentials}X-Forwarded-For: 2001:db8::{number % 65536:x}\r\nX-Value: {text}\r\n"),
            (path.prefix, host, f"Authorization: Bearer {text}\r\n"),
            (path.prefix, host, f"Cookie: portico_key={text}; {text}=1\r\n"),
            (path.prefix, host, f"Cookie: a=1\r\nOrigin: https://{text}\r\nReferer: https://{text}/\r\n"),
        ):
            yield f"GET {target} HTTP/1.1\r\nHost: {at}\r\n{more}Connection: close\r\n\r\n".encode()


def hello() -> bytes:
    connection = Connection(Role.PROVIDER, Limits(), now=0.0)
    connection.send_hello(Hello(token=secrets.token_hex(16), session=secrets.token_hex(16), epoch=1))
    return connection.data_to_send()


def unfinished() -> Iterator[bytes]:
    """A message in pieces, without its end."""
    piece = bytes(64 * 1024)
    yield frame(0x02, piece)
    for _ in range(MESSAGE // len(piece) - 1):
        yield frame(0x00, piece)


def pings() -> Iterator[bytes]:
    for _ in range(PINGS // 64):
        yield frame(0x89, bytes(125)) * 64


def frame(first: int, payload: bytes) -> bytes:
    """A WebSocket frame of a client's (RFC 6455 §5.2), whose mask is zero."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB4x", first, 0x80 | size) + payload
    if size < 65536:
        return struct.pack("!BBH4x", first, 0x80 | 126, size) + payload
    return struct.pack("!BBQ4x", first, 0x80 | 127, size) + payload


def connected(path: ServingPath) -> socket.socket:
    connection = socket.create_connection((path.host, path.port), PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def upgraded(path: ServingPath, target: str, more: str) -> socket.socket | None:
    """A WebSocket's connection, of which nothing but the head is read; None if there is none to be had."""
    connection = connected(path)
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    try:
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {path.host}:{path.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n".encode()
        )
        if connection.recv(4096).startswith(b"HTTP/1.1 101 "):
            return connection
    except OSError:  # turned away
        pass
    connection.close()
    return None
