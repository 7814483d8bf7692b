"""One function behind its URL: methods, arguments, results and failures, as programs see them."""

import asyncio
import io
import json
import logging
import re
from typing import Annotated, Any, Literal
from unittest.mock import Mock

import pytest
from pydantic import AfterValidator, BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from portico.functions.conventions import Conventions
from portico.functions.given import User
from portico.functions.mark import tool
from portico.functions.run_route import Manner, RunRoute, form_of
from portico.functions.signature import typed_function
from tests.functions.visiting import JSON, get, post, run, server
from tests.waiting import until


def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    """Price of a flat."""
    return area * rooms


@tool(get=True)
def add(a: int, b: int = 1) -> int:
    return a + b


# --- results ---------------------------------------------------------------------------------------------------------


def test_a_result():
    answer = run(server(predict), body={"area": 3})
    assert (answer.status, answer.json) == (200, {"result": 6.0})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]


def test_one_function_has_two_urls_and_several_have_one_each():
    assert run(server(predict), "/predict/run", {"area": 1}).json == {"result": 2.0}
    both = server(predict, add)
    assert run(both, "/add/run", {"a": 1}).json == {"result": 2}
    assert run(both, "/run", {"a": 1}).status == 404


@pytest.mark.parametrize("path", ["/run", "/run/", "/base/run", "/base/predict/run"])
def test_paths_are_below_the_root(path):
    assert run(server(predict), path, {"area": 1}, root_path="/base").status == 200


def test_without_a_body_there_are_no_arguments():
    def nothing() -> str:
        return "done"

    app = server(nothing)
    assert get(app, "/run", "POST").json == {"result": "done"}
    assert get(app, "/run", "POST", headers=JSON).json == {"result": "done"}
    assert get(server(predict), "/run", "POST").json["detail"][0]["loc"] == ["body", "area"]


def test_text_of_any_characters_comes_and_goes():
    def same(text: str) -> str:
        return text

    for text in ("", "\x00", "\u2028", "\U0001f600", '"\\\n'):
        assert run(server(same), body={"text": text}).json == {"result": text}


def test_another_form_is_given_where_it_is_asked_for():
    def said(text: str) -> str:
        return text

    answer = run(server(said), body={"text": "hé"}, headers={"accept": "text/plain"})
    assert (answer.headers["content-type"], answer.body) == ("text/plain; charset=utf-8", "hé".encode())
    refused = run(server(said), body={"text": "a"}, headers={"accept": "image/png"})
    assert refused.status == 406
    assert "text/plain" in refused.json["detail"]


# --- what is refused -------------------------------------------------------------------------------------------------


def test_each_wrong_field_is_named_and_nothing_that_was_sent_is_repeated():
    answer = run(server(predict), body={"area": "secret", "rooms": [], "city": "Rom", "extra": 1})
    assert answer.status == 422
    detail = answer.json["detail"]
    assert [one["loc"] for one in detail] == [["body", "area"], ["body", "rooms"], ["body", "city"], ["body", "extra"]]
    assert all(set(one) == {"type", "loc", "msg"} for one in detail)
    assert b"secret" not in answer.body


class Flat(BaseModel):
    area: Annotated[float, Field(gt=0)]
    rooms: list[int]


def test_a_wrong_field_is_named_where_it_stands():
    def price(flat: Flat) -> float:
        return flat.area

    answer = run(server(price), body={"flat": {"area": 0, "rooms": [1, "x"]}})
    assert [one["loc"] for one in answer.json["detail"]] == [["body", "flat", "area"], ["body", "flat", "rooms", 1]]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"nope", 400), (b'{"area": NaN}', 400), (b"\xff", 400), (b"[]", 422), (b"3", 422), (b"null", 422)],
)
def test_a_body_that_is_no_object(body, status):
    answer = run(server(predict), body=body)
    assert answer.status == status
    assert answer.json["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]
)
def test_only_json_runs_code_so_that_no_form_of_another_site_does(kind):
    called = []

    def note(text: str = "") -> None:
        called.append(text)

    answer = run(server(note), body={"text": "a"}, headers={"content-type": kind})
    assert (answer.status, answer.headers["accept-post"], called) == (415, "application/json", [])


