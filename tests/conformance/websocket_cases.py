"""The WebSocket cases: the visitor's frames, and the frames that come back."""

from collections.abc import Callable

from tests.conformance.app import pattern
from tests.conformance.visitor import HANDSHAKE, Case, Fields, Visitor
from tests.conformance.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    pack_close,
    pack_frame,
)

CASES: list[Case] = []


def case(name: str, **judged: object) -> Callable[[Callable[[Visitor], None]], Callable[[Visitor], None]]:
    def enter(visit: Callable[[Visitor], None]) -> Callable[[Visitor], None]:
        CASES.append(Case(name, visit, **judged))  # type: ignore[arg-type]
        return visit

    return enter


def finish(visitor: Visitor) -> None:
    """The visitor closes with 1000, and reads to the end."""
    visitor.send(pack_close(1000))
    visitor.closing()


def talk(name: str, path: bytes, sent: list[bytes], expected: int, headers: Fields = ()) -> None:
    """A case of a handshake, some frames out, some frames back, and an orderly close."""

    @case(name)
    def _(visitor: Visitor) -> None:
        answer = visitor.upgrade(path, headers)
        if answer is None or answer.head.status != 101:
            return
        for data in sent:
            visitor.send(data)
        visitor.frames(expected)
        finish(visitor)


def watch(name: str, path: bytes, headers: Fields = (), **judged: object) -> None:
    """A case of a handshake after which the app alone speaks, until the end."""

    @case(name, **judged)
    def _(visitor: Visitor) -> None:
        answer = visitor.upgrade(path, headers)
        if answer is None or answer.head.status != 101:
            return
        while visitor.transcript[-1]["kind"] not in ("close", "ended"):
            visitor.frames()
        if visitor.transcript[-1]["kind"] == "close":
            code = visitor.transcript[-1]["code"]
            visitor.send(pack_close(code))
            visitor.end()


# Handshakes.

talk("ws-echo-nothing", b"/ws/echo", [], 0)
talk("ws-accept-before-connect", b"/ws/accept-first", [pack_frame(TEXT, b"x")], 1)
talk("ws-scope", b"/ws/echo/a%2Fb//c?x=1&y=%E6%97%A5", [], 0, [(b"X-One", b"1"), (b"Origin", b"http://a.example")])
talk("ws-headers-duplicates", b"/ws/echo", [], 0, [(b"X-One", b"1"), (b"X-One", b"2"), (b"X-Empty", b"")])
talk("ws-cookies", b"/ws/echo", [], 0, [(b"Cookie", b"a=1; b=2")])
talk("ws-header-latin-1", b"/ws/echo", [], 0, [(b"X-Latin", b"caf\xe9")])
talk("ws-accept-headers", b"/ws/headers", [pack_frame(TEXT, b"x")], 1)
OFFERED: Fields = [(b"Sec-WebSocket-Protocol", b"chat, superchat,v1.portico")]
talk("ws-subprotocol-last", b"/ws/subprotocol", [], 0, OFFERED)
talk("ws-subprotocol-first", b"/ws/subprotocol/chat", [], 0, OFFERED)
talk("ws-subprotocol-offered-not-chosen", b"/ws/echo", [], 0, OFFERED)
talk("ws-subprotocols-in-two-headers", b"/ws/subprotocol/two", [], 0, [*OFFERED, (b"Sec-WebSocket-Protocol", b"two")])
talk("ws-subprotocol-not-offered", b"/ws/subprotocol/unheard-of", [], 0, OFFERED)
talk("ws-deflate-offered", b"/ws/echo", [], 0, [(b"Sec-WebSocket-Extensions", b"permessage-deflate")])
talk("ws-extension-unknown", b"/ws/echo", [], 0, [(b"Sec-WebSocket-Extensions", b"x-unheard-of; a=1")])
watch("ws-unknown-path", b"/nowhere")
watch("ws-denied", b"/ws/deny")
watch("ws-denied-with-code", b"/ws/deny/4003")
for _status in (200, 401, 404, 429, 503):
    watch(f"ws-denial-response-{_status}", b"/ws/denial/%d" % _status)
watch("ws-denial-response-in-pieces", b"/ws/denial/403/pieces")
watch("ws-raise-before-accept", b"/ws/fault/raise-before-accept")
watch("ws-return-before-accept", b"/ws/fault/return-before-accept")
watch("ws-send-before-accept", b"/ws/fault/send-before-accept")


@case("ws-accept-waits-for-the-app")
def _(visitor: Visitor) -> None:
    """The visitor is answered when the app has accepted, and what it sent meanwhile is not lost."""
    visitor.send(visitor.head(b"GET", b"/ws/held", HANDSHAKE))
    visitor.started()
    visitor.release()
    answer = visitor.upgraded()
    if answer is not None and answer.head.status == 101:
        visitor.send(pack_frame(TEXT, b"after"))
        visitor.frames(1)
        finish(visitor)


