"""Functions of events as an app: which one a path leads to, what it is told, and what becomes of what it gives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from portico.asgi.event_functions import event_functions_app
from portico.errors import NotServable
from portico.protocol import ResetCode
from portico.types import Scope
from tests.asgi.served import Served, serving
from tests.transports.recorder import run
from tests.waiting import until


def who(scope: Scope) -> dict[str, Any]:
    return {"user": {"id": "ada"}, "ws": "home"}


def ask(functions: Any, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:
    """What the app of *functions* answers, under the root path /root."""
    made = {key: options.pop(key) for key in ("require_context", "max_body") if key in options}
    app = event_functions_app(functions, context=who, **made)
    answer: list[httpx.Response] = []

    async def work() -> None:
        transport = httpx.ASGITransport(app, root_path="/root")
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            answer.append(await client.request(method, "/root" + path, **options))

    run(work)
    return answer[0]


def says(word: str) -> Any:
    return lambda event: word


TREE = {
    "index": says("home"),
    "default": says("anything"),
    "hello": says("hello"),
    "api": {"v1": {"users": says("users"), "index": says("v1")}, "default": says("some api")},
    "deep/er": says("deeper"),
}


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/", "home"),
        ("", "home"),
        ("/index", "home"),
        ("/hello", "hello"),
        ("/hello/", "hello"),
        ("/hello/more", "anything"),
        ("/nothing/here", "anything"),
        ("/api", "some api"),
        ("/api/v1", "v1"),
        ("/api/v1/users/", "users"),
        ("/api/v2/users", "some api"),
        ("/deep/er", "deeper"),
        ("/deep", "anything"),
    ],
)
def test_which_function_a_path_leads_to(path: str, word: str) -> None:
    answer = ask(TREE, path)
    assert (answer.status_code, answer.text) == (200, word)


def test_no_function_is_404() -> None:
    assert ask({"hello": says("hello")}, "/other").status_code == 404


@pytest.mark.parametrize("functions", [{}, {"a": 1}, {"": says("x")}, {"a": says("x"), "a/b": says("y")}])
def test_what_are_no_functions(functions: Any) -> None:
    with pytest.raises(NotServable):
        event_functions_app(functions, context=who)


def test_what_an_event_tells() -> None:
    seen: list[Any] = []

    async def look(event: Any) -> None:
        seen.append(event)

    headers = [("X-Word", "one"), ("x-word", "two"), ("Cookie", "a=1"), ("Cookie", "b=2")]
    answer = ask({"api": {"look": look}}, "/api/look/?a=1&b=%20", "POST", content=b"body", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    [event] = seen
    assert event["method"] == "POST"
    assert (event["path"], event["function_path"], event["root_path"]) == ("/api/look/", "/api/look", "/root")
    assert event["query_string"] == "a=1&b=%20"
    assert event["body"] == b"body"
    assert (event["headers"]["x-word"], event["headers"]["cookie"]) == ("one, two", "a=1; b=2")
    assert event["context"] == who({})


def test_an_empty_body_is_none_and_a_long_one_is_refused() -> None:
    async def size(event: Any) -> str:
        return repr(event["body"])

    assert ask({"index": size}).text == "None"
    assert ask({"index": size}, "/", "POST", content=b"1234", max_body=4).text == "b'1234'"
    assert ask({"index": size}, "/", "POST", content=b"12345", max_body=4).status_code == 413


def test_the_context_is_given_to_who_asks_for_it() -> None:
    def me(event: Any, context: Any = None) -> Any:
        return context

    assert ask({"index": me}).status_code == 204
    assert ask({"index": me}, require_context=True).json() == who({})


@pytest.mark.parametrize(
    ("gives", "status", "kind", "content"),
    [
        ("text", 200, "text/plain; charset=utf-8", b"text"),
        (b"\x00", 200, "application/octet-stream", b"\x00"),
        ({"users": ["é"]}, 200, "application/json", '{"users":["é"]}'.encode()),
        ([1, 2], 200, "application/json", b"[1,2]"),
        ({"status": "ok"}, 200, "application/json", b'{"status":"ok"}'),
        ({}, 200, "application/json", b"{}"),
        (None, 204, None, b""),
        ({"status": 201, "body": {"id": 1}}, 201, "application/json", b'{"id":1}'),
        ({"status": 404}, 404, None, b""),
        ({"body": "<p>", "headers": {"Content-Type": "text/html"}}, 200, "text/html", b"<p>"),
    ],
)
def test_what_becomes_of_what_is_given(gives: Any, status: int, kind: str | None, content: bytes) -> None:
    answer = ask({"index": lambda event: gives})
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == (status, kind, content)


def test_several_fields_of_one_name() -> None:
    answer = ask({"index": lambda event: {"status": 200, "headers": {"Set-Cookie": ["a=1", "b=2"]}, "body": "x"}})
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_what_is_no_response_is_said() -> None:
    with pytest.raises(TypeError, match="gave a object, which is no response"):
        ask({"index": lambda event: object()})


def test_a_plain_function_does_not_hold_the_loop() -> None:
    threads: list[int] = []

    def plain(event: Any) -> str:
        threads.append(threading.get_ident())
        return "x"

    ask({"index": plain})
    assert threads != [threading.get_ident()]


async def counting(event: Any) -> AsyncIterator[Any]:
    yield "one "
    yield b"two "
    yield {"three": 3}


def plainly(event: Any) -> Iterator[str]:
    yield from ("a", "b")


def announced(event: Any) -> Iterator[Any]:
    yield {"status": 201, "headers": {"content-type": "text/event-stream"}}
    yield "data: 1\n\n"


async def within(event: Any) -> dict[str, Any]:
    return {"status": 206, "body": counting(event)}


def nothing(event: Any) -> Iterator[str]:
    return iter(())


@pytest.mark.parametrize(
    ("function", "status", "kind", "content"),
    [
        (counting, 200, "text/plain; charset=utf-8", b'one two {"three":3}\n'),
        (plainly, 200, "text/plain; charset=utf-8", b"ab"),
        (announced, 201, "text/event-stream", b"data: 1\n\n"),
        (within, 206, "text/plain; charset=utf-8", b'one two {"three":3}\n'),
        (nothing, 200, "text/plain; charset=utf-8", b""),
    ],
)
def test_generators_stream(function: Any, status: int, kind: str, content: bytes) -> None:
    answer = ask({"index": function})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (status, kind, content)
    assert "content-length" not in answer.headers


def test_each_piece_goes_out_before_the_next_and_a_generator_is_closed() -> None:
    async def work() -> None:
        ended: list[str] = []
        go_on = asyncio.Event()

        async def endless(event: Any) -> AsyncIterator[str]:
            try:
                yield "first"
                await go_on.wait()
                yield "never"
            finally:
                ended.append("closed")

        sent: asyncio.Queue[Any] = asyncio.Queue()
        scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], "query_string": b""}

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        app = event_functions_app({"index": endless}, context=who)
        task = asyncio.ensure_future(app(scope, receive, sent.put))
        assert (await sent.get())["type"] == "http.response.start"
        assert (await sent.get())["body"] == b"first"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["closed"]

    run(work)


def test_a_websocket_is_declined_and_a_lifespan_answered() -> None:
    async def work() -> None:
        app = event_functions_app({"index": says("x")}, context=who)
        sent: list[Any] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        given = iter(
            [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "websocket.connect"}],
        )

        async def receive() -> Any:
            return next(given)

        await app({"type": "lifespan"}, receive, keep)
        await app({"type": "websocket"}, receive, keep)
        assert [message["type"] for message in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
            "websocket.close",
        ]

    run(work)


@pytest.mark.parametrize("pieces", [(), (b"",), (b"delete=1",), (b"delete=1", b"2")])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_body_that_is_cut_calls_nothing(pieces: tuple[bytes, ...], asynchronous: bool) -> None:
    """Its beginning may mean what the whole does not."""
    called: list[Any] = []
    sent: list[Any] = []

    async def waits(event: Any) -> None:
        called.append(event)

    app = event_functions_app({"index": waits if asynchronous else called.append}, context=who)
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def receive() -> Any:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def work() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        await app(scope, receive, send)

    run(work)
    assert (called, sent) == ([], [])


ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("where", ["plain", "coroutine", "generator", "async_generator"])
def test_a_function_that_raises_what_ends_programs_has_failed(kind: type[BaseException], where: str) -> None:
    def plain(event: Any) -> None:
        raise kind

    async def coroutine(event: Any) -> None:
        raise kind

    def generator(event: Any) -> Iterator[str]:
        raise kind
        yield ""

    async def async_generator(event: Any) -> AsyncIterator[str]:
        raise kind
        yield ""

    async def work(served: Served) -> None:
        visitor = served.visit()
        await until(lambda: visitor.resets)
        assert visitor.resets[0][0] == ResetCode.APP_ERROR

    app = event_functions_app({"default": locals()[where]}, context=who)
    assert len(serving(app, work).apps.reports) == 1
