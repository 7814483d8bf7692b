"""One HTTP/1.1 connection on a blocking socket: the least that can lie between a call and the figure.

It knows what the paths answer with (Content-Length, chunked, or until the connection is closed) and no more.
"""

import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from benchmarks.app import HELLO
from benchmarks.paths import ServingPath

TIMEOUT = 15.0  # seconds without a byte: longer than any path may take for anything
RECEIVE_SIZE = 1 << 18


class Cut(Exception):
    """The connection ended before the answer did."""


class HttpConnection:
    def __init__(self, path: ServingPath, receive_buffer: int | None = None, timeout: float = TIMEOUT) -> None:
        self._path = path
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect((path.host, path.port))
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(
        self,
        rest: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] = (),
    ) -> None:
        self.socket.sendall(request_bytes(self._path, rest, method, headers))
        for chunk in body:
            self.socket.sendall(chunk)

    def read_head(self) -> tuple[int, dict[str, str]]:
        """The status, and the headers by lower-case name. Raises Cut when there is no whole head."""
        while b"\r\n\r\n" not in self._received:
            self._received += self.receive()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, value in pairs}

    def read_raw(self) -> Iterator[bytes]:
        """The body as it comes, transfer coding and all, until the connection is closed."""
        if self._received:
            yield self._received
            self._received = b""
        while data := self.socket.recv(RECEIVE_SIZE):
            yield data

    def read_exactly(self, size: int) -> Iterator[memoryview]:
        """A body of a known length, in pieces that are valid until the next is asked for."""
        buffer = memoryview(bytearray(RECEIVE_SIZE))
        if self._received:
            piece, self._received = self._received[:size], self._received[size:]
            size -= len(piece)
            yield memoryview(piece)
        while size:
            count = self.socket.recv_into(buffer, min(size, RECEIVE_SIZE))
            if not count:
                raise Cut(f"{size} bytes short")
            size -= count
            yield buffer[:count]

    def read_chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body, each as soon as it is whole. Raises Cut when there is no last one."""
        while True:
            while b"\r\n" not in self._received:
                self._received += self.receive()
            line, self._received = self._received.split(b"\r\n", 1)
            size = int(line, 16)
            while len(self._received) < size + 2:
                self._received += self.receive()
            chunk, self._received = self._received[:size], self._received[size + 2 :]
            if not size:
                return
            yield chunk

    def get(self, rest: str) -> bytes:
        """A small answer, whole. Raises AssertionError for any status but 200."""
        self.send(rest)
        status, headers = self.read_head()
        body = b"".join(self.read_exactly(int(headers["content-length"])))
        if status != 200:
            raise AssertionError(f"{self._path.name}{rest}: {status} {body[:200]!r}")
        return body

    def receive(self) -> bytes:
        data = self.socket.recv(RECEIVE_SIZE)
        if not data:
            raise Cut("closed by the server")
        return data


def request_bytes(path: ServingPath, rest: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"{method} {path.prefix}{rest} HTTP/1.1", f"Host: {path.host}:{path.port}"]
    lines += [f"{name}: {value}" for name, value in {**path.headers, **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def time_gets(path: ServingPath, seconds: float) -> list[float]:
    """One hello at a time on one kept-alive connection, for `seconds`; each one's time, in milliseconds."""
    request = request_bytes(path, "")
    times: list[float] = []
    with HttpConnection(path) as connection:
        connection.get("")  # only a 200 is worth timing
        sock = connection.socket
        until = time.perf_counter() + seconds
        while (sent := time.perf_counter()) < until:
            sock.sendall(request)
            answer = sock.recv(RECEIVE_SIZE)
            # Found by its end: lengths differ from one answer to the next, as Jupyter's cookies do.
            while not answer.endswith(HELLO):
                answer += connection.receive()
            times.append((time.perf_counter() - sent) * 1000)
    return times
