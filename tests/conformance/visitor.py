"""A visitor with a socket, and the transcript of what it sees.

A case drives it; everything the visitor reads goes into `transcript`, as plain JSON-like values that `compare.py`
makes comparable. `observe` runs a case through one carrier and adds what the app saw.
"""

import base64
import itertools
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.conformance import wire
from tests.conformance.app import summary
from tests.conformance.carriers import Carrier
from tests.conformance.wire import Answer, Cut, Head, Wire

Fields = Iterable[tuple[bytes, bytes]]

_numbers = itertools.count()

WEBSOCKET_KEY = base64.b64encode(b"portico's visitor"[:16])
HANDSHAKE: Fields = (
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", WEBSOCKET_KEY),
)


def _fields(head: Head) -> list[list[str]]:
    return [[name, value] for name, value in head.headers]


class Visitor:
    """One visitor of one carrier. Its first use of the wire opens the connection."""

    def __init__(self, carrier: Carrier, case: str) -> None:
        self.carrier = carrier
        self.case_id = f"{case}-{next(_numbers)}"
        self.transcript: list[Any] = []
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(self.carrier.host, self.carrier.port)
        return self._wire

    def note(self, kind: str, **seen: Any) -> None:
        self.transcript.append({"kind": kind, **seen})

    # What is sent.

    @property
    def host(self) -> bytes:
        return self.carrier.authority.encode()

    def target(self, path: bytes) -> bytes:
        return self.carrier.prefix.encode() + path

    def fixed(self) -> bytes:
        """The header lines that every request carries: the case's id, and the carrier's credentials."""
        lines = [b"X-Case: " + self.case_id.encode(), *(b"%s: %s" % pair for pair in self.carrier.headers)]
        return b"".join(line + b"\r\n" for line in lines)

    def head(
        self, method: bytes, path: bytes, headers: Fields = (), *, version: bytes = b"HTTP/1.1", host: bool = True
    ) -> bytes:
        lines = [b"%s %s %s" % (method, self.target(path), version)]
        if host:
            lines.append(b"Host: " + self.host)
        lines += [b"%s: %s" % pair for pair in headers]
        return b"".join(line + b"\r\n" for line in lines) + self.fixed() + b"\r\n"

    def send(self, data: bytes) -> None:
        self.wire.send(data)

    def request(self, method: bytes, path: bytes, headers: Fields = (), body: bytes | None = None) -> None:
        if body is not None:
            headers = [*headers, (b"Content-Length", b"%d" % len(body))]
        self.send(self.head(method, path, headers) + (body or b""))

    # What is read.

    def answer(self, method: bytes = b"GET") -> Answer | None:
        """The head of the next response, noted; None, noted, where the connection ends instead."""
        try:
            answer = wire.read_answer(self.wire, method)
        except Cut as cut:
            self.note("ended", after=cut.partial.decode("latin-1"))
            return None
        for interim in answer.interim:
            self.note("interim", status=interim.status, reason=interim.reason, headers=_fields(interim))
        head = answer.head
        self.note(
            "head",
            version=head.version,
            status=head.status,
            reason=head.reason,
            framing=answer.framing,
            headers=_fields(head),
        )
        return answer

    def rest(self, answer: Answer) -> None:
        """The rest of that response's body, noted with how it ended."""
        body = answer.read_rest()
        self.note("body", body=summary(body), complete=answer.complete, trailers=answer.trailers)

    def response(self, method: bytes = b"GET") -> None:
        """A whole response, noted."""
        answer = self.answer(method)
        if answer is not None:
            self.rest(answer)

    def piece(self, answer: Answer, count: int) -> None:
        """Exactly `count` bytes of the body, noted, without waiting for more."""
        try:
            self.note("piece", body=answer.read(count).decode("latin-1"))
        except Cut:
            self.note("cut")

    def alive(self) -> None:
        """Notes whether the connection serves another request. The last thing done with it."""
        lines = [b"GET %s HTTP/1.1" % self.target(b"/alive"), b"Host: " + self.host, b"Connection: close"]
        lines += [b"%s: %s" % pair for pair in self.carrier.headers]
        self.send(b"\r\n".join(lines) + b"\r\n\r\n")
        try:
            answer = wire.read_answer(self.wire)
            body = answer.read_rest()
            self.note("alive", status=answer.head.status, body=body.decode("latin-1"))
        except Cut as cut:
            self.note("not alive", after=cut.partial.decode("latin-1"))

    def end(self) -> None:
        """Waits for the server to end the connection; notes what came before."""
        self.note("ended", after=summary(self.wire.read_to_end()))

    def refused(self) -> None:
        """Notes whether malformed input was refused: with a 4xx and an end, or with an end alone.

        Which of the two, and with what words, is each server's own; that the connection ends is not.
        """
        try:
            answer = wire.read_answer(self.wire)
            answer.read_rest()
        except Cut:
            self.note("refused")
            return
        if 400 <= answer.head.status < 500:
            self.wire.read_to_end()
            self.note("refused")
        else:
            self.note("served", status=answer.head.status)

    # WebSocket.

    def upgrade(self, path: bytes, headers: Fields = ()) -> Answer | None:
        """The opening handshake, noted; where it is refused, the refusal and the end."""
        self.send(self.head(b"GET", path, [*HANDSHAKE, *headers]))
        return self.upgraded()

    def upgraded(self) -> Answer | None:
        answer = self.answer()
        if answer is not None and answer.head.status != 101:
            self.rest(answer)
            self.end()
        return answer

    def frames(self, count: int = 1) -> None:
        """The next `count` frames, noted. A server's own pings are answered and left out: when they come is its own
        choice."""
        for _ in range(count):
            while True:
                try:
                    frame = wire.read_frame(self.wire)
                except Cut as cut:
                    self.note("ended", after=summary(cut.partial))
                    return
                if frame.opcode != wire.PING:
                    break
                self.send(wire.pack_frame(wire.PONG, frame.payload))
            seen = {"opcode": frame.opcode, "final": frame.final, "reserved": frame.reserved}
            if frame.opcode == wire.CLOSE:
                code = struct.unpack("!H", frame.payload[:2])[0] if frame.payload else None
                self.note("close", code=code, reason=frame.payload[2:].decode("latin-1"), masked=frame.masked)
                return
            self.note("frame", **seen, payload=summary(frame.payload), masked=frame.masked)

    def closing(self) -> None:
        """Frames up to and with the close frame, then the end of the connection, all noted."""
        while not self.transcript or self.transcript[-1]["kind"] not in ("close", "ended"):
            self.frames()
        if self.transcript[-1]["kind"] == "close":
            self.end()

    # Beside the wire.

    def leave(self, *, reset: bool = False) -> None:
        self.wire.close(reset=reset)

    def control(self, action: str) -> bytes:
        """A request to one of the app's control routes, on a connection of its own."""
        connection = Wire(self.carrier.host, self.carrier.port)
        try:
            path = self.target(f"/{action}/{self.case_id}".encode())
            lines = [b"GET %s HTTP/1.1" % path, b"Host: " + self.host, b"Connection: close"]
            lines += [b"%s: %s" % pair for pair in self.carrier.headers]
            connection.send(b"\r\n".join(lines) + b"\r\n\r\n")
            answer = wire.read_answer(connection)
            body = answer.read_rest()
            assert answer.head.status == 200, f"/{action} answered {answer.head.status}: {body!r}"
            return body
        finally:
            connection.close()

    def started(self) -> None:
        """Returns once the app has been called for this case."""
        self.control("started")

    def release(self) -> None:
        """Lets the app's held route go on."""
        self.control("release")


@dataclass(frozen=True)
class Case:
    """One case: a name, what the visitor does, and how to judge."""

    name: str
    visit: Callable[[Visitor], None]
    oracle: str = "uvicorn"
    refusal: bool = False
    """The input is malformed: the app may or may not have been called, but never with a complete body."""
    uses_authorization: bool = False
    """The visitor sends an Authorization of its own, so a carrier with credentials in that header can't run it."""
    generated: bool = False
    """One of many under one name, so that the oracle's answer must not be kept."""


@dataclass(frozen=True)
class Observation:
    visitor: list[Any]
    app: list[Any]


def observe(carrier: Carrier, case: Case) -> Observation:
    visitor = Visitor(carrier, case.name)
    try:
        case.visit(visitor)
        app = json.loads(visitor.control("seen"))
    except TimeoutError as silence:
        silence.add_note(f"{carrier.name} fell silent in {case.name}; seen until then: {visitor.transcript}")
        raise
    finally:
        if visitor._wire is not None:
            visitor.wire.close()
    # Through JSON, so that both halves are made of the same types.
    return Observation(json.loads(json.dumps(visitor.transcript)), app)
