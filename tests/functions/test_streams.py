"""A result in pieces: as text, as events, whole; how far a call is; and every way in which a stream ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from portico.calls.run import Cancel
from portico.errors import FunctionError
from portico.functions.given import Progress
from portico.functions.streams import event
from tests.functions.visiting import post, run, sent_events, server
from tests.models.visitor import Answer
from tests.waiting import until

EVENTS = {"accept": "text/event-stream"}
WHOLE = {"accept": "application/json"}


def words(many: int = 3) -> Iterator[str]:
    for number in range(many):
        yield f"w{number} "
    return "all"  # type: ignore[return-value]


async def rows(many: int = 2) -> AsyncIterator[dict[str, int]]:
    for number in range(many):
        yield {"n": number}


def test_pieces_are_text_as_they_come():
    answer = run(server(words))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.frames == [b"w0 ", b"w1 ", b"w2 "]
    assert answer.ended
    assert run(server(rows)).frames == [b'{"n":0}\n', b'{"n":1}\n']


def test_pieces_are_events_where_they_are_asked_for():
    answer = run(server(words), headers=EVENTS)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert sent_events(answer) == [("", "w0 "), ("", "w1 "), ("", "w2 "), ("result", {"result": "all"})]
    assert sent_events(run(server(rows), headers=EVENTS)) == [
        ("", '{"n":0}'),
        ("", '{"n":1}'),
        ("result", {"result": None}),
    ]


def test_a_page_can_tell_pieces_of_json_from_texts():
    def mixed() -> Iterator[Any]:
        yield "1"
        yield 2
        yield "3\n"

    page = {"accept": "text/event-stream, application/vnd.portico.display+json;q=0.9"}
    assert [data for name, data in sent_events(run(server(mixed), headers=page)) if not name] == ["1", "2\n", "3\n"]
    assert [data for name, data in sent_events(run(server(mixed), headers=EVENTS)) if not name] == ["1", "2", "3\n"]


def test_pieces_are_a_list_where_they_are_to_come_at_once():
    assert run(server(words), headers=WHOLE).json == {"result": ["w0 ", "w1 ", "w2 "]}
    assert run(server(rows), headers=WHOLE).json == {"result": [{"n": 0}, {"n": 1}]}


@pytest.mark.parametrize("headers", [{}, EVENTS])
def test_no_pieces_at_all(headers):
    answer = run(server(words), body={"many": 0}, headers=headers)
    assert answer.status == 200
    assert answer.ended
    assert answer.body == (b'event: result\ndata: {"result":"all"}\n\n' if headers else b"all")


def test_text_of_an_event_may_have_lines():
    assert event("a\nb\r\nc\rd") == b"data: a\ndata: b\ndata: c\ndata: d\n\n"
    assert event("", "x") == b"event: x\ndata: \n\n"


def test_a_plain_function_can_be_asked_for_events():
    def half(x: float) -> float:
        return x / 2

    answer = run(server(half), body={"x": 3}, headers=EVENTS)
    assert sent_events(answer) == [("result", {"result": 1.5})]


def test_the_result_has_its_display_where_the_page_asks_for_it():
    def half(x: float) -> float:
        return x / 2

    both = {"accept": "text/event-stream, application/vnd.portico.display+json;q=0.9"}
    ((name, data),) = sent_events(run(server(half), body={"x": 3}, headers=both))
    assert name == "result"
    assert data["result"] == 1.5
    assert data["text"] == "1.5"


# --- how far it is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [True, False])
def test_progress_is_told_in_order(asynchronous):
    def work(progress: Progress) -> str:
        progress(0.5)
        progress(3, 10, "reading")
        return "done"

    async def work_async(progress: Progress) -> str:
        return work(progress)

    assert sent_events(run(server(work_async if asynchronous else work), headers=EVENTS)) == [
        ("progress", {"progress": 0.5, "total": 1.0, "message": None}),
        ("progress", {"progress": 3.0, "total": 10.0, "message": "reading"}),
        ("result", {"result": "done"}),
    ]


@pytest.mark.parametrize("asynchronous", [True, False])
def test_progress_comes_between_pieces(asynchronous):
    def work(progress: Progress) -> Iterator[str]:
        for number in range(3):
            progress(number, 3)
            yield str(number)

    async def work_async(progress: Progress) -> AsyncIterator[str]:
        for piece in work(progress):
            yield piece

    events = sent_events(run(server(work_async if asynchronous else work), headers=EVENTS))
    pieces = [data for name, data in events if not name]
    told = [data["progress"] for name, data in events if name == "progress"]
    assert (pieces, told, events[-1]) == (["0", "1", "2"], [0.0, 1.0, 2.0], ("result", {"result": None}))
    if asynchronous:
        assert [name for name, _ in events] == ["progress", ""] * 3 + ["result"]


def test_progress_is_told_while_the_function_works():
    async def go() -> None:
        may_end = threading.Event()

        def work(progress: Progress) -> str:
            progress(1, 2)
            may_end.wait(20)
            return "done"

        answer = None

        def seen(so_far: Answer) -> bool:
            nonlocal answer
            answer = so_far
            return False

        call = asyncio.ensure_future(post(server(work), "/run", {}, headers=EVENTS, leave=seen))
        await until(lambda: answer is not None and answer.frames)
        assert b"event: progress" in answer.frames[0]
        may_end.set()
        await call

    asyncio.run(go())


def test_of_too_many_steps_the_last_are_told():
    def work(progress: Progress) -> str:
        for number in range(100_000):
            progress(number, 100_000)
        return "done"

    events = sent_events(run(server(work), headers=EVENTS))
    assert events[-2][1]["progress"] == 99_999.0
    assert events[-1] == ("result", {"result": "done"})


def test_nobody_listens_to_the_progress_of_a_whole_answer():
    def work(progress: Progress) -> str:
        progress(0.5)
        return "done"

    assert run(server(work)).json == {"result": "done"}


# --- ends -------------------------------------------------------------------------------------------------------------


def fails_at_once() -> Iterator[str]:
    raise ValueError("no")
    yield ""


def fails_later() -> Iterator[str]:
    yield "a"
    raise ValueError("no")


async def fails_later_on_the_loop() -> AsyncIterator[str]:
    yield "a"
    raise ValueError("no")


@pytest.mark.parametrize("headers", [{}, EVENTS, WHOLE])
def test_what_fails_before_its_first_piece_has_a_status(headers):
    answer = run(server(fails_at_once, on_error=lambda error: None), headers=headers)
    assert (answer.status, answer.json) == (500, {"detail": "ValueError: no"})


@pytest.mark.parametrize("function", [fails_later, fails_later_on_the_loop])
def test_text_breaks_off_where_it_fails(function):
    shown, answers = [], []

    def seen(so_far: Answer) -> bool:
        answers.append(so_far)
        return False

    with pytest.raises(FunctionError):
        run(server(function, on_error=shown.append), leave=seen)
    assert answers[-1].frames == [b"a"]
    assert not answers[-1].ended
    assert [str(error) for error in shown] == ["no"]


@pytest.mark.parametrize("function", [fails_later, fails_later_on_the_loop])
def test_events_tell_of_the_failure(function):
    answer = run(server(function, on_error=lambda error: None), headers=EVENTS)
    assert sent_events(answer) == [("", "a"), ("error", {"detail": "ValueError: no", "status": 500})]
    assert answer.ended


def test_a_piece_that_is_no_json_is_the_functions_failure():
    def odd() -> Iterator[Any]:
        yield object()

    shown = []
    answer = run(server(odd, on_error=shown.append))
    assert answer.status == 500
    assert len(shown) == 1


@pytest.mark.parametrize("headers", [{}, EVENTS])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_who_leaves_ends_the_generator_within_a_second(headers, asynchronous):
    async def go() -> None:
        closed = threading.Event()

        def endless(cancel: Cancel) -> Iterator[str]:
            try:
                while True:
                    yield "x" * 1000
            finally:
                closed.set()

        async def endless_async() -> AsyncIterator[str]:
            try:
                while True:
                    yield "x" * 1000
                    await asyncio.sleep(0)
            finally:
                closed.set()

        app = server(endless_async if asynchronous else endless)
        async with asyncio.timeout(5):
            await post(app, "/run", {}, headers=headers, leave=lambda answer: len(answer.frames) > 10)
            await until(closed.is_set)

    asyncio.run(go())


def test_a_silent_stream_of_events_gives_signs_of_life():
    from portico.functions.run_route import Manner, RunRoute
    from portico.functions.signature import typed_function

    async def go() -> None:
        beaten = asyncio.Event()

        async def slow() -> str:
            await beaten.wait()
            return "done"

        def seen(answer: Answer) -> bool:
            if b": \n\n" in answer.frames:
                beaten.set()
            return False

        route = RunRoute(typed_function(slow), manner=Manner(keep_alive=0.01))
        answer = await post(route, "/run", {}, headers=EVENTS, leave=seen)
        assert sent_events(answer)[-1] == ("result", {"result": "done"})

    asyncio.run(go())
