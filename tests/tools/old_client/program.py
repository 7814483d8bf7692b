"""A client that shakes hands, as its user would write it with mcp 1.30: python program.py URL STEP...

Prints a JSON object of what each step gave, by its name.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import anyio
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client


class Steps:
    def __init__(self, session: ClientSession, changed: anyio.Event) -> None:
        self.session = session
        self.changed = changed

    async def tools(self) -> Any:
        return [tool.model_dump(mode="json", exclude_none=True) for tool in (await self.session.list_tools()).tools]

    async def call(self) -> Any:
        result = await self.session.call_tool("add", {"a": 1, "b": 2})
        return result.model_dump(mode="json", exclude_none=True)

    async def failure(self) -> Any:
        result = await self.session.call_tool("fail", {})
        return result.model_dump(mode="json", exclude_none=True)

    async def unknown(self) -> Any:
        try:
            await self.session.call_tool("nothing", {})
        except McpError as error:
            return {"code": error.error.code, "message": error.error.message}

    async def progress(self) -> Any:
        told: list[Any] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            told.append([done, total, message])

        await self.session.call_tool("steps", {}, progress_callback=on_progress)
        return told

    async def blocks(self) -> Any:
        result = await self.session.call_tool("blocks", {})
        return [block.model_dump(mode="json", exclude_none=True) for block in result.content]

    async def change(self) -> Any:
        """Has the tools changed, hears of it, and looks again."""
        await self.session.call_tool("change", {})
        with anyio.fail_after(5):
            await self.changed.wait()
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def cancel(self) -> Any:
        """Cancels the last request that it made, which waits for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.wait)
            await self.session.call_tool("began", {})
            id = self.session._request_id - 2
            params = types.CancelledNotificationParams(requestId=id, reason="enough")
            await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            stopped = await self.session.call_tool("stopped", {})
        return stopped.content[0].text

    async def wait(self) -> None:
        try:
            await self.session.call_tool("wait", {})
        except McpError:
            pass

    async def timeout(self) -> Any:
        """Gives a call up after a while, as a client with a limit of its own does."""
        try:
            await self.session.call_tool("wait", {}, read_timeout_seconds=timedelta(seconds=0.3))
        except McpError as error:
            return error.error.message

    async def ping(self) -> Any:
        return (await self.session.send_ping()).model_dump(mode="json", exclude_none=True)


async def main(url: str, *steps: str) -> None:
    changed = anyio.Event()

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            changed.set()

    given: dict[str, Any] = {}
    async with (
        streamablehttp_client(url) as (read, write, _),
        ClientSession(read, write, message_handler=on_message) as session,
    ):
        hello = await session.initialize()
        given["version"] = hello.protocolVersion
        given["told"] = hello.capabilities.tools.listChanged if hello.capabilities.tools else None
        given["instructions"] = hello.instructions
        for step in steps:
            given[step] = await getattr(Steps(session, changed), step)()
    print(json.dumps(given))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
