"""From an ASGI scope to a WSGI environment, and the input and errors in it. Source: PEP 3333; RFC 3875 §4.1.

Where PEP 3333 leaves a choice, it is gunicorn's.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from portico.types import Message, Scope

BLOCK = 64 * 1024
"""Bytes of a file that are read at once: a link's window is some of these."""

Environ = dict[str, Any]


class VisitorLeft(ConnectionResetError):
    """Raised to a WSGI app that reads or writes after its visitor has left: the body is not whole, and will not be."""

    def __init__(self) -> None:
        super().__init__("the visitor has left")


def environ_of(scope: Scope, body: WSGIInput) -> Environ:
    """The environment of one request. Bytes are in it as Latin-1, as PEP 3333 asks ("Unicode Issues")."""
    root: str = scope.get("root_path", "")
    raw: bytes | None = scope.get("raw_path")
    if raw is not None:
        path = unquote_to_bytes(raw.removeprefix(root.encode())).decode("latin-1")
    else:
        path = scope["path"].removeprefix(root).encode("utf-8", "surrogateescape").decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    server, client = scope.get("server") or ("localhost", 80), scope.get("client")
    target = (raw.decode("latin-1") if raw is not None else scope["path"]) + (f"?{query}" if query else "")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": ERRORS,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "asgi.scope": scope,
    }
    if client:
        environ["REMOTE_PORT"] = str(client[1])
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:  # it would be read as another, with a hyphen, and pass for that: X_Forwarded_For
            continue
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            environ[key] = value
            continue
        key = "HTTP_" + key
        if key in environ:  # RFC 9110 §5.3; Cookie: RFC 9113 §8.2.3
            value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        environ[key] = value
    return environ


class WSGIInput:
    """``wsgi.input``: the request's body as it comes. Its end is its end: no Content-Length is needed to find it.

    A body that was cut raises `VisitorLeft`, at each reading, and is never taken for whole.
    """

    def __init__(self, receive: Callable[[], Message]) -> None:
        """*receive* waits for the next message of ASGI; it is not called after the last."""
        self._receive = receive
        self._held = b""
        self._at = 0
        self._over = False
        self._cut = False

    def read(self, size: int | None = -1) -> bytes:
        """At most *size* bytes, fewer at the end alone; all of them for -1 or None."""
        if size is None or size < 0:
            size = sys.maxsize
        if size == 0:
            return b""
        parts: list[bytes] = []
        while size and self._more():
            part = self._held[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """A line with its end, or at most *size* bytes of it."""
        if size is None or size < 0:
            size = sys.maxsize
        parts: list[bytes] = []
        while size and self._more():
            found = self._held.find(b"\n", self._at, min(self._at + size, len(self._held)))
            end = found + 1 if found >= 0 else min(self._at + size, len(self._held))
            part = self._held[self._at : end]
            self._at = end
            size -= len(part)
            parts.append(part)
            if found >= 0:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The lines that are left, or the first that have *hint* bytes together."""
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _more(self) -> bool:
        """Whether there are bytes, once some have come or the end has."""
        while self._at >= len(self._held):
            if self._cut:
                raise VisitorLeft
            if self._over:
                return False
            self._cut = True  # unless it turns out otherwise
            message = self._receive()
            if message["type"] == "http.disconnect":
                raise VisitorLeft
            self._cut = False
            self._held, self._at = message.get("body", b""), 0
            self._over = not message.get("more_body", False)
        return True


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling"): a file's bytes in blocks."""

    def __init__(self, file: Any, block_size: int = BLOCK) -> None:
        self._file = file
        self._size = max(block_size, BLOCK)  # frameworks ask for the 8 KiB of old
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self._file.read(self._size)
        if not block:
            raise StopIteration
        return block


class _Errors(io.TextIOBase):
    """``wsgi.errors``: where standard error is when something is written, which belongs to the service by then."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


ERRORS = _Errors()
