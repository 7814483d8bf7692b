"""Visitors who are slow, who do not read, who hold on to all there is, and who come and go by thousands."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from portico.provider.service import Service
from tests.conformance.wire import Cut
from tests.live_relay import RelayProcess
from tests.relay.conftest import MOST_STREAMS
from tests.relay.raw_visitors import HANGS, Visitor, Watcher, app, head, reached
from tests.relay.tenants import Tenant
from tests.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def dog(relay: RelayProcess) -> Iterator[Service]:
    """The app on a relay with the limits that it has by default, under the same name."""
    tenant = Tenant(relay)  # a provider of its own: this process serves the name on `guarded` too
    yield tenant.serve(app, "cat", access="public", replace=True)
    tenant.leave()


# --- slow to send -----------------------------------------------------------------------------------------------------


def test_a_head_that_does_not_come(visitor: Visitor) -> None:
    assert visitor.read_to_end() == b""
    assert reached == []


def test_a_head_that_comes_by_drops(visitor: Visitor) -> None:
    """Each piece is in time; the whole is not."""
    visitor.send(head("get")[:-2])
    visitor.socket.settimeout(0.1)
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        visitor.send(b"X-A: 1\r\n")
        try:
            assert visitor.socket.recv(1) == b""
            break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        raise AssertionError("it is read for ever")
    assert reached == []


def test_a_second_head_that_comes_in_part(visitor: Visitor) -> None:
    visitor.send(head("first"))
    assert visitor.answer().status == 200
    visitor.read(1)
    visitor.send(b"GET /alice/apps/cat/sec")
    assert visitor.read_to_end() == b""
    assert reached == ["GET /first"]


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come(visitor: Visitor, framing: bytes) -> None:
    visitor.send(head("post", framing, method="POST") + b"1\r\nx")
    visitor.refused(408)


FORM = b"Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (b"login", [FORM, b"Origin: http://localhost"]),
        (b"device_authorization", [FORM]),
        (b"token", [FORM]),
        (b"api/keys", [b"Content-Type: application/json", b"Authorization: Bearer %s"]),
        (b"api/tokens", [b"Content-Type: application/json", b"Authorization: Bearer %s"]),
    ],
)
@pytest.mark.parametrize(
    "framing", [(b"Content-Length: 100", b"user="), (b"Transfer-Encoding: chunked", b"5\r\nuser=")]
)
def test_a_body_that_does_not_come_on_the_relays_own_pages(
    visitor: Visitor, watcher: Watcher, path: bytes, fields: list[bytes], framing: tuple[bytes, bytes]
) -> None:
    token = watcher.relay.token().encode()
    lines = [b"Host: localhost", *(line.replace(b"%s", token) for line in fields), framing[0]]
    visitor.send(b"POST /portico/%s HTTP/1.1\r\n%s\r\n\r\n%s" % (path, b"\r\n".join(lines), framing[1]))
    visitor.refused(408)


def test_a_form_of_another_site_is_not_waited_for(visitor: Visitor) -> None:
    origin = b"Origin: http://evil.test"
    lines = [b"Host: localhost", FORM, origin, b"Content-Length: 100"]
    visitor.send(b"POST /portico/login HTTP/1.1\r\n%s\r\n\r\nuser=" % b"\r\n".join(lines))
    assert visitor.answer().status == 403


def test_a_body_that_comes_slowly_is_taken(visitor: Visitor) -> None:
    """Longer than a piece may take in all, but each piece in time."""
    visitor.send(head("post", b"Content-Length: 8", method="POST"))
    for _ in range(7):
        visitor.send(b"x")
        assert select.select([visitor.socket], [], [], 0.2) == ([], [], [])
    visitor.send(b"x")
    assert visitor.answer().status == 200
    assert visitor.read(1) == b"8"


def test_an_upload_that_is_cut_short(visitor: Visitor) -> None:
    visitor.send(head("post", b"Content-Length: 100", method="POST") + b"x" * 99)
    visitor.half_close()
    assert b"99" not in visitor.read_to_end()


# --- too much ---------------------------------------------------------------------------------------------------------

LONG_HEADS = {
    "a long value": head("get", b"X-Long: " + b"x" * 70_000),
    "a long target": head("x" * 70_000),
    "a long name": head("get", b"x" * 70_000 + b": 1"),
    "many fields": head("get", *[b"X-%d: 1" % number for number in range(10_000)]),
}


@pytest.mark.parametrize("name", LONG_HEADS)
@pytest.mark.parametrize("piece", [1_000, 1_000_000])
def test_a_head_that_is_too_long(relay: RelayProcess, dog: Service, name: str, piece: int) -> None:
    reached.clear()
    sent = LONG_HEADS[name]
    with closing(Visitor(relay.port)) as visitor:
        for start in range(0, len(sent), piece):
            visitor.send(sent[start : start + piece])
        answer = visitor.answer()
    assert answer.status == 431, answer
    assert reached == []


@pytest.mark.parametrize("name", LONG_HEADS)
def test_a_head_that_is_too_long_behind_another_request_costs_that_nothing(
    relay: RelayProcess, dog: Service, name: str
) -> None:
    """Nothing is written into the answer that is under way."""
    reached.clear()
    with closing(Visitor(relay.port)) as visitor:
        visitor.send(head("before", b"Content-Length: 0") + LONG_HEADS[name])
        assert visitor.answer().status == 200
        rest = visitor.read_to_end()
    assert rest[:1] == b"0"
    assert b"HTTP/1.1 200" not in rest
    assert reached == ["GET /before"]


def test_a_head_without_an_end(relay: RelayProcess, dog: Service) -> None:
    reached.clear()
    with closing(Visitor(relay.port)) as visitor:
        visitor.send(head("get")[:-2])
        for number in range(1_000):
            visitor.send(b"X-%d: " % number + b"x" * 1_000 + b"\r\n")
            if select.select([visitor.socket], [], [], 0.001)[0]:
                break
        visitor.refused(431)
    assert reached == []


def test_as_many_streams_as_a_link_may_have(watcher: Watcher) -> None:
    port = watcher.relay.port
    with ExitStack() as stack:
        visitors = [stack.enter_context(closing(Visitor(port))) for _ in range(MOST_STREAMS)]
        for visitor in visitors:
            visitor.send(head("never"))
        watcher.until(streams=MOST_STREAMS)
        for sent in (head("one-more"), head("post", b"Content-Length: 1", method="POST") + b"x"):
            late = stack.enter_context(closing(Visitor(port)))
            late.send(sent)
            answer = late.answer()
            assert answer.status == 503
            assert int(answer.get("retry-after")[0]) >= 1
        assert set(reached) == {"GET /never"}
        visitors.pop().close()
        watcher.until(streams=MOST_STREAMS - 1)
        late = stack.enter_context(closing(Visitor(port)))
        late.send(head("now"))
        assert late.answer().status == 200


def test_more_connections_than_an_address_may_have(watcher: Watcher) -> None:
    """Of an address that is no proxy's; others are let in all the same."""
    port = watcher.relay.port
    with ExitStack() as stack:
        held = [stack.enter_context(closing(Visitor(port, "127.0.0.2"))) for _ in range(512)]
        for visitor in held[-3:]:
            visitor.send(head("get"))
            assert visitor.answer().status == 200
        turned_away = stack.enter_context(closing(Visitor(port, "127.0.0.2")))
        answer = turned_away.refused(429)
        assert int(answer.get("retry-after")[0]) >= 1
        other = stack.enter_context(closing(Visitor(port, "127.0.0.3")))
        other.send(head("get"))
        assert other.answer().status == 200


