"""Clients that say with each request all that there is to know (MCP 2026-07-28): no handshake, no session.

To cancel a request its client closes the stream. Source: MCP specification 2026-07-28, "Streamable HTTP".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from starlette.datastructures import Headers

from portico.calls.body import read_body
from portico.calls.exchange import Exchange
from portico.tools.reply import Reply
from portico.tools.wire import Refusal, accepted, decoded, is_json, message_of

Schema = Callable[[str], Mapping[str, Any] | None]
"""The input schema of a tool that asks for headers which repeat arguments (MCP 2026-07-28, "Custom Headers")."""


class Modern:
    """Answers such clients."""

    def __init__(self, server: Server[Any], schema: Schema, max_body: int) -> None:
        self._server = server
        self._schema = schema
        self._max_body = max_body

    async def answer(self, exchange: Exchange) -> None:
        """Answer one HTTP request. Raises `Refusal`, and as `read_body` does."""
        method = exchange.scope["method"]
        if method != "POST":
            raise Refusal(f"{method[:20]} is not allowed here.", 405, headers=[(b"allow", b"POST")])
        if not is_json(exchange):
            raise Refusal("Content-Type must be application/json.", 415)
        if accepted(exchange) != (True, True):
            raise Refusal("Accept must name application/json and text/event-stream.", 406)
        raw = await read_body(exchange.receive, exchange.headers, self._max_body, exchange.scope)
        value = decoded(raw)
        message = message_of(value, len(raw))
        del raw  # its values stay while it is answered
        if isinstance(message, types.JSONRPCRequest):
            await self._request(exchange, value, message)
        elif isinstance(message, types.JSONRPCNotification):  # there is none that a server has to heed
            _raise_for(unsupported_protocol_version_rejection(exchange.headers[MCP_PROTOCOL_VERSION_HEADER]), None)
            await exchange.head(202, [(b"content-length", b"0")])
            await exchange.end()
        else:
            raise Refusal("Send a request or a notification: this server asks nothing.")

    async def _request(self, exchange: Exchange, value: dict[str, Any], message: types.JSONRPCRequest) -> None:
        id, headers = message.id, exchange.headers
        names = [(name.decode("latin-1"), "") for name, _ in exchange.scope["headers"]]
        if (twice := find_duplicated_routing_header(names)) is not None:
            raise Refusal(f"The header {twice} came more than once.", 400, types.HEADER_MISMATCH, id=id)
        route = classify_inbound_request(value, headers=headers)
        if isinstance(route, InboundLadderRejection):
            raise _refusal(route, id)
        if message.method == "tools/call":
            self._check_headers(message, exchange)
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        reply = Reply(self._server, exchange, connection, message, events=True, statuses=ERROR_CODE_HTTP_STATUS)
        await reply.give()

    def _check_headers(self, message: types.JSONRPCRequest, exchange: Exchange) -> None:
        params = message.params or {}
        name, arguments = params.get("name"), params.get("arguments") or {}
        schema = self._schema(name) if isinstance(name, str) else None
        if schema is not None and isinstance(arguments, dict):
            headers = Headers(raw=exchange.scope["headers"])  # it tells of each that came twice
            _raise_for(validate_mcp_param_headers(schema, arguments, headers), message.id)


def _raise_for(rejection: InboundLadderRejection | None, id: str | int | None) -> None:
    if rejection is not None:
        raise _refusal(rejection, id)


def _refusal(rejection: InboundLadderRejection, id: str | int | None) -> Refusal:
    status = ERROR_CODE_HTTP_STATUS.get(rejection.code, 400)
    return Refusal(rejection.message, status, rejection.code, id=id, data=rejection.data)
