"""A replica answers for wherever it is: what can be opened there, and how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.errors import LocalProtocolError
from portico.hub.replicas import Replica
from portico.protocol import Kind, ResetCode
from portico.protocol.events import Data, Head
from tests.in_process import HereHub, Publisher, a_hub, echo
from tests.waiting import until


class Hears:
    """A stream's handler."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.reset: ResetCode | None = None

    def on_head(self, head: Head) -> None:
        self.status = head.status

    def on_data(self, data: Data) -> None:
        self.body += data.data

    def on_close(self, code: int, reason: str) -> None: ...

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self.reset = code

    def on_writable(self) -> None: ...


def fields(**more: Any) -> dict[str, Any]:
    given = {
        "kind": Kind.HTTP,
        "service": "cat",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "raw_path": b"/whiskers",
        "query": b"",
        "root_path": "/portico/apps/cat",
        "client": None,
        "server": None,
        "subprotocols": (),
        "identity": b"{}",
        "headers": [],
        "fin": True,
    }
    return given | more


def with_a_replica(work: Callable[[HereHub, Publisher, Replica], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", echo)).ok
            await work(hub, kernel, hub.registry.services["cat"].replicas[0])

    asyncio.run(inside())


def test_a_stream_is_opened_where_the_replica_is() -> None:
    async def work(hub: HereHub, kernel: Publisher, replica: Replica) -> None:
        heard = Hears()
        assert replica.can_open
        stream = replica.open(heard, **fields())
        await until(lambda: b'"path": "/portico/apps/cat/whiskers"' in heard.body)
        assert heard.status == 200
        stream.release()

    with_a_replica(work)


def test_without_a_link_nothing_is_opened_and_it_says_so() -> None:
    async def work(hub: HereHub, kernel: Publisher, replica: Replica) -> None:
        assert (replica.status, replica.linked, replica.stays) == ("live", True, True)
        await kernel.cut()
        await until(lambda: not replica.linked)
        assert (replica.status, replica.can_open, replica.stays) == ("reconnecting", False, False)
        with pytest.raises(LocalProtocolError, match="no link"):
            replica.open(Hears(), **fields())
        await kernel.connect()
        await until(lambda: replica.can_open)
        assert (replica.status, replica.stays) == ("live", True)

    with_a_replica(work)


def test_one_that_takes_its_leave_is_there_and_takes_nothing_new() -> None:
    async def work(hub: HereHub, kernel: Publisher, replica: Replica) -> None:
        assert kernel.link is not None
        kernel.link.connection.send_goaway(ResetCode.CANCEL, "it stops, and may be back")
        kernel.link.flush_soon()
        await until(lambda: not replica.can_open)
        assert (replica.linked, replica.stays) == (True, False)
        with pytest.raises(LocalProtocolError):
            replica.open(Hears(), **fields())

    with_a_replica(work)


def test_a_service_stands_as_the_best_of_its_replicas() -> None:
    async def work(hub: HereHub, kernel: Publisher, replica: Replica) -> None:
        service = hub.registry.services["cat"]
        other = await hub.kernel("k2").connect()
        assert (await other.register("cat", echo, replica=True)).ok
        second = service.replicas[1]
        hub.registry.stalled(replica.session, True)
        assert (replica.status, second.status, service.status) == ("stalled", "live", "live")
        await other.cut()
        await until(lambda: not second.linked)
        assert (replica.stalled, service.status) == (True, "stalled")
        await kernel.cut()
        await until(lambda: not replica.linked)
        assert service.status == "reconnecting"

    with_a_replica(work)


def test_streams_are_counted_by_caller_over_all_services_of_a_link() -> None:
    async def work(hub: HereHub, kernel: Publisher, replica: Replica) -> None:
        assert (await kernel.register("dog", echo)).ok
        dog = hub.registry.services["dog"].replicas[0]
        replica.begin("192.0.2.1")
        dog.begin("192.0.2.1")
        dog.begin("")
        assert (replica.streams_of("192.0.2.1"), dog.streams_of("192.0.2.1"), dog.streams_of("")) == (2, 2, 0)
        assert (replica.in_flight, dog.in_flight) == (1, 2)
        replica.end("192.0.2.1")
        dog.end("192.0.2.1")
        dog.end("")
        assert (replica.streams_of("192.0.2.1"), dog.in_flight) == (0, 0)
        assert replica.session.callers == {}

    with_a_replica(work)
