"""What a relay writes to its log: lines of text or of JSON, to standard error, its server's own among them.

No line holds a token, a key, a cookie or a query: the access log is given paths alone, and what looks like a credential
is taken out of every line, wherever it came from. What others chose (a path, a name, an exception's text) is escaped
and cut, so that nobody forges a line, steers a terminal, or fills the disk. A request's line is put together with
others, a few times a second: what it costs the request is one tuple.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from portico.hub.visits import id_of
from portico.log_text import MOST_PATH, cut, one_line
from portico.relay.config import RelayConfig

_FLUSH_AFTER = 0.2  # seconds that a line of the access log may wait for others
_FLUSH_AT = 5000  # lines: then they are written at once

_FLUSH_LONG_AT = 64 * 1024  # characters of lines that had to be cut: what is written at once must not hold up the loop

_MOST_MESSAGE = 8 * 1024  # characters of a message
_MOST_TRACEBACK = 20_000  # characters: a recursion error's is longer than anyone reads

# Of a field of the access log, in characters. A host name has up to 253, and a port (RFC 1035 §2.3.4); names of
# workspaces and services 30; methods and addresses less. Of paths, see `MOST_PATH`.
_USUAL = 512  # of all fields together: then none is looked at
_MOST_HOST = 260
_MOST_NAME = 100

# Each pattern reads a text in time that is in proportion to its length: none begins a word anew within the word.
_JWT = re.compile(  # RFC 7519
    r"(?<![\w-])(?=[\w-]*+\.[\w-]++\.)"  # only where a word begins which two dots follow
    r"([\w-]*?)eyJ[\w-]{8,}+\.[\w-]++\.[\w-]*+"
)
_NAMED = re.compile(
    r"(?i:(?<=bearer )[^\s'\",]++"
    r"|(?<=portico_key=)[^\s&'\"]++|(?<=token=)[^\s&'\"]++|(?<=password=)[^\s&'\"]++|(?<=cookie: )[^\r\n'\"]++)"
)

# What uvicorn says of visitors, with the query among it or as loud as a fault of the server's; and of the edge's way to
# cut a connection; or that a WebSocket came or went, by which thousands would fill the disk. All of it is counted, or
# in the access log.
_OF_VISITORS = (
    "connection open",
    "connection closed",
    "connection rejected",
    '%s - "WebSocket %s"',
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "ASGI callable returned without completing",
)

ACCESS = "portico.relay.access"


def without_credentials(text: str) -> str:
    """*text*, with what looks like a token, a key or a cookie taken out."""
    if "eyJ" in text:
        text = _JWT.sub(r"\1<hidden>", text)
    return _NAMED.sub("<hidden>", text)


def _time(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class TextFormatter(logging.Formatter):
    """One line a record. Those of a traceback are indented, so that none passes for a record."""

    def format(self, record: logging.LogRecord) -> str:
        message = one_line(record.getMessage(), _MOST_MESSAGE)
        line = f"{_time(record.created)} {record.levelname:<7} {record.name}: {message}"
        if record.exc_info:
            lines = _traceback(self.formatException(record.exc_info)).split("\n")
            line += "".join("\n  | " + one_line(text, _MOST_TRACEBACK) for text in lines)
        return without_credentials(line)


class JSONFormatter(logging.Formatter):
    """One object a record, on a line of its own. JSON escapes what is not visible ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": cut(record.getMessage(), _MOST_MESSAGE),
        }
        if record.exc_info:
            line["exception"] = _traceback(self.formatException(record.exc_info))
        return without_credentials(json.dumps(line))


def _traceback(text: str) -> str:
    """The first and the last lines: which call it was, and what was raised."""
    if len(text) <= _MOST_TRACEBACK:
        return text
    return f"{text[: _MOST_TRACEBACK // 2]}\n...\n{text[-_MOST_TRACEBACK // 2 :]}"


def _not_of_visitors(record: logging.LogRecord) -> bool:
    return not record.msg.startswith(_OF_VISITORS) if isinstance(record.msg, str) else True


