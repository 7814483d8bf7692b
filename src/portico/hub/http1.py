"""How a response is written as HTTP/1.1 (RFC 9112), for both edges: as the app gave it, order, doubles and all.

An edge gives the bytes to its own connection. Nothing is kept but how the body's end is told.
"""

from __future__ import annotations

import re
from http.client import responses

from portico.hub.date_and_server import date
from portico.hub.firewall.headers import BODILESS
from portico.types import Headers


class ResponseWriter:
    """Writes one response. Its methods raise `ValueError` for what cannot be one: then the connection must be cut."""

    __slots__ = ("_chunked", "_old", "_remaining", "bodiless", "close")

    def __init__(self, method: str, http_version: str, close: bool) -> None:
        self._old = http_version != "1.1"
        self._chunked = False
        self._remaining: int | None = None
        """Bytes of the body that Content-Length still promises."""
        self.bodiless = method == "HEAD"
        """Whether the response has no body, whatever the app sends (RFC 9110 §9.3.2, §15.3.5, §15.4.5)."""
        self.close = close
        """Whether the connection ends with the response."""

    def begin(self, status: int, headers: Headers, body: bytes, fin: bool) -> bytes:
        """The head, and the first bytes of the body; with *fin* all of it."""
        if status in BODILESS:
            self.bodiless = True
        lines = [_STATUS_LINES.get(status) or status_line(status)]
        length: int | None = None
        has_date = False
        labels = _LABELS
        for name, value in headers:
            if name == b"content-length":
                if length is not None or not value.isdigit():
                    raise ValueError("the response has no one Content-Length")
                length = int(value)
                if status == 204:
                    continue  # it may have none (RFC 9110 §8.6): a reader could take the next head for the body
            elif name == b"date":
                has_date = True
            lines.append((labels.get(name) or _label(name)) + value)
        if not has_date:
            lines.append(b"date: " + date())
        if length is None and not self.bodiless:
            if fin:
                length = len(body)
                lines.append(b"content-length: %d" % length)
            elif self._old:
                self.close = True  # the end of the connection ends it (RFC 9112 §6.3)
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked")
        if self.close:
            lines.append(b"connection: close")
        elif self._old:
            lines.append(b"connection: keep-alive")
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
            raise ValueError("a header field holds a line break or a NUL")
        self._remaining = length
        return head + b"\r\n\r\n" + self.more(body, fin)

    def more(self, body: bytes, fin: bool) -> bytes:
        """More of the body; with *fin* the last of it."""
        if self.bodiless:
            return b""
        if self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            return body + b"0\r\n\r\n" if fin else body
        if self._remaining is not None:
            self._remaining -= len(body)
            if self._remaining < 0 or (fin and self._remaining):
                raise ValueError("the app's Content-Length is not its body's")
        return body


TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header field's name (RFC 9110 §5.6.2)."""

_LABELS: dict[bytes, bytes] = {}


def _label(name: bytes) -> bytes:
    """A response header's name as it is written. Raises `ValueError` for what is none."""
    if not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header field")
    label = name + b": "
    if len(_LABELS) < 1000:  # apps choose names: remember the usual ones only
        _LABELS[name] = label
    return label


def status_line(status: int) -> bytes:
    """Without its line break. Raises `ValueError` for what is not the status of a response: another would follow."""
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is not the status of a response")
    return f"HTTP/1.1 {status} {responses.get(status, '')}".encode("latin-1")


_STATUS_LINES = {status: status_line(status) for status in responses if status >= 200}