def test_a_body_needs_a_media_type_and_a_form_without_one_comes_from_no_other_site():
    app = server(predict)
    assert get(app, "/run", "POST", body={"area": 1}).status == 415
    assert get(server(lambda: 1), "/run", "POST", headers={"sec-fetch-site": "cross-site"}).status == 403
    assert get(server(lambda: 1), "/run", "POST", headers={"sec-fetch-site": "same-origin"}).status == 200


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"])
def test_json_by_its_other_names(kind):
    assert run(server(predict), body={"area": 1}, headers={"content-type": kind}).status == 200


def test_a_body_that_is_too_long():
    app = server(predict)
    assert run(app, body=b"x" * 10, headers={"content-length": str(33 * 2**20)}).status == 413
    assert run(app, body=b" " * (32 * 2**20 + 1)).status == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_a_link_runs_no_code(method):
    answer = get(server(predict), "/run?area=3", method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert bool(answer.body) == (method != "HEAD")


def test_many_mistakes_are_told_in_short():
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    some = run(server(total), body={"numbers": ["x"] * 300}).json["detail"]
    assert len(some) == 101
    assert some[-1]["msg"] == "There are 200 more errors."
    assert len(run(server(total), body={"numbers": ["x"] * 50_000}).body) < 50_000


# --- where the author lets a GET call it ----------------------------------------------------------------------------


def test_a_get_takes_its_arguments_from_the_query():
    app = server(add)
    assert get(app, "/run?a=2&b=3").json == {"result": 5}
    assert get(app, "/add/run?a=2").json == {"result": 3}
    assert run(app, body={"a": 2}).json == {"result": 3}
    refused = get(app, "/run?b=x&c=1")
    assert refused.status == 422
    assert [one["loc"] for one in refused.json["detail"]] == [["query", "a"], ["query", "b"], ["query", "c"]]
    assert get(app, "/run?a=%ff").status == 400
    assert get(app, "/run?" + "&".join(f"x{n}=1" for n in range(1001))).status == 400
    assert get(app, "/run", "PUT").headers["allow"] == "GET, HEAD, POST"


def test_a_head_runs_nothing():
    called = []

    @tool(get=True)
    def note(text: str) -> None:
        called.append(text)

    answer = get(server(note), "/run?text=a", "HEAD")
    assert (answer.status, answer.body, called) == (200, b"", [])
    assert get(server(note), "/run", "HEAD").status == 422


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_in_short_and_shown_to_the_author():
    def fail() -> None:
        raise ValueError("no <b>\nsecond line")

    shown = []
    answer = run(server(fail, on_error=shown.append))
    assert (answer.status, answer.json) == (500, {"detail": "ValueError: no <b> second line"})
    assert [type(error) for error in shown] == [ValueError]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_whatever_a_function_raises_is_its_own(error, asynchronous):
    def fail() -> None:
        raise error("x")

    async def fail_async() -> None:
        raise error("x")

    app = server(fail_async if asynchronous else fail, add, on_error=lambda error: None)
    assert run(app, "/fail_async/run" if asynchronous else "/fail/run").status == 500
    assert run(app, "/add/run", {"a": 1}).status == 200


def refuses(error):
    def check(value: str) -> str:
        raise error

    def take(value: Annotated[str, AfterValidator(check)]) -> str:
        return value

    return take


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit("x"), asyncio.CancelledError("x"), MemoryError("x")])
def test_what_the_code_of_a_type_raises_is_told_as_what_a_function_raises(error):
    seen = []
    answer = run(server(refuses(error), on_error=seen.append), body={"value": ""})
    assert answer.status == 500
    assert answer.json["detail"].startswith(f"{type(error).__name__}: ")
    assert seen == [error]


class Unsayable(dict):
    """What has no JSON, and no text either."""

    def items(self):
        raise OSError

    def __repr__(self):
        raise OSError


@pytest.mark.parametrize("asked", ["application/json", "text/event-stream"])
def test_an_http_exception_is_answered_whatever_is_in_it(asked):
    def fail(headers: bool) -> None:
        if headers:
            raise HTTPException(503, "later", headers={"retry-after": 5, 3: "x", "x-list": ["x"]})
        raise HTTPException(400, Unsayable(x=1), headers=[("a", "b")])

    def named() -> None:
        raise type("N\r\n" * 100_000, (Exception,), {})("x")

    app = server(fail, named, on_error=lambda error: None)
    answer = run(app, "/fail/run", {"headers": True}, headers={"accept": asked})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    answer = run(app, "/fail/run", {"headers": False}, headers={"accept": asked})
    assert (answer.status, answer.json) == (400, {"detail": ""})
    answer = run(app, "/named/run", headers={"accept": asked})
    assert len(answer.body) < 300
    assert "\n" not in answer.json["detail"]


