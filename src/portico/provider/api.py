"""A hub's control API from the provider's side: one call, blocking. See docs/control-api.md for what can be asked."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from portico.errors import LinkClosed, Refused
from portico.provider.conditions import expiry_seconds
from portico.provider.discovery import HubAddress

_TIMEOUT = 15.0  # seconds
_LOOPBACK = ("localhost", "::1")


def call(address: HubAddress, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the hub at *address* for *path* below its control API, with the provider's token; the JSON it answers.

    Raises `Refused` with what it says when it says no, `LinkClosed` when it cannot be reached.
    """
    headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
    return fetch(address.api_url + path, method, headers=headers, body=body, insecure=address.insecure)


def make_key(address: HubAddress, services: list[str], expires: str | float | None = None, label: str = "") -> str:
    """Make a visitors' key. Raises `InvalidOption` for what is no duration, `Refused` or `LinkClosed`."""
    body: dict[str, Any] = {"services": services, "label": label}
    if expires is not None:
        body["expires_in"] = expiry_seconds(expires)
    key = call(address, "POST", "keys", body).get("key")
    if not isinstance(key, str):
        raise Refused("the hub's answer holds no key")
    return key


def fetch(
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    form: bytes | None = None,
    insecure: bool = False,
) -> dict[str, Any]:
    """Send JSON, or a *form* that is encoded already, to *url*, and return the JSON object that it answers with.

    Raises `Refused`, whose ``code`` is the answer's own, or `LinkClosed`.
    """
    given = dict(headers or {})
    data = form
    if body is not None:
        given["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=given)
    try:
        with _opener(url, insecure).open(request, timeout=_TIMEOUT) as response:
            text = response.read()
            answer = json.loads(text) if text else {}
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise LinkClosed(f"the hub's control API cannot be reached: {reason}") from None
    except ValueError:
        raise LinkClosed("the hub's control API did not answer with JSON") from None
    return answer if isinstance(answer, dict) else {}


def _opener(url: str, insecure: bool) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = []
    host = urlsplit(url).hostname or ""
    if host in _LOOPBACK or host.startswith("127."):
        # A loopback hub is never behind the environment's proxy, and a credential has no business there.
        handlers.append(urllib.request.ProxyHandler({}))
    if insecure:
        import ssl

        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        handlers.append(urllib.request.HTTPSHandler(context=unchecked))
    return urllib.request.build_opener(*handlers)


def _refusal(error: urllib.error.HTTPError) -> Refused:
    """What the hub said: Portico's own shape, or OAuth's (RFC 6749 §5.2), where ``error`` is the code itself."""
    message, code = f"the hub answered {error.code}", "refused"
    try:
        said = json.load(error)
        inner = said["error"]
        if isinstance(inner, str):
            message, code = str(said.get("error_description") or inner), inner
        else:
            message, code = str(inner["message"]), str(inner.get("code", code))
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        pass
    refused = Refused(message, code)
    refused.status = error.code
    return refused
