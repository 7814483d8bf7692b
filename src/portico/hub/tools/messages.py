"""JSON-RPC 2.0, by hand: reads what callers and services send, bounded, and writes what goes back.

Source: JSON-RPC 2.0 specification; MCP specification, "Messages" and "Streamable HTTP". Nothing here knows a method.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

from portico.hub.answers import Answer

MOST_VALUES: Final = 500_000
"""Values in one message: to read so many takes some tens of milliseconds, in which nobody else is served. An image in
base64 is one."""

_LONGEST_METHOD = 200  # characters: MCP's own have at most some forty
_LONGEST_ID = 1000  # characters: clients count, or make UUIDs

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022
REFUSED: Final = -32010
"""Of the range that MCP leaves to implementations (-32000 to -32019): the hub's own answer; its ``data`` says more."""

_STATUSES = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    -32021: 400,  # a capability that the client lacks
}
"""HTTP statuses of errors (MCP 2026-07-28, "Streamable HTTP"); 200 for all others."""

RequestId = str | int | float


class MalformedMessage(Exception):
    """What came is not the JSON that it should be."""


@dataclass(frozen=True, slots=True)
class MessageError(Exception):
    """A JSON-RPC error. Raised to end a message early."""

    code: int
    message: str
    data: Any = None
    answer: Answer | None = None
    """The hub's own answer that it stands for."""

    @property
    def status(self) -> int:
        """Its HTTP status, where nothing else was said."""
        return self.answer.status if self.answer is not None else _STATUSES.get(self.code, 200)

    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            told["data"] = self.data
        return told


def refusal_of(answer: Answer) -> MessageError:
    """The hub's own *answer* as an error."""
    data: dict[str, Any] = {"code": answer.code, "status": answer.status}
    if answer.retry_after is not None:
        data["retryAfter"] = answer.retry_after
    return MessageError(REFUSED, answer.message, data, answer)


@dataclass(frozen=True, slots=True)
class JSONRPCMessage:
    """One message: a request, a notification (`id` None), or the response to a request."""

    id: RequestId | None
    method: str
    """Empty for a response."""
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def is_request(self) -> bool:
        return bool(self.method) and self.id is not None

    @property
    def meta(self) -> dict[str, Any]:
        """``params._meta``. Raises `MessageError` if it is not an object."""
        meta = self.params.get("_meta")
        if meta is None:
            return {}
        if not isinstance(meta, dict):
            raise MessageError(INVALID_PARAMS, "params._meta must be an object.")
        return meta


def loads(data: bytes | bytearray) -> Any:
    """Read JSON. Raises `MalformedMessage`, which says what is wrong, for anything else; never another exception."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES:
        raise MalformedMessage(f"it holds more than {MOST_VALUES:,} values")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise MalformedMessage("it is nested too deep") from None
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise MalformedMessage(f"it is not JSON ({str(error)[:100]})") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def dumps(value: Any) -> bytes:
    """Write JSON, in ASCII. Raises `MalformedMessage` for what was read and cannot be written: a number as 1e999."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except RecursionError:
        raise MalformedMessage("it is nested too deep") from None
    except ValueError:
        raise MalformedMessage("it holds a number that JSON has no room for") from None


def read(value: Any) -> JSONRPCMessage:
    """One message. Raises `MessageError`."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise MessageError(INVALID_REQUEST, 'A message is a JSON object with "jsonrpc": "2.0".')
    id_ = value.get("id")
    if "id" in value and not is_id(id_):
        raise MessageError(INVALID_REQUEST, "The id of a request is a text or a number.")
    method = value.get("method")
    if method is None and ("result" in value or "error" in value):
        return JSONRPCMessage(id_, "")
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD:
        raise MessageError(INVALID_REQUEST, "A request names its method, a text.")
    params = value.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise MessageError(INVALID_PARAMS, "params must be an object.")
    return JSONRPCMessage(id_, method, params)


def is_id(value: Any) -> bool:
    """Whether *value* can be the id of a request: MCP has texts and whole numbers, JSON-RPC every number."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_ID
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def id_in(value: Any) -> RequestId | None:
    """The id of what may be a request, to answer it with an error; None if there is none that can be said again."""
    id_ = value.get("id") if isinstance(value, dict) else None
    return id_ if is_id(id_) else None


def response(id_: RequestId | None, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def error_response(id_: RequestId | None, refusal: MessageError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "error": refusal.error()}


def notification(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        told["params"] = params
    return told
