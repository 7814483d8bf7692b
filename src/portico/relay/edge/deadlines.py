"""How long the server waits for the other end of a connection."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

from portico.relay.state import RelayState


class TakingDeadline:
    """Cuts a connection whose other end takes nothing of what waits for it (`RelayConfig.write_timeout`)."""

    __slots__ = ("_state", "_timer")

    def __init__(self, state: RelayState) -> None:
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Something waits on *transport*."""
        if self._timer is None:
            seconds = self._state.config.write_timeout
            self._timer = asyncio.get_running_loop().call_later(seconds, self.cut, transport)

    def forget(self) -> None:
        """It was taken, or the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut(self, transport: asyncio.Transport) -> None:
        self._state.counters.slow += 1
        transport.abort()


class IdleConnection(Protocol):
    """What is closed when nothing has come on it for a while."""

    transport: asyncio.Transport

    def is_idle(self) -> bool:
        """Whether it is between two requests, and nothing of the next one has come."""


class Idleness:
    """Closes a connection that has been idle for some *seconds*: one timer for many requests, where uvicorn makes and
    cancels one for each."""

    __slots__ = ("_seconds", "_since", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: IdleConnection) -> None:
        """A request has been answered."""
        self._since = monotonic()
        if self._timer is None:
            self._watch(connection, self._seconds)

    def forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, connection: IdleConnection, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look, connection)

    def _look(self, connection: IdleConnection) -> None:
        self._timer = None
        if connection.is_idle():
            left = self._since + self._seconds - monotonic()
            if left > 0.0:
                self._watch(connection, left)
            else:
                connection.transport.close()
