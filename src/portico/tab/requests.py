"""HTTP requests by the browser, for Python in a tab, where no sockets are: a hub's control API asks for them.

The browser keeps to its own rules: another origin must say that this page may read its answers (a relay does), and is
sent no cookies. A page's own server gets its session's, and with what changes something the ``_xsrf`` that Jupyter
wants to see. That is in a cookie, and cookies are a page's to read, not a worker's.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import js
from pyodide.ffi import JsException, can_run_sync, run_sync, to_js

from portico.errors import LinkClosed

_TIMEOUT = 15_000  # milliseconds
_SAFE = ("GET", "HEAD", "OPTIONS")


async def fetch(url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
    """The answer's status and its text. Raises `LinkClosed`."""
    options = {
        "method": method,
        "headers": {**headers, **_xsrf(url, method, headers)},
        "cache": "no-store",
        "signal": js.AbortSignal.timeout(_TIMEOUT),
        **({"body": data} if data is not None else {}),
    }
    try:
        answer = await js.fetch(url, to_js(options, dict_converter=js.Object.fromEntries))
        return answer.status, await answer.text()
    except JsException as error:
        raise _unreachable(error) from None


def fetch_sync(url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
    """`fetch`, waited for. Where the browser can switch stacks, others run meanwhile; else all of Python waits."""
    if can_run_sync():
        answer: tuple[int, str] = run_sync(fetch(url, method, headers, data))
        return answer
    request: Any = js.XMLHttpRequest.new()
    try:
        request.open(method, url, False)
        if not hasattr(js, "document"):  # a page may not bound such a wait: XMLHttpRequest, the timeout attribute
            request.timeout = _TIMEOUT
        for name, value in {**headers, **_xsrf(url, method, headers)}.items():
            request.setRequestHeader(name, value)
        request.send(to_js(data))
    except JsException as error:
        raise _unreachable(error) from None
    return request.status, str(request.responseText)


def _xsrf(url: str, method: str, headers: dict[str, str]) -> dict[str, str]:
    if method in _SAFE or "Authorization" in headers or not hasattr(js, "document"):
        return {}
    if js.URL.new(url, js.location.href).origin != js.location.origin:
        return {}  # it is between this page and its own server
    found = re.search(r"(?:^|;\s*)_xsrf=([^;]*)", str(js.document.cookie))
    return {"X-XSRFToken": unquote(found[1])} if found is not None else {}


def _unreachable(error: JsException) -> LinkClosed:
    return LinkClosed(f"the hub's control API cannot be reached, or does not let this page ask: {error}")
