"""A visitor with raw headers, and one that logs in as a browser does."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from tests.live_jupyter import TOKEN, JupyterServer

Headers = dict[str, str] | list[tuple[str, str]]


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name]

    def one(self, name: str) -> str:
        return ", ".join(self.all(name))

    def json(self) -> Any:
        return json.loads(self.body)

    def seen(self, name: str) -> list[str]:
        """The header of that name which the echoing app saw."""
        return [value for found, value in self.json()["headers"] if found == name]


class Server(Protocol):
    """Where a visitor goes: a Jupyter server, or a place on a relay (`tests.security.relays`)."""

    @property
    def port(self) -> int: ...
    @property
    def base(self) -> str:
        """What every target begins with."""


def ask(
    server: Server,
    target: str,
    method: str = "GET",
    headers: Headers | None = None,
    body: bytes | None = None,
    host: str = "",
    source: str = "",
    lengthless: bool = False,
) -> Answer:
    """One request, its headers as they are given. *target* follows the server's base URL; *source* is one's address.

    A *lengthless* body has no Content-Length: it is framed already.
    """
    host = host or getattr(server, "host", "") or f"127.0.0.1:{server.port}"
    source_address = (source, 0) if source else None
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=source_address)
    try:
        connection.putrequest(method, server.base + target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in headers.items() if isinstance(headers, dict) else headers or []:
            connection.putheader(name, value)
        if body is not None and not lengthless:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), b"" if response.status == 101 else response.read())
    finally:
        connection.close()


def upgrade(server: Server, target: str, headers: Headers | None = None, host: str = "") -> Answer:
    """Ask for a WebSocket; the answer to the handshake."""
    given = list(headers.items() if isinstance(headers, dict) else headers or [])
    key = base64.b64encode(os.urandom(16)).decode()
    given += [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    return ask(server, target, headers=[*given, ("Sec-WebSocket-Key", key)], host=host)


@dataclass(frozen=True)
class Login:
    """The cookies that Jupyter gives a browser."""

    name: str
    value: str
    xsrf: str

    @property
    def cookie(self) -> str:
        return f"{self.name}={self.value}; _xsrf={self.xsrf}"


def log_in(server: JupyterServer, token: str = TOKEN, next_url: str = "") -> Login:
    """Fill in Jupyter's own login form."""
    form = ask(server, "login?next=" + quote(next_url or server.base))
    xsrf = _cookie(form, "_xsrf")
    body = urlencode({"password": token, "_xsrf": xsrf}).encode()
    content = {"Cookie": f"_xsrf={xsrf}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(server, "login?next=" + quote(next_url or server.base), "POST", content, body)
    assert answer.status == 302, answer.body
    name, value = next(
        found.groups()
        for cookie in answer.all("set-cookie")
        if (found := re.match(r'(username-[^=]*)=("?[^;]*)', cookie)) and found.group(2)
    )
    return Login(name, value, xsrf)


def _cookie(answer: Answer, name: str) -> str:
    return next(
        found.group(1) for cookie in answer.all("set-cookie") if (found := re.match(rf"{name}=([^;]*)", cookie))
    )
