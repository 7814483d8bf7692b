"""MCP over HTTP, by the official SDK: what of it is used, and with which bounds.

Imported when the first client comes (`server`), for the SDK takes half a second. Source: MCP specification 2026-07-28
and, for clients that shake hands, 2025-11-25 and before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from portico.calls.json_text import compact
from portico.tools.calling import Calls, Reporter
from portico.tools.changes import Changes, TooManyListeners
from portico.tools.tool import Tool, ToolCaller
from portico.types import Receive, Scope, Send
from portico.version import __version__

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request: as of a body for chat models. A picture is a text of base64 in it."""

HEADERS = "x-mcp-header"
"""The key by which a schema asks for headers that repeat arguments (MCP 2026-07-28, "Custom Headers")."""

_Context = ServerRequestContext[Any, Any]


class Endpoint:
    """An ASGI app: MCP at whatever path."""

    def __init__(
        self,
        tools: Callable[[], Mapping[str, Tool]],
        name: str,
        instructions: str,
        on_error: Callable[[BaseException], object],
    ) -> None:
        self._tools = tools
        self._on_error = on_error
        self._calls = Calls()
        self._changes = Changes()
        self._server: Server[Any] = Server(
            name,
            version=__version__,
            instructions=instructions or None,
            get_tool_input_schema=self._schema,
            on_list_tools=self._list,
            on_call_tool=self._call,  # type: ignore[arg-type]  # a result may be a dict, which is faster
            on_subscriptions_listen=self._listen,
        )
        self._manager = StreamableHTTPSessionManager(
            self._server,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=MAX_BODY,
        )
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Get ready for requests."""
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(ready))
        await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            await self._task

    async def _run(self, ready: asyncio.Future[None]) -> None:
        async with self._manager.run():
            ready.set_result(None)
            await self._closing.wait()

    async def close(self) -> None:
        """End streams, sessions and calls."""
        self._changes.close()
        await self._calls.close()
        self._closing.set()
        if self._task is not None:
            await self._task

    def changed(self) -> None:
        """Tell clients that the list of tools is another."""
        self._changes.tell()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        await self._manager.asgi_app(scope, receive, send)

    def _schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self._tools().get(name)
        return tool.input_schema if tool is not None and HEADERS in compact(dict(tool.input_schema)) else None

    async def _list(self, context: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        listed = [{"name": tool.name, **tool.definition()} for tool in self._tools().values()]
        return types.ListToolsResult.model_validate({"tools": listed, "ttlMs": 0, "cacheScope": "private"})

    async def _call(self, context: _Context, params: types.CallToolRequestParams) -> HandlerResult:
        tool = self._tools().get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:200]}")
        scope = _scope(context)
        token = context.meta.get("progress_token") if context.meta else None
        reporter = Reporter(context.session.report_progress) if token is not None else None
        caller = ToolCaller(headers=scope["headers"], identity=_identity(scope), progress=reporter)
        try:
            result = await self._calls.run(tool, params.arguments or {}, caller)
            if reporter is not None:
                await reporter.settle()
        except MCPError:
            raise
        except Exception as error:
            self._on_error(error)
            raise MCPError(types.INTERNAL_ERROR, "The tool could not be called.") from error
        finally:
            if reporter is not None:
                reporter.drop()
        answer: dict[str, Any] = {"resultType": "complete", "content": list(result.content)}
        if result.structured is not None:
            answer["structuredContent"] = result.structured
        if result.is_error:
            answer["isError"] = True
        return answer

    async def _listen(
        self, context: _Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        id = context.request_id
        meta: Any = {SUBSCRIPTION_ID_META_KEY: id}
        wanted = bool(params.notifications.tools_list_changed)
        with self._listening(context) as listener:
            await context.session.send_notification(
                types.SubscriptionsAcknowledgedNotification(
                    params=types.SubscriptionsAcknowledgedNotificationParams(
                        notifications=types.SubscriptionFilter(tools_list_changed=wanted or None), _meta=meta
                    )
                ),
                related_request_id=id,
            )
            async for _ in listener.changes():
                if wanted:
                    await context.session.send_notification(
                        types.ToolListChangedNotification(params=types.NotificationParams(_meta=meta)),
                        related_request_id=id,
                    )
        return types.SubscriptionsListenResult(_meta=meta)

    def _listening(self, context: _Context) -> Any:
        try:
            return self._changes.listening(caller_of(_scope(context)))
        except TooManyListeners as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from None


def _scope(context: _Context) -> Scope:
    assert context.request is not None  # all that is served here came over HTTP
    scope: Scope = context.request.scope
    return scope


def _identity(scope: Scope) -> dict[str, Any] | None:
    return (scope.get("extensions") or {}).get("portico")


def caller_of(scope: Scope) -> str:
    """Whom something counts for: the caller as the hub has verified it, at an address."""
    client = scope.get("client")
    return f"{compact(_identity(scope) or {})} {client[0] if client else ''}"