def configure(config: RelayConfig, stream: TextIO | None = None) -> None:
    """Send all logging of this process to *stream* (standard error), in the format and from the level of *config*."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if config.log_format == "json" else TextFormatter())
    handler.addFilter(_not_of_visitors)
    logging.basicConfig(handlers=[handler], level=config.log_level.upper(), force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("asyncio", "websockets"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


_Line = tuple[float, str, str, bytes, int, float, str, str, str, int]
"""When, and what `AccessLog.add` was given."""


class AccessLog:
    """One line for each request, when it is over."""

    def __init__(self, log_format: str, write: Callable[[str], object]) -> None:
        """*write* is given whole lines, many at a time."""
        self._render = _as_json if log_format == "json" else _as_text
        self._write = write
        self._lines: list[_Line] = []
        self._long = 0
        """How many characters of the lines that wait are of lines that were cut."""
        self._flushing: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, config: RelayConfig, stream: TextIO | None = None) -> AccessLog | None:
        """The access log of a process that `configure` was called in. None: nobody reads lines of level info."""
        if config.log_level not in ("debug", "info"):
            return None
        out = stream or sys.stderr

        def write(text: str) -> None:
            out.write(text)
            out.flush()

        return cls(config.log_format, write)

    def add(
        self,
        method: str,
        host: str,
        path: bytes,
        status: int,
        seconds: float,
        workspace: str,
        service: str,
        client: str,
        number: int,
    ) -> None:
        """*path* is raw, without its query; *status* 0 where the visitor left before there was one."""
        lines = self._lines
        size = len(path) + len(host) + len(workspace) + len(service) + len(client) + len(method)
        if size > _USUAL:  # cut now: what waits is held in memory
            path, host = cut(path.decode("latin-1"), MOST_PATH).encode("latin-1"), cut(host, _MOST_HOST)
            workspace, service = cut(workspace, _MOST_NAME), cut(service, _MOST_NAME)
            client, method = cut(client, _MOST_NAME), cut(method, _MOST_NAME)
            self._long += min(size, MOST_PATH)
        lines.append((time.time(), method, host, path, status, seconds, workspace, service, client, number))
        if len(lines) >= _FLUSH_AT or self._long > _FLUSH_LONG_AT:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines, self._long = self._lines, [], 0
        if lines:
            out = io.StringIO()
            for line in lines:
                self._render(out, line)
            try:
                self._write(without_credentials(out.getvalue()))
            except (OSError, ValueError):  # nobody reads it any more: no reason to serve nobody
                pass


def _as_json(out: io.StringIO, line: _Line) -> None:
    when, method, host, path, status, seconds, workspace, service, client, number = line
    out.write(
        f'{{"time": "{_time(when)}", "level": "info", "logger": "{ACCESS}", "method": {_quoted(method)}, '
        f'"host": {_quoted(host)}, "path": {_quoted(path.decode("latin-1"))}, "status": {status}, '
        f'"ms": {seconds * 1000:.1f}, "workspace": {_quoted(workspace)}, "service": {_quoted(service)}, '
        f'"client": {_quoted(client)}, "request_id": "{id_of(number)}"}}\n'
    )


def _as_text(out: io.StringIO, line: _Line) -> None:
    when, method, host, path, status, seconds, workspace, service, client, number = line
    where = f"{workspace or '-'}/{service or '-'}"
    out.write(
        f"{_time(when)} INFO    {ACCESS}: {status} {_word(method)} {_word(host)} {_word(path.decode('latin-1'))} "
        f"{seconds * 1000:.1f}ms {_word(where)} {_word(client or '-')} {id_of(number)}\n"
    )


_quoted = json.encoder.encode_basestring_ascii


def _word(text: str) -> str:
    """*text* as one word of a line, whoever wrote it."""
    return text if text.isascii() and text.isprintable() and " " not in text else ascii(text).replace(" ", "\\x20")
