"""What agents are told of a tool, made of what its provider says, which may be hostile: bounded, and of known fields.

Its provider chooses what is said of a tool, and an agent reads it: that cannot be made safe. What is seen to here is
that it says nothing of another service's tools, costs the other tools of the list nothing, sends no client to fetch a
schema from elsewhere, and holds no characters that people do not see.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from portico.hub.tools.messages import MalformedMessage, dumps

MOST_OF_A_TOOL: Final = 64 * 1024
"""Bytes of all that is said of one tool: what a model reads before it says a word. Whole APIs have less."""

_MOST_TITLE = 200  # characters, on one line
_MOST_DESCRIPTION = 10_000  # characters: some pages
_MOST_DEPTH = 40  # of a schema: what is written by hand has ten, and clients that walk it recurse
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_PROSE = frozenset({"title", "description", "$comment"})
"""What a schema says for readers. Values that callers send, as of an enum, stay as they are."""
_DIALECTS = ("https://json-schema.org/draft/", "http://json-schema.org/draft-")

_ANY_ARGUMENTS: Final = {"type": "object"}
_TOO_LONG = "(Its schema is too long to be told here: it takes an object.)"


class _TooDeep(Exception):
    """A schema is nested deeper than is told."""


def cleaned(name: str, definition: Any) -> dict[str, Any]:
    """What is told of the tool under its qualified *name*. *definition* is what its provider says; None for nothing."""
    said = definition if isinstance(definition, dict) else {}
    told: dict[str, Any] = {"name": name}
    if title := _text(said.get("title"), _MOST_TITLE, lines=False):
        told["title"] = title
    description = _text(said.get("description"), _MOST_DESCRIPTION)
    if description:
        told["description"] = description
    told["inputSchema"] = _schema(said.get("inputSchema")) or dict(_ANY_ARGUMENTS)
    if output := _schema(said.get("outputSchema")):
        told["outputSchema"] = output
    if annotations := _annotations(said.get("annotations")):
        told["annotations"] = annotations
    if size_of(told) <= MOST_OF_A_TOOL:
        return told
    told.pop("outputSchema", None)
    told["inputSchema"] = dict(_ANY_ARGUMENTS)
    told["description"] = f"{description}\n\n{_TOO_LONG}" if description else _TOO_LONG
    return told


def size_of(told: dict[str, Any]) -> int:
    """Bytes of it, as JSON; more than any tool has, for what cannot be written."""
    try:
        return len(dumps(told))
    except MalformedMessage:
        return 1 << 62


def _text(value: Any, most: int, *, lines: bool = True) -> str:
    """*value* without characters that are not seen; cut."""
    if not isinstance(value, str):
        return ""
    kept = "".join(character for character in value[: 2 * most] if _seen(character, lines))
    return kept if len(kept) <= most else kept[: most - 3] + "..."


def _seen(character: str, lines: bool) -> bool:
    if character.isprintable():
        return True
    if character in "\n\t":
        return lines
    return unicodedata.category(character) == "Zs"


def _annotations(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    told: dict[str, Any] = {hint: value[hint] for hint in _HINTS if isinstance(value.get(hint), bool)}
    if title := _text(value.get("title"), _MOST_TITLE, lines=False):
        told["title"] = title
    return told


def _schema(value: Any) -> dict[str, Any] | None:
    """A schema of an object; None for anything else."""
    if not isinstance(value, dict) or value.get("type", "object") != "object":
        return None
    try:
        kept: dict[str, Any] = _walked(value, 0)
    except _TooDeep:
        return None
    return {"type": "object", **kept}


def _walked(value: Any, depth: int) -> Any:
    """*value* without references to elsewhere, and without characters that are not seen. Raises `_TooDeep`."""
    if depth > _MOST_DEPTH:
        raise _TooDeep
    if isinstance(value, list):
        return [_walked(one, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _text(inner, _MOST_DESCRIPTION) if key in _PROSE and isinstance(inner, str) else _walked(inner, depth + 1)
        for key, inner in value.items()
        if not _leads_elsewhere(key, inner)
    }


def _leads_elsewhere(key: str, value: Any) -> bool:
    """Whether a client that reads a schema would fetch something for it."""
    if not isinstance(value, str):
        return False
    if key in _REFERENCES:
        return not value.startswith("#")
    if key == "$id":
        return True  # references within it would be read against that
    return key == "$schema" and not value.startswith(_DIALECTS)
