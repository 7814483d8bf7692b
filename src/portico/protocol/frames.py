"""The wire format: how each frame is packed and unpacked, and nothing about when it may be sent.

A frame is a 12-byte header ``!BBHII`` (type, flags, reserved, stream id, payload length) and its payload. A message
of the transport is a batch of whole frames. Hot frames are packed with `struct`; JSON is for control frames alone.

Every ``unpack_*`` raises `RemoteProtocolError`, and nothing else, for bytes it cannot read.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from itertools import chain
from typing import Any, Final

from portico.errors import LocalProtocolError, RemoteProtocolError
from portico.types import Headers

SUBPROTOCOL: Final = "portico.link.1"
"""The WebSocket subprotocol (RFC 6455 §1.9) that both ends of a link name."""

VERSION: Final = 1

HEADER: Final = struct.Struct("!BBHII")
HEADER_SIZE: Final = HEADER.size

# Frame types. Plain integers: they are compared for every frame.
HELLO: Final = 0x01
WELCOME: Final = 0x02
REGISTER: Final = 0x03
UNREGISTER: Final = 0x04
ACK: Final = 0x05
OPEN: Final = 0x10
HEAD: Final = 0x11
DATA: Final = 0x12
CLOSE: Final = 0x13
WINDOW: Final = 0x14
RESET: Final = 0x15
PING: Final = 0x20
PONG: Final = 0x21
GOAWAY: Final = 0x22
FIRST_EXTENSION: Final = 0x80
"""Types from here up may be ignored by who does not know them."""

NAMES: Final = {
    HELLO: "HELLO",
    WELCOME: "WELCOME",
    REGISTER: "REGISTER",
    UNREGISTER: "UNREGISTER",
    ACK: "ACK",
    OPEN: "OPEN",
    HEAD: "HEAD",
    DATA: "DATA",
    CLOSE: "CLOSE",
    WINDOW: "WINDOW",
    RESET: "RESET",
    PING: "PING",
    PONG: "PONG",
    GOAWAY: "GOAWAY",
}

# Flags.
FIN: Final = 0x01
"""On OPEN, HEAD and DATA: nothing more comes from this side."""
TEXT: Final = 0x02
"""On DATA of a WebSocket: the message is text (UTF-8)."""
MESSAGE_END: Final = 0x04
"""On DATA of a WebSocket: the message ends here."""

MAX_STREAM_ID: Final = 0x7FFFFFFF
MAX_CREDIT: Final = 0x7FFFFFFF
"""Bytes that a window may add up to."""

_MAX_FIELD = 0xFFFF


class Kind(IntEnum):
    """What a stream carries."""

    HTTP = 0
    WEBSOCKET = 1


class ResetCode(IntEnum):
    """Why a stream or a link ended early."""

    NO_ERROR = 0
    """The rest is not needed: a response that ended before its request body."""
    CANCEL = 1
    """The visitor left."""
    REFUSED = 2
    """Never started, so safe to retry elsewhere."""
    APP_ERROR = 3
    """The app raised, or broke the rules of ASGI."""
    TIMEOUT = 4
    TOO_LARGE = 5
    FLOW = 6
    """More bytes than the window allowed."""
    PROTOCOL = 7
    OVERLOAD = 8


_CODES = {int(code): code for code in ResetCode}


def pack(frame_type: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return HEADER.pack(frame_type, flags, 0, stream_id, len(payload)) + payload


# --- control frames: JSON ---------------------------------------------------------------------------------------


def pack_json(frame_type: int, value: dict[str, Any]) -> bytes:
    return pack(frame_type, 0, 0, json.dumps(value, separators=(",", ":")).encode())


def unpack_json(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
        # What came must be able to go on: no NaN, no lone surrogate, no nesting too deep to be written.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"a control frame is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("a control frame is not a JSON object")
    return value


# --- header blocks ----------------------------------------------------------------------------------------------


# Lengths of names and values, by the number of headers. Only common numbers are compiled beforehand.
_LENGTHS = tuple(struct.Struct(f"!{2 * count}H") for count in range(48))


def _lengths(count: int) -> struct.Struct:
    return _LENGTHS[count] if count < len(_LENGTHS) else struct.Struct(f"!{2 * count}H")


def _pack_headers(headers: Headers) -> tuple[bytes, bytes]:
    """The lengths and the bytes of a header block."""
    flat = list(chain.from_iterable(headers))
    try:
        return _lengths(len(headers)).pack(*map(len, flat)), b"".join(flat)
    except struct.error:
        raise LocalProtocolError(f"a header field is longer than {_MAX_FIELD} bytes") from None


def _unpack_headers(payload: bytes, position: int, count: int) -> Headers:
    lengths = iter(_lengths(count).unpack_from(payload, position))
    position += 4 * count
    headers = []
    for name_length, value_length in zip(lengths, lengths):  # noqa: B905 -- the number is even, and this is hot
        middle = position + name_length
        end = middle + value_length
        headers.append((payload[position:middle], payload[middle:end]))
        position = end
    if position != len(payload):
        raise RemoteProtocolError("a header block does not fill its frame")
    return headers


# --- OPEN -------------------------------------------------------------------------------------------------------

# kind, eleven field lengths, client port, server port, number of headers
_OPEN = struct.Struct("!B11HHHH")


def pack_open(
    stream_id: int,
    flags: int,
    *,
    kind: int,
    service: bytes,
    method: bytes,
    scheme: bytes,
    http_version: bytes,
    raw_path: bytes,
    query: bytes,
    root_path: bytes,
    client: tuple[bytes, int],
    server: tuple[bytes, int],
    subprotocols: bytes,
    identity: bytes,
    headers: Headers,
) -> bytes:
    lengths, block = _pack_headers(headers)
    try:
        fixed = _OPEN.pack(
            kind,
            len(service),
            len(method),
            len(scheme),
            len(http_version),
            len(raw_path),
            len(query),
            len(root_path),
            len(client[0]),
            len(server[0]),
            len(subprotocols),
            len(identity),
            client[1],
            server[1],
            len(headers),
        )
    except struct.error:
        raise LocalProtocolError(f"a field of the request is longer than {_MAX_FIELD} bytes") from None
    payload = b"".join(
        (
            fixed,
            service,
            method,
            scheme,
            http_version,
            raw_path,
            query,
            root_path,
            client[0],
            server[0],
            subprotocols,
            identity,
            lengths,
            block,
        )
    )
    return HEADER.pack(OPEN, flags, 0, stream_id, len(payload)) + payload


def unpack_open(payload: bytes) -> tuple[int, list[bytes], int, int, Headers]:
    """Return kind, the eleven fields in `pack_open`'s order, client port, server port, headers."""
    try:
        kind, *lengths, client_port, server_port, count = _OPEN.unpack_from(payload)
        position = _OPEN.size
        fields = []
        for length in lengths:
            end = position + length
            fields.append(payload[position:end])
            position = end
        if position > len(payload) or kind > 1:
            raise RemoteProtocolError("an OPEN frame's fields do not fit it")
        return kind, fields, client_port, server_port, _unpack_headers(payload, position, count)
    except struct.error:
        raise RemoteProtocolError("an OPEN frame is too short") from None


