"""What agents and hubs are told of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.tools.tool import Tool, ToolCaller, ToolResult


async def nothing(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    return ToolResult(content=())


def test_a_definition_has_what_was_said_and_no_more() -> None:
    assert Tool(name="a", call=nothing).definition() == {"inputSchema": {"type": "object"}}
    tool = Tool(
        name="predict",
        call=nothing,
        title="Price",
        description="Price of a flat.",
        input_schema={"type": "object", "properties": {"area": {"type": "number"}}},
        output_schema={"type": "object", "properties": {"result": {"type": "number"}}},
        annotations={"readOnlyHint": True},
    )
    assert tool.definition() == {
        "title": "Price",
        "description": "Price of a flat.",
        "inputSchema": {"type": "object", "properties": {"area": {"type": "number"}}},
        "outputSchema": {"type": "object", "properties": {"result": {"type": "number"}}},
        "annotations": {"readOnlyHint": True},
    }
