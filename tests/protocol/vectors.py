"""The frames of tests/vectors/frames.json, by name: what each means, made anew by the code.

``python -m tests.protocol.vectors`` writes the file again, which only a change of the wire format asks for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from portico.protocol import Limits, frames, handshake
from portico.protocol.events import Ack, Hello, Register, Unregister, Welcome
from portico.protocol.frames import FIN, MESSAGE_END, TEXT, ResetCode

PATH = Path(__file__).parent.parent / "vectors" / "frames.json"

OPEN: dict[str, Any] = {
    "kind": 0,
    "service": b"cat",
    "method": b"POST",
    "scheme": b"https",
    "http_version": b"1.1",
    "raw_path": b"/a%2Fb//c",
    "query": b"a=b=c",
    "root_path": b"/portico/apps/cat",
    "client": (b"203.0.113.7", 50123),
    "server": (b"hub.example.com", 443),
    "subprotocols": b"",
    "identity": b'{"access":"key"}',
    "headers": [(b"host", b"hub.example.com"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"x-empty", b"")],
}


def made() -> dict[str, tuple[bytes, str]]:
    """name -> (frame, meaning)."""
    limits = Limits()
    hello = Hello(
        token="secret",
        session="00112233445566778899aabbccddeeff",
        epoch=3,
        agent="portico/1",
        info={"pid": 7},
        features=("control",),
    )
    return {
        "hello": (
            handshake.pack_hello(hello, limits),
            "session 00112233445566778899aabbccddeeff, epoch 3, token secret, default settings, the feature control",
        ),
        "welcome": (
            handshake.pack_welcome(Welcome(base_url="http://localhost:8888/portico/apps/", agent="portico/1"), limits),
            "services are under http://localhost:8888/portico/apps/",
        ),
        "register": (
            handshake.pack_register(Register(1, {"name": "cat", "title": "Cat", "access": "private"})),
            "request 1: publish cat",
        ),
        "unregister": (handshake.pack_unregister(Unregister(2, "cat")), "request 2: take cat back"),
        "ack": (
            handshake.pack_ack(Ack(request=1, ok=True, url="http://localhost:8888/portico/apps/cat/")),
            "request 1 was granted",
        ),
        "ack that refuses": (
            handshake.pack_ack(Ack(request=1, ok=False, error="cat is taken", code="name_taken")),
            "request 1 was refused with code name_taken",
        ),
        "open http": (
            frames.pack_open(1, 0, **OPEN),
            "stream 1: POST /a%2Fb//c?a=b=c of service cat, four headers, a body follows",
        ),
        "open http without a body": (
            frames.pack_open(
                2, FIN, **(OPEN | {"method": b"GET", "headers": [], "client": (b"", 0), "server": (b"", 0)})
            ),
            "stream 2: GET, FIN, no headers, client and server unknown",
        ),
        "open websocket": (
            frames.pack_open(3, 0, **(OPEN | {"kind": 1, "method": b"GET", "subprotocols": b"chat,superchat"})),
            "stream 3: a WebSocket that offers the subprotocols chat and superchat",
        ),
        "head": (
            frames.pack_head(1, 0, 200, [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1")], False, b""),
            "stream 1: 200 with two headers, a body follows",
        ),
        "head without a body": (frames.pack_head(1, FIN, 204, [], False, b""), "stream 1: 204, FIN"),
        "head that accepts": (
            frames.pack_head(3, 0, 101, [], True, b"chat"),
            "stream 3: the WebSocket is accepted with the subprotocol chat",
        ),
        "data": (frames.pack(frames.DATA, 0, 1, b"hello"), "stream 1: hello, more follows"),
        "data with fin": (frames.pack(frames.DATA, FIN, 1, b"world"), "stream 1: world, the end"),
        "fin alone": (frames.pack(frames.DATA, FIN, 1, b""), "stream 1: the end"),
        "text message": (
            frames.pack(frames.DATA, TEXT | MESSAGE_END, 3, "日".encode()),
            "stream 3: the whole text message 日",
        ),
        "first fragment": (frames.pack(frames.DATA, 0, 3, b"\x00\x01"), "stream 3: a binary message begins: 00 01"),
        "close": (frames.pack_close(3, 4001, "bye"), "stream 3: closed, code 4001, reason bye"),
        "window of a stream": (frames.pack_window(1, 131072), "stream 1: 131072 bytes of credit"),
        "window of the link": (frames.pack_window(0, 8388608), "the link: 8388608 bytes of credit"),
        "reset": (frames.pack_reset(1, ResetCode.CANCEL, "the visitor left"), "stream 1: CANCEL, the visitor left"),
        "reset without a reason": (frames.pack_reset(1, ResetCode.REFUSED, ""), "stream 1: REFUSED, safe to retry"),
        "ping": (
            frames.pack(frames.PING, 0, 0, b"\x00\x01\x02\x03\x04\x05\x06\x07"),
            "asks for a PONG of the same bytes",
        ),
        "pong": (
            frames.pack(frames.PONG, 0, 0, b"\x00\x01\x02\x03\x04\x05\x06\x07"),
            "answers the PING of these bytes",
        ),
        "goaway": (
            frames.pack_goaway(3, ResetCode.NO_ERROR, 5000, "restarting"),
            "stream 3 was the last one; come back within 5 s; restarting",
        ),
        "extension": (frames.pack(0x80, 0, 0, b"?"), "a type that this version does not know: skip it"),
    }


def as_text() -> str:
    rows = [{"name": name, "hex": frame.hex(), "meaning": meaning} for name, (frame, meaning) in made().items()]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(as_text(), encoding="utf-8")