# --- HEAD -------------------------------------------------------------------------------------------------------

_HEAD = struct.Struct("!HBHH")  # status, accept, length of the subprotocol, number of headers

LOWEST_STATUS: Final = 200
"""Of a response. What is below says that another response follows (RFC 9110 §15.2): whatever comes after it would be
read as that response, so only whoever writes to a visitor's connection may say it."""
HIGHEST_STATUS: Final = 999  # three digits (RFC 9112 §4)


def pack_head(stream_id: int, flags: int, status: int, headers: Headers, accept: bool, subprotocol: bytes) -> bytes:
    if not isinstance(status, int):
        raise LocalProtocolError(f"{status!r} is not an HTTP status")
    if not (100 if accept else LOWEST_STATUS) <= status <= HIGHEST_STATUS:
        raise LocalProtocolError(
            f"{status} is not an HTTP status that a response can have: those are {LOWEST_STATUS} to {HIGHEST_STATUS}"
        )
    lengths, block = _pack_headers(headers)
    try:
        fixed = _HEAD.pack(status, accept, len(subprotocol), len(headers))
    except struct.error:
        raise LocalProtocolError("the subprotocol is too long, or there are too many headers") from None
    payload = b"".join((fixed, subprotocol, lengths, block))
    return HEADER.pack(HEAD, flags, 0, stream_id, len(payload)) + payload