@pytest.mark.parametrize(
    "behind",
    [
        head("behind"),
        head("behind") * 10_000,
        head("behind", b"Content-Length: 1000000", method="POST") + b"x" * 1_000_000,
        head("behind", b"Content-Length: 10", method="POST"),
    ],
    ids=["one", "thousands", "an upload", "one in part"],
)
def test_who_leaves_with_requests_behind_one_is_seen_to_leave(watcher: Watcher, behind: bytes) -> None:
    with closing(Visitor(watcher.relay.port)) as visitor:
        visitor.send(head("never"))
        watcher.until(streams=1)
        visitor.send(behind)
        assert watcher.counts()["streams"] == 1
    watcher.until_nothing_is_left()
    assert reached == ["GET /never"]


# --- who does not read ------------------------------------------------------------------------------------------------


def test_a_visitor_who_takes_nothing(watcher: Watcher) -> None:
    port = watcher.relay.port
    slow = watcher.counter("portico_relay_slow_visitors_total")
    before = watcher.memory()
    most = 0
    with ExitStack() as stack:
        visitors = [stack.enter_context(closing(Visitor(port))) for _ in range(60)]
        for visitor in visitors:
            visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            visitor.send(head("endless"))
        watcher.until(streams=60)
        while watcher.counts()["streams"]:
            most = max(most, watcher.memory())
        for visitor in visitors:  # what was on its way, and no end of it
            visitor.answer()
            with pytest.raises(Cut):
                visitor.read(1_000 * MIB)
    assert most - before < 110 * MIB, "a link holds 64 MiB at most, and each connection as much as one write"
    assert watcher.counter("portico_relay_slow_visitors_total") == slow + 60


