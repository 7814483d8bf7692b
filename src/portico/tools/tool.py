"""One tool, and what a call of it gives. Knows no library of MCP.

Source: MCP specification, "Tools".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.types import Headers

Progress = Callable[[float, float | None, str | None], None]
"""Told how far a call is: how much is done, of how much (None if that is unknown), and a message. Never waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCaller:
    """Who calls, and whom to tell how far it is."""

    headers: Headers
    """The request's, as they came."""
    identity: Mapping[str, Any] | None = None
    """The caller as the hub has verified it."""
    progress: Progress | None = None
    """None where nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call gave."""

    content: tuple[Mapping[str, Any], ...]
    """Content blocks as MCP has them: ``{"type": "text", "text": ...}``, ``{"type": "image", "data", "mimeType"}``."""
    structured: Mapping[str, Any] | None = None
    """The same for programs, as the tool's ``output_schema`` says."""
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What agents are told of a tool, and how it is called."""

    name: str
    call: Callable[[Mapping[str, Any], ToolCaller], Awaitable[ToolResult]]
    """Given the arguments as they came. What it raises is a defect of ours: errors of the tool are results."""
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, bool] = field(default_factory=dict)

    def definition(self) -> dict[str, Any]:
        """All but the name, as MCP's ``tools/list`` says it: what a hub is told by ``.control``."""
        told: dict[str, Any] = {"inputSchema": dict(self.input_schema)}
        if self.title:
            told["title"] = self.title
        if self.description:
            told["description"] = self.description
        if self.output_schema is not None:
            told["outputSchema"] = dict(self.output_schema)
        if self.annotations:
            told["annotations"] = dict(self.annotations)
        return told
