"""HTTP to a server that listens on a Unix socket, by the standard library."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from typing import Any


class _Connection(http.client.HTTPConnection):
    """*host* is what the request says; the path is where it goes."""

    def __init__(self, path: str, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class UnixHandler(urllib.request.HTTPHandler):
    """Opens ``http://`` URLs at the socket of that *path*. Errors are those of `urllib.request`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(lambda host, **options: _Connection(self._path, host, **options), req)