# --- who comes and goes -----------------------------------------------------------------------------------------------


def burst(port: int, count: int, sent: bytes, address: str = "127.0.0.1") -> None:
    """*count* connections, each of which is broken as soon as it has asked."""
    for number in range(count):
        visitor = Visitor(port, address)
        visitor.send(sent)
        visitor.close(reset=number % 2 == 0)


UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)

BURSTS = {
    "requests": head("never"),
    "downloads": head("endless"),
    "uploads": head("post", b"Content-Length: 100000", method="POST") + b"x" * 1000,
    "many at once": head("never") * 30,
    "WebSockets": head("socket", *UPGRADE),
}


@pytest.mark.parametrize("name", BURSTS)
def test_a_burst_leaves_nothing_behind_and_holds_nobody_up(relay: RelayProcess, dog: Service, name: str) -> None:
    watcher = Watcher(relay)
    threads = [threading.Thread(target=burst, args=(relay.port, 300, BURSTS[name])) for _ in range(4)]
    slowest = 0.0
    with httpx.Client(timeout=HANGS) as client:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            assert client.get(dog.url + "hello").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        for thread in threads:
            thread.join()
        assert slowest < 5
        watcher.until_nothing_is_left()
        assert client.get(dog.url + "hello").status_code == 200
    assert dog.session is not None
    session = dog.session
    eventually(lambda: not session.streams, HANGS)


def test_who_goes_on_with_it_is_sent_away_and_others_are_not(relay: RelayProcess, dog: Service) -> None:
    deadline = time.monotonic() + HANGS
    while True:
        burst(relay.port, 50, head("never"), "127.0.0.4")
        visitor = Visitor(relay.port, "127.0.0.4")
        visitor.send(head("hello"))
        answer = visitor.answer()
        visitor.close()
        if answer.status == 429:
            break
        assert answer.status == 200
        assert time.monotonic() < deadline
    assert int(answer.get("retry-after")[0]) >= 1
    assert httpx.get(dog.url + "hello", timeout=HANGS).status_code == 200
    Watcher(relay).until_nothing_is_left()


# --- the relay's own pages --------------------------------------------------------------------------------------------


def test_long_addresses_of_the_relays_own_pages_are_not_kept(relay: RelayProcess) -> None:
    """One letter of four bytes makes each of a text in Python as long, and `urllib.parse` keeps 128 of the last."""

    def ask(numbers: range) -> None:
        for number in numbers:
            visitor.send(
                b"GET /portico/%%F0%%9F%%98%%80%d%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (number, b"x" * 58_000)
            )
            answer = visitor.answer()
            assert answer.status == 414
            visitor.read(int(answer.get("content-length")[0]))

    watcher = Watcher(relay)
    with closing(Visitor(relay.port)) as visitor:
        ask(range(20))
        before = watcher.memory()
        ask(range(20, 320))
    assert watcher.memory() - before < 16 * MIB


@pytest.mark.parametrize("path", ["portico/login?next=", "portico/", "healthz?", "portico/api/me?"])
def test_an_address_of_the_relays_own_that_is_not_percent_encoded(relay: RelayProcess, path: str) -> None:
    with closing(Visitor(relay.port)) as visitor:
        visitor.send(b"GET /" + path.encode() + b"\xf0\x9f\x98\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert visitor.answer().status == 400
