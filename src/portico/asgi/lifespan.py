"""An app's lifespan (ASGI 3.0, Lifespan): startup before its first request, shutdown after its last.

An app that knows no lifespan is served all the same, as the specification asks.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import Any

from portico.asgi.carrier import ASGI, Report
from portico.calls.endings import is_failure
from portico.errors import StartupFailed
from portico.types import ASGIApp, Message, Scope


class Lifespan:
    """Runs *app*'s lifespan in one task of its own, from `startup` to `shutdown`."""

    def __init__(self, app: ASGIApp, report: Report, context: Context | None = None) -> None:
        """The app's code runs in a copy of *context*, by default the caller's."""
        self._app = app
        self._report = report
        self._context = context or copy_context()
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[bool] | None = None
        self._stopped = asyncio.Event()
        self._supported = False
        self._error: BaseException | None = None
        self._failure = ""
        self._given_up = False
        """Whether we have cancelled the task. A CancelledError before that is the app's own."""
        self._ending = False
        self.state: dict[str, Any] = {}
        """What the app put into ``scope["state"]``; each request gets a copy."""

    async def startup(self) -> None:
        """Start the app. Raises `StartupFailed`, with the app's own exception as its cause, if it says it cannot."""
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._to_app.put_nowait({"type": "lifespan.startup"})
        self._task = self._context.run(loop.create_task, self._run())
        try:
            self._supported = await self._started
        except asyncio.CancelledError:
            self._cancel()
            raise
        if self._failure:
            await asyncio.wait([self._task], timeout=1.0)
            raise StartupFailed(self._failure) from self._error

    async def shutdown(self, timeout: float = 10.0) -> None:
        """Let the app shut down, for at most *timeout* seconds; what goes wrong is reported, not raised."""
        if self._task is None or self._task.done():
            return
        self._ending = True
        if self._supported:
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            try:
                async with asyncio.timeout(timeout):
                    await self._stopped.wait()
            except TimeoutError:
                self._report("shutdown", TimeoutError(f"the app's shutdown took more than {timeout:g} s"))
        done, _ = await asyncio.wait([self._task], timeout=0.1 if self._stopped.is_set() else 0)
        if not done:
            self._cancel()
            await asyncio.wait([self._task], timeout=1.0)

    def _cancel(self) -> None:
        self._given_up = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": dict(ASGI), "state": self.state}
        assert self._started is not None
        try:
            await self._app(scope, self._to_app.get, self._send)
        except BaseException as error:  # noqa: BLE001 - the app's own, told to its author below
            if not is_failure(error, stopped=self._given_up, task=self._task):
                return
            self._error = error
            if self._started.done():
                if not self._failure:
                    self._report("shutdown" if self._ending else "lifespan", error)
            elif not isinstance(error, Exception):
                self._failure = f"the app ended with {type(error).__name__} while it started"
            # any other exception before startup.complete means "no lifespan here" (ASGI, Lifespan)
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
