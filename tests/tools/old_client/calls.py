"""Calls tools one after another with mcp 1.30: python calls.py URL KEY CALLS

CALLS is a JSON list of ``[tool, arguments]``. Prints the names of the tools before and after, and each result.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str, key: str, calls: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        streamablehttp_client(url, headers=headers) as (read, write, session_id),
        ClientSession(read, write) as session,
    ):
        hello = await session.initialize()
        before = (await session.list_tools()).tools
        results: list[Any] = []
        for tool, arguments in json.loads(calls):
            result = await session.call_tool(tool, arguments)
            results.append(result.model_dump(mode="json", exclude_none=True))
        after = (await session.list_tools()).tools
        told = {
            "version": hello.protocolVersion,
            "session": session_id(),
            "before": {tool.name: tool.model_dump(mode="json", exclude_none=True) for tool in before},
            "results": results,
            "after": [tool.name for tool in after],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
