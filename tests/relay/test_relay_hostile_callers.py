"""One stranger, at one address, takes all of a relay's links, anonymous workspaces or streams that they may: another
address still gets in, and so does the stranger once they have let go. A real relay, and addresses of the loopback."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from portico.protocol import SUBPROTOCOL, Connection, Limits, ResetCode, Role
from portico.protocol.events import Ack, Event, GoAway, Hello, Register, Unregister, Welcome
from tests.live_relay import RelayProcess
from tests.relay.raw_visitors import HANGS, Visitor, Watcher, app, head
from tests.relay.tenants import Tenant
from tests.waiting import eventually

STRANGER, OTHER = "127.0.0.66", "127.0.0.7"

NEW, LINKS, ANONYMOUS, STREAMS = 5, 6, 4, 10
"""What one address may have."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    relay = RelayProcess(
        tmp_path_factory.mktemp("small"),
        anonymous=True,
        max_new_links_of_address=NEW,
        max_links_of_address=LINKS,
        max_links_of_user=LINKS,
        max_anonymous_of_address=ANONYMOUS,
        max_streams=40,
    ).start()
    yield relay
    assert relay.stop() == 0


class Dialled:
    """A provider's end of a link, at some address."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.connection = Connection(Role.PROVIDER, Limits(), now=0.0)
        self._events: list[Event] = []

    async def hello(self, token: str = "") -> Welcome | GoAway:
        self.connection.send_hello(Hello(token=token, session=secrets.token_hex(16), epoch=1))
        await self._send()
        event = await self.event()
        assert isinstance(event, Welcome | GoAway)
        return event

    async def register(self, name: str) -> Ack:
        self.connection.send_register(Register(1, {"name": name, "access": "public"}))
        await self._send()
        event = await self.event()
        assert isinstance(event, Ack)
        return event

    async def unregister(self, name: str) -> Ack:
        self.connection.send_unregister(Unregister(2, name))
        await self._send()
        event = await self.event()
        assert isinstance(event, Ack)
        return event

    async def _send(self) -> None:
        try:
            await self.socket.send(self.connection.data_to_send())
        except ConnectionClosed:  # it was turned away already: the reason waits to be read
            pass

    async def event(self) -> Event:
        async with asyncio.timeout(HANGS):
            while not self._events:
                message = await self.socket.recv()
                assert isinstance(message, bytes)
                self._events += self.connection.receive_message(message, 0.0)
        return self._events.pop(0)


class Crowd:
    """Links to one relay, which are all closed in the end."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self._links: list[Dialled] = []

    async def dial(self, address: str, *, forwarded: str = "") -> Dialled:
        socket = await connect(
            f"ws://127.0.0.1:{self.relay.port}/portico/link",
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            local_addr=(address, 0),
            additional_headers={"X-Forwarded-For": forwarded} if forwarded else {},
            ping_interval=None,
        )
        self._links.append(Dialled(socket))
        return self._links[-1]

    async def until_let_in(self, address: str, token: str = "") -> Dialled:
        """Dial until there is room: the relay hears of links that are gone in a moment."""
        async with asyncio.timeout(HANGS):
            while True:
                link = await self.dial(address)
                if isinstance(await link.hello(token), Welcome):
                    return link
                await asyncio.sleep(0.05)  # as a provider waits before it dials again

    async def close(self) -> None:
        await asyncio.gather(*(link.socket.close() for link in self._links))


def with_crowd(relay: RelayProcess, work: Callable[[Crowd], Awaitable[None]]) -> None:
    async def inside() -> None:
        crowd = Crowd(relay)
        try:
            await work(crowd)
        finally:
            await crowd.close()

    asyncio.run(inside())


async def those_that_are_turned_away(links: list[Dialled], least: int) -> list[Event]:
    """What is said on those links on which anything is said, once it is said on so many."""
    waiting = {asyncio.create_task(link.event()) for link in links}
    told: list[Event] = []
    while len(told) < least:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        told += [task.result() for task in done]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    return told


