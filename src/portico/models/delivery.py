"""Delivers one generation to one client over HTTP, as a stream of events or whole.

Here: what `portico.calls.sse` needs to stream a generation, and the same outcomes for a whole answer. Not here: what an
answer looks like, which the endpoints' writers say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.calls.exchange import Exchange
from portico.calls.json_text import compact
from portico.calls.sse import Write, deliver
from portico.errors import PorticoError
from portico.models.engine import Engine
from portico.models.generation import Generation, Writer


class _OverHTTP:
    """A generation as `deliver` wants it."""

    def __init__(self, engine: Engine, exchange: Exchange, generation: Generation, writer: Writer, model: str) -> None:
        self.opening = writer.opening
        self.failure = writer.failure
        self.beat = writer.beat
        self._engine = engine
        self._exchange = exchange
        self._generation = generation
        self._writer = writer
        self._model = model

    async def make(self, write: Write) -> list[bytes]:
        await self._generation.run(self._writer, write)
        return self._writer.closing(self._generation)

    def failed(self, error: BaseException) -> PorticoError:
        return self._engine.answerable(error, self._model)

    async def refuse(self, error: PorticoError) -> None:
        await self._engine.refuse(self._exchange, error)


async def deliver_stream(
    engine: Engine, exchange: Exchange, generation: Generation, writer: Writer, model: str
) -> None:
    """Stream the answer; see `deliver`."""
    await deliver(exchange, _OverHTTP(engine, exchange, generation, writer, model), engine.settings.keep_alive)


async def deliver_whole(
    engine: Engine,
    exchange: Exchange,
    generation: Generation,
    answer: Callable[[], dict[str, Any]],
    model: str,
    writer: Writer | None = None,
) -> None:
    """Make the whole answer, then send what *answer* makes of it.

    A *writer* is shown what comes, too; its frames are dropped.
    """
    try:
        await generation.run(writer)
        text = compact(answer())  # here, as a model may have given what JSON does not know
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything; answerable() logs
        await engine.refuse(exchange, engine.answerable(error, model))
        return
    await exchange.json_text(text)
