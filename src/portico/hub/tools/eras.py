"""Which MCP a request speaks, by its headers: the stateless one of 2026-07-28, or one of those with a handshake.

A request of 2026-07-28 says everything itself: its headers must say what its body does, so that what stands between may
go by them. Source: MCP specification 2026-07-28, "Streamable HTTP" and "Versioning".
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from portico.hub.tools.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    JSONRPCMessage,
    MessageError,
)
from portico.types import Headers

MODERN: Final = "2026-07-28"
HANDSHAKES: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions that begin with ``initialize``, the oldest first."""
BATCHES: Final = frozenset({"2024-11-05", "2025-03-26"})
"""Those that know messages in a list."""
SUPPORTED: Final = (MODERN, *reversed(HANDSHAKES))

VERSION_HEADER: Final = b"mcp-protocol-version"
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"
SESSION_HEADER: Final = b"mcp-session-id"

_META: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = _META + "protocolVersion"
CAPABILITIES_KEY: Final = _META + "clientCapabilities"
SERVER_KEY: Final = _META + "serverInfo"
SUBSCRIPTION_KEY: Final = _META + "subscriptionId"

_ENCODED = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN = re.compile(r"[\x20-\x7e]*")


def version_of(headers: Headers) -> str:
    """The version that a request says in its header; "" if it says none. Raises `MessageError` for an unknown one."""
    said = [value for name, value in headers if name == VERSION_HEADER]
    if not said:
        return ""
    if len(said) > 1:
        raise MessageError(HEADER_MISMATCH, "MCP-Protocol-Version comes more than once.")
    version = said[0].decode("latin-1").strip()
    if version not in SUPPORTED:
        data = {"supported": list(SUPPORTED), "requested": version[:100]}
        raise MessageError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
    return version


def is_modern(version: str, message: JSONRPCMessage) -> bool:
    """Whether *message*, of a request whose header says *version*, is one of 2026-07-28."""
    meta = message.params.get("_meta")
    return version == MODERN or (not version and isinstance(meta, dict) and VERSION_KEY in meta)


def check_modern(message: JSONRPCMessage, headers: Headers) -> None:
    """Hold the headers of a request of 2026-07-28 against its body. Raises `MessageError`."""
    meta = message.meta
    missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise MessageError(INVALID_PARAMS, f"params._meta is missing {' and '.join(missing)}.")
    if not isinstance(meta[CAPABILITIES_KEY], dict):
        raise MessageError(INVALID_PARAMS, f"{CAPABILITIES_KEY} must be an object.")
    fields: dict[bytes, str] = {}
    for name, value in headers:
        if name in (VERSION_HEADER, METHOD_HEADER, NAME_HEADER):
            if name in fields:
                raise MessageError(HEADER_MISMATCH, f"{name.decode()} comes more than once.")
            fields[name] = value.decode("latin-1")
    if fields.get(VERSION_HEADER) != meta[VERSION_KEY]:
        raise MessageError(HEADER_MISMATCH, "The header MCP-Protocol-Version does not say what params._meta does.")
    if fields.get(METHOD_HEADER) != message.method:
        raise MessageError(HEADER_MISMATCH, "The header Mcp-Method does not say what the body's method does.")
    if message.method == "tools/call" and decoded(fields.get(NAME_HEADER)) != message.params.get("name"):
        raise MessageError(HEADER_MISMATCH, "The header Mcp-Name does not say what the body's params.name does.")


def encoded(value: str) -> bytes:
    """*value* as a header says it: as it is, or in base64 if it would not come through."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _ENCODED.fullmatch(value):
        return value.encode("ascii")
    return b"=?base64?" + base64.b64encode(value.encode("utf-8", "surrogatepass")) + b"?="


def decoded(value: str | None) -> str | None:
    """What `encoded` was given; None for what nothing encodes to."""
    match = _ENCODED.fullmatch(value) if value is not None else None
    if match is None:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def answered_version(params: dict[str, Any]) -> str:
    """The version that ``initialize`` is answered with: the one that is asked for, or the newest of its kind."""
    asked = params.get("protocolVersion")
    return asked if asked in HANDSHAKES else HANDSHAKES[-1]
