"""One WebSocket on a blocking socket: binary messages of one small frame, which is all that is timed here."""

import base64
import os
import struct

from benchmarks.http_client import Cut, HttpConnection
from benchmarks.paths import ServingPath

BINARY = 0x82  # FIN and the opcode
MASKED = 0x80


class WebSocketConnection(HttpConnection):
    def open(self) -> None:
        """Raises AssertionError when the upgrade is refused."""
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        self.send("", headers=upgrade)
        status, _ = self.read_head()
        if status != 101:
            raise AssertionError(f"{self._path.name}: the WebSocket was answered with {status}")

    def send_binary(self, message: bytes) -> None:
        """Of at most 125 bytes. The mask is zero: a mask is for proxies on the way, and here is none."""
        if len(message) > 125:
            raise ValueError("a small frame has at most 125 bytes")
        self.socket.sendall(struct.pack("!BB4x", BINARY, MASKED | len(message)) + message)

    def receive_binary(self) -> bytes:
        while len(self._received) < 2 or len(self._received) < 2 + self._received[1]:
            self._received += self.receive()
        opcode, size = self._received[0], self._received[1]
        if opcode != BINARY or size > 125:
            raise Cut(f"expected a small binary message, got {self._received[:20]!r}")
        message, self._received = self._received[2 : 2 + size], self._received[2 + size :]
        return message


def connect(path: ServingPath) -> WebSocketConnection:
    connection = WebSocketConnection(path)
    try:
        connection.open()
    except BaseException:
        connection.close()
        raise
    return connection