def turned_away(event: Event, why: str) -> None:
    assert isinstance(event, GoAway), event
    assert event.code is ResetCode.OVERLOAD
    assert why in event.reason
    assert event.retry_jitter > 0


def test_silent_links(small: RelayProcess) -> None:
    async def work(crowd: Crowd) -> None:
        links = [await crowd.dial(STRANGER) for _ in range(60)]
        for event in await those_that_are_turned_away(links, 60 - NEW):
            turned_away(event, "have not said who they are")
        other = await crowd.dial(OTHER)
        assert isinstance(await other.hello(small.token()), Welcome)
        await asyncio.gather(*(link.socket.close() for link in links))
        await crowd.until_let_in(STRANGER, small.token())

    with_crowd(small, work)
    assert 'portico_relay_limits_reached_total{limit="new_links_of_address"}' in metrics(small)
    said = small.log.read_text()
    assert 1 <= said.count("have not said who they are") <= 5, "a flood is logged seldom"
    assert "connection open" not in said


def test_links_that_said_who_they_are(small: RelayProcess) -> None:
    """By address, whatever token they show."""

    async def work(crowd: Crowd) -> None:
        links = []
        for token in [small.token()] * (LINKS - 2) + [""] * 2:
            links.append(await crowd.dial(STRANGER))
            assert isinstance(await links[-1].hello(token), Welcome)
        turned_away(await (await crowd.dial(STRANGER)).hello(small.token()), "max_links_of_address")
        assert isinstance(await (await crowd.dial(OTHER)).hello(small.token()), Welcome)
        for link in links[:3]:
            link.socket.transport.abort()
        await crowd.until_let_in(STRANGER, small.token())

    with_crowd(small, work)


def test_a_users_links_from_many_addresses(small: RelayProcess) -> None:
    async def work(crowd: Crowd) -> None:
        token = small.token()
        for number in range(LINKS):
            await crowd.until_let_in(f"127.0.1.{number + 1}", token)
        turned_away(await (await crowd.dial("127.0.1.99")).hello(token), "max_links_of_user")
        assert isinstance(await (await crowd.dial("127.0.1.99")).hello(""), Welcome)
        await crowd.close()
        await crowd.until_let_in("127.0.1.99", token)

    with_crowd(small, work)


def test_behind_a_proxy_the_visitors_address_counts_and_of_ipv6_its_network(small: RelayProcess) -> None:
    async def work(crowd: Crowd) -> None:
        links = [await crowd.dial("127.0.0.1", forwarded=f"2001:db8::ffff:{n:x}") for n in range(NEW + 3)]
        assert len(await those_that_are_turned_away(links, 3)) == 3
        other = await crowd.dial("127.0.0.1", forwarded="2001:db8:0:1::1")
        assert isinstance(await other.hello(small.token()), Welcome)

    with_crowd(small, work)


def test_anonymous_workspaces(small: RelayProcess) -> None:
    """Of one address; one that nobody uses any more goes where its room is needed."""
    mine = "127.0.0.67"

    async def work(crowd: Crowd) -> None:
        links = [await crowd.dial(mine) for _ in range(ANONYMOUS)]
        for link in links:
            assert isinstance(await link.hello(), Welcome)
            assert (await link.register("cat")).ok
        turned_away(await (await crowd.dial(mine)).hello(), "max_anonymous_of_address")
        assert isinstance(await (await crowd.dial("127.0.0.68")).hello(), Welcome)
        assert (await links[0].unregister("cat")).ok
        await links[0].socket.close()
        await crowd.until_let_in(mine)

    with_crowd(small, work)


def metrics(relay: RelayProcess) -> str:
    headers = {"Authorization": f"Bearer {relay.token('admin')}"}
    return httpx.get(relay.url + "metrics", headers=headers, timeout=HANGS).raise_for_status().text


