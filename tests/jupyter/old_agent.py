"""A client that shakes hands, as its user would write it with mcp 1.30: python old_agent.py URL KEY.

Prints a JSON object of what it was told, and another once it has heard of a change.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

import anyio
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str, key: str) -> None:
    changed = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            changed.set()

    headers = {"Authorization": f"Bearer {key}"}
    async with (
        streamablehttp_client(url, headers=headers) as (read, write, _),
        ClientSession(read, write, message_handler=hear) as session,
    ):
        told: dict[str, Any] = {"server": (await session.initialize()).serverInfo.name}
        told["tools"] = [tool.name for tool in (await session.list_tools()).tools]
        told["predict"] = (await session.call_tool("nb0__predict", {"area": 70})).structuredContent
        steps: list[Any] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            steps.append([done, total])

        await session.call_tool("nb0__steps", {}, progress_callback=on_progress)
        told["progress"] = steps
        failed = await session.call_tool("nb0__fails", {})
        told["fails"] = [failed.isError, failed.content[0].text]  # type: ignore[union-attr]
        told["cancelled"] = await cancelled(session)
        print(json.dumps(told), flush=True)
        with anyio.fail_after(30):
            await changed.wait()
        heard = time.time()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        print(json.dumps({"heard": heard, "tools": tools}), flush=True)


async def cancelled(session: ClientSession) -> float:
    """Seconds from the word that a call is cancelled to its answer."""
    params = types.CallToolRequestParams(name="nb0__patient")
    request = types.ClientRequest(types.CallToolRequest(method="tools/call", params=params))
    number = session._request_id
    began, ended = anyio.Event(), anyio.Event()

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        began.set()

    async def call() -> None:
        try:
            await session.send_request(
                request, types.CallToolResult, timedelta(seconds=20), progress_callback=on_progress
            )
        except Exception:  # noqa: BLE001 -- what it is told is that the call was cancelled
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await began.wait()
        note = types.CancelledNotification(
            method="notifications/cancelled", params=types.CancelledNotificationParams(requestId=number)
        )
        cancelled_at = time.monotonic()
        await session.send_notification(types.ClientNotification(note))
        await ended.wait()
        return time.monotonic() - cancelled_at


anyio.run(main, sys.argv[1], sys.argv[2])
