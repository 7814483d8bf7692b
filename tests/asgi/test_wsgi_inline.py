"""WSGI apps where there are no threads: the same app, called on the loop once its body is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from portico.asgi.wsgi import WSGIApp, _Inline
from portico.errors import InvalidOption
from portico.types import Message

SCOPE = {
    "type": "http", "method": "POST", "path": "/root/a", "raw_path": b"/root/a", "root_path": "/root", "scheme": "http",
    "query_string": b"", "headers": [(b"content-type", b"text/plain"), (b"content-length", b"8")],
}  # fmt: skip


def ask(app: Any, *messages: Message, method: str = "POST") -> list[Message]:
    """What is sent for a request that comes in *messages*."""
    sent: list[Message] = []
    coming = list(messages)

    async def receive() -> Message:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    asyncio.run(_Inline(WSGIApp(app), {**SCOPE, "method": method}).run(receive, send))
    return sent


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_by_the_rules_of_the_standards_own_validator() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/root", "/a")
        body = environ["wsgi.input"].read(100)
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body, b" twice"]

    sent = ask(validator(app), part(b"some"), part(b"body", False))
    assert sent[0]["status"] == 200
    assert b"".join(message["body"] for message in sent[1:]) == b"somebody twice"
    assert [message["more_body"] for message in sent[1:]][-1] is False


def test_a_generator_goes_out_piece_by_piece_and_is_closed() -> None:
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            yield b"one"
            yield b"two"
        finally:
            seen.append("closed")

    assert [message.get("body") for message in ask(app, part(b"", False))[1:]] == [b"one", b"two", b""]
    assert seen == ["closed"]


@pytest.mark.parametrize("messages", [(), (part(b"some"),), (part(b"some"), part(b"more"))])
def test_a_body_that_is_cut_calls_nothing(messages: tuple[Message, ...]) -> None:
    called: list[Any] = []
    assert ask(lambda environ, start_response: called.append(environ), *messages) == []
    assert called == []


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_the_app_raises_is_raised(error: type[BaseException]) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise error

    with pytest.raises(error):
        ask(app, part(b"", False))


@pytest.mark.parametrize("threads", [0, -1, 1001, True, "4", 2.5])
def test_what_is_no_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(InvalidOption, match="1 to 1000"):
        WSGIApp(lambda environ, start_response: [], threads=threads)
