"""What a process holds of bodies that are on their way is bounded: for each caller, and in all."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.calls import held
from portico.calls.held import FREE, INCOMING, IncomingBodies, IncomingBody
from portico.errors import UnusableRequest
from tests.functions.visiting import BOUNDARY, JSON, server
from tests.waiting import until


def scope(address: str = "192.0.2.1") -> dict[str, Any]:
    return {"type": "http", "client": (address, 1)}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-200_000, 200_000)), max_size=50))
def test_what_is_counted_is_what_is_held_beyond_what_is_free(steps: list[tuple[int, int]]) -> None:
    """The total is the sum over all bodies of what each holds beyond the free bytes, and nothing once they are over."""
    of = IncomingBodies(1 << 40, 1 << 40)
    bodies = [IncomingBody(scope(f"192.0.2.{number}"), of) for number in range(4)]
    sizes = [0] * 4
    for which, count in steps:
        count = max(count, -sizes[which])
        sizes[which] += count
        bodies[which].grow(count)
        assert of.total == sum(max(size - FREE, 0) for size in sizes)
    for body in bodies:
        body.__exit__(None, None, None)
    assert of.total == 0
    assert of._by_caller == {}


def test_a_caller_leaves_room_for_others_and_all_together_stop_somewhere() -> None:
    of = IncomingBodies(3_000_000, 1_000_000)
    of.take("a", 900_000)
    with pytest.raises(UnusableRequest) as refused:
        of.take("a", 200_000)
    assert (refused.value.status, refused.value.headers) == (429, ((b"retry-after", b"2"),))
    of.take("b", 1_000_000)
    of.take("c", 1_000_000)
    with pytest.raises(UnusableRequest) as full:
        of.take("d", 200_000)
    assert full.value.status == 503
    of.give_back("c", 1_000_000)
    of.take("d", 200_000)


def take(text: str = "", files: list[bytes] = []) -> int:  # noqa: B006 -- it is not changed
    return len(text) + sum(map(len, files))


PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'.encode()
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
RPC = {"accept": "application/json, text/event-stream", **JSON}


@pytest.mark.parametrize(
    ("path", "headers", "begin"),
    [
        ("/run", JSON, b'{"text": "' + b"x" * 1_000_000),
        ("/run", {**JSON, "content-encoding": "gzip"}, gzip.compress(b'{"text": "' + b"x" * 1_000_000)[:-8]),
        ("/run", FORM, PART.replace(b'; filename="x"', b"").replace(b"files", b"text") + b"x" * 1_000_000),
        ("/run", FORM, (PART + b"x" * 200_000 + b"\r\n") * 5),
        ("/mcp", RPC, b'{"x": "' + b"x" * 1_000_000),
    ],
    ids=["JSON", "compressed", "text of a form", "small files", "a message for tools"],
)
def test_bodies_that_never_end_take_what_one_caller_may(
    path: str, headers: dict[str, str], begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(INCOMING, "of_a_caller", 3_000_000)
    app = server(take)

    async def test() -> None:
        left = asyncio.Event()
        statuses: list[int] = []

        async def send_most(address: str) -> None:
            pieces = [begin]

            async def receive() -> dict[str, Any]:
                if pieces:
                    return {"type": "http.request", "body": pieces.pop(), "more_body": True}
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                statuses.append(message.get("status", 0))

            given = [(name.encode(), value.encode()) for name, value in headers.items()]
            http = {**scope(address), "method": "POST", "path": path, "query_string": b"", "headers": given}
            await app(http, receive, send)

        many = [asyncio.create_task(send_most("192.0.2.1")) for _ in range(10)]
        await until(lambda: statuses.count(429) >= 6)
        other = asyncio.create_task(send_most("192.0.2.2"))
        await until(lambda: INCOMING.total > 3_000_000)
        assert not other.done()
        left.set()
        await asyncio.gather(*many, other)
        assert INCOMING.total == 0

    asyncio.run(test())


def test_a_large_file_is_on_a_disk_and_not_counted() -> None:
    body = IncomingBodies()
    assert body.in_all == held.IN_ALL
    app = server(take)
    seen: list[int] = []

    async def test() -> None:
        pieces = [PART + b"x" * 200_000, *[b"x" * 200_000] * 5, f"\r\n--{BOUNDARY}--\r\n".encode()]

        async def receive() -> dict[str, Any]:
            seen.append(INCOMING.total)
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        statuses: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            statuses.append(message.get("status", 0))

        given = [(name.encode(), value.encode()) for name, value in FORM.items()]
        await app({**scope(), "method": "POST", "path": "/run", "query_string": b"", "headers": given}, receive, send)
        assert statuses[0] == 200

    asyncio.run(test())
    assert max(seen) > 100_000
    assert seen[-1] == 0
