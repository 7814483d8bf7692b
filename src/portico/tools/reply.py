"""One request while it is answered: by the SDK's `Server`, over HTTP, in the task that brought it.

The answer is JSON; or a stream of events, once there is something to tell before it, or it takes long. A client that
leaves cancels it. Here: what clients of all versions have in common.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import ServerRunner
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from pydantic import ValidationError
from starlette.requests import Request

from portico.calls.exchange import Exchange, Leaving
from portico.calls.sse import STREAM_HEADERS, AnswerStream, ClientLeft
from portico.tools.wire import SILENCE, beat, error_message, event, notification
from portico.types import Headers

log = logging.getLogger(__name__)

REQUEST_CANCELLED = -32800
"""The code by which the SDK ends the stream of a request that its client has cancelled (Language Server Protocol)."""


LOOKS_AFTER = 0.05
"""Seconds before which nobody looks whether the client has left: most calls are over by then."""


class Reply:
    """Answers one request. For the SDK it is the `DispatchContext`: the server asks nothing of clients."""

    can_send_request = False

    def __init__(
        self,
        server: Server[Any],
        exchange: Exchange,
        connection: Connection,
        message: types.JSONRPCRequest,
        *,
        events: bool,
        headers: Headers | None = None,
        statuses: Mapping[int, int] | None = None,
        done: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """*events*: whether the client takes a stream of them for an answer. *headers* go with either.

        *statuses* are those of HTTP for codes of errors, where it is not 200. *done* is called with the result before
        it is told, and may raise.
        """
        self._server = server
        self._exchange = exchange
        self._connection = connection
        self._message = message
        self._events = events
        self._own: Headers = headers or []
        self._statuses = statuses or {}
        self._done = done
        self._cancelled = False
        self._leaving = Leaving(exchange.receive, after=LOOKS_AFTER)
        self._stream = AnswerStream(self._open, exchange.frame, beat, SILENCE if events else 0)
        self.request_id = message.id
        self.transport = TransportContext(kind="streamable-http", can_send_request=False, headers=exchange.headers)
        self.message_metadata = ServerMessageMetadata(request_context=Request(exchange.scope))
        self.cancel_requested = anyio.Event()

    def cancel(self) -> None:
        """Cancel what is done for it; its client is told so."""
        self._cancelled = True
        self._leaving.leave()

    async def give(self) -> None:
        """Answer. Raises what *done* raises."""
        answer = error_message(self.request_id, REQUEST_CANCELLED, "The request was cancelled.")
        try:
            async with self._leaving:
                answer = await self._result()
            if self._leaving.left and not self._cancelled:
                log.debug("The client left during %s", self._exchange.id)
                return
            await self._stream.settle()
            if self._stream.opened:
                await self._exchange.end(event(answer))
            else:
                error = answer.get("error")
                status = 200 if error is None else self._statuses.get(error["code"], 200)
                await self._exchange.json(answer, status, self._own)
        except (ClientLeft, OSError):
            log.debug("The client left during %s", self._exchange.id)
        finally:
            self._stream.drop()

    async def _result(self) -> dict[str, Any]:
        id, method, params = self.request_id, self._message.method, self._message.params
        try:
            # `serve_one` would do the same, and close what nobody has opened on the connection.
            result = await ServerRunner(self._server, self._connection, None).on_request(self, method, params)
        except MCPError as error:
            return error_message(id, error.code, error.message, error.data)
        except ValidationError as error:
            message = f"The parameters of {method[:100]!r} cannot be used{_where(error)}."
            return error_message(id, types.INVALID_PARAMS, message)
        except (ClientLeft, OSError):
            raise
        except Exception:  # a defect of ours, or of the SDK: the client gets an answer, the log the traceback
            log.exception("Request %s failed", self._exchange.id)
            return error_message(id, types.INTERNAL_ERROR, "The server failed.")
        if self._done is not None:
            self._done(result)
        return {"jsonrpc": "2.0", "id": id, "result": result}

    async def _open(self) -> None:
        await self._exchange.head(200, [*STREAM_HEADERS, *self._own])

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Tell the client something before the answer. Raises `ClientLeft`."""
        if self._events:
            await self._stream.write(event(notification(method, params)))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far its request is, if it has asked for that."""
        meta = (self._message.params or {}).get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if token is None:
            return
        told: dict[str, Any] = {"progressToken": token, "progress": progress}
        if total is not None:
            told["total"] = total
        if message is not None:
            told["message"] = message
        await self.notify("notifications/progress", told)


def _where(error: ValidationError) -> str:
    """Which field is at fault. What was sent is not repeated."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    named = [".".join(str(part) for part in one["loc"]) for one in errors[:5] if one["loc"]]
    return f": look at {', '.join(name[:100] for name in named)}" if named else ""
