"""A form whose visitor left in the middle: the part of it that came is acted on by nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portico.relay.counters import Counters
from portico.relay.edge.asgi_http import RequestReading


@pytest.mark.parametrize("pieces", [(), (b"password=open",), (b"password=open+", b"sesame&next=")])
@pytest.mark.parametrize("whole", [False, True])
def test_of_a_form_all_is_read_or_nothing(pieces: tuple[bytes, ...], whole: bool) -> None:
    async def work() -> None:
        coming: list[Any] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        coming.append(
            {"type": "http.request", "body": b"", "more_body": False} if whole else {"type": "http.disconnect"}
        )

        async def receive() -> Any:
            return coming.pop(0)

        assert await RequestReading(30.0, Counters()).form(receive) == (b"".join(pieces) if whole else None)

    asyncio.run(work())
