"""What is the relay's own, told apart by its path: probes, metrics, the admin's pages, and `portico.relay.control`.

Each request has its visitor's address and scheme as the proxies in front say them, a deadline for its body, and a line
in the log. Of the paths here, none is on a service's host.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable

from portico.hub.answers import Answer, forbidden, late_body, unauthorized
from portico.hub.date_and_server import date
from portico.hub.firewall.heads import check_head
from portico.hub.keys import InvalidKey
from portico.hub.tools import no_oauth
from portico.hub.tools.eras import VERSION_HEADER
from portico.hub.visits import next_number
from portico.relay.control import ControlApp
from portico.relay.operate.admin import PATHS as ADMIN_PATHS
from portico.relay.operate.admin import Admin
from portico.relay.operate.metrics import CONTENT_TYPE, Metrics
from portico.relay.people.oauth import METADATA
from portico.relay.state import RelayState
from portico.types import ASGIApp, Headers, Message, Receive, Scope, Send

_TEXT = b"text/plain; charset=utf-8"

_MOST_PATH = 1000  # characters: none here has more than some hundred
_MOST_TARGET = 16 * 1024
"""Bytes of a path and query: a sign-in comes back with an address of 8,000 characters, some of them encoded. What reads
a URL by Python's `urllib.parse` keeps the last 128 that it was given, decoded, with four bytes a character."""

_ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
"""What goes out with every answer that does not say otherwise: it is data, and no page of anybody's."""


VisitorOf = Callable[[tuple[str, int] | None, str, Headers], tuple[tuple[str, int] | None, str]]
"""From a connection's peer and scheme, and the headers, to the visitor's (`TrustedProxies.visitor`)."""


class OwnPages:
    """An ASGI app for HTTP."""

    def __init__(self, state: RelayState, control: ControlApp, visitor_of: VisitorOf) -> None:
        self._relay, self._control, self._visitor_of = state, control, visitor_of
        self._metrics = Metrics(state)
        self._probes = {"/healthz": self._alive, "/readyz": self._ready, "/metrics": self._count}
        self._admin = Admin(state, control.pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        relay, began, status = self._relay, time.monotonic(), 0
        client, scheme = self._visitor_of(scope["client"], scope["scheme"], scope["headers"])
        scope = {**scope, "client": client, "scheme": scheme}
        body_over = False

        async def receive_in_time() -> Message:
            nonlocal body_over
            if body_over:  # what comes next is the visitor's end
                return await receive()
            try:
                async with asyncio.timeout(relay.config.body_timeout):
                    message = await receive()
            except TimeoutError:
                relay.counters.late += 1
                raise late_body() from None
            body_over = not message.get("more_body", False)
            return message

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                relay.visits.count(status)
                headers = [*message["headers"]]
                if relay.dates and not any(name == b"date" for name, _ in headers):
                    headers.append((b"date", date()))
                given = {name for name, _ in headers}
                headers += [pair for pair in _ALWAYS if pair[0] not in given]
                if relay.leaving:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            try:
                target = scope["raw_path"] + b"?" + scope["query_string"]
                check_head(target, scope["headers"])
                _check_target(scope["path"], target)
            except Answer as answer:
                await _say(answer, send_and_see)
            else:
                await self._app_of(scope["path"], scope["headers"])(scope, receive_in_time, send_and_see)
        finally:
            if relay.access is not None:
                relay.access.add(
                    scope["method"],
                    _host(scope["headers"]),
                    scope["raw_path"],
                    status,
                    time.monotonic() - began,
                    "",
                    "",
                    client[0] if client else "",
                    next_number(),
                )

    def _app_of(self, path: str, headers: Headers) -> ASGIApp:
        if path in self._probes:
            return self._probe
        if no_oauth.asks(path) and (path != METADATA or any(name == VERSION_HEADER for name, _ in headers)):
            return self._no_oauth
        if path in ADMIN_PATHS or path.startswith(ADMIN_PATHS[-1] + "/"):
            return self._admin
        return self._control

    # --- what machines ask --------------------------------------------------------------------------------------

    async def _probe(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Answer(405, "method_not_allowed", "Ask with GET.", headers=((b"allow", b"GET, HEAD"),))
            status, headers, body = await self._probes[scope["path"]](scope)
        except Answer as answer:
            headers, body = answer.render(html=False, openai=False)
            status = answer.status
        if not any(name == b"content-length" for name, _ in headers):
            headers += [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _no_oauth(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/.well-known/oauth-...`` of an MCP client: it could do nothing with a device code, and has a key."""
        headers, body = no_oauth.render()
        await send({"type": "http.response.start", "status": no_oauth.ANSWER.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _alive(self, scope: Scope) -> tuple[int, Headers, bytes]:
        """``/healthz``: whoever gets this knows that the process turns its loop. If not: restart it."""
        return 200, [(b"content-type", _TEXT)], b"alive\n"

    async def _ready(self, scope: Scope) -> tuple[int, Headers, bytes]:
        """``/readyz``: whether to send visitors and providers here. 503 while it starts and while it drains."""
        if self._relay.ready:
            return 200, [(b"content-type", _TEXT)], b"ready\n"
        return 503, [(b"content-type", _TEXT)], b"draining\n" if self._relay.leaving else b"starting\n"

    async def _count(self, scope: Scope) -> tuple[int, Headers, bytes]:
        """``/metrics``, for who holds the token for it, or one of an admin."""
        relay = self._relay
        token = bearer(scope["headers"])
        config = relay.config
        if not any(
            own and hmac.compare_digest(token.encode("utf-8", "replace"), own.encode())
            for own in (config.metrics_token, config.admin_token)
        ):
            if not token:
                raise unauthorized("Metrics are for whoever holds metrics_token, or an admin's token (scope admin).")
            try:
                grant = await relay.tokens.authenticate(token)
            except InvalidKey as error:
                raise unauthorized(f"That token opens no metrics: {error}.") from None
            if not grant.has("admin"):
                raise forbidden("Metrics are for an admin's token (scope admin).", "scope")
        return 200, [(b"content-type", CONTENT_TYPE.encode())], self._metrics.render()


def _check_target(path: str, target: bytes) -> None:
    """Raises an `Answer` for a target that is no page's here. *path* is decoded."""
    if not target.isascii():
        raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
    if len(path) > _MOST_PATH or len(target) > _MOST_TARGET:
        raise Answer(414, "too_large", "No address here is that long.")  # RFC 9110 §15.5.15


async def _say(answer: Answer, send: Send) -> None:
    headers, body = answer.render(html=False, openai=False)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bearer(headers: Headers) -> str:
    """The token of an Authorization header (RFC 6750 §2.1), or ""."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


def _host(headers: Headers) -> str:
    for name, value in headers:
        if name == b"host":
            return value.decode("latin-1")
    return ""
