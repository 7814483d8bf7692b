"""Frames as a hostile end of a link sends them: right, nearly right and wrong, drawn from a seeded generator."""

from __future__ import annotations

import json
import random
from typing import Any

from portico.errors import LocalProtocolError
from portico.protocol import Limits, frames, handshake
from portico.protocol.events import Ack, Hello, Register, Unregister, Welcome
from portico.types import Headers

_LIMITS = Limits()

_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-length", b"3"),
    (b"content-length", b"99999999999999999999"),
    (b"content-length", b"-1"),
    (b"transfer-encoding", b"chunked"),
    (b"Connection", b"upgrade"),
    (b"set-cookie", b"a=b; path=/; domain=x"),
    (b"set-cookie", b"=_xsrf=1"),
    (b"location", b"javascript:alert(1)"),
    (b"x", b"a\r\nb: c"),
    (b"", b""),
    (b"a b", b"\0"),
    (b"\xff", b"\xff"),
    (b"x-long", b"y" * 5000),
    (b"retry-after", b"soon"),
    (b"sec-websocket-accept", b"x"),
    (b"access-control-allow-origin", b"*"),
]


class HostileFrames:
    """*rng* decides all."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    # --- values ---------------------------------------------------------------------------------------------------

    def value(self, depth: int = 0) -> Any:
        rng = self.rng
        kinds = [
            lambda: None,
            lambda: rng.choice([True, False]),
            lambda: rng.choice([0, 1, -1, 2**31, 2**63, -(2**80), 10**300]),
            lambda: rng.choice([0.5, 1e300, -1e-300]),
            lambda: rng.choice(["", "cat", "dog", "x" * 3000, "\x1b[31m\r\n\0", "\u202e", "javascript:x", "*", "🐈"]),
            lambda: [self.value(depth + 1) for _ in range(rng.randrange(4))],
            lambda: {rng.choice(["name", "a", "", "password", "\n"]): self.value(depth + 1) for _ in range(3)},
            lambda: self._nested(rng.choice([3, 50, 300])),
        ]
        return rng.choice(kinds[: 5 if depth > 2 else None])()

    def _nested(self, depth: int) -> Any:
        value: Any = []
        for _ in range(depth):
            value = [value] if self.rng.random() < 0.5 else {"a": value}
        return value

    def mutated(self, value: dict[str, Any]) -> dict[str, Any]:
        """*value* with some of its keys odd, gone, or more."""
        for _ in range(self.rng.randrange(3)):
            key = self.rng.choice([*value, "more"])
            if self.rng.random() < 0.15:
                value.pop(key, None)
            else:
                value[key] = self.value()
        return value

    def payload(self, frame: bytes) -> bytes:
        """A JSON frame with some of its values odd; now and then with what JSON may not hold."""
        value = self.mutated(json.loads(frame[frames.HEADER_SIZE :]))
        text = json.dumps(value).encode()
        odd = self.rng.random()
        if odd < 0.02:
            text = text.replace(b'"', b'"\\ud800', 1)
        elif odd < 0.03:
            text = text.replace(b"null", b"NaN")
        elif odd < 0.04:
            text = b'{"a":' * 5000
        return frames.pack(frame[0], 0, 0, text)

    def headers(self) -> Headers:
        return [self.rng.choice(_HEADERS) for _ in range(self.rng.randrange(4))]

    def text(self) -> str:
        return self.rng.choice(["", "bye", "\x1b]0;x\x07\n", "x" * 400, "\u202e"])

    def bytes(self) -> bytes:
        return self.rng.choice([b"", b"a", b"hello", b"x" * 1000, b"y" * 20_000, b"\xff\xfe"])

    # --- frames ---------------------------------------------------------------------------------------------------

    def answer(self, stream: int, state: str) -> tuple[bytes, str]:
        """What a provider may say of a stream in *state*, and the state that follows.

        ``http`` and ``socket`` have no answer yet, ``body`` and ``talk`` have one, ``over`` is over.
        """
        rng = self.rng
        status = rng.choice([200, 200, 200, 204, 205, 304, 404, 500, 599, 999])
        fin = rng.random() < 0.2
        if rng.random() < 0.05 and state != "over":
            return frames.pack_reset(stream, rng.randrange(12), self.text()), "over"
        if state == "http" or (state == "socket" and rng.random() < 0.25):
            head = frames.pack_head(stream, int(fin), status, self.headers(), False, b"")
            return head, "over" if fin else "body"
        if state == "socket":
            offered = rng.choice([b"", b"", b"", b"chat", b"\n"])
            return frames.pack_head(stream, 0, 101, self.headers(), True, offered), "talk"
        if state == "body":
            return frames.pack(frames.DATA, int(fin), stream, self.bytes()), "over" if fin else "body"
        if state == "talk" and rng.random() < 0.1:
            return frames.pack_close(stream, rng.choice([1000, 1005, 0, 1, 4000, 65535]), self.text()), "over"
        if state == "talk":
            text = rng.choice([0, frames.TEXT])
            ends = rng.choice([0, frames.MESSAGE_END])
            return frames.pack(frames.DATA, text | ends, stream, self.bytes()), "talk"
        return b"", "over"

    def stream_frame(self, stream: int) -> bytes:
        """Of a stream, from either end."""
        rng = self.rng
        flags = rng.choice([0, 0, 0, 1, 2, 4, 5, 6, 7, 255])
        status = rng.choice([200, 200, 200, 204, 304, 404, 500, 599, 999])
        make = [
            lambda: frames.pack_head(stream, flags & 1, status, self.headers(), False, b""),
            lambda: frames.pack_head(stream, 0, 101, self.headers(), True, rng.choice([b"", b"chat", b"\n"])),
            lambda: frames.pack(frames.DATA, flags, stream, self.bytes()),
            lambda: frames.pack(frames.DATA, flags, stream, self.bytes()),
            lambda: frames.pack(frames.DATA, 0, stream, b"") * rng.randrange(50),
            lambda: frames.pack_close(stream, rng.choice([1000, 1005, 0, 1, 4000, 65535]), self.text()),
            lambda: frames.pack_window(stream, rng.choice([0, 1, 65536, 0x7FFFFFFF])),
            lambda: frames.pack_reset(stream, rng.randrange(12), self.text()),
        ]
        return rng.choice(make)()

    def link_frame(self) -> bytes:
        """Of the link, from a provider."""
        rng = self.rng
        name = rng.choice(["cat", "cat", "dog", "Ä", "", "a--b", "x" * 40])
        service = {"name": name, "title": "", "models": [], "access": "public", "origins": [], "conditions": {}}
        service |= {"tools": self._tools(), "capabilities": self._capabilities(), "kind": rng.choice(["app", "\n", ""])}
        make = [
            lambda: self.payload(handshake.pack_register(Register(rng.randrange(9), self.mutated(dict(service))))),
            lambda: self.payload(handshake.pack_unregister(Unregister(rng.randrange(9), name))),
            lambda: frames.pack_window(0, rng.choice([0, 1, 1 << 10, 1 << 20])),
            lambda: frames.pack(frames.PING, 0, 0, b"12345678") * rng.randrange(1, 200),
            lambda: frames.pack(frames.PONG, 0, 0, b"12345678"),
            lambda: frames.pack_goaway(rng.randrange(5), rng.randrange(12), rng.randrange(1 << 32), self.text()),
            lambda: frames.pack(rng.choice([0x80, 0xFF]), 255, 7, self.bytes()),
        ]
        return rng.choice(make)()

    def _tools(self) -> Any:
        rng = self.rng
        names = [rng.choice(["add", "x" * 200, "", "\x1b", 7, ["add"]]) for _ in range(rng.randrange(4))]
        return rng.choice([{}, {"names": names, "digest": rng.choice(["d", "", 1, "\n"])}, {"names": ["a"] * 5000}])

    def _capabilities(self) -> Any:
        rng = self.rng
        return rng.choice(
            [
                [],
                [{"gpus": rng.choice([2, 2**80, -1, 1e300, "2", True, None, [1, "a"], [[1]], {"a": 1}])}],
                [{self.text(): self.text()} for _ in range(rng.randrange(100))],
                [{"a": 1}] * 5000,
                self._nested(300),
            ]
        )

    def hub_frame(self) -> bytes:
        """Of the link, from a hub."""
        rng = self.rng
        ack = Ack(request=rng.randrange(6), ok=rng.random() < 0.7, url="http://hub.test/cat/", error=self.text())
        make = [
            lambda: self.payload(handshake.pack_ack(ack)),
            lambda: self.payload(handshake.pack_unregister(Unregister(0, rng.choice(["cat", "dog", "x" * 900])))),
            lambda: self.payload(handshake.pack_welcome(Welcome(base_url="http://hub.test/"), _LIMITS)),
            lambda: frames.pack_window(0, rng.choice([0, 1, 1 << 20, 0x7FFFFFFF])),
            lambda: frames.pack(frames.PING, 0, 0, b"12345678") * rng.randrange(1, 200),
            lambda: frames.pack_goaway(rng.randrange(5), rng.randrange(12), rng.randrange(100), self.text()),
        ]
        return rng.choice(make)()

    def open(self, stream: int) -> bytes:
        """A request, right or nearly."""
        rng = self.rng
        try:
            return frames.pack_open(
                stream,
                rng.choice([0, 1]),
                kind=rng.choice([0, 0, 1]),
                service=rng.choice([b"cat", b"cat", b"cat", b"dog", b"\xff", b""]),
                method=rng.choice([b"GET", b"POST", b"HEAD", b"", b"\r\n", b"X" * 300]),
                scheme=rng.choice([b"http", b"https", b"javascript"]),
                http_version=rng.choice([b"1.1", b"1.0", b"9", b""]),
                raw_path=rng.choice([b"/", b"/a%2Fb", b"", b"\xff", b"/" + b"x" * 3000, b"/%ff%00"]),
                query=rng.choice([b"", b"a=b&c", b"\xff\n"]),
                root_path=rng.choice([b"", b"/portico/apps/cat", b"\xe6"]),
                client=(rng.choice([b"", b"192.0.2.1", b"\n"]), rng.randrange(65536)),
                server=(rng.choice([b"", b"hub.test"]), rng.randrange(65536)),
                subprotocols=rng.choice([b"", b"a,b", b",,", b"\xff"]),
                identity=rng.choice([b"{}", b"[]", b"", b"{", b"[" * 20_000, b'{"user": {"id": "x"}}']),
                headers=self.headers(),
            )
        except LocalProtocolError:
            return b""

    def hello(self, good: Hello) -> bytes:
        frame = handshake.pack_hello(good, _LIMITS)
        return frame if self.rng.random() < 0.9 else self.payload(frame)

    def broken(self, message: bytes) -> bytes:
        """*message*, now and then with a byte changed, its tail cut, or twice."""
        odd = self.rng.random()
        if not message or odd > 0.06:
            return message
        if odd < 0.03:
            at = self.rng.randrange(len(message))
            return message[:at] + bytes([self.rng.randrange(256)]) + message[at + 1 :]
        return message[: self.rng.randrange(len(message))] if odd < 0.05 else message * 2
