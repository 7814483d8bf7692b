"""The hub's own words to a visitor: one answer, in the shape that fits who asks.

JSON for API clients (OpenAI's error object under ``/v1/``), a small page for browsers. No answer holds a traceback, a
path or a secret. Statuses are of RFC 9110 §15.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from portico.types import Headers

_TITLES = {
    400: "That request cannot be understood",
    401: "Sign in to see this",
    403: "You may not see this",
    404: "Nothing is served here",
    405: "That method is not allowed",
    408: "The request took too long",
    413: "That is too large",
    426: "This needs a WebSocket",
    429: "Too many requests",
    431: "The request's headers are too large",
    500: "The app has a problem",
    502: "The app went away",
    503: "The app is not here at the moment",
    504: "The app took too long",
}

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


_CSP = b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Answer(Exception):
    """Status, machine-readable code, and one or two plain sentences. Raised to end a request early."""

    status: int
    code: str
    message: str
    retry_after: int | None = None
    """Seconds."""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def render(self, *, html: bool, openai: bool) -> tuple[Headers, bytes]:
        """Headers (with Content-Length) and body, as a page or as JSON."""
        if html:
            body, content_type = _page(self).encode(), b"text/html; charset=utf-8"
        else:
            error: dict[str, object] = {"message": self.message, "code": self.code}
            if openai:
                error["type"] = _TYPES.get(
                    self.status, "invalid_request_error" if self.status < 500 else "server_error"
                )
                error["param"] = None
            else:
                error["status"] = self.status
            body, content_type = json.dumps({"error": error}).encode(), b"application/json"
        headers = [
            (b"content-type", content_type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *self.headers,
        ]
        if html:
            headers.append((b"content-security-policy", _CSP))
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="portico"'))
        return headers, body


def wants_page(headers: Headers) -> bool:
    """Whether a browser navigates (it accepts text/html); fetch(), curl and SDKs do not say so."""
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


# Where the status alone would say too little.
_TITLES_BY_CODE = {
    "invalid_key": "That key does not work",
    "wrong_key": "That key does not open this",
    "key_needed": "This opens with a key",
    "service_gone": "The app has gone",
    "provider_reconnecting": "One moment",
    "overloaded": "The app is busy",
}


def _page(answer: Answer) -> str:
    title = _TITLES_BY_CODE.get(answer.code) or _TITLES.get(answer.status, "Something went wrong")
    refresh = f'<meta http-equiv="refresh" content="{answer.retry_after}">\n' if answer.retry_after else ""
    further = ""
    if answer.status == 401 or answer.code in ("wrong_key", "key_needed"):
        further = _KEY_FORM
    elif answer.retry_after:
        further = f'<p class=dim>This page tries again every {answer.retry_after} seconds. <a href="">Try now</a></p>\n'
    elif answer.status >= 500:
        further = '<p class=dim><a href="">Try again</a></p>\n'
    return _PAGE.format(
        title=escape(title), message=escape(answer.message), status=answer.status, refresh=refresh, further=further
    )


# A GET of the page's own path with ?portico_key=: the gate puts the key into a cookie and makes the URL clean again.
_KEY_FORM = """<form><label for=key>Key</label>
<input id=key name=portico_key type=password required autocomplete=off spellcheck=false><button>Open</button></form>
"""

# Text and controls keep to WCAG 2.2 AA in both colour schemes: 4.5 to 1, and 3 to 1 for the controls' edges.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
{refresh}<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f6f4, #17181a); color: light-dark(#1d1d1f, #ececec) }}
main {{ box-sizing: border-box; width: min(30rem, 100vw - 2rem); margin: 1rem; padding: 1.8rem 2rem;
  border-radius: 12px; overflow-wrap: anywhere;
  background: light-dark(#fff, #222427); border: 1px solid light-dark(#e2e2de, #34373b) }}
h1 {{ font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem }} p {{ margin: .4rem 0 }}
a {{ color: light-dark(#0b5cad, #7ab8f5) }}
form {{ display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1rem 0 }}
input, button {{ font: inherit; padding: .3rem .6rem; border-radius: 6px;
  border: 1px solid light-dark(#767676, #8b9096) }}
input {{ flex: 1; min-width: 8rem }}
.dim {{ color: light-dark(#666, #a0a4a8); font-size: .9rem }}
</style></head>
<body><main><div role="alert"><h1>{title}</h1><p>{message}</p></div>
{further}<p class=dim>{status} &middot; Portico</p></main></body>
</html>
"""


def unauthorized(message: str = "A key or a login is needed here.") -> Answer:
    return Answer(401, "unauthorized", message)


def invalid_key(reason: str) -> Answer:
    """Not `unauthorized`: a login would not help."""
    return Answer(401, "invalid_key", reason.capitalize() + ".")


def forbidden(message: str, code: str = "forbidden") -> Answer:
    return Answer(403, code, message)


def not_found(name: str) -> Answer:
    return Answer(404, "service_not_found", f"No service named {name!r} is live here. Is its notebook running?")


def gone(reason: str) -> Answer:
    return Answer(503, "service_gone", reason)


def reconnecting() -> Answer:
    return Answer(
        503, "provider_reconnecting", "The app's notebook is reconnecting. Try again in a moment.", retry_after=5
    )


def overloaded() -> Answer:
    return Answer(
        503, "overloaded", "The app has as many requests as it can take. Try again in a moment.", retry_after=2
    )


def app_error() -> Answer:
    return Answer(500, "app_error", "The app failed on this request. Its author can see why in the notebook.")


def provider_lost() -> Answer:
    return Answer(502, "provider_lost", "The process that runs the app went away before it answered.")
