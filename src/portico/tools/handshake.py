"""Clients that shake hands before they call (MCP 2024-11-05 to 2025-11-25): their sessions and streams over HTTP.

Each request is answered in the task that brought it: with JSON, or as a stream of events once there is something to
tell before the answer. The SDK's `Server` does what is asked. The SDK's own transport for these versions keeps tasks
and queues for each session, which cost several times as much, and does not know whose a session is.

Where it is stateless, a client is given no session, and needs none: what it asks is answered as if the hands were
shaken, in the newest of these versions unless it names another. Two processes may then answer one client in turn, and
a client goes on after its server was started anew. To cancel a call it leaves.

What differs from the letter of the specification: a client whose stream breaks is taken to have left, and its call is
cancelled, since streams cannot be resumed here, and so its result could never be told. Source: MCP specification
2025-11-25, "Transports", "Cancellation"; JSON-RPC 2.0.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from portico.calls.body import read_body
from portico.calls.callers import caller_of, owner_of
from portico.calls.exchange import Exchange, Leaving
from portico.calls.sse import STREAM_HEADERS, AnswerStream, ClientLeft
from portico.tools.changes import Changes, Listener, TooManyListeners
from portico.tools.reply import Reply
from portico.tools.sessions import ClientSession, ClientSessions, TooManySessions
from portico.tools.wire import SILENCE, Refusal, accepted, beat, decoded, event, is_json, message_of, notification
from portico.types import Headers

log = logging.getLogger(__name__)

SESSION = "mcp-session-id"

RETRY = [(b"retry-after", b"60")]
"""Seconds: some minute or other those who hold all that may be held will have gone."""

CHANGED = event(notification("notifications/tools/list_changed"))


class Handshake:
    """Answers such clients."""

    def __init__(self, server: Server[Any], changes: Changes, max_body: int, *, stateless: bool = False) -> None:
        self._server = server
        self._changes = changes
        self._max_body = max_body
        self._stateless = stateless
        self.sessions = ClientSessions(asyncio.get_running_loop().time)

    def close(self) -> None:
        """End the sessions."""
        self.sessions.close()

    async def answer(self, exchange: Exchange) -> None:
        """Answer one HTTP request. Raises `Refusal`, and as `read_body` does."""
        method = exchange.scope["method"]
        if method == "POST":
            await self._post(exchange)
        elif method == "GET":
            await self._get(exchange)
        elif method == "DELETE" and not self._stateless:
            self.sessions.remove(self._session(exchange))
            await exchange.head(200, [(b"content-length", b"0")])
            await exchange.end()
        else:
            allow = b"GET, POST" if self._stateless else b"DELETE, GET, POST"
            raise Refusal(f"{method[:20]} is not allowed here.", 405, headers=[(b"allow", allow)])

    def _session(self, exchange: Exchange) -> ClientSession:
        if self._stateless:
            version = exchange.headers.get(MCP_PROTOCOL_VERSION_HEADER) or LATEST_HANDSHAKE_VERSION
            return ClientSession(owner_of(exchange.scope), caller_of(exchange.scope), version)
        id = exchange.headers.get(SESSION)
        if id is None:
            raise Refusal(
                "This is the address of an MCP server, for MCP clients: begin with a POST of initialize, or name the "
                "session in Mcp-Session-Id."
            )
        session = self.sessions.get(id, owner_of(exchange.scope))
        if session is None:
            raise Refusal("There is no such session. Begin a new one.", 404)
        return session

    async def _post(self, exchange: Exchange) -> None:
        if not is_json(exchange):
            raise Refusal("Content-Type must be application/json.", 415)
        takes_json, takes_events = accepted(exchange)
        if not takes_json:
            raise Refusal("Accept must name application/json and text/event-stream.", 406)
        raw = await read_body(exchange.receive, exchange.headers, self._max_body, exchange.scope)
        message = message_of(decoded(raw), len(raw))
        del raw
        if isinstance(message, types.JSONRPCRequest):
            await self._request(exchange, message, takes_events)
            return
        session = self._session(exchange)
        if isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            id = (message.params or {}).get("requestId")
            cancel = session.calls.get(id) if isinstance(id, str | int) else None
            if cancel is not None:
                cancel()
        await exchange.head(202, [(b"content-length", b"0")])
        await exchange.end()

    async def _request(self, exchange: Exchange, message: types.JSONRPCRequest, events: bool) -> None:
        begins = message.method == "initialize"
        if begins:
            session = ClientSession(owner_of(exchange.scope), caller_of(exchange.scope), LATEST_HANDSHAKE_VERSION)
        else:
            session = self._session(exchange)
        if message.id in session.calls:
            raise Refusal(f"A request with the id {str(message.id)[:100]!r} is being answered.")

        def shaken(result: dict[str, Any]) -> None:
            session.version = result["protocolVersion"]
            if not self._stateless:
                self._keep(session)

        reply = Reply(
            self._server,
            exchange,
            Connection.from_envelope(session.version, None, None),
            message,
            events=events,
            headers=self._heading(session),
            done=shaken if begins else None,
        )
        session.calls[message.id] = reply.cancel
        try:
            await reply.give()
        finally:
            del session.calls[message.id]

    def _heading(self, session: ClientSession) -> Headers:
        """What tells the client which session it has."""
        return [] if self._stateless else [(SESSION.encode(), session.id.encode())]

    def _keep(self, session: ClientSession) -> None:
        try:
            self.sessions.add(session)
        except TooManySessions as error:
            raise Refusal(str(error), 429 if error.of_caller else 503, types.INTERNAL_ERROR, RETRY) from None

    async def _get(self, exchange: Exchange) -> None:
        """The stream of what the server says unasked: that the list of tools has changed."""
        if not accepted(exchange)[1]:
            raise Refusal("Accept must name text/event-stream.", 406)
        session = self._session(exchange)

        async def open() -> None:
            await exchange.head(200, [*STREAM_HEADERS, *self._heading(session)])

        try:
            with self._changes.listening(caller_of(exchange.scope)) as listener:
                await self._tell(exchange, session, listener, AnswerStream(open, exchange.frame, beat, SILENCE))
        except TooManyListeners as error:
            raise Refusal(str(error), 429, types.INTERNAL_ERROR, RETRY) from None
        except (ClientLeft, OSError):
            log.debug("The client left during %s", exchange.id)

    async def _tell(self, exchange: Exchange, session: ClientSession, listener: Listener, stream: AnswerStream) -> None:
        if session.listener is not None:
            session.listener.end()  # its client has come anew, perhaps before we have heard that the last one broke
        session.listener = listener
        try:
            async with Leaving(exchange.receive):
                await stream.write(beat())  # sends the head
                while await listener.news():
                    await stream.write(CHANGED)
                await stream.settle()
                await exchange.end()
        finally:
            stream.drop()
            if session.listener is listener:
                session.listener = None
