"""What an app call needs from whatever carries it: the interface that `portico.link.Stream` fulfils.

Also the parts of a scope that HTTP and WebSocket share.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from portico.bounded import BoundedCache
from portico.protocol.events import Open
from portico.protocol.frames import HIGHEST_STATUS, LOWEST_STATUS, ResetCode
from portico.types import Headers, Scope


class Carrier(Protocol):
    """The app's end of a stream. See `portico.link.Stream` for what each call does."""

    def send_head(
        self, status: int, headers: Headers, *, accept: bool = False, subprotocol: str = "", fin: bool = False
    ) -> None: ...

    def send_data(
        self, data: bytes | memoryview, *, fin: bool = False, text: bool = False, message_end: bool = False
    ) -> bool: ...

    def send_close(self, code: int, reason: str = "") -> None: ...

    def reset(self, code: ResetCode, reason: str = "") -> None: ...

    def consumed(self, count: int) -> None: ...

    def keep(self, count: int, pieces: int = 1) -> bool: ...

    def release(self) -> None: ...


Report = Callable[[str, BaseException], None]
"""Told of an exception that left the app: what it was doing (``GET /hello``), and the exception."""

ASGI = {"version": "3.0", "spec_version": "2.4"}


_IDENTITIES: BoundedCache[bytes, dict[str, Any]] = BoundedCache(256)


def _identity(identity: bytes) -> dict[str, Any]:
    known = _IDENTITIES.get(identity)
    if known is None:
        try:
            value = json.loads(identity)
        except (ValueError, RecursionError):
            value = {}
        known = _IDENTITIES.keep(identity, value if isinstance(value, dict) else {}, 4 * len(identity))
    return known


def base_scope(request: Open, kind: str, scheme: str, state: dict[str, Any] | None) -> Scope:
    """The keys that an HTTP and a WebSocket scope share.

    The visitor's identity, as the hub verified it, is under ``scope["extensions"]["portico"]``.
    """
    raw_path = request.raw_path
    path = raw_path.decode("ascii", "surrogateescape")
    if "%" in path:
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    elif not path.isascii():
        path = raw_path.decode("utf-8", "replace")
    root_path = request.root_path
    scope: Scope = {
        "type": kind,
        "asgi": dict(ASGI),
        "http_version": request.http_version,
        "server": request.server,
        "client": request.client,
        "scheme": scheme,
        "root_path": root_path,
        "path": root_path + path,
        "raw_path": root_path.encode() + raw_path,
        "query_string": request.query,
        "headers": request.headers,
        "extensions": {"portico": dict(_identity(request.identity))},
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def app_status(status: Any) -> int:
    """The status that an app gave. Raises `RuntimeError` for what is not that of a response."""
    if not isinstance(status, int) or not LOWEST_STATUS <= status <= HIGHEST_STATUS:
        raise RuntimeError(
            f"{status!r} is not the status of a response: that is a number from {LOWEST_STATUS} to {HIGHEST_STATUS} "
            "(what is below 200 is the server's to say)"
        )
    return status


_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # no part of a field's value (RFC 9110 §5.5)
_names: dict[bytes, bytes] = {}


def app_headers(given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The header fields that an app gave, names in lower case. Raises `RuntimeError` for what no response may hold."""
    headers: Headers = []
    for name, value in given:
        known = _names.get(name) or _name(bytes(name))
        if _CONTROL.search(value):
            raise RuntimeError(f"the value of the header {name!r} holds a control character")
        headers.append((known, bytes(value)))
    return headers


def _name(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise RuntimeError(f"{name!r} is no name of a header field")
    lower = name.lower()
    if len(_names) < 1000:  # apps choose names: remember the usual ones only
        _names[name] = lower
    return lower
