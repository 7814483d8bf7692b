"""One request and its answer over ASGI, and a visitor who leaves."""

import asyncio

import pytest

from portico.calls.exchange import Exchange, Leaving, new_id
from tests.waiting import until


def exchange(sent, method="GET", headers=(), always=(), **scope):
    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError("nothing is to be read")

    return Exchange({"type": "http", "method": method, "headers": list(headers), **scope}, receive, send, list(always))


def test_headers_are_found_by_lower_case_names_and_the_last_counts():
    own = exchange([], headers=[(b"X-A", b"1"), (b"x-a", b"2"), (b"x-b", b"\xe9")])
    assert own.headers == {"x-a": "2", "x-b": "\xe9"}


def test_the_visitor_is_whom_the_hub_has_verified():
    assert exchange([]).identity is None
    assert exchange([], extensions={"portico": {"name": "ann"}}).identity == {"name": "ann"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_json(method):
    sent = []
    own = exchange(sent, method, always=[(b"x-always", b"1")])
    asyncio.run(own.json({"a": "\u00e9"}, 201, [(b"x-own", b"2")]))
    head, body = sent
    assert head["status"] == 201
    assert head["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", b"14"),
        (b"x-own", b"2"),
        (b"x-always", b"1"),
        (b"x-request-id", own.id.encode()),
    ]
    assert body == {
        "type": "http.response.body",
        "body": b"" if method == "HEAD" else b'{"a":"\\u00e9"}',
        "more_body": False,
    }
    assert own.started


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_whole_answer_of_any_media_type(method):
    sent = []
    asyncio.run(exchange(sent, method).whole(b"\xff\x00", b"image/png", 203, [(b"x-own", b"1")]))
    assert sent[0]["status"] == 203
    assert sent[0]["headers"][:3] == [(b"content-type", b"image/png"), (b"content-length", b"2"), (b"x-own", b"1")]
    assert sent[1]["body"] == (b"" if method == "HEAD" else b"\xff\x00")


def test_ids_are_not_to_be_guessed():
    ids = {new_id("x_") for _ in range(100)}
    assert len(ids) == 100
    assert all(id.startswith("x_") and len(id) == 26 for id in ids)


# --- a visitor who leaves ------------------------------------------------------------------------------------------


def receiving(*types):
    """A receive() that gives these, one after the other, then waits; and whether it was asked for all of them."""
    left = list(types)

    async def receive():
        if left:
            return {"type": left.pop(0)}
        return await asyncio.Event().wait()

    return receive, left


@pytest.mark.parametrize("last", ["http.disconnect", "websocket.disconnect"])
def test_the_body_ends_when_the_visitor_leaves(last):
    async def run():
        receive, _ = receiving("http.request", last)
        async with Leaving(receive) as leaving:
            await asyncio.Event().wait()
        assert leaving.left
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(asyncio.wait_for(run(), 20))


def test_looking_for_the_visitor_can_begin_later():
    async def run():
        receive, left = receiving("http.disconnect")
        tasks = len(asyncio.all_tasks())
        async with Leaving(receive, after=60):
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == tasks
        assert left  # the body was over before
        async with Leaving(receive, after=0.001) as leaving:
            await asyncio.Event().wait()
        assert leaving.left

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_body_that_ends_by_itself():
    async def run():
        receive, _ = receiving()
        async with Leaving(receive) as leaving:
            await asyncio.sleep(0)
        assert not leaving.left
        await until(lambda: len(asyncio.all_tasks()) == 1)  # nobody watches any more

    asyncio.run(run())


def test_another_cancellation_goes_on():
    async def body():
        receive, _ = receiving()
        async with Leaving(receive):
            await asyncio.Event().wait()

    async def run():
        task = asyncio.ensure_future(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_an_exception_goes_on_also_after_the_visitor_has_left():
    async def run():
        receive, _ = receiving("http.disconnect")
        async with Leaving(receive):
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("the body's")

    with pytest.raises(ValueError, match="the body's"):
        asyncio.run(asyncio.wait_for(run(), 20))


def test_it_can_be_told_to_leave_and_by_other_messages():
    async def run():
        async with Leaving(None) as leaving:
            leaving.leave()
            await asyncio.Event().wait()
        assert leaving.left
        receive, left = receiving("a", "b", "c")
        async with Leaving(receive, lambda message: message["type"] == "b"):
            await asyncio.Event().wait()
        assert left == ["c"]

    asyncio.run(asyncio.wait_for(run(), 20))
