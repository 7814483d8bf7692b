"""A failure that comes of two event loops is explained to its author, once, and others are left alone."""

import asyncio
import threading

import pytest

from portico.calls.other_loop import NOTE, explain


def test_the_cause_of_an_error_is_looked_at_and_others_are_left_alone():
    def raised(make):
        try:
            make()
        except (ZeroDivisionError, ConnectionError) as error:
            explain(error)
            explain(error)
            return getattr(error, "__notes__", [])

    def wrapped():
        try:
            raise RuntimeError("<Event> is bound to a different event loop")
        except RuntimeError as error:
            raise ConnectionError("Connection error.") from error

    assert len(raised(wrapped)) == 1
    assert raised(lambda: 1 / 0) == []


@pytest.mark.parametrize("make", [asyncio.Lock, asyncio.Event, asyncio.Queue])
def test_what_asyncio_itself_says_is_known(make):
    """Each is waited for on one loop, then on another, as a cell's is by what is served."""
    ask = {asyncio.Lock: "acquire", asyncio.Event: "wait", asyncio.Queue: "get"}[make]
    thing = make()
    waiting = threading.Event()
    there = asyncio.new_event_loop()

    async def wait():
        if make is asyncio.Lock:
            await thing.acquire()
        waiter = asyncio.ensure_future(getattr(thing, ask)())
        await asyncio.sleep(0)
        waiting.set()
        await waiter

    asking = there.create_task(wait())
    thread = threading.Thread(target=there.run_forever)
    thread.start()
    try:
        assert waiting.wait(20)
        with pytest.raises(RuntimeError) as caught:
            asyncio.run(getattr(thing, ask)())
        explain(caught.value)
        assert caught.value.__notes__ == [NOTE]
        assert not asking.done()
    finally:
        there.call_soon_threadsafe(there.stop)
        thread.join(20)
        for left in asyncio.all_tasks(there):
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                there.run_until_complete(left)
        there.close()