# --- visitors ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cat(small: RelayProcess) -> Iterator[str]:
    tenant = Tenant(small)
    yield tenant.serve(app, "cat", access="public").url
    tenant.leave()


def test_slow_streams_of_one_address(small: RelayProcess, cat: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(Visitor(small.port, STRANGER))) for _ in range(STREAMS)]
        for visitor in slow:
            visitor.send(head("never"))
        watcher = Watcher(small)
        watcher.until(streams=STREAMS)
        for sent in (head("get"), head("post", b"Content-Length: 1", method="POST") + b"x"):
            late = stack.enter_context(closing(Visitor(small.port, STRANGER)))
            late.send(sent)
            answer = late.answer()
            assert answer.status == 429
            assert int(answer.get("retry-after")[0]) >= 1
            assert b"too_many_streams" in late.read(int(answer.get("content-length")[0]))
        other = stack.enter_context(closing(Visitor(small.port, OTHER)))
        other.send(head("get"))
        assert other.answer().status == 200
        slow.pop().close()
        watcher.until(streams=STREAMS - 1)
        again = stack.enter_context(closing(Visitor(small.port, STRANGER)))
        again.send(head("get"))
        assert again.answer().status == 200
    Watcher(small).until_nothing_is_left()


def test_slow_streams_of_one_address_behind_a_proxy(small: RelayProcess, cat: str) -> None:
    with ExitStack() as stack:
        for number in range(STREAMS):
            visitor = stack.enter_context(closing(Visitor(small.port)))
            visitor.send(head("never", b"X-Forwarded-For: 2001:db8::%x" % (number + 1)))
        Watcher(small).until(streams=STREAMS)
        for address, status in ((b"2001:db8::ffff", 429), (b"2001:db8:0:1::1", 200), (b"192.0.2.7", 200)):
            late = stack.enter_context(closing(Visitor(small.port)))
            late.send(head("get", b"X-Forwarded-For: " + address))
            assert late.answer().status == status
        with closing(Visitor(small.port)) as nobody:  # the proxy itself, or one that says nothing of its visitors
            nobody.send(head("get"))
            assert nobody.answer().status == 200
    Watcher(small).until_nothing_is_left()


@pytest.mark.parametrize("kind", ["requests", "sockets"])
def test_requests_that_wait_for_a_lost_provider(relay: RelayProcess, kind: str) -> None:
    """They are held for ten seconds: so many of one address."""
    upgrade = (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    fields = upgrade if kind == "sockets" else ()
    name = f"lost-{kind}"
    sent = head("get", *fields).replace(b"/cat/", b"/%s/" % name.encode())

    async def lose(crowd: Crowd) -> None:
        link = await crowd.dial(OTHER)
        assert isinstance(await link.hello(relay.token()), Welcome)
        assert (await link.register(name)).ok
        link.socket.transport.abort()

    with_crowd(relay, lose)
    asked = {"url": f"{relay.url}portico/api/services/{name}", "headers": {"Authorization": f"Bearer {relay.token()}"}}
    eventually(lambda: httpx.get(**asked, trust_env=False).json()["status"] == "reconnecting", HANGS)
    with ExitStack() as stack:
        visitors = [stack.enter_context(closing(Visitor(relay.port, STRANGER))) for _ in range(130)]
        for visitor in visitors:
            visitor.send(sent)
        deadline = time.monotonic() + HANGS
        answered: list[int] = []
        while len(answered) < 30:
            assert time.monotonic() < deadline
            for visitor in visitors:
                visitor.socket.settimeout(0.01)
                try:
                    visitor.socket.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                finally:
                    visitor.socket.settimeout(HANGS)
                answer = visitor.answer()
                answered.append(answer.status)
                assert answer.get("retry-after")
                visitors.remove(visitor)
        assert answered == [429] * 30
        other = stack.enter_context(closing(Visitor(relay.port, OTHER)))
        other.send(sent)
        assert other.answer().status == 503  # it has waited, and nobody came
