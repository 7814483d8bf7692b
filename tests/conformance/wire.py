"""Bytes on a socket: HTTP/1.1 responses read as they are, WebSocket frames packed and unpacked.

Small on purpose, and no library's: a client library would hide what the suite is here to see (the order and the
doubles of header fields, the framing, 1xx answers, a cut where an end should be). Knows nothing of cases or carriers.
"""

import os
import socket
import struct
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 20.0
"""No read waits longer. Not a figure to meet: what never comes must fail a test, not hang it."""


class Cut(Exception):
    """The peer ended the connection where more was due. Carries what had come of the part being read."""

    def __init__(self, partial: bytes = b"") -> None:
        super().__init__(f"the connection ended after {partial[-200:]!r}")
        self.partial = partial


class MalformedAnswer(Exception):
    """What came is not HTTP, or not WebSocket."""


class Wire:
    """A TCP connection with buffered reads. An orderly end and a reset are one thing to a reader: the end.

    Which of the two comes is a race in every server that closes with unread bytes in its socket.
    """

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.ended = False

    def send(self, data: bytes) -> None:
        """Writes all; a peer that has gone is noticed by the next read, which may still find an answer."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _fill(self) -> bool:
        if self.ended:
            return False
        try:
            data = self.socket.recv(262144)
        except ConnectionError:
            data = b""
        self.ended = not data
        self.buffer += data
        return not self.ended

    def _take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or `Cut`."""
        while len(self.buffer) < count:
            if not self._fill():
                raise Cut(self._take(len(self.buffer)))
        return self._take(count)

    def read_line(self) -> bytes:
        """Up to CRLF, without it, or `Cut`. A bare LF does not end a line."""
        searched = 0
        while (end := self.buffer.find(b"\r\n", searched)) < 0:
            searched = max(0, len(self.buffer) - 1)
            if not self._fill():
                raise Cut(self._take(len(self.buffer)))
        return self._take(end + 2)[:-2]

    def read_to_end(self) -> bytes:
        """Everything until the peer ends the connection."""
        while self._fill():
            pass
        return self._take(len(self.buffer))

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Leaves, by FIN or (`reset`) by RST."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# HTTP.


@dataclass
class Head:
    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


def read_fields(wire: Wire) -> list[tuple[str, str]]:
    """Header fields up to the empty line, in order, names as sent; the space around a value is no part of it
    (RFC 9110 §5.5)."""
    fields = []
    while line := wire.read_line():
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise MalformedAnswer(f"header line {line!r}")
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return fields


def read_head(wire: Wire) -> Head:
    line = wire.read_line()
    version, _, rest = line.partition(b" ")
    status, _, reason = rest.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not (status.isdigit() and len(status) == 3):
        raise MalformedAnswer(f"status line {line!r}")
    return Head(version.decode(), int(status), reason.decode("latin-1"), read_fields(wire))


@dataclass
class Answer:
    """A response that is being read: its head is here, its body is read by `read` and `read_rest`."""

    wire: Wire
    head: Head
    framing: str
    interim: list[Head] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False
    _left: int = 0

    def __post_init__(self) -> None:
        if self.framing == "length":
            self._left = int(self.head.get("content-length")[0])
        self.complete = self.framing == "none" or (self.framing == "length" and self._left == 0)

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes of the body, or fewer where it ends; `Cut` where it is cut."""
        body = b""
        while len(body) < count and not self.complete:
            body += self._read_some(count - len(body))
        return body

    def read_rest(self) -> bytes:
        """The rest of the body. `complete` says whether its end was marked, or the connection just ended."""
        parts = []
        try:
            while not self.complete:
                parts.append(self._read_some(1 << 20))
        except Cut as cut:
            parts.append(cut.partial)
        return b"".join(parts)

    def _read_some(self, most: int) -> bytes:
        if self.framing == "close":
            if not self.wire.buffer and not self.wire._fill():
                self.complete = True
                return b""
            return self.wire._take(most)
        if self.framing == "chunked" and self._left == 0:
            size = self.wire.read_line().partition(b";")[0].strip()
            try:
                self._left = int(size, 16)
            except ValueError:
                raise MalformedAnswer(f"chunk size {size!r}") from None
            if self._left == 0:
                self.trailers = read_fields(self.wire)
                self.complete = True
                return b""
        if not self.wire.buffer and not self.wire._fill():
            raise Cut
        data = self.wire._take(min(most, self._left))
        self._left -= len(data)
        if self._left == 0:
            if self.framing == "chunked":
                if self.wire.read(2) != b"\r\n":
                    raise MalformedAnswer("a chunk does not end in CRLF")
            else:
                self.complete = True
        return data


def framing_of(head: Head, method: bytes) -> str:
    """How the body's end is found (RFC 9112 §6.3): none, chunked, length, or close."""
    if method == b"HEAD" or head.status in (204, 304):
        return "none"
    if any("chunked" in value.lower() for value in head.get("transfer-encoding")):
        return "chunked"
    return "length" if head.get("content-length") else "close"


def read_answer(wire: Wire, method: bytes = b"GET") -> Answer:
    """The next final response's head, with the 1xx ones before it. `Cut` where the connection ends first."""
    interim = []
    while (head := read_head(wire)).status < 200 and head.status != 101:
        interim.append(head)
    framing = "none" if head.status == 101 else framing_of(head, method)
    return Answer(wire, head, framing, interim)


# WebSocket (RFC 6455 §5).

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass
class Frame:
    opcode: int
    payload: bytes
    final: bool = True
    reserved: int = 0
    masked: bool = False


def pack_frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """One frame, as a client sends it; `masked=False` and `reserved` are for what a server must refuse."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    flag = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, flag | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, flag | 126, length)
    else:
        head = struct.pack("!BBQ", first, flag | 127, length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + mask(payload, key)


def mask(payload: bytes, key: bytes) -> bytes:
    """XOR with the repeated key, as one big integer: 15 MiB must not take seconds."""
    if not payload:
        return b""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return number.to_bytes(len(payload), "little")


def pack_close(code: int | None = None, reason: bytes = b"") -> bytes:
    return pack_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def read_frame(wire: Wire) -> Frame:
    first, second = wire.read(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", wire.read(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", wire.read(8))
    key = wire.read(4) if second & 0x80 else b""
    payload = wire.read(length)
    if key:
        payload = mask(payload, key)
    return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 0x07, bool(key))
