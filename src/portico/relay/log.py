"""What a relay writes to its log: lines of text or of JSON, to standard error, its server's own among them.

No line holds a token, a key, a cookie or a query: the access log is given paths alone, and what looks like a credential
is taken out of every line, wherever it came from. A request's line is put together with others, a few times a second:
what it costs the request is one tuple.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from portico.relay.config import RelayConfig

_FLUSH_AFTER = 0.2  # seconds that a line of the access log may wait for others
_FLUSH_AT = 5000  # lines: then they are written at once

_CREDENTIALS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JWT (RFC 7519)
    r"|(?i:(?<=bearer )[^\s'\",]+)"
    r"|(?i:(?<=portico_key=)[^\s&'\"]+|(?<=token=)[^\s&'\"]+|(?<=password=)[^\s&'\"]+|(?<=cookie: )[^\r\n'\"]+)"
)

# What uvicorn says of visitors, with the query among it or as loud as a fault of the server's; and of the edge's way to
# cut a connection. All of it is counted, or in the access log.
_OF_VISITORS = (
    '%s - "WebSocket %s"',
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "ASGI callable returned without completing",
)

ACCESS = "portico.relay.access"


def without_credentials(text: str) -> str:
    """*text*, with what looks like a token, a key or a cookie taken out."""
    return _CREDENTIALS.sub("<hidden>", text)


def _time(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        line = f"{_time(record.created)} {record.levelname:<7} {record.name}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return without_credentials(line)


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_credentials(json.dumps(line))


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


_Line = tuple[float, str, str, bytes, int, float, str, str, str, str]
"""When, and what `AccessLog.add` was given."""


class AccessLog:
    """One line for each request, when it is over."""

    def __init__(self, log_format: str, write: Callable[[str], object]) -> None:
        """*write* is given whole lines, many at a time."""
        self._render = _as_json if log_format == "json" else _as_text
        self._write = write
        self._lines: list[_Line] = []
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
        request_id: str,
    ) -> None:
        """*path* is raw, without its query; *status* 0 where the visitor left before there was one."""
        lines = self._lines
        lines.append((time.time(), method, host, path, status, seconds, workspace, service, client, request_id))
        if len(lines) >= _FLUSH_AT:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        if lines:
            out = io.StringIO()
            for line in lines:
                self._render(out, line)
            try:
                self._write(without_credentials(out.getvalue()))
            except (OSError, ValueError):  # nobody reads it any more: no reason to serve nobody
                pass


def _as_json(out: io.StringIO, line: _Line) -> None:
    when, method, host, path, status, seconds, workspace, service, client, request_id = line
    out.write(
        f'{{"time": "{_time(when)}", "level": "info", "logger": "{ACCESS}", "method": {_quoted(method)}, '
        f'"host": {_quoted(host)}, "path": {_quoted(path.decode("latin-1"))}, "status": {status}, '
        f'"ms": {seconds * 1000:.1f}, "workspace": {_quoted(workspace)}, "service": {_quoted(service)}, '
        f'"client": {_quoted(client)}, "request_id": "{request_id or new_request_id()}"}}\n'
    )


def _as_text(out: io.StringIO, line: _Line) -> None:
    when, method, host, path, status, seconds, workspace, service, client, request_id = line
    where = f"{workspace or '-'}/{service or '-'}"
    out.write(
        f"{_time(when)} INFO    {ACCESS}: {status} {method} {_word(host)} {_word(path.decode('latin-1'))} "
        f"{seconds * 1000:.1f}ms {_word(where)} {client or '-'} {request_id or new_request_id()}\n"
    )


_quoted = json.encoder.encode_basestring_ascii


def _word(text: str) -> str:
    """*text* as one word of a line, whoever wrote it."""
    return text if text.isascii() and text.isprintable() and " " not in text else ascii(text).replace(" ", "\\x20")


_START = secrets.token_hex(4)
_numbers = iter(range(1, 1 << 62))


def new_request_id() -> str:
    """Tells requests apart: in the log, and in the relay's own answers (X-Request-Id)."""
    return f"{_START}-{next(_numbers):x}"
