"""JSON-RPC over HTTP, as all versions of MCP have it: messages read and written, and which answers a client takes.

Source: JSON-RPC 2.0; MCP specification, "Streamable HTTP"; WHATWG HTML §9.2 "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from pydantic import ValidationError

from portico.calls.body import load
from portico.calls.exchange import Exchange
from portico.calls.json_text import compact
from portico.errors import UnusableRequest
from portico.types import Headers

SILENCE = 15.0
"""Seconds after which a client that waits is given a sign of life, as the SDK does: proxies close what is silent."""


MOST_OF_OTHERS = 64 * 1024
"""Bytes of a message that calls no tool: what listens stays for hours, and its message with it."""

_LONGEST_ID = 1000
"""Characters of the id of a request and of a token for progress, which are told again and again: clients count."""


class Refusal(Exception):
    """A request that is answered with an error of the protocol, and the HTTP status that it goes with."""

    def __init__(
        self,
        message: str,
        status: int = 400,
        code: int = types.INVALID_REQUEST,
        headers: Headers | None = None,
        *,
        id: str | int | None = None,
        data: Any = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = error_message(id, code, message, data)
        super().__init__(message)


def is_json(exchange: Exchange) -> bool:
    """Whether the body says that it is JSON. A page of another origin can send none that does, unless it is let."""
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def accepted(exchange: Exchange) -> tuple[bool, bool]:
    """Whether the client takes JSON, and whether it takes a stream of events."""
    kinds = {kind.partition(";")[0].strip() for kind in exchange.headers.get("accept", "*/*").lower().split(",")}
    return (
        not kinds.isdisjoint(("application/json", "application/*", "*/*")),
        not kinds.isdisjoint(("text/event-stream", "text/*", "*/*")),
    )


def decoded(raw: bytes) -> Any:
    """The JSON of a body. Raises `Refusal`."""
    try:
        return load(raw, _may_hold_nul)
    except UnusableRequest as error:
        raise Refusal(str(error), error.status, types.PARSE_ERROR) from None


def _may_hold_nul(path: str, value: dict[str, Any]) -> bool:
    return path.startswith("params")  # what a function takes is for its types to say


def message_of(value: Any, size: int) -> types.JSONRPCMessage:
    """The one message that *value*, of *size* bytes, is. Raises `Refusal`."""
    if size > MOST_OF_OTHERS and not (isinstance(value, dict) and value.get("method") == "tools/call"):
        raise Refusal(f"A message that calls no tool has at most {MOST_OF_OTHERS} bytes.", 413)
    try:
        message = types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        message = None
    if message is None or (isinstance(message, types.JSONRPCNotification) and "id" in value):  # that id is no id
        raise Refusal("The body is not one message of JSON-RPC 2.0.")
    if isinstance(message, types.JSONRPCRequest):
        meta = (message.params or {}).get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if _is_long(message.id) or _is_long(token):
            raise Refusal(f"The id and the progressToken of a request have at most {_LONGEST_ID} characters.")
    return message


def _is_long(told: Any) -> bool:
    return isinstance(told, str) and len(told) > _LONGEST_ID


def error_message(id: str | int | None, code: int, message: str, data: Any = None) -> dict[str, Any]:
    """An answer that says what went wrong."""
    error = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": id, "error": error if data is None else {**error, "data": data}}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is told, and not answered."""
    told: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return told if params is None else {**told, "params": params}


def event(message: Mapping[str, Any]) -> bytes:
    """A message in a stream."""
    return f"event: message\ndata: {compact(message)}\n\n".encode("ascii")


def beat() -> bytes:
    """A sign of life in a stream: a comment."""
    return b": ping\n\n"
