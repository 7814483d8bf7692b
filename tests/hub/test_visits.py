"""The hub's record of each exchange: what it says, who is told, and what it keeps when all is over."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import pytest

from portico.hub.answers import Answer
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit, Visits
from tests.in_process import TOKEN, HereHub, Received, a_hub, a_request, echo
from tests.waiting import turns, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


OWNER = (b"authorization", b"token " + TOKEN)


async def greet(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"ab" + body})


async def a_service(hub: HereHub, app: Any = greet, **descriptor: Any) -> None:
    kernel = await hub.kernel().connect()
    assert (await kernel.register("cat", app, **descriptor)).ok


async def test_a_visit_says_who_asked_what_of_whom_and_what_came_of_it() -> None:
    async with a_hub() as hub:
        await a_service(hub)
        visit = Visit(hub.visits, a_request("cat/x?secret=1", "POST", [OWNER]), "w")
        received = Received()
        forward = await hub.open(visit, received, fin=False)
        assert forward.upload(b"12345") is None
        forward.upload_done()
        await until(lambda: received.done)
        visit.answered(received.status)
        visit.end(COMPLETE)
        assert (visit.service, visit.who, visit.workspace, visit.method) == ("cat", "user:owner", "w", "POST")
        assert visit.path == b"/portico/apps/cat/x", "the query may hold a key"
        assert (visit.status, visit.code, visit.how) == (201, "", COMPLETE)
        assert (visit.received, visit.sent) == (5, 7)
        assert visit.replica is hub.registry.services["cat"].replicas[0]
        assert 0 < visit.came <= visit.opened <= visit.head <= visit.ended
        assert visit.id == visit.id != Visit(hub.visits, a_request("cat/")).id


async def test_messages_of_a_websocket_are_counted_both_ways() -> None:
    async with a_hub() as hub:
        await a_service(hub, access="public")
        visit = Visit(hub.visits, a_request("cat/", websocket=True))
        assert hub.visits.sockets_open == 1
        received = Received()
        forward = await hub.open(visit, received)
        await until(lambda: received.messages)
        forward.visitor_message(b"one", True)
        forward.visitor_message(b"three", True)
        assert (visit.messages_sent, visit.sent) == (1, 5)
        assert (visit.messages_received, visit.received) == (2, 8)
        visit.answered(101)
        forward.visitor_closed(1000, "")
        visit.end(COMPLETE)
        assert (hub.visits.sockets, hub.visits.sockets_open, hub.visits.abandoned) == (1, 0, 0)


async def test_requests_under_way_are_counted_once_and_given_back_however_they_end() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        while (await receive())["type"] != "http.disconnect":
            pass

    async with a_hub() as hub:
        await a_service(hub, never, access="public")
        replica = hub.registry.services["cat"].replicas[0]
        forward = await hub.open(a_request("cat/"), Received())
        assert replica.in_flight == 1
        forward.visitor_left()
        forward.visitor_left()
        assert replica.in_flight == 0
        assert forward.over


async def test_a_visitor_who_leaves_before_a_stream_is_open_gets_none() -> None:
    async with a_hub() as hub:
        await a_service(hub, echo)
        forward = hub.forward(a_request("cat/", headers=[OWNER]), Received())
        assert not hub.gateway.open_now(forward)
        forward.visitor_left()
        await hub.gateway.open(forward)
        assert forward.stream is None
        assert hub.registry.services["cat"].requests == 0


def test_the_first_word_on_how_it_ended_counts() -> None:
    visits, told = Visits(), []
    visits.ended.subscribe(lambda visit: told.append(visit.how))
    visit = Visit(visits, a_request("cat/"))
    visit.end(BROKEN)
    visit.end(LEFT)
    assert told == [BROKEN]
    assert visits.abandoned == 0


@pytest.mark.parametrize(
    ("websocket", "status", "how", "abandoned"),
    [
        (False, 0, LEFT, 1),
        (False, 200, LEFT, 1),
        (False, 200, COMPLETE, 0),
        (False, 200, BROKEN, 0),
        (True, 0, LEFT, 1),
        (True, 101, LEFT, 0),
    ],
)
def test_what_counts_as_abandoned(websocket: bool, status: int, how: str, abandoned: int) -> None:
    visits = Visits()
    visit = Visit(visits, a_request("cat/", websocket=websocket))
    if status:
        visit.answered(status)
    visit.end(how)
    assert visits.abandoned == abandoned
    assert visits.sockets_open == 0


def test_answers_in_the_hubs_own_words_are_counted_by_their_code() -> None:
    visits = Visits()
    visit = Visit(visits, a_request("cat/"))
    _, body = visit.render(Answer(404, "not_found", "No."))
    visit.answered(404)
    visit.end(COMPLETE)
    visits.refused(Answer(400, "bad_request", "What?"))
    assert visits.codes == {"not_found": 1, "bad_request": 1}
    assert visits.statuses == {404: 1, 400: 1}
    assert (visit.code, visit.sent) == ("not_found", len(body))


@pytest.mark.parametrize(("websocket", "begins"), [(False, b"<!doctype html>"), (True, b'{"error"')])
def test_a_page_is_for_who_asks_for_one_and_no_websocket_does(websocket: bool, begins: bytes) -> None:
    visit = Visit(Visits(), a_request("cat/", headers=[(b"accept", b"text/html, */*")], websocket=websocket))
    _, body = visit.render(Answer(404, "not_found", "No."))
    assert body[:15].lower().startswith(begins), body


def test_who_is_told_of_an_end_sees_the_request() -> None:
    visits, hosts = Visits(), []
    visits.ended.subscribe(lambda visit: hosts.append(visit.request.host))
    Visit(visits, a_request("cat/")).end(COMPLETE)
    assert hosts == ["hub.example:8888"]


def test_nothing_is_kept_of_a_visit_that_has_ended() -> None:
    visits = Visits()
    visit = Visit(visits, a_request("cat/"))
    visit.answered(200)
    visit.end(COMPLETE)
    gone = weakref.ref(visit)
    del visit
    assert gone() is None, "without the garbage collector, which would be felt"


def test_a_link_is_not_a_visit() -> None:
    visits = Visits()
    told: list[Visit] = []
    visits.ended.subscribe(told.append)
    visit = Visit(visits, a_request("link", websocket=True))
    visit.drop()
    assert visits.sockets_open == 0
    assert not told


class Slow(Received):
    """Takes one message, and is not through with it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def message(self, data: bytes, text: bool) -> asyncio.Future[None]:
        super().message(data, text)
        return self.taken


@pytest.mark.parametrize("end", ["visitor", "link"])
async def test_what_waits_behind_a_message_is_not_sent_once_it_is_over(end: str) -> None:
    async def talks(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(3):
            await send({"type": "websocket.send", "text": f"{number}"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with a_hub() as hub:
        await a_service(hub, talks, access="public")
        received = Slow()
        visit = Visit(hub.visits, a_request("cat/", websocket=True))
        forward = await hub.open(visit, received)
        await until(lambda: len(forward._queue) == 2)
        if end == "visitor":
            forward.visitor_closed(1006, "")
        else:
            await hub.publishers[0].cut()
        await until(lambda: forward.over)
        received.taken.set_result(None)
        await turns()
        assert received.messages == [b"0"]
        assert visit.messages_sent == 1
        assert not forward._queue
