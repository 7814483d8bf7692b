"""Delivers one generation to one client, as a stream of events or whole.

Here: what goes out when, in every outcome: an answer, an early failure with its real status, a late one as an error
frame, a client that leaves. Not here: what an answer looks like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from portico.calls.exchange import STREAM_HEADERS, Exchange
from portico.calls.sse import ClientLeft, Stream, compact
from portico.models.generation import Generation, Writer
from portico.models.service import Service

log = logging.getLogger(__name__)


async def deliver_stream(
    service: Service, exchange: Exchange, generation: Generation, writer: Writer, model: str
) -> None:
    """Stream the answer.

    The head goes out with the first frame, so a function that fails before it gives anything is answered with a
    status; after ``keep_alive`` seconds without one it goes out all the same.
    """

    async def open() -> None:
        await exchange.head(200, STREAM_HEADERS)
        for frame in writer.opening():
            await exchange.frame(frame)

    stream = Stream(open, exchange.frame, writer.beat, service.settings.keep_alive)
    try:
        try:
            await generation.run(writer, stream.write)
            last = writer.closing(generation)
        except ClientLeft:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything; answerable() logs
            answer = service.answerable(error, model)
            await stream.settle()
            if not stream.opened:
                await exchange.error(answer)
                return
            last = writer.failure(answer)
        for frame in last[:-1]:
            await stream.write(frame)
        await stream.settle()
        if not stream.opened:
            await open()
        await exchange.end(last[-1])
    except (ClientLeft, OSError):
        log.debug("The client left while %s was streaming", exchange.id)
    finally:
        stream.drop()


async def deliver_whole(
    service: Service,
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
        await exchange.error(service.answerable(error, model))
        return
    await exchange.json_text(text)
