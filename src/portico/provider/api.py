"""A hub's control API from the provider's side, blocking or not. See docs/control-api.md for what can be asked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from portico import foreign
from portico.errors import LinkClosed, Refused
from portico.provider.discovery import HubAddress
from portico.provider.options import expiry_seconds
from portico.provider.secret import Secret
from portico.provider.surroundings import tab
from portico.provider.thread import IN_TAB

if TYPE_CHECKING:
    import urllib.request

_TIMEOUT = 15.0  # seconds
_MOST_ANSWER = 16 * 1024 * 1024  # bytes: a list of as many services as a hub holds has two; what is cut is no JSON
_LOOPBACK = ("localhost", "::1")


def call(address: HubAddress, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the hub at *address* for *path* below its control API, with the provider's token; the JSON it answers.

    Raises `Refused` with what it says when it says no, `LinkClosed` when it cannot be reached.
    """
    return fetch(address.api_url + path, method, headers=_authorization(address), body=body, at=address)


async def call_async(address: HubAddress, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """`call`, while the loop goes on."""
    if not IN_TAB:
        return await asyncio.to_thread(call, address, method, path, body)
    headers, data = _written(_authorization(address), body)
    return _read(*await tab().fetch(address.api_url + path, method, headers, data))


def make_key(address: HubAddress, services: list[str], expires: str | float | None = None, label: str = "") -> str:
    """Make a visitors' key. Raises `InvalidOption` for what is no duration, `Refused` or `LinkClosed`."""
    return key_of(call(address, "POST", "keys", _key_wanted(services, expires, label)))


async def make_key_async(
    address: HubAddress, services: list[str], expires: str | float | None = None, label: str = ""
) -> str:
    """`make_key`, while the loop goes on."""
    return key_of(await call_async(address, "POST", "keys", _key_wanted(services, expires, label)))


def _key_wanted(services: list[str], expires: str | float | None, label: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"services": services, "label": label}
    if expires is not None:
        wanted["expires_in"] = expiry_seconds(expires)
    return wanted


def key_of(answer: dict[str, Any]) -> str:
    """The key in an answer to ``POST keys``. Raises `Refused`."""
    key = answer.get("key")
    if not isinstance(key, str) or not key.isascii() or not key.isprintable():
        raise Refused("the hub's answer holds no key")
    return Secret(key)


def _authorization(address: HubAddress) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"} if address.token else {}


def fetch(
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    form: bytes | None = None,
    insecure: bool = False,
    at: HubAddress | None = None,
) -> dict[str, Any]:
    """Send JSON, or a *form* that is encoded already, to *url*, and return the JSON object that it answers with.

    *at* is the hub whose URL it is, if it is one: how its certificate is checked, and on which socket it listens.

    Raises `Refused`, whose ``code`` is the answer's own, or `LinkClosed`.
    """
    given, data = _written(headers or {}, body)
    data = form if data is None else data
    if IN_TAB:
        return _read(*tab().fetch_sync(url, method, given, data))
    return _read(*_send(url, method, given, data, at or HubAddress(url, "", "", insecure=insecure)))


def _written(headers: dict[str, str], body: dict[str, Any] | None) -> tuple[dict[str, str], bytes | None]:
    if body is None:
        return headers, None
    return {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()


def opener(at: HubAddress) -> urllib.request.OpenerDirector:
    """What opens URLs of the hub *at*: its certificate is checked as it should be, and its socket is found."""
    import urllib.request  # with sockets and all: not in a tab, where they would only cost time

    handlers: list[urllib.request.BaseHandler] = []
    host = urlsplit(at.request_url).hostname or ""
    if at.certificate or host in _LOOPBACK or host.startswith("127."):
        # A hub of this machine is never behind the environment's proxy, and a credential has no business there.
        handlers.append(urllib.request.ProxyHandler({}))
    if at.url.startswith("https:"):
        from portico.provider.tls import context_of

        if (context := context_of(at)) is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
    if at.socket:
        from portico.provider.unix import UnixHandler

        handlers.append(UnixHandler(at.socket))
    return urllib.request.build_opener(*handlers)


def _send(
    url: str, method: str, headers: dict[str, str], data: bytes | None, at: HubAddress
) -> tuple[int, str | bytes]:
    """By a socket; the answer's status and body."""
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    try:
        try:
            with opener(at).open(request, timeout=_TIMEOUT) as response:
                return response.status, response.read(_MOST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(_MOST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise LinkClosed(f"the hub's control API cannot be reached: {foreign.text(reason)}") from None


def _read(status: int, text: str | bytes) -> dict[str, Any]:
    if not 200 <= status < 300:
        raise _refusal(status, text)
    try:
        answer = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        raise LinkClosed("the hub's control API did not answer with JSON") from None
    return answer if isinstance(answer, dict) else {}


def _refusal(status: int, text: str | bytes) -> Refused:
    """What the hub said: Portico's own shape, or OAuth's (RFC 6749 §5.2), where ``error`` is the code itself."""
    message, code = f"the hub answered {status}", "refused"
    try:
        inner = (said := json.loads(text))["error"]
        if isinstance(inner, str):
            message, code = foreign.text(said.get("error_description") or inner), foreign.text(inner, 100)
        else:
            message, code = foreign.text(inner["message"]), foreign.text(inner.get("code", code), 100)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    if IN_TAB and status == 403 and "_xsrf" in message:  # which a page would have sent
        message = (
            "Jupyter lets a page's session change something only with its _xsrf cookie, which Python in a worker "
            "cannot read. Link with a token of that server instead: portico.serve(app, hub=..., token=...)"
        )
    refused = Refused(message, code)
    refused.status = status
    return refused
