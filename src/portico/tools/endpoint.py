"""MCP over HTTP, by the official SDK: what of it is used, and with which bounds.

Imported when the first client comes (`server`), for the SDK takes half a second. Source: MCP specification 2026-07-28
and, for clients that shake hands, 2025-11-25 and before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from opentelemetry import trace

from portico.calls.callers import caller_of, identity_of
from portico.calls.exchange import Exchange
from portico.calls.json_text import compact
from portico.errors import UnusableRequest
from portico.tools.calling import Calls, Closed, Reporter
from portico.tools.changes import Changes, Listener, TooManyListeners
from portico.tools.handshake import Handshake
from portico.tools.modern import Modern
from portico.tools.tool import Tool, ToolCaller, ToolResult
from portico.tools.wire import Refusal, error_message
from portico.types import Scope
from portico.version import __version__

log = logging.getLogger(__name__)

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request: as of a body for chat models. A picture is a text of base64 in it."""

HEADERS = "x-mcp-header"
"""The key by which a schema asks for headers that repeat arguments (MCP 2026-07-28, "Custom Headers")."""

_Context = ServerRequestContext[Any, Any]


class Endpoint:
    """Answers what clients of MCP ask."""

    def __init__(
        self,
        tools: Callable[[], Mapping[str, Tool]],
        name: str,
        instructions: str,
        on_error: Callable[[BaseException], object],
        *,
        stateless: bool = False,
        unknown: Callable[[str], Tool] | None = None,
    ) -> None:
        self._tools = tools
        self._unknown = unknown
        self._on_error = on_error
        self._calls = Calls()
        self._changes = Changes()
        self._server = _Server(
            name,
            version=__version__,
            instructions=instructions or None,
            on_list_tools=self._list,
            on_call_tool=self._call,  # type: ignore[arg-type]  # a result may be a dict, which is faster
            on_subscriptions_listen=self._listen,
        )
        self._server.middleware = [_IfGathered(one) for one in self._server.middleware]
        self._seen: Mapping[str, Tool] | None = None
        self._heading: dict[str, Mapping[str, Any]] = {}
        """The schemas of `_seen` that ask for headers."""
        self._handshake = Handshake(self._server, self._changes, MAX_BODY, stateless=stateless)
        self._modern = Modern(self._server, self._schema, MAX_BODY)

    async def close(self) -> None:
        """End streams, sessions and calls."""
        self._changes.close()
        self._handshake.close()
        await self._calls.close()

    def changed(self) -> None:
        """Tell clients that the list of tools is another."""
        self._changes.tell()

    async def answer(self, exchange: Exchange) -> None:
        """Answer one HTTP request, at whatever path. Raises `OSError` if its client leaves."""
        version = exchange.headers.get(MCP_PROTOCOL_VERSION_HEADER)
        shakes_hands = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS  # of others the SDK says what it knows
        try:
            await (self._handshake if shakes_hands else self._modern).answer(exchange)
        except Refusal as error:
            await exchange.json(error.body, error.status, error.headers)
        except UnusableRequest as error:
            body = error_message(None, types.INVALID_REQUEST, str(error))
            await exchange.json(body, error.status, list(error.headers))
        except EOFError:
            log.debug("The client left while sending %s", exchange.id)

    def _schema(self, name: str) -> Mapping[str, Any] | None:
        tools = self._tools()
        if tools is not self._seen:
            self._seen = tools
            self._heading = {
                name: tool.input_schema for name, tool in tools.items() if HEADERS in compact(dict(tool.input_schema))
            }
        return self._heading.get(name)

    async def _list(self, context: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        listed = [{"name": tool.name, **tool.definition()} for tool in self._tools().values()]
        return types.ListToolsResult.model_validate({"tools": listed, "ttlMs": 0, "cacheScope": "private"})

    async def _call(self, context: _Context, params: types.CallToolRequestParams) -> HandlerResult:
        tool = self._tools().get(params.name)
        if tool is None and self._unknown is not None:
            tool = self._unknown(params.name[:200])
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:200]}")
        scope = _scope(context)
        token = context.meta.get("progress_token") if context.meta else None
        reporter = Reporter(context.session.report_progress) if token is not None else None
        caller = ToolCaller(headers=scope["headers"], identity=identity_of(scope), progress=reporter)
        try:
            result = await self._run(tool, params.arguments or {}, caller)
            if reporter is not None:
                await reporter.settle()
        finally:
            if reporter is not None:
                reporter.drop()
        answer: dict[str, Any] = {"resultType": "complete", "content": list(result.content), "isError": result.is_error}
        if result.structured is not None:
            answer["structuredContent"] = result.structured
        return answer

    async def _run(self, tool: Tool, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        try:
            return await self._calls.run(tool, arguments, caller)
        except Closed:
            raise MCPError(types.INTERNAL_ERROR, "The server closes.") from None
        except Exception as error:  # no failure of the tool's own, for those are results: its author is told
            self._on_error(error)
            raise MCPError(types.INTERNAL_ERROR, "The tool could not be called.") from error

    async def _listen(
        self, context: _Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        try:
            with self._changes.listening(caller_of(_scope(context))) as listener:
                return await self._tell(context, listener, bool(params.notifications.tools_list_changed))
        except TooManyListeners as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from None

    async def _tell(self, context: _Context, listener: Listener, wanted: bool) -> types.SubscriptionsListenResult:
        id = context.request_id
        meta: Any = {SUBSCRIPTION_ID_META_KEY: id}
        honoured = types.SubscriptionFilter(tools_list_changed=wanted or None)
        await context.session.send_notification(
            types.SubscriptionsAcknowledgedNotification(
                params=types.SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
            ),
            related_request_id=id,
        )
        changed = types.ToolListChangedNotification(params=types.NotificationParams(_meta=meta))
        while await listener.news():
            if wanted:
                await context.session.send_notification(changed, related_request_id=id)
        return types.SubscriptionsListenResult(_meta=meta)


class _IfGathered(ServerMiddleware[Any]):
    """The SDK's own step around what is asked, which makes a span of it; where nobody gathers spans, nothing.

    It would cost a third of a call.
    """

    def __init__(self, traced: ServerMiddleware[Any]) -> None:
        self._traced = traced

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # none was set
            return await call_next(ctx)
        return await self._traced(ctx, call_next)


class _Server(Server[Any]):
    """The SDK's, which says by itself only to modern clients that they can listen for new tools."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """What clients that shake hands are told: that they hear of it when the list of tools has changed."""
        told = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(told, experimental_capabilities, extensions)


def _scope(context: _Context) -> Scope:
    assert context.request is not None  # all that is served here came over HTTP
    scope: Scope = context.request.scope
    return scope
