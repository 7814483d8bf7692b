"""An app whose code raises what ends programs, in every place where an app's code can run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

KINDS: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "cancelled": asyncio.CancelledError,
}


def exiting() -> Any:
    """Each path raises the kind that it names, where it says."""
    app = FastAPI()

    @app.get("/fine")
    def fine() -> str:
        return "fine"

    @app.get("/async/{kind}")
    async def in_a_coroutine(kind: str) -> None:
        raise KINDS[kind]

    @app.get("/sync/{kind}")
    def in_a_thread(kind: str) -> None:
        raise KINDS[kind]

    @app.get("/stream/{kind}")
    async def in_a_stream(kind: str) -> StreamingResponse:
        async def pieces() -> Any:
            yield b"some"
            raise KINDS[kind]

        return StreamingResponse(pieces())

    @app.get("/task/{kind}")
    async def in_a_task(kind: str) -> str:
        async def work() -> None:
            raise KINDS[kind]

        task = asyncio.create_task(work())
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return "begun"

    @app.get("/awaited/{kind}")
    async def in_a_task_that_is_awaited(kind: str) -> None:
        async def work() -> None:
            raise KINDS[kind]

        await asyncio.create_task(work())

    @app.get("/group/{kind}")
    async def in_a_group(kind: str) -> None:
        async def work() -> None:
            raise KINDS[kind]

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(1)

    @app.get("/callback/{kind}")
    async def in_a_callback(kind: str) -> str:
        def work() -> None:
            raise KINDS[kind]

        asyncio.get_running_loop().call_soon(work)
        asyncio.get_running_loop().call_later(0.01, work)
        return "begun"

    @app.get("/executor/{kind}")
    async def in_an_executor(kind: str) -> None:
        def work() -> None:
            raise KINDS[kind]

        with ThreadPoolExecutor() as pool:
            await asyncio.get_running_loop().run_in_executor(pool, work)

    @app.get("/thread/{kind}")
    async def in_a_thread_of_its_own(kind: str) -> str:
        def work() -> None:
            raise KINDS[kind]

        threading.Thread(target=work).start()
        return "begun"

    @app.get("/behind/{kind}")
    async def in_the_background(kind: str, tasks: BackgroundTasks) -> str:
        def work() -> None:
            raise KINDS[kind]

        tasks.add_task(work)
        return "begun"

    @app.get("/close/{kind}")
    async def when_a_generator_is_closed(kind: str) -> StreamingResponse:
        def pieces() -> Any:
            try:
                yield b"some"
                raise ValueError
            finally:
                raise KINDS[kind]

        return StreamingResponse(pieces())

    @app.websocket("/websocket/{kind}")
    async def in_a_websocket(websocket: WebSocket, kind: str) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise KINDS[kind]

    return app


def starting(error: Callable[[], BaseException]) -> Any:
    """An app whose startup raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error()

    return app


WHOLE = ("async", "sync", "awaited", "group", "executor")
"""Where the visitor is answered with 500."""
CUT = ("stream", "close")
"""Where a part of the answer is out."""
BEHIND = ("task", "callback", "thread", "behind")
"""Where the visitor has the answer already."""
