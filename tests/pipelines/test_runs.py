"""``POST {name}/run``: what goes in, what comes out, and the texts of what goes wrong, as Hayhooks has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.responses import PlainTextResponse, StreamingResponse
from haystack.dataclasses import ReasoningContent, StreamingChunk
from pydantic import BaseModel
from starlette.datastructures import Headers, UploadFile

from portico.errors import PipelineError
from portico.pipelines.runs import piece_text, run_route
from portico.pipelines.streams.events import create_status_event
from portico.pipelines.streams.sse_stream import SSEStream
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.functions.visiting import form
from tests.models.visitor import Answer, visit
from tests.pipelines.serving import HERE, JSON, app, run, wrapped


class Bare(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None


class Echo(Bare):
    def run_api(self, text: str, times: int = 2) -> str:
        if text == "boom":
            raise ValueError("it broke\nin two lines")
        if text == "bare":
            raise ValueError
        if text == "key":
            raise KeyError("k")
        if text == "http":
            raise HTTPException(418, {"a": 1}, headers={"X-Tea": "yes"})
        if text == "exit":
            raise SystemExit(3)
        return 5 if text == "wrong" else text * times  # type: ignore[return-value]


def test_a_result_is_json_and_numbers_are_read_as_they_come() -> None:
    answer = run(app(n=Echo()), "n", {"text": "a", "times": "3", "more": 1})
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        200,
        "application/json",
        b'{"result":"aaa"}',
    )


def test_whatever_a_client_accepts_it_gets_what_the_pipeline_gives() -> None:
    for accept in ("text/event-stream", "text/plain", "image/png", "text/html"):
        answer = run(app(n=Echo()), "n", {"text": "a"}, headers={"accept": accept})
        assert answer.json == {"result": "aa"}, accept


@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        ("boom", 500, "Pipeline execution failed: it broke\nin two lines"),
        ("key", 500, "Pipeline execution failed: 'k'"),
        ("bare", 500, "Pipeline execution failed: ValueError"),
        ("http", 418, {"a": 1}),
        ("exit", 500, "Pipeline execution failed: 3"),
    ],
)
def test_a_failure_is_told_by_its_text_and_an_httpexception_as_it_is(text: str, status: int, detail: Any) -> None:
    answer = run(app(n=Echo()), "n", {"text": text})
    assert (answer.status, answer.json) == (status, {"detail": detail})
    assert (answer.headers.get("x-tea") == "yes") is (text == "http")


def test_a_result_of_another_type_is_a_failure() -> None:
    answer = run(app(n=Echo()), "n", {"text": "wrong"})
    assert answer.status == 500
    assert answer.json["detail"].startswith("Pipeline execution failed: ")


def test_a_failure_has_no_traceback_but_its_authors_log_has_and_so_has_a_visitor_who_may_see_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    quiet = run(app(n=Echo()), "n", {"text": "boom"})
    assert "Traceback" not in quiet.json["detail"]
    assert "in run_api" in caplog.text
    route = run_route(wrapped("n", Echo()), show_tracebacks=True)
    assert route is not None
    shown = asyncio.run(visit(route, "POST", "/n/run", {"text": "boom"}, headers=JSON))
    assert shown.json["detail"].startswith("Pipeline execution failed: it broke")
    assert "in run_api" in shown.json["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"{}", "missing", ["body", "text"]),
        (b"", "missing", ["body", "text"]),
        (b'{"text": 1}', "string_type", ["body", "text"]),
        (b'{"text": null}', "string_type", ["body", "text"]),
        (b'{"text": "a", "times": "x"}', "int_parsing", ["body", "times"]),
        (b"[1]", "object_type", ["body"]),
        (b'{"text"', "json_invalid", ["body"]),
        (b"\xff", "json_invalid", ["body"]),
    ],
)
def test_what_is_wrong_with_a_body_is_told_at_422_with_its_place(body: bytes, kind: str, loc: list[str]) -> None:
    answer = run(app(n=Echo()), "n", body, headers=JSON)
    assert answer.status == 422
    first = answer.json["detail"][0]
    assert (first["type"], first["loc"]) == (kind, loc)
    assert set(first) == {"type", "loc", "msg"}


# --- streams --------------------------------------------------------------------------------------------------------


class Pieces(Bare):
    def run_api(self, kind: str) -> Generator[Any, None, None]:
        def pieces() -> Iterator[Any]:
            yield "a"
            if kind == "fail":
                raise ValueError("in the middle")
            yield StreamingChunk(content="chunk")
            yield StreamingChunk(content="", index=0, reasoning=ReasoningContent(reasoning_text="why"))
            yield {"a": 1, "é": None}
            yield [1, "x"]
            yield 5
            yield 1.5
            yield True
            yield None
            yield create_status_event("for the page")
            yield "end"

        def early() -> Iterator[Any]:
            raise ValueError("at once")
            yield

        return early() if kind == "early" else pieces()  # type: ignore[return-value]


def test_pieces_are_plain_text() -> None:
    answer = run(app(n=Pieces()), "n", {"kind": "all"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "content-length" not in answer.headers
    assert answer.body.decode() == 'achunkwhy{"a": 1, "\\u00e9": null}[1, "x"]51.5trueend'
    assert answer.ended


def test_a_failure_in_the_middle_breaks_the_answer_off_and_one_before_it_is_answered() -> None:
    served = app(n=Pieces())
    broken = Answer()

    async def visit_it() -> None:
        async def send(message: dict[str, Any]) -> None:
            broken.sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b'{"kind": "fail"}', "more_body": False}

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/n/run", "headers": headers, **HERE}
        await served(scope, receive, send)

    with pytest.raises(Exception, match="in the middle"):
        asyncio.run(visit_it())
    assert (broken.status, broken.body, broken.ended) == (200, b"a", False)
    early = run(served, "n", {"kind": "early"})
    assert (early.status, early.json) == (500, {"detail": "Pipeline execution failed: at once"})


class Model(BaseModel):
    x: int = 1


def test_the_text_of_other_things() -> None:
    assert [piece_text(one) for one in (Model(), b"b\xc3\xa9", ValueError("v"), "", 0)] == ["x=1", "bé", "v", "", "0"]
    assert piece_text({"of": Model()}) == '{"of": "x=1"}'


class Says(Bare):
    """Whatever its annotation says, what it gives decides."""

    def run_api(self, kind: str) -> str:
        if kind == "generator":
            return (part for part in "xy")  # type: ignore[return-value]
        if kind == "sse":
            return SSEStream(iter(["one\ntwo", {"a": 1}, None, "é\r\nq"]))  # type: ignore[return-value]
        return kind


def test_a_generator_streams_whatever_the_annotation() -> None:
    answer = run(app(n=Says()), "n", {"kind": "generator"})
    assert (answer.headers["content-type"], answer.body) == ("text/plain; charset=utf-8", b"xy")
    assert run(app(n=Says()), "n", {"kind": "v"}).json == {"result": "v"}


def test_an_ssestream_has_a_line_of_data_for_each_line_of_text() -> None:
    answer = run(app(n=Says()), "n", {"kind": "sse"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    blocks = answer.body.decode().split("\n\n")
    assert blocks == ["data: one\ndata: two", 'data: {"a": 1}', "data: ", "data: é\ndata: q", ""]


class Async(Bare):
    async def run_api_async(self, kind: str) -> Any:
        async def pieces() -> AsyncGenerator[Any, None]:
            yield "one"
            await asyncio.sleep(0)
            yield StreamingChunk(content="two")

        if kind == "fail":
            raise ValueError("no")
        return pieces() if kind == "generator" else SSEStream(pieces()) if kind == "sse" else None


def test_coroutine_functions_stream_and_fail_the_same() -> None:
    served = app(n=Async())
    assert run(served, "n", {"kind": "generator"}).body == b"onetwo"
    assert run(served, "n", {"kind": "sse"}).body == b"data: one\n\ndata: two\n\n"
    assert run(served, "n", {"kind": "none"}).json == {"result": None}
    assert run(served, "n", {"kind": "fail"}).json == {"detail": "Pipeline execution failed: no"}


class Lists(Bare):
    def run_api(self, kind: str) -> list[str]:
        return iter(["p", "q"])  # type: ignore[return-value]


def test_an_iterator_that_is_no_generator_is_a_list() -> None:
    assert run(app(n=Lists()), "n", {"kind": "x"}).json == {"result": ["p", "q"]}


class Responds(Bare):
    def run_api(self, kind: str) -> Any:
        if kind == "stream":
            return StreamingResponse(iter(["a", "b"]), media_type="text/x")
        return PlainTextResponse("hello", 201, headers={"x-a": "b"})


def test_a_response_of_the_pipelines_own_goes_out_as_it_is() -> None:
    answer = run(app(n=Responds()), "n", {"kind": "x"})
    assert (answer.status, answer.headers["x-a"], answer.body) == (201, "b", b"hello")
    streamed = run(app(n=Responds()), "n", {"kind": "stream"})
    assert (streamed.headers["content-type"], streamed.body, streamed.ended) == ("text/x; charset=utf-8", b"ab", True)


# --- files ----------------------------------------------------------------------------------------------------------


class Uploads(Bare):
    def run_api(self, files: list[UploadFile] | None = None, n: int = 1, opt: str | None = None) -> dict[str, Any]:
        return {"files": [[file.filename, len(file.file.read())] for file in files or []], "n": n, "opt": opt}


def _made(make: Any) -> Any:
    """A wrapper whose pipeline makes a response itself."""

    class Made(Bare):
        def run_api(self) -> Any:
            return make()

    return Made()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: PlainTextResponse("a", headers={"x-a": "b\r\nset-cookie: c=d"}), "a header that none can be"),
        (lambda: PlainTextResponse("a", headers={"x-a": "b\0"}), "a header that none can be"),
        (lambda: PlainTextResponse("a", headers={"x-a: b\r\nx-b": "c"}), "a header that none can be"),
        (lambda: PlainTextResponse("a", headers={"": "c"}), "a header that none can be"),
        (lambda: PlainTextResponse("a", 99), "the status"),
        (lambda: PlainTextResponse("a", 999), "the status"),
        (lambda: StreamingResponse(iter(["a"]), headers={"x-a": "b\nc"}), "a header that none can be"),
    ],
)
def test_a_response_that_no_server_sends_is_a_failure_and_not_a_broken_connection(
    make: Any, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = run(app(n=_made(make)), "n", {})
    assert answer.status == 500
    assert answer.json["detail"].startswith("Pipeline execution failed: ")
    assert what in answer.json["detail"]
    assert not {"x-a", "set-cookie"} & answer.headers.keys()
    assert "cannot be sent" in caplog.text


def test_what_a_result_should_have_been_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    class Number:
        def setup(self) -> None: ...

        def run_api(self) -> str:
            return 5  # type: ignore[return-value]

    assert run(app(n=Number()), "n", {}).status == 500
    [record] = [one for one in caplog.records if "cannot be sent" in one.getMessage()]
    assert record.getMessage() == (
        "The result of 'n' cannot be sent: The function returned a int, which is not what its annotation says: "
        "Input should be a valid string."
    )
    assert record.exc_info is None


def test_a_header_of_the_pipelines_own_response_may_hold_what_headers_may() -> None:
    answer = run(app(n=_made(lambda: PlainTextResponse("a", 200, {"x-a": "b\tc; d"}))), "n", {})
    assert (answer.status, answer.headers["x-a"]) == (200, "b\tc; d")


class Unsayable(Exception):
    """One whose text ends the program."""

    def __str__(self) -> str:
        raise SystemExit(9)


def test_an_exception_whose_text_ends_the_program_is_told_by_its_name() -> None:
    class Broken(Bare):
        def run_api(self) -> str:
            raise Unsayable

    answer = run(app(n=Broken()), "n", {})
    assert (answer.status, answer.json["detail"]) == (500, "Pipeline execution failed: Unsayable")

    class Unmade(Bare):
        def setup(self) -> None:
            raise Unsayable

    with pytest.raises(PipelineError, match=r"Failed to call setup\(\) on pipeline wrapper instance: Unsayable"):
        app(n=Unmade())


def test_files_come_in_a_form_whose_fields_are_checked_like_json() -> None:
    served = app(n=Uploads())
    body, headers = form(("files", "a.txt", b"aaa"), ("files", "b.bin", b"\xff" * 5), ("n", "3"))
    answer = run(served, "n", body, headers=headers)
    assert answer.json == {"result": {"files": [["a.txt", 3], ["b.bin", 5]], "n": 3, "opt": None}}
    body, headers = form(("n", "x"))
    wrong = run(served, "n", body, headers=headers)
    assert (wrong.status, wrong.json["detail"][0]["loc"]) == (422, ["body", "n"])
    body, headers = form(("n", "4"))
    assert run(served, "n", body, headers=headers).json["result"] == {"files": [], "n": 4, "opt": None}
    refused = run(served, "n", b'{"n": 1}', headers=JSON)
    assert (refused.status, refused.json["detail"][0]["loc"]) == (422, ["body"])


# --- leaving --------------------------------------------------------------------------------------------------------


class Endless(Bare):
    def setup(self) -> None:
        self.pipeline = None
        self.ended = asyncio.Event()

    async def run_api_async(self) -> Any:
        async def pieces() -> AsyncGenerator[str, None]:
            try:
                while True:
                    yield "x"
                    await asyncio.sleep(0.001)
            finally:
                self.ended.set()

        return pieces()


def test_a_visitor_who_leaves_ends_the_stream_within_a_second() -> None:
    async def leave() -> None:
        wrapper = Endless()
        served = app(n=wrapper)
        headers = {"host": "localhost", **JSON}
        await visit(served, "POST", "/n/run", {}, leave=lambda answer: len(answer.frames) > 3, headers=headers, **HERE)
        await asyncio.wait_for(wrapper.ended.wait(), 1)

    asyncio.run(leave())


# --- odd bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.fuzz
def test_no_body_gives_a_500_or_hangs(fuzz_seconds: float) -> None:
    import random
    import time

    served = app(n=Echo(), u=Uploads())
    chosen = random.Random(7)
    good, headers = form(("files", "a.txt", b"aaa"), ("n", "3"), ("opt", "ä"))
    seeds = [b'{"text": "a", "times": 3}', b'{"text": "\\ud800"}', json.dumps({"text": [[[1]] * 9]}).encode()]
    end = time.monotonic() + fuzz_seconds
    while time.monotonic() < end:
        name, seed, more = chosen.choice([("n", chosen.choice(seeds), JSON), ("u", good, headers)])
        broken = bytearray(seed)
        for _ in range(chosen.randint(0, 6)):
            at = chosen.randrange(len(broken) + 1)
            broken[at : at + chosen.randint(0, 3)] = chosen.randbytes(chosen.randint(0, 3))
        answer = run(served, name, bytes(broken), headers=more)
        assert answer.status in (200, 400, 403, 413, 415, 422), bytes(broken)


# --- headers --------------------------------------------------------------------------------------------------------


class Heads(Bare):
    def run_api(self, text: str, headers: Headers | None = None) -> str:
        return f"{text} {headers.get('x-mine') if headers is not None else 'none'}"


def test_the_requests_headers_come_where_they_are_asked_for_and_no_field_forges_them() -> None:
    served = app(n=Heads())
    forged = {"text": "a", "headers": {"x-mine": "forged"}}
    assert run(served, "n", forged, headers={"x-mine": "true"}).json == {"result": "a true"}
    assert run(served, "n", forged).json == {"result": "a None"}