def test_a_result_that_says_that_it_is_of_another_class_is_the_functions_failure():
    def mocked() -> Any:
        return Mock(spec={})

    answer = run(server(mocked, on_error=lambda error: None))
    assert answer.status == 500
    assert "cannot be written" in answer.json["detail"]


@pytest.mark.parametrize("pattern", ["(" * 5000, "a{99999999999999999999}"])
def test_a_value_that_is_too_much_for_its_type_is_the_callers(pattern):
    def take(pattern: re.Pattern) -> str:
        return pattern.pattern

    app = server(take, on_error=lambda error: None)
    assert run(app, body={"pattern": pattern}).status == 422
    assert run(app, body={"pattern": "a+"}).json == {"result": "a+"}


def test_a_mistake_of_the_function_with_its_values_is_not_the_visitors():
    def fail() -> None:
        Flat(area=-1, rooms=[])

    answer = run(server(fail, on_error=lambda error: None))
    assert answer.status == 500
    assert answer.json["detail"].startswith("ValidationError: ")


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        (
            HTTPException(404, "none", {"X-Why": "gone", "Content-Length": "3", "bad name": "x", "x-nl": "a\nb"}),
            404,
            "none",
        ),
        (HTTPException(418, {"code": 1}), 418, {"code": 1}),  # type: ignore[arg-type]
        (HTTPException(999, "odd"), 500, "odd"),
        (HTTPException(400, object()), 400, None),  # type: ignore[arg-type]
    ],
)
def test_an_http_exception_passes(raised, status, detail):
    async def fail() -> None:
        raise raised

    shown = []
    answer = run(server(fail, on_error=shown.append))
    assert (answer.status, shown) == (status, [])
    assert answer.json["detail"] == detail if detail is not None else "object" in answer.json["detail"]
    if status == 404:
        assert answer.headers["x-why"] == "gone"
        assert answer.headers["content-length"] == str(len(answer.body))
        assert not {"bad name", "x-nl"} & set(answer.headers)


@pytest.mark.parametrize("status", [204, 304])
def test_an_http_exception_without_a_body(status):
    def fail() -> None:
        raise HTTPException(status)

    answer = run(server(fail))
    assert (answer.status, answer.body) == (status, b"")


def test_a_result_that_cannot_be_sent_is_the_functions_failure():
    def odd() -> object:
        return object()

    def wrong() -> int:
        return "x"  # type: ignore[return-value]

    shown = []
    app = server(odd, wrong, on_error=shown.append)
    for path in ("/odd/run", "/wrong/run"):
        answer = run(app, path, headers={"accept": "application/json"})
        assert answer.status == 500
        assert "Traceback" not in answer.json["detail"]
    assert len(shown) == 2


def test_failures_are_logged_where_nobody_else_is_told(caplog: pytest.LogCaptureFixture):
    def fail() -> None:
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        run(server(fail))
    assert "ValueError" in caplog.text


# --- what no visitor can set -----------------------------------------------------------------------------------------

ANN = {"access": "user", "user": {"id": "1", "name": "ann"}}


@tool(get=True)
def who(user: User, headers: Headers, note: str = "") -> dict[str, Any]:
    return {"name": user.name, "agent": headers.get("user-agent"), "note": note}


def test_who_calls_and_the_headers_are_the_requests():
    app = server(who)
    verified = {"extensions": {"portico": ANN}, "headers": {"user-agent": "me"}}
    assert run(app, body={"note": "x"}, **verified).json == {"result": {"name": "ann", "agent": "me", "note": "x"}}
    assert get(app, "/run", **verified).json["result"]["name"] == "ann"
    assert run(app).json == {"result": {"name": "", "agent": None, "note": ""}}


@pytest.mark.parametrize("field", ["user", "headers", "cancel", "progress"])
def test_no_field_sets_them(field):
    app = server(who)
    for answer in (run(app, body={field: {"name": "eve"}}), get(app, f"/run?{field}=eve")):
        assert answer.status == 422
        assert answer.json["detail"][0]["type"] == "extra_forbidden"


