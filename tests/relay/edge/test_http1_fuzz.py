"""A differential fuzz of the relay's front door against h11.

The invariant: whatever the front door takes as requests, h11 takes as the same requests, in the same order, with the
same bodies. It may take fewer, as it refuses more, but never another one and never one more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from tests.relay.edge.front_door import FrontDoor, by_h11

Random = random.Random

# Of each list the first is what is right, and usual.
_METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"SOURCE", b"get", b"M-SEARCH"]
_TARGETS = [
    b"/%d",
    b"/alice/apps/cat/%d",
    b"/alice/apps/cat/%d?a=b",
    b"http://localhost/%d",
    b"http://user@localhost/%d",
    b"http://other.test/%d",
    b"//other.test/%d",
    b"localhost:%d",
    b"*%d",
    b"/%d\x0b",
    b"/\xc3\xa4%d",
    b"/a b%d",
    b"/%%0d%%0a%d",
]
_VERSIONS = [
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"RTSP/1.0",
    b"ICE/1.1",
    b"HTTP/1.1 ",
    b"http/1.1",
    b"HTTP/01.1",
    b"HTTP/1.10",
    b"",
]
_LENGTHS = [
    b"%d",
    b"+%d",
    b"-%d",
    b" %d ",
    b"\t%d\t",
    b"\x0b%d",
    b"0%d",
    b"000000000000000000000000000%d",
    b"%d, %d",
    b"%d,",
    b"%d %d",
    b"0x%d",
    b"%d.0",
    b"%de0",
    b"1844674407370955161%d",
    b"99999999999999999999999999%d",
    b"",
    b'"%d"',
]
_CODINGS = [
    b"chunked",
    b"Chunked",
    b" chunked ",
    b"\tchunked",
    b"\x0bchunked",
    b"chunked\x0c",
    b"chunked, chunked",
    b"chunked,",
    b",chunked",
    b"identity",
    b"gzip, chunked",
    b"chunked;q=1",
    b"xchunked",
    b'"chunked"',
    b"",
]
_UPGRADES = [b"x", b"h2c", b"websocket", b"WebSocket", b"websocket, h2c", b"websocket/13", b"", b" websocket "]
_CONNECTIONS = [
    b"upgrade",
    b"Upgrade",
    b"keep-alive, Upgrade",
    b"close",
    b"close, upgrade",
    b"keep-alive",
    b"\tclose\t",
    b"x close",
    b"upgrade\x0b",
    b",upgrade,",
    b"Content-Length",
    b"Transfer-Encoding, close",
]
_OTHERS = [
    b"X-A: 1",
    b"Expect: 100-continue",
    b"Expect: 100-Continue ",
    b"X-Folded: a\r\n b",
    b"X-Tab: a\r\n\tContent-Length: 7",
    b"X-Lf: a\nX-B: b",
    b"X-Cr: a\rX-B: b",
    b"X-Nul: a\0b",
    b"X-Empty:",
    b": nameless",
    b"no colon",
    b"X A: 1",
    b"X-Space : 1",
    b"Host: localhost",
    b"host:localhost",
    b"Proxy-Connection: close",
    b"Keep-Alive: timeout=5",
    b"Trailer: Content-Length",
    b"TE: chunked",
    b"Content_Length: 7",
    b"Content-Length\t: 7",
    b"Content-Length\0: 7",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Sec-WebSocket-Version: 13",
    b"X-High: \xff\xfe",
    b"X-Long: " + b"x" * 5000,
]
_LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n"]
_SIZES = [
    b"%x",
    b"%X",
    b"0%x",
    b"0000000000000000%x",
    b"000000000000000000000000%x",
    b"0x%x",
    b"+%x",
    b"-%x",
    b" %x",
    b"%x ",
    b"%x\t",
    b"%x;a=b",
    b'%x;a="b"',
    b'%x;a="\r\n"',
    b"%x;a\n",
    b"%x ;a",
    b"%x\r",
    b"%xg",
    b"%x_0",
    b"1000000000000000%x",
    b"ffffffffffffffff%x",
    b"",
]
_TRAILERS = [
    b"",
    b"X-T: 1\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Connection: close\r\n",
    b"Host: other.test\r\n",
    b"X-T: 1\r\n X-F: 2\r\n",
    b"X-T: 1\n",
    b"GET /hidden HTTP/1.1\r\n",
]


class Maker:
    """Makes connections: some requests, all right, or odd in one or two things, or in many."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._odd = 0.0
        """How likely each thing is to be odd."""
        self._number = 0

    def connection(self) -> bytes:
        self._odd = self.random.choice([0.0, 0.01, 0.03, 0.1, 0.3])
        made = [self._request() for _ in range(self.random.randint(1, 4))]
        if self.random.random() < 0.2:
            made *= 2  # what is asked again is not read again
        data = b"".join(made)
        return self._mutated(data) if self.random.random() < self._odd * 3 else data

    def pieces(self, data: bytes) -> list[bytes]:
        how = self.random.random()
        if how < 0.3:
            return [data]
        if how < 0.4:
            return [data[i : i + 1] for i in range(len(data))]
        if how < 0.6:  # where heads end
            parts = data.split(b"\r\n\r\n")
            return [part for part in [*(part + b"\r\n\r\n" for part in parts[:-1]), parts[-1]] if part]
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(self.random.randint(1, 6)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]

    def _is_odd(self) -> bool:
        return self.random.random() < self._odd

    def _one(self, things: list[bytes], number: int = 0) -> bytes:
        thing = self.random.choice(things) if self._is_odd() else things[0]
        return thing.replace(b"%d", b"%d" % number).replace(b"%x", b"%x" % number)

    def _request(self) -> bytes:
        pick = self.random
        self._number += 1
        line = self._one([b" ", b"  ", b"\t", b"\x0b", b""]).join(
            (
                self._one(_METHODS) if pick.random() < 0.5 else b"POST",
                self._one(_TARGETS, self._number),
                self._one(_VERSIONS),
            )
        )
        # a body that is a request by itself: what is hidden
        body = pick.choice([b"", b"hello", b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n", b"0\r\n\r\n"])
        fields = [b"Host: localhost"] if not self._is_odd() else []
        how = pick.random()
        if how < 0.35:
            fields += [b"Content-Length: " + self._one(_LENGTHS, len(body)) for _ in range(1 + self._is_odd())]
        elif how < 0.7:
            fields += [b"Transfer-Encoding: " + self._one(_CODINGS) for _ in range(1 + self._is_odd())]
            if self._is_odd():
                fields.append(b"Content-Length: " + self._one(_LENGTHS, len(body)))
            body = self._chunked(body)
        elif not self._is_odd():
            body = b""
        if pick.random() < 0.1:
            fields += [b"Upgrade: " + pick.choice(_UPGRADES) for _ in range(1 + self._is_odd())]
        if pick.random() < 0.2:
            fields += [b"Connection: " + pick.choice(_CONNECTIONS) for _ in range(1 + self._is_odd())]
        if self._is_odd():
            fields.append(pick.choice(_OTHERS))
        pick.shuffle(fields)
        before = self._one([b"", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\0"])
        return before + b"".join(part + self._one(_LINE_ENDS) for part in [line, *fields, b""]) + body

    def _chunked(self, body: bytes) -> bytes:
        made = b""
        while body:
            size = self.random.randint(1, len(body))
            made += self._one(_SIZES, size) + self._one(_LINE_ENDS) + body[:size] + self._one(_LINE_ENDS)
            body = body[size:]
        made += self._one([b"0", b"000", b"0;last", b"00000000000000000000000000"]) + self._one(_LINE_ENDS)
        return made + self._one(_TRAILERS) + self._one(_LINE_ENDS)

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(changed))
            what = self.random.choice(
                [b"\r", b"\n", b"\0", b" ", b"\t", b"\x0b", b":", b",", b"0", b"\x80", b"\r\n", b""]
            )
            changed[at : at + self.random.randint(0, 2)] = what
        return bytes(changed)


@pytest.fixture
def run_at_the_door() -> Callable[[Callable[[FrontDoor], object]], None]:
    def run(work: Callable[[FrontDoor], object]) -> None:
        async def main() -> None:
            door = await FrontDoor.started()
            try:
                await work(door)  # type: ignore[misc]
            finally:
                await door.stop()

        asyncio.run(main())

    return run


async def compare(door: FrontDoor, data: bytes, pieces: list[bytes], *, at_once: bool) -> int:
    """How many requests both readers take. Fails where the front door takes what h11 does not."""
    reading, others = await door.read(pieces, at_once=at_once), by_h11(data)
    told = f"{data!r} in {[len(piece) for piece in pieces]}, at once: {at_once}: {reading.taken} against {others}"
    assert len(reading.taken) <= len(others), told
    for taken, other in zip(reading.taken, others, strict=False):
        target = other.target.partition("#")[0]  # a fragment never belongs in a target
        if not target.startswith("/"):  # the absolute form
            target = "/" + target.partition("://")[2].partition("/")[2]
        assert (taken.method, taken.target) == (other.method, target), told
        if taken.whole:
            assert other.whole, told
            assert taken.body == other.body, told
        else:
            assert other.body.startswith(taken.body), told
    return len(reading.taken)


@pytest.mark.fuzz
def test_nothing_is_read_that_h11_reads_otherwise(
    fuzz_seconds: float, run_at_the_door: Callable[[Callable[[FrontDoor], object]], None]
) -> None:
    counts = [0, 0, 0]

    async def fuzz(door: FrontDoor) -> None:
        seed = random.SystemRandom().randrange(1 << 32)
        maker = Maker(seed)
        print("seed", seed)
        until = time.monotonic() + fuzz_seconds
        while time.monotonic() < until:
            data = maker.connection()
            took = await compare(door, data, maker.pieces(data), at_once=maker.random.random() < 0.3)
            counts[min(took, 2)] += 1

    run_at_the_door(fuzz)
    print(counts)
    assert all(count > 50 for count in counts), f"none, one and several requests are all taken often: {counts}"
