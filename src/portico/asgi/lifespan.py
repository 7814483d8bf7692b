"""An app's lifespan (ASGI 3.0, Lifespan): startup before its first request, shutdown after its last.

An app that knows no lifespan is served all the same, as the specification asks.
"""

from __future__ import annotations

import asyncio
from typing import Any

from portico.asgi.carrier import ASGI, Report
from portico.errors import StartupFailed
from portico.types import ASGIApp, Message, Scope


class Lifespan:
    """Runs *app*'s lifespan in one task of its own, from `startup` to `shutdown`."""

    def __init__(self, app: ASGIApp, report: Report) -> None:
        self._app = app
        self._report = report
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[bool] | None = None
        self._stopped = asyncio.Event()
        self._supported = False
        self._error: BaseException | None = None
        self._failure = ""
        self.state: dict[str, Any] = {}
        """What the app put into ``scope["state"]``; each request gets a copy."""

    async def startup(self) -> None:
        """Start the app. Raises `StartupFailed`, with the app's own exception as its cause, if it says it cannot."""
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._to_app.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run())
        try:
            self._supported = await self._started
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._failure:
            await asyncio.wait([self._task], timeout=1.0)
            raise StartupFailed(self._failure) from self._error

    async def shutdown(self, timeout: float = 10.0) -> None:
        """Let the app shut down, for at most *timeout* seconds; what goes wrong is reported, not raised."""
        if self._task is None or self._task.done():
            return
        if self._supported:
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            try:
                await asyncio.wait_for(self._stopped.wait(), timeout)
            except TimeoutError:
                self._report("shutdown", TimeoutError(f"the app's shutdown took more than {timeout:g} s"))
        done, _ = await asyncio.wait([self._task], timeout=0.1 if self._stopped.is_set() else 0)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": dict(ASGI), "state": self.state}
        assert self._started is not None
        try:
            await self._app(scope, self._to_app.get, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - before startup.complete it means "no lifespan here" (ASGI, Lifespan)
            self._error = error
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self._failure = f"the app ended with {type(error).__name__} while it started"
            elif self._started.done() and not self._failure:
                self._report("shutdown", error)
        finally:
            self._stopped.set()
            if not self._started.done():
                self._started.set_result(False)

    async def _send(self, message: Message) -> None:
        assert self._started is not None
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            if not self._started.done():
                self._started.set_result(True)
        elif kind == "lifespan.startup.failed":
            self._failure = (message.get("message") or "").strip() or "the app's startup failed"
            if not self._started.done():
                self._started.set_result(True)
        elif kind == "lifespan.shutdown.complete":
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed":
            self._stopped.set()
            self._report("shutdown", RuntimeError((message.get("message") or "").strip() or "shutdown failed"))
        else:
            raise RuntimeError(f"{kind!r} is no lifespan event")
