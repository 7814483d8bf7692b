"""The names that tools have behind the one MCP URL: ``<service>__<tool>``, whatever the tool is called.

Agents take ``[A-Za-z0-9_-]`` and at most 64 characters. A name follows from the service's and the tool's alone, so it
is the same tomorrow, and on every hub. No two tools have the same: a service's name holds no underscore, so what stands
before the first two says whose the tool is; and a tool whose own name does not fit ends with a digest of it, as no tool
whose name does fit is allowed to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LONGEST = 64
"""Characters: what the APIs of models allow for the name of a function."""

_DIGEST = 16  # hexadecimal digits: to make two names of one service alike takes 2^32 of them, and harms that service
_FITS = re.compile(r"[A-Za-z0-9_-]+")
_ENDS_WITH_DIGEST = re.compile(rf".*-[0-9a-f]{{{_DIGEST}}}", re.DOTALL)
_ODD = re.compile(r"[^A-Za-z0-9_-]+")


def qualified(service: str, tool: str) -> str:
    """The name of *tool* of *service*, as agents are told it."""
    plain = f"{service}__{tool}"
    if len(plain) <= LONGEST and _FITS.fullmatch(tool) and not _ENDS_WITH_DIGEST.fullmatch(tool):
        return plain
    digest = hashlib.sha256(tool.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    room = LONGEST - len(service) - 2 - 1 - _DIGEST
    return f"{service}__{_ODD.sub('_', tool)[:room]}-{digest}"


def service_of(name: str) -> str:
    """Whose tool *name* is; "" for a name that no tool has here."""
    service, mark, _ = name.partition("__")
    return service if mark and len(name) <= LONGEST else ""


def tool_of(name: str, tools: Iterable[str]) -> str | None:
    """Which of a service's *tools* is called *name*; None if none is."""
    service, _, rest = name.partition("__")
    if not _ENDS_WITH_DIGEST.fullmatch(rest):
        return next((tool for tool in tools if tool == rest), None) if qualified(service, rest) == name else None
    return next((tool for tool in tools if qualified(service, tool) == name), None)
