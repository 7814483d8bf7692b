"""Large values are read and written on a few threads: nobody waits for ever, and nothing ends the loop."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from portico.functions.values.off_loop import AT_A_TIME, off_loop
from tests.waiting import until

who: ContextVar[str] = ContextVar("who")


def test_work_is_done_elsewhere_in_the_callers_context() -> None:
    async def main() -> tuple[int, str]:
        who.set("me")
        return await off_loop(lambda value, more: (threading.get_ident() + value - more, who.get()), 1, more=1)

    thread, name = asyncio.run(main())
    assert thread != threading.get_ident()
    assert name == "me"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("no"), ValueError),
        (SystemExit(1), RuntimeError),
        (KeyboardInterrupt(), RuntimeError),
        (StopIteration(), RuntimeError),
        (asyncio.CancelledError(), RuntimeError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_it_raises_is_raised_and_ends_no_loop(error: BaseException, raised: type[Exception]) -> None:
    def fail() -> None:
        raise error

    async def main() -> None:
        with pytest.raises(raised):
            await off_loop(fail)

    asyncio.run(main())


def test_only_so_many_at_a_time_and_who_leaves_gives_up_the_place() -> None:
    running = 0
    lock = threading.Lock()
    go = threading.Event()

    def work() -> None:
        nonlocal running
        with lock:
            running += 1
        go.wait(30)

    async def main() -> None:
        nonlocal running
        loop_is_free = asyncio.Event()
        tasks = [asyncio.create_task(off_loop(work)) for _ in range(AT_A_TIME + 3)]
        asyncio.get_running_loop().call_soon(loop_is_free.set)
        await loop_is_free.wait()
        await until(lambda: running == AT_A_TIME)
        tasks[-1].cancel()  # it has not begun, and never will
        tasks[0].cancel()  # it has, and another takes its place
        await until(lambda: running == AT_A_TIME + 1)
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert running == AT_A_TIME + 2

    asyncio.run(main())
