"""Real servers and real clients for the tests of the chat server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from openai import OpenAI

Serve = Callable[[Any], str]


@contextmanager
def uvicorn_on_loopback(app: Any) -> Iterator[str]:
    """Serve *app* on a thread; the base URL, without ``/v1``."""
    import uvicorn  # not where there are no threads: these tests run in Pyodide too

    # asyncio turns Nagle off for sockets that say they are TCP; else an answer in two writes takes 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    started = threading.Event()
    startup = server.startup

    async def tell(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves apps until the test is over."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(uvicorn_on_loopback(app))


@pytest.fixture
def sdk(serve: Serve) -> Iterator[Callable[..., OpenAI]]:
    """Makes OpenAI clients of apps, with the SDK's own retries."""
    with ExitStack() as stack:

        def client(app: Any, **options: Any) -> OpenAI:
            return stack.enter_context(OpenAI(base_url=f"{serve(app)}/v1", api_key="any", **options))

        yield client
