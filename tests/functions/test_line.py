"""So many calls run at a time, the others wait in line."""

from __future__ import annotations

import asyncio

import pytest

from portico.errors import Busy
from portico.functions.line import MOST_WAITING, CallLine
from tests.waiting import until


def test_first_come_first_served_and_too_many_are_refused() -> None:
    async def main() -> None:
        line, order = CallLine(1), []

        async def come(number: int) -> None:
            await line.enter()
            order.append(number)
            line.leave()

        await line.enter()
        tasks = [asyncio.create_task(come(number)) for number in range(MOST_WAITING)]
        await until(lambda: line.waiting == MOST_WAITING)
        with pytest.raises(Busy):
            await line.enter()
        tasks[0].cancel()
        await until(lambda: line.waiting == MOST_WAITING - 1)
        line.leave()
        await asyncio.gather(*tasks[1:])
        assert order == list(range(1, MOST_WAITING))
        assert (line.running, line.waiting) == (0, 0)

    asyncio.run(main())