def test_no_header_says_who_calls():
    forged = dict.fromkeys(("x-user", "remote-user", "x-forwarded-user", "user", "x-portico-user"), "eve")
    assert run(server(who), headers=forged).json["result"]["name"] == ""


def test_not_even_where_any_field_is_taken():
    def any_field(user: User, **more: Any) -> dict[str, Any]:
        return {"name": user.name, "more": more}

    app = server(any_field)
    assert run(app, body={"x": 1}).json == {"result": {"name": "", "more": {"x": 1}}}
    assert run(app, body={"user": {"name": "eve"}}).status == 422


# --- a visitor who leaves ---------------------------------------------------------------------------------------------


def test_who_leaves_cancels_a_call_within_a_second():
    async def go() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        leaving = asyncio.Event()
        visit = asyncio.ensure_future(post(server(wait), "/run", {}, leaving=leaving))
        await begun.wait()
        leaving.set()
        async with asyncio.timeout(1):
            answer = await visit
            await ended.wait()
        assert answer.sent == []

    asyncio.run(go())


def test_a_function_is_swapped_while_it_runs():
    async def go() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def old(x: int) -> str:
            begun.set()
            await may_end.wait()
            return "old"

        async def new(y: str) -> str:
            return "new"

        app = server(old)
        first = asyncio.ensure_future(post(app, "/run", {"x": 1}))
        await begun.wait()
        app.replace({"new": typed_function(new)})
        assert (await post(app, "/run", {"y": "a"})).json == {"result": "new"}
        assert (await post(app, "/old/run", {"x": 1})).status == 404
        may_end.set()
        assert (await first).json == {"result": "old"}

    asyncio.run(go())


def test_calls_beyond_the_line_are_told_to_come_again():
    async def go() -> None:
        may_end = asyncio.Event()

        @tool(concurrency=1)
        async def slow() -> int:
            await may_end.wait()
            return 1

        typed = typed_function(slow)
        route = RunRoute(typed)
        assert typed.line is not None
        calls = [asyncio.ensure_future(post(route, "/", {})) for _ in range(101)]
        await until(lambda: typed.line.waiting == 100)
        refused = await post(route, "/", {})
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        may_end.set()
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}

    asyncio.run(go())


# --- other rooms' manner ----------------------------------------------------------------------------------------------


def test_a_room_has_a_manner_of_its_own():
    async def fail(x: int) -> str:
        raise ValueError("no")

    manner = Manner(told_of=lambda error: f"Pipeline execution failed: {error.message}")
    typed = typed_function(fail, conventions=Conventions(extra="ignore"))
    route = RunRoute(typed, manner=manner, report=lambda error: None)
    answer = run(route, "/anything", {"x": 1, "more": 2})
    assert (answer.status, answer.json) == (500, {"detail": "Pipeline execution failed: no"})


@pytest.mark.parametrize(
    ("accept", "whole", "pieces"),
    [
        ("", "whole", "text"),
        ("*/*", "whole", "text"),
        ("application/json", "whole", "whole"),
        ("application/json, */*;q=0.5", "whole", "whole"),
        ("application/vnd.portico.display+json", "whole", "whole"),
        ("text/event-stream", "events", "events"),
        ("text/event-stream, application/vnd.portico.display+json;q=0.9", "events", "events"),
        ("text/plain", "whole", "text"),
        ("text/csv", "whole", "whole"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "whole", "text"),
    ],
)
def test_the_form_that_is_asked_for(accept, whole, pieces):
    def words() -> Any:
        yield "a"

    assert form_of(accept, typed_function(predict)) == whole
    assert form_of(accept, typed_function(words)) == pieces


def test_json_is_written_once():
    """A long result is encoded beside the event loop, and comes as it is."""

    def rows() -> list[dict[str, int]]:
        return [{"n": n} for n in range(1000)]

    assert json.loads(run(server(rows)).body)["result"][-1] == {"n": 999}


def test_a_file_in_memory_is_a_result_and_no_lines():
    def told() -> io.BytesIO:
        return io.BytesIO(b"a\nb")

    def untold():
        return io.BytesIO(b"a\nb")

    app = server(told, untold)
    for path in ("/told/run", "/untold/run"):
        assert run(app, path).json == {"result": "YQpi"}
        assert run(app, path, headers={"accept": "application/octet-stream"}).body == b"a\nb"
