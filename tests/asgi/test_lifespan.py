"""An app's lifespan: what it says, what it fails to say, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from portico.asgi.lifespan import Lifespan
from portico.errors import StartupFailed
from portico.types import ASGIApp, Receive, Scope, Send
from tests.transports.recorder import run

Reports = list[tuple[str, BaseException]]


def living(app: ASGIApp, work: Callable[[Lifespan], Awaitable[None]]) -> Reports:
    reports: Reports = []

    async def start() -> None:
        await work(Lifespan(app, lambda doing, error: reports.append((doing, error))))

    run(start)
    return reports


async def start_and_stop(lifespan: Lifespan) -> None:
    await lifespan.startup()
    await lifespan.shutdown()


def test_startup_state_and_shutdown() -> None:
    said: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        assert scope["asgi"]["version"] == "3.0"
        said.append((await receive())["type"])
        scope["state"]["model"] = "loaded"
        await send({"type": "lifespan.startup.complete"})
        said.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async def work(lifespan: Lifespan) -> None:
        await lifespan.startup()
        assert lifespan.state == {"model": "loaded"}
        assert said == ["lifespan.startup"]
        await lifespan.shutdown()
        await lifespan.shutdown()  # nothing happens the second time

    assert living(app, work) == []
    assert said == ["lifespan.startup", "lifespan.shutdown"]


def test_a_startup_that_fails_says_why() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            raise LookupError("no GPU")
        except LookupError:
            await send({"type": "lifespan.startup.failed", "message": "no GPU here\n"})
            raise

    async def work(lifespan: Lifespan) -> None:
        with pytest.raises(StartupFailed, match=r"^no GPU here$") as failed:
            await lifespan.startup()
        assert isinstance(failed.value.__cause__, LookupError)

    assert living(app, work) == []


def test_a_startup_that_fails_without_a_word() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})

    async def work(lifespan: Lifespan) -> None:
        with pytest.raises(StartupFailed, match="startup failed"):
            await lifespan.startup()

    assert living(app, work) == []


def test_an_app_that_ends_the_process_while_it_starts_has_failed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise SystemExit(3)

    async def work(lifespan: Lifespan) -> None:
        with pytest.raises(StartupFailed, match="SystemExit"):
            await lifespan.startup()

    assert living(app, work) == []


@pytest.mark.parametrize("returns", [True, False])
def test_an_app_that_knows_no_lifespan_is_served_all_the_same(returns: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not returns:
            assert scope["type"] == "http", "no lifespan here"

    assert living(app, start_and_stop) == []


def test_an_app_that_ignores_the_end_is_cancelled_and_reported() -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def work(lifespan: Lifespan) -> None:
        await lifespan.startup()
        await lifespan.shutdown(timeout=0.01)

    ((doing, error),) = living(app, work)
    assert doing == "shutdown"
    assert isinstance(error, TimeoutError)
    assert "0.01 s" in str(error)
    assert ended == ["cancelled"]


@pytest.mark.parametrize("says", [True, False])
def test_a_shutdown_that_fails_is_reported_and_not_raised(says: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if says:
            await send({"type": "lifespan.shutdown.failed", "message": "the disk is full"})
        else:
            raise OSError("the disk is full")

    ((doing, error),) = living(app, start_and_stop)
    assert doing == "shutdown"
    assert str(error) == "the disk is full"


def test_an_app_that_dies_between_is_reported_and_stops_at_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise LookupError("on purpose")

    ((_, error),) = living(app, start_and_stop)
    assert isinstance(error, LookupError)


def test_who_gives_up_waiting_for_a_startup_ends_it() -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def work(lifespan: Lifespan) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lifespan.startup(), 0.01)

    assert living(app, work) == []
    assert ended == ["cancelled"]


def test_an_event_that_is_none_is_the_apps_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(RuntimeError, match="no lifespan event"):
            await send({"type": "http.response.start"})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    assert living(app, start_and_stop) == []
