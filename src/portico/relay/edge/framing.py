"""Where a request begins and where it ends (RFC 9112 §6, §7): the relay's own reading, beside its parser's.

A parser has special cases, and two servers that read the same bytes in two ways can be played against each other
(RFC 9112 §11.2). So the relay cuts what comes into requests by the few rules of this file, and gives the parser one
request at a time: where the parser comes to another end, the connection is refused. What the rules leave open is
refused as well: nothing here is guessed. Sans-I/O: no connection, no clock, no header but the few that frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from portico.types import Headers, Scope

END_OF_HEAD = b"\r\n\r\n"

FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})
"""The fields that `read` is given."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(1\.[01])")
"""Method, target and version (RFC 9112 §3), one space between. Parsers take RTSP/1.0, HTTP/0.9 and HTTP/2.0 as well."""

_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_VISIBLE = bytes(range(0x21, 0x7F))

_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
"""A length that every server reads alike: no sign, no leading zero (it may be read as octal), below 2^63."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?\r\n")
"""The line before a chunk (RFC 9112 §7.1): a size, and extensions that nobody reads."""

_MOST_CHUNK = 1 << 62  # bytes: no number that a server could hold in 64 bits wraps around
_MOST_LINE = 8 * 1024  # bytes of a line before a chunk, or of a trailer: neither is used, and it is held until it ends
_MOST_TRAILERS = 64 * 1024  # bytes of all trailers: as much as of a head


class Malformed(ValueError):
    """What came is no request that every server would read in the same way. Its text is told to the visitor."""


class RequestBody(Protocol):
    """The rest of a request behind its head."""

    done: bool
    """Whether the request is whole."""

    def cut(self, data: bytes, start: int) -> int:
        """How far *data* belongs to the request, from *start* on. Raises `Malformed`."""


@dataclass(slots=True)
class Framing:
    """What a head says of its request's body and of its connection."""

    body: RequestBody | None = None
    """None: there is none."""
    keep_alive: bool = True
    """Whether another request may follow."""
    websocket: bool = False
    """Whether it asks for a WebSocket."""
    expects: bool = False
    """Whether the visitor waits for a 100 (RFC 9110 §10.1.1)."""


PLAIN = {"1.1": Framing(), "1.0": Framing(keep_alive=False)}
"""By the version, where no field of the head says more. Nobody changes them."""

_KEPT = frozenset({(b"connection", b"keep-alive"), (b"connection", b"Keep-Alive")})
"""What browsers say, and what says no more than nothing: HTTP/1.1 keeps a connection by itself, and HTTP/1.0 has none
that is kept here."""


class HeadInParts:
    """A head, as it comes."""

    def __init__(self) -> None:
        self._came = bytearray()

    @property
    def size(self) -> int:
        """Bytes that have come of one that is not whole."""
        return len(self._came)

    def cut(self, data: bytes, start: int) -> tuple[int, bytes]:
        """How far *data* belongs to it, from *start* on; and the head, once it is whole, or nothing."""
        came = self._came
        known = len(came)
        if not known:
            end = data.find(END_OF_HEAD, start) + 4
            if end > 3:
                return end, data[start:end]
        came += data[start:]
        found = came.find(END_OF_HEAD, max(0, known - 3)) + 4
        if found < 4:
            return len(data), b""
        whole = bytes(came[:found])
        came.clear()
        return start + found - known, whole


def request_line(line: bytes) -> tuple[str, bytes, str] | None:
    """Method, target and version (``1.0`` or ``1.1``) of a request line, without its end; None if it is none."""
    parts = line.split(b" ")
    if len(parts) == 3:  # usual ones are read for half of what the expression costs
        method, target, version = _METHODS.get(parts[0]), parts[1], _VERSIONS.get(parts[2])
        if method is not None and version is not None and target and not target.translate(None, _VISIBLE):
            return method, target, version
    match = _REQUEST_LINE.fullmatch(line)
    return None if match is None else (match[1].decode(), match[2], match[3].decode())


def one_host(target: bytes, version: str, headers: Headers) -> bytes:
    """Its target, of a request that names one host (RFC 9112 §3.2), in *target* and *headers*. Raises `Malformed`."""
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Malformed("A request names one Host.")
    if not target.startswith(b"/"):  # the absolute form, for proxies: its host must be the one of the field
        scheme, _, rest = target.partition(b"://")
        authority = rest.partition(b"/")[0].partition(b"?")[0].lower()
        if scheme.lower() not in (b"http", b"https") or any(
            name == b"host" and value.lower() != authority for name, value in headers
        ):
            raise Malformed("The request's target is of another host than Host says, or of none.")
        at = len(scheme) + 3 + len(authority)
        if target[at : at + 1] != b"/":  # an empty path is the root (RFC 9110 §4.2.3)
            target = target[:at] + b"/" + target[at:]
    return target


