"""Whatever strangers send, and however often: once they are answered, a hub holds no more than it did."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from portico.asgi.carrier import _identity
from portico.hub import access
from portico.hub.date_and_server import server_of
from portico.hub.keys import InvalidKey, KeyRing, MemoryKeyStore
from portico.relay.config import RelayConfig
from portico.relay.edge.proxies import TrustedProxies
from portico.relay.edge.routes import Routes
from portico.types import Headers
from tests.in_process import HereHub, a_hub

LONG = 30_000
TIMES = 300
ALLOWED = 3 << 20
"""Bytes that all of it may make the hub grow by: what is bounded may be full. Kept whole it would be 9 MB a kind."""


_numbers = itertools.count()


def unique(times: int = TIMES) -> Iterator[str]:
    """Texts that begin and end with what no other has."""
    for number in itertools.islice(_numbers, times):
        yield f"a{number}" + "x" * LONG + str(number)


def growth(work: Callable[[int], object]) -> int:
    """Bytes that *work*, done so many times, leaves behind; a few times before load what is there once."""
    work(5)
    gc.collect()
    tracemalloc.start()
    try:
        work(TIMES)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


REQUESTS: dict[str, Callable[[HereHub, str], Awaitable[Any]]] = {
    "paths": lambda hub, text: hub.visit("cat/" + text),
    "queries": lambda hub, text: hub.visit(f"cat/?{text}=1"),
    "names of services": lambda hub, text: hub.visit(f"{text}/"),
    "names of fields": lambda hub, text: hub.visit("cat/", headers=[(text.encode(), b"1")]),
    "values": lambda hub, text: hub.visit("cat/", headers=[(b"x-value", text.encode())]),
    "hosts": lambda hub, text: hub.visit("cat/", host=text),
    "addresses": lambda hub, text: hub.visit("cat/", client=(text, 1)),
    "bearers": lambda hub, text: hub.visit("cat/", headers=[(b"authorization", b"Bearer " + text.encode())]),
    "keys": lambda hub, text: hub.visit(f"cat/?portico_key={text}"),
    "origins": lambda hub, text: hub.visit(
        "cat/", "POST", headers=[(b"cookie", b"portico_key=a"), (b"origin", b"https://" + text.encode())]
    ),
}


@pytest.mark.parametrize("send", REQUESTS.values(), ids=REQUESTS)
def test_requests_leave_nothing(send: Callable[[HereHub, str], Awaitable[Any]]) -> None:
    async def inside() -> int:
        async with a_hub() as hub:
            kernel = await hub.kernel().connect()
            await kernel.register("cat", app, access="public")
            for text in unique(5):
                await send(hub, text)
            gc.collect()
            tracemalloc.start()
            for text in unique():
                await send(hub, text)
            await asyncio.sleep(0)
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            await kernel.apps["cat"].retire(0)
            return held

    assert asyncio.run(inside()) < ALLOWED


def fields(name: bytes, text: str) -> Headers:
    return [(name, text.encode())]


def test_places_leave_nothing() -> None:
    hosts = Routes(RelayConfig(domain="relay.example", base_url="https://relay.example"))
    paths = Routes(RelayConfig(paths=True, base_url="https://relay.example"))

    def work(times: int) -> None:
        for text in unique(times):
            hosts.find(fields(b"host", f"{text}.relay.example"), b"/")
            paths.find(fields(b"host", "relay.example"), f"/{text}/apps/cat/".encode())
            paths.find(fields(b"host", text), b"/alice/v1/models")

    assert growth(work) < ALLOWED


def test_many_short_places_are_bounded_too() -> None:
    hosts = Routes(RelayConfig(domain="relay.example", base_url="https://relay.example"))

    def work(times: int) -> None:
        for number in itertools.islice(_numbers, times * 60):
            hosts.find(fields(b"host", f"{'y' * 200}{number}.relay.example"), b"/")

    assert growth(work) < 2 * 4 << 20


def test_forwarded_addresses_leave_nothing() -> None:
    proxies = TrustedProxies("*")

    def work(times: int) -> None:
        for text in unique(times):
            proxies.visitor(("10.0.0.1", 1), "http", fields(b"x-forwarded-for", text))
            proxies.is_trusted(text)

    assert growth(work) < ALLOWED


def test_other_texts_leave_nothing() -> None:
    def work(times: int) -> None:
        for text in unique(times):
            server_of(text, "https")
            _identity(b'"' + text.encode() + b'"')
            access.same_origin(b"https://example.com/" + text.encode(), "example.com")
            access.same_origin(b"https://" + text.encode(), text)

    assert growth(work) < ALLOWED


def test_what_can_be_made_of_a_valid_key_opens_and_leaves_nothing() -> None:
    ring = KeyRing(MemoryKeyStore())
    token, _ = asyncio.run(ring.mint(["cat"], 60.0))

    def work(times: int) -> None:
        for text in unique(times):
            try:
                ring.verify(token + "*" * int(text[1:].partition("x")[0]) + "*" * LONG)
            except InvalidKey:
                continue
            raise AssertionError("base64 that is read as if the asterisks were not there makes many keys of one")

    assert growth(work) < ALLOWED
    assert ring.verify(token).services == ("cat",)