def unpack_head(payload: bytes) -> tuple[int, bool, bytes, Headers]:
    """Return status, whether it accepts a WebSocket, the subprotocol, headers."""
    try:
        status, accept, length, count = _HEAD.unpack_from(payload)
        end = _HEAD.size + length
        if end > len(payload) or accept > 1:
            raise RemoteProtocolError("a HEAD frame's fields do not fit it")
        if not (100 if accept else LOWEST_STATUS) <= status <= HIGHEST_STATUS:
            raise RemoteProtocolError(f"a HEAD frame's status is {status}: not that of a response")
        return status, bool(accept), payload[_HEAD.size : end], _unpack_headers(payload, end, count)
    except struct.error:
        raise RemoteProtocolError("a HEAD frame is too short") from None


# --- small frames -----------------------------------------------------------------------------------------------

_U8 = struct.Struct("!B")
_U16 = struct.Struct("!H")
_U32 = struct.Struct("!I")
_GOAWAY = struct.Struct("!IBI")  # last stream, code, retry jitter in milliseconds

MAX_REASON: Final = 512
"""Bytes of a reason that are sent. WebSocket close reasons are shorter still (123, RFC 6455 §5.5)."""


def _reason(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:MAX_REASON]


def pack_close(stream_id: int, code: int, reason: str) -> bytes:
    return pack(CLOSE, 0, stream_id, _U16.pack(code) + _reason(reason))


def unpack_close(payload: bytes) -> tuple[int, str]:
    if len(payload) < 2:
        raise RemoteProtocolError("a CLOSE frame is too short")
    return _U16.unpack_from(payload)[0], payload[2:].decode("utf-8", "replace")


def pack_window(stream_id: int, credit: int) -> bytes:
    return pack(WINDOW, 0, stream_id, _U32.pack(credit))


def unpack_window(payload: bytes) -> int:
    if len(payload) != 4:
        raise RemoteProtocolError("a WINDOW frame is not 4 bytes long")
    credit: int = _U32.unpack(payload)[0]
    return credit


def pack_reset(stream_id: int, code: int, reason: str) -> bytes:
    return pack(RESET, 0, stream_id, _U8.pack(code) + _reason(reason))


def unpack_reset(payload: bytes) -> tuple[ResetCode, str]:
    if not payload:
        raise RemoteProtocolError("a RESET frame is empty")
    return _CODES.get(payload[0], ResetCode.PROTOCOL), payload[1:].decode("utf-8", "replace")


def pack_goaway(last_stream: int, code: int, retry_jitter_ms: int, reason: str) -> bytes:
    return pack(GOAWAY, 0, 0, _GOAWAY.pack(last_stream, code, retry_jitter_ms) + _reason(reason))


def unpack_goaway(payload: bytes) -> tuple[int, ResetCode, int, str]:
    if len(payload) < _GOAWAY.size:
        raise RemoteProtocolError("a GOAWAY frame is too short")
    last_stream, code, jitter = _GOAWAY.unpack_from(payload)
    reason = payload[_GOAWAY.size :].decode("utf-8", "replace")
    return last_stream, _CODES.get(code, ResetCode.PROTOCOL), jitter, reason