def read(method: str, version: str, fields: Headers) -> Framing:
    """What *fields*, those of `FRAMING` with names in lower case, say of a request. Raises `Malformed`.

    *version* is ``1.0`` or ``1.1``. An upgrade that is not to a WebSocket is never accepted: its request is answered as
    any other, and the connection closed, for a proxy in front may believe that it has become something else.
    """
    if len(fields) == 1 and fields[0] in _KEPT and method != "CONNECT":
        return PLAIN[version]
    lengths: list[bytes] = []
    codings: list[bytes] = []
    upgrades: list[bytes] = []
    options: list[bytes] = []
    expects = False
    for name, value in fields:
        if name == b"connection":
            options += [option.strip(b" \t") for option in value.lower().split(b",")]
        elif name == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"upgrade":
            upgrades.append(value.strip(b" \t").lower())
        elif value.lower() == b"100-continue":
            expects = version == "1.1"  # HTTP/1.0 knows no interim responses (RFC 9110 §15.2)
    body = _body(version, lengths, codings)
    if method == "CONNECT":
        raise Malformed("CONNECT is for proxies, and this is none.")
    framing = Framing(body, version == "1.1" and b"close" not in options, expects=expects)
    if upgrades:
        if body is not None:
            raise Malformed("A request with Upgrade must not have a body: send it without Upgrade.")
        if b"upgrade" in options:
            framing.websocket = upgrades == [b"websocket"]
            if not framing.websocket:
                framing.keep_alive = False
            elif method != "GET" or version != "1.1":
                raise Malformed("A WebSocket is asked for with GET and HTTP/1.1.")
    return framing


def read_scope(scope: Scope) -> Framing:
    """What the head says that an ASGI server has read for `scope`; of HTTP/2 and HTTP/3, that frame without fields,
    nothing. Raises `Malformed`: the server may have taken the end of the request for another than a proxy in front."""
    version: str = scope["http_version"]
    if version in ("2", "3"):
        return Framing()
    if version not in ("1.0", "1.1"):
        raise Malformed("HTTP of that version is not spoken here.")
    fields = [(name.lower(), value) for name, value in scope["headers"]]
    if sum(name == b"host" for name, _ in fields) > 1:
        raise Malformed("A request names one Host.")
    noted = [pair for pair in fields if pair[0] in FRAMING]
    return read(scope.get("method", "GET"), version, noted)


def _body(version: str, lengths: list[bytes], codings: list[bytes]) -> RequestBody | None:
    if codings:
        if lengths:
            raise Malformed("A request has Content-Length or Transfer-Encoding, not both.")
        if version != "1.1" or len(codings) > 1 or codings[0].lower() != b"chunked":  # RFC 9112 §6.1
            raise Malformed("The one Transfer-Encoding that is read here is chunked, in HTTP/1.1.")
        return Chunks()
    if lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise Malformed("Content-Length must be one decimal number.")
        if lengths[0] != b"0":
            return Length(int(lengths[0]))
    return None


class Length:
    """A body of so many bytes."""

    __slots__ = ("_left", "done")

    def __init__(self, size: int) -> None:
        self._left = size
        self.done = False

    def cut(self, data: bytes, start: int) -> int:
        here = len(data) - start
        if here < self._left:
            self._left -= here
            return len(data)
        self.done = True
        return start + self._left


class Chunks:
    """A chunked body, with its trailers."""

    __slots__ = ("_left", "_line", "_trailers", "done")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the chunk that are to come, and of the CRLF behind it."""
        self._line = b""
        """A line that has come in part."""
        self._trailers = -1
        """Bytes of the trailers so far; -1 before the last chunk."""
        self.done = False

    def cut(self, data: bytes, start: int) -> int:
        size = len(data)
        while start < size:
            if self._left > 2:
                step = min(self._left - 2, size - start)
                self._left -= step
                start += step
            elif self._left:
                if data[start] != b"\n\r"[self._left - 1]:
                    raise Malformed("A chunk of the body is longer than it says.")
                self._left -= 1
                start += 1
            else:
                end = data.find(b"\n", start) + 1
                line = self._line + data[start : end or size]
                if len(line) > _MOST_LINE:
                    raise Malformed(f"A line before a chunk, or a trailer, has at most {_MOST_LINE} bytes here.")
                if self._trailers + len(line) > _MOST_TRAILERS:
                    raise Malformed(f"The trailers of a request have at most {_MOST_TRAILERS} bytes here.")
                if not end:
                    self._line = line
                    return size
                self._line, start = b"", end
                self._take(line)
                if self.done:
                    break
        return start

    def _take(self, line: bytes) -> None:
        if self._trailers >= 0:
            # what a trailer says is never believed; the parser looks at whether it is one
            self._trailers += len(line)
            self.done = line == b"\r\n"
            return
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise Malformed("The size of a chunk of the body cannot be read.")
        length = int(match[1], 16)
        if length > _MOST_CHUNK:
            raise Malformed("A chunk of the body is too long.")
        if length:
            self._left = length + 2
        else:
            self._trailers = 0
