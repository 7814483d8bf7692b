"""Two connections over a fake link: no I/O, no clock; the test decides when which message arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from portico.protocol import Connection, Kind, Limits, Role
from portico.protocol.events import Data, Event, Hello, Welcome
from portico.protocol.frames import HEADER, HEADER_SIZE

HELLO = Hello(token="secret", session="0123456789abcdef" * 2, epoch=1, agent="test", info={"pid": 7})
WELCOME = Welcome(base_url="http://hub.test/portico/apps/", agent="test hub")

REQUEST: dict[str, Any] = {
    "kind": Kind.HTTP,
    "service": "cat",
    "method": "GET",
    "scheme": "http",
    "http_version": "1.1",
    "raw_path": b"/a%2Fb",
    "query": b"x=1",
    "root_path": "/portico/apps/cat",
    "client": ("127.0.0.1", 50000),
    "server": ("hub.test", 80),
    "headers": [(b"host", b"hub.test")],
}


class FakeLink:
    """A hub and a provider, and the messages between them."""

    def __init__(self, limits: Limits | None = None, *, shake_hands: bool = True) -> None:
        self.hub = Connection(Role.HUB, limits, now=0.0)
        self.provider = Connection(Role.PROVIDER, limits, now=0.0)
        self.now = 0.0
        self.up: deque[bytes] = deque()
        """Messages on their way to the hub."""
        self.down: deque[bytes] = deque()
        if shake_hands:
            self.provider.send_hello(HELLO)
            self.run()
            self.hub.send_welcome(WELCOME)
            self.run()

    def write(self) -> None:
        """Put all that both ends have to send on the way."""
        while message := self.hub.data_to_send():
            self.down.append(message)
        while message := self.provider.data_to_send():
            self.up.append(message)

    def deliver_up(self) -> list[Event]:
        return self.hub.receive_message(self.up.popleft(), self.now)

    def deliver_down(self) -> list[Event]:
        return self.provider.receive_message(self.down.popleft(), self.now)

    def run(self) -> tuple[list[Event], list[Event]]:
        """Deliver until both ends are quiet; returns what the hub and what the provider were told."""
        to_hub: list[Event] = []
        to_provider: list[Event] = []
        self.write()
        while self.up or self.down:
            while self.up:
                to_hub += self.deliver_up()
            while self.down:
                to_provider += self.deliver_down()
            self.write()
        return to_hub, to_provider

    def open(self, kind: Kind = Kind.HTTP, *, fin: bool = False, **changes: Any) -> int:
        """Open a stream at both ends."""
        stream_id = self.hub.open_stream(**(REQUEST | {"kind": kind, "fin": fin, "now": self.now} | changes))
        self.run()
        return stream_id


def split(message: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames of a message as (type, flags, stream id, payload); fails unless they are whole."""
    found = []
    position = 0
    while position < len(message):
        frame_type, flags, reserved, stream_id, length = HEADER.unpack_from(message, position)
        assert reserved == 0
        start = position + HEADER_SIZE
        position = start + length
        assert position <= len(message)
        found.append((frame_type, flags, stream_id, message[start:position]))
    return found


def datas(events: Sequence[Event]) -> list[Data]:
    return [event for event in events if isinstance(event, Data)]


def answering(link: FakeLink, size: int) -> int:
    """Open a stream whose whole answer, *size* bytes, waits to be sent."""
    stream_id = link.open(fin=True)
    link.provider.send_head(stream_id, 200, [])
    link.provider.send_data(stream_id, bytes(size), fin=True)
    return stream_id