def handshake(name: str, headers: Fields, *, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> None:
    """A handshake that is wrong: refused with a 4xx, and the app is not asked."""

    @case(name)
    def _(visitor: Visitor) -> None:
        visitor.send(visitor.head(method, b"/ws/echo", headers, version=version))
        answer = visitor.answer(method)
        if answer is not None:
            # The words are each server's own.
            head = visitor.transcript[-1]
            visitor.transcript = [{"kind": "head", "status": head["status"]}]


_KEY = (b"Sec-WebSocket-Key", b"cG9ydGljbydzIHZpc2l0bw==")
_UPGRADE = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
handshake("ws-handshake-without-key", [*_UPGRADE, (b"Sec-WebSocket-Version", b"13")])
handshake("ws-handshake-bad-key", [*_UPGRADE, (b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", b"short")])
handshake("ws-handshake-version-12", [*_UPGRADE, (b"Sec-WebSocket-Version", b"12"), _KEY])
handshake("ws-handshake-without-version", [*_UPGRADE, _KEY])
handshake("ws-handshake-post", [*HANDSHAKE, (b"Content-Length", b"0")], method=b"POST")


@case("ws-handshake-odd-case")
def _(visitor: Visitor) -> None:
    """Connection is a list of tokens, and both it and Upgrade are compared without case."""
    headers = [
        (b"Connection", b"keep-alive, uPgRaDe"),
        (b"Upgrade", b"WebSocket"),
        (b"Sec-WebSocket-Version", b"13"),
        _KEY,
    ]
    visitor.send(visitor.head(b"GET", b"/ws/echo", headers))
    answer = visitor.upgraded()
    if answer is not None and answer.head.status == 101:
        finish(visitor)


# Messages.

talk("ws-text", b"/ws/echo", [pack_frame(TEXT, b"hello")], 1)
talk("ws-binary", b"/ws/echo", [pack_frame(BINARY, bytes(range(256)))], 1)
talk("ws-empty-messages", b"/ws/echo", [pack_frame(TEXT), pack_frame(BINARY), pack_frame(TEXT, b"end")], 3)
talk("ws-utf8", b"/ws/echo", [pack_frame(TEXT, "日本語 🎓 é\x00".encode())], 1)
talk("ws-utf8-from-app", b"/ws/utf8", [], 5)
talk("ws-greeting", b"/ws/greet", [pack_frame(TEXT, b"and you")], 2)
talk("ws-many-in-order", b"/ws/echo", [b"".join(pack_frame(TEXT, b"%d" % i) for i in range(500))], 500)
watch("ws-burst-from-app", b"/ws/burst/500")
_BIG = pattern(1 << 20)
talk("ws-1-mib-to-app", b"/ws/digest", [pack_frame(BINARY, _BIG)], 1)
talk("ws-1-mib-text-to-app", b"/ws/digest", [pack_frame(TEXT, b"Portico " * 131072)], 1)
talk("ws-1-mib-echo", b"/ws/echo", [pack_frame(BINARY, _BIG)], 1)
talk("ws-1-mib-from-app", b"/ws/big/1048576", [], 1)
for _length in (125, 126, 65535, 65536):
    talk(f"ws-length-{_length}", b"/ws/echo", [pack_frame(BINARY, pattern(_length))], 1)
talk("ws-15-mib-to-app", b"/ws/digest", [pack_frame(BINARY, pattern(15 << 20))], 1)
talk("ws-15-mib-from-app", b"/ws/big/15728640", [], 1)
talk(
    "ws-fragmented-text",
    b"/ws/echo",
    [
        pack_frame(TEXT, "日本".encode()[:4], final=False),  # in the middle of a character
        pack_frame(CONTINUATION, b"", final=False),
        pack_frame(CONTINUATION, "日本".encode()[4:]),
    ],
    1,
)
talk(
    "ws-fragmented-binary-in-many",
    b"/ws/echo",
    [
        pack_frame(BINARY, b"0", final=False),
        *(pack_frame(CONTINUATION, b"%d" % (i % 10), final=False) for i in range(1, 200)),
        pack_frame(CONTINUATION, b"end"),
    ],
    1,
)
talk(
    "ws-ping-between-fragments",
    b"/ws/echo",
    [pack_frame(TEXT, b"one ", final=False), pack_frame(PING, b"now"), pack_frame(CONTINUATION, b"two")],
    2,
)
talk("ws-ping", b"/ws/echo", [pack_frame(PING, b"payload \x00\xff")], 1)
talk("ws-ping-empty", b"/ws/echo", [pack_frame(PING)], 1)
talk("ws-ping-125-bytes", b"/ws/echo", [pack_frame(PING, pattern(125))], 1)
talk("ws-pong-unasked", b"/ws/echo", [pack_frame(PONG, b"unasked"), pack_frame(TEXT, b"x")], 1)


@case("ws-frames-in-tiny-pieces")
def _(visitor: Visitor) -> None:
    answer = visitor.upgrade(b"/ws/echo")
    if answer is None or answer.head.status != 101:
        return
    data = pack_frame(TEXT, b"a byte at a time") + pack_frame(BINARY, b"\x00" * 130)
    for i in range(len(data)):
        visitor.send(data[i : i + 1])
    visitor.frames(2)
    finish(visitor)


# Closing.

for _code in (1000, 1001, 1008, 1011, 3000, 4999):
    watch(f"ws-app-closes-{_code}", b"/ws/close/%d" % _code)
watch("ws-app-closes", b"/ws/close")
watch("ws-app-closes-with-reason", b"/ws/close/4001/because")
watch("ws-app-closes-with-long-reason", b"/ws/close/4001/*")
watch("ws-raise-after-accept", b"/ws/fault/raise-after-accept")
watch("ws-return-after-accept", b"/ws/fault/return-after-accept")
watch("ws-accept-twice", b"/ws/fault/accept-twice")
watch("ws-send-after-close", b"/ws/fault/send-after-close")


@case("ws-raise-after-message")
def _(visitor: Visitor) -> None:
    answer = visitor.upgrade(b"/ws/fault/raise-after-message")
    if answer is None or answer.head.status != 101:
        return
    visitor.send(pack_frame(TEXT, b"x"))
    visitor.frames(2)
    visitor.send(pack_close(1011))
    visitor.end()


@case("ws-app-closes-after-one-message")
def _(visitor: Visitor) -> None:
    answer = visitor.upgrade(b"/ws/close-after-one")
    if answer is None or answer.head.status != 101:
        return
    visitor.send(pack_frame(TEXT, b"first"))
    visitor.frames(2)
    visitor.send(pack_frame(TEXT, b"too late") + pack_close(4001))
    visitor.end()


def visitor_closes(name: str, frame: bytes) -> None:
    @case(name)
    def _(visitor: Visitor) -> None:
        answer = visitor.upgrade(b"/ws/echo")
        if answer is None or answer.head.status != 101:
            return
        visitor.send(pack_frame(TEXT, b"x"))
        visitor.frames(1)
        visitor.send(frame)
        visitor.closing()


for _code in (1000, 1001, 1011, 3000, 4999):
    visitor_closes(f"ws-visitor-closes-{_code}", pack_close(_code))
visitor_closes("ws-visitor-closes-without-code", pack_close())
visitor_closes("ws-visitor-closes-with-reason", pack_close(4002, "à bientôt".encode()))
visitor_closes("ws-visitor-closes-with-long-reason", pack_close(4002, b"r" * 123))

# What a server must refuse (RFC 6455 §5, §7.4, §8.1).

visitor_closes("ws-invalid-utf8", pack_frame(TEXT, b"\xff\xfe"))
visitor_closes("ws-unmasked-frame", pack_frame(TEXT, b"unmasked", masked=False))
visitor_closes("ws-reserved-bit", pack_frame(TEXT, b"x", reserved=2))
visitor_closes("ws-unknown-opcode", pack_frame(0x3, b"x"))
visitor_closes("ws-continuation-of-nothing", pack_frame(CONTINUATION, b"x"))
visitor_closes("ws-text-inside-fragments", pack_frame(TEXT, b"x", final=False) + pack_frame(TEXT, b"y"))
visitor_closes("ws-fragmented-ping", pack_frame(PING, b"x", final=False))
visitor_closes("ws-ping-too-long", pack_frame(PING, b"x" * 126))
visitor_closes("ws-close-of-one-byte", pack_frame(CLOSE, b"\x03"))
visitor_closes("ws-close-code-1005", pack_close(1005))
visitor_closes("ws-close-code-999", pack_close(999))
visitor_closes("ws-close-reason-not-utf8", pack_close(1000, b"\xff"))


# Visitors that drop the connection.


def drops(name: str, path: bytes, *, reset: bool) -> None:
    @case(name)
    def _(visitor: Visitor) -> None:
        if path == b"/ws/abandoned":
            visitor.send(visitor.head(b"GET", path, HANDSHAKE))
            visitor.started()
        else:
            answer = visitor.upgrade(path)
            if answer is None or answer.head.status != 101:
                return
            visitor.send(pack_frame(TEXT, b"x"))
            visitor.frames(1)
        visitor.leave(reset=reset)


drops("ws-visitor-drops", b"/ws/echo", reset=False)
drops("ws-visitor-resets", b"/ws/echo", reset=True)
drops("ws-visitor-drops-before-accept", b"/ws/abandoned", reset=False)


@case("ws-visitor-drops-in-a-message")
def _(visitor: Visitor) -> None:
    """Half a frame, then the end: the app never sees that message."""
    answer = visitor.upgrade(b"/ws/echo")
    if answer is None or answer.head.status != 101:
        return
    visitor.send(pack_frame(BINARY, b"whole"))
    visitor.frames(1)
    visitor.send(pack_frame(BINARY, pattern(1000))[:500])
    visitor.leave()
