"""The hub's own pages, as HTML: one template, and the forms that go into it. No script, nothing loaded, nothing stored.

Text and controls keep to WCAG 2.2 AA in both colour schemes: 4.5 to 1, and 3 to 1 for the controls' edges. All that
comes from outside is escaped here.
"""

from __future__ import annotations

import base64
import hashlib
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

# Where the status alone would say too little.
_TITLES_BY_CODE = {
    "invalid_key": "That key does not work",
    "wrong_key": "That key does not open this",
    "key_needed": "This opens with a key",
    "service_gone": "The app has gone",
    "provider_reconnecting": "One moment",
    "provider_away": "Waking up",
    "overloaded": "The app is busy",
    "concurrency": "The app is busy",
    "link_expired": "This link has expired",
    "address": "This is not open to your network",
    "password_needed": "This needs a password",
    "wrong_password": "That is not the password",
    "too_many_attempts": "Too many wrong passwords",
    "confirm_needed": "Someone you may not know made this",
    "sign_in_failed": "You could not be signed in",
}

_BY_KEY = frozenset({"unauthorized", "invalid_key", "wrong_key", "key_needed"})
"""Codes of answers that a key, or another one, would change."""


def page(status: int, code: str, message: str, *, retry_after: int | None = None, form: str = "") -> str:
    """A whole page. *form* is HTML of this module; *retry_after* in seconds makes a page of 503 load itself again."""
    title = _TITLES_BY_CODE.get(code) or _TITLES.get(status, "Something went wrong")
    again = retry_after if status == 503 else None  # no page calls anew by itself that called too often
    refresh = f'<meta http-equiv="refresh" content="{again}">\n' if again else ""
    further = form
    if not further:
        if code in _BY_KEY:
            further = _KEY_FORM
        elif again:
            further = f'<p class=dim>This page tries again every {again} seconds. <a href="">Try now</a></p>\n'
        elif retry_after:
            further = f'<p class=dim>You can <a href="">try again</a> in {_duration(retry_after)}.</p>\n'
        elif status >= 500:
            further = '<p class=dim><a href="">Try again</a></p>\n'
    return _PAGE.format(
        title=escape(title), message=escape(message), status=status, refresh=refresh, further=further, style=_STYLE
    )


def _duration(seconds: int) -> str:
    number, unit = (seconds, "second") if seconds < 120 else (-(-seconds // 60), "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def password_form(action: str, target: str, *, wrong: bool = False) -> str:
    """Asks for a service's password. *action* takes it, and sends the browser on to *target*, a path."""
    invalid = " aria-invalid=true" if wrong else ""
    return _PASSWORD_FORM.format(action=escape(action), target=escape(target), invalid=invalid)


def confirm_form(action: str, target: str, host: str) -> str:
    """Lets a visitor go on to *target*, a path on *host*, who has been told that a stranger made it."""
    return _CONFIRM_FORM.format(action=escape(action), target=escape(target), host=escape(host))


def link(target: str, text: str) -> str:
    """A way on from here."""
    return f'<p><a href="{escape(target)}">{escape(text)}</a></p>\n'


# A GET of the page's own path with ?portico_key=: the gate puts the key into a cookie and makes the URL clean again.
_KEY_FORM = """<form><label for=key>Key</label>
<input id=key name=portico_key type=password required autocomplete=off spellcheck=false><button>Open</button></form>
"""

_PASSWORD_FORM = """<form method=post action="{action}"><label for=password>Password</label>
<input id=password name=password type=password required maxlength=1000 autofocus autocomplete=current-password{invalid}>
<input type=hidden name=next value="{target}"><button>Open</button></form>
<p class=dim>Programs send it with HTTP Basic authentication, under any user name.</p>
"""

_CONFIRM_FORM = """<ul>
<li>Do not type a password, a card number, or anything that you would not tell a stranger.</li>
<li>Do not run or install what it offers you.</li>
</ul>
<form method=post action="{action}"><input type=hidden name=next value="{target}">
<button aria-label="Continue to {host}">Continue</button></form>
<p class=dim>If you did not expect this page, close it. You are asked once a day.</p>
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
{refresh}<title>{title}</title>
<style>{style}</style></head>
<body><main><div role="alert"><h1>{title}</h1><p>{message}</p></div>
{further}<p class=dim>{status} &middot; Portico</p></main></body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f6f4, #17181a); color: light-dark(#1d1d1f, #ececec) }
main { box-sizing: border-box; width: min(30rem, 100vw - 2rem); margin: 1rem; padding: 1.8rem 2rem;
  border-radius: 12px; overflow-wrap: anywhere;
  background: light-dark(#fff, #222427); border: 1px solid light-dark(#e2e2de, #34373b) }
h1 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem } p { margin: .4rem 0 }
ul { margin: .6rem 0; padding-left: 1.2rem } li { margin: .2rem 0 }
a { color: light-dark(#0b5cad, #7ab8f5) }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1rem 0 }
input, button { font: inherit; padding: .45rem .7rem; border-radius: 7px; color: inherit;
  background: light-dark(#fff, #222427); border: 1px solid light-dark(#767676, #8b9096) }
input { flex: 1; min-width: 8rem } button { padding: .45rem 1.1rem; font-weight: 600; cursor: pointer }
:focus-visible { outline: 2px solid light-dark(#0b5cad, #7ab8f5); outline-offset: 2px }
.dim { color: light-dark(#666, #a0a4a8); font-size: .9rem }
"""


def _policy(*rules: str) -> bytes:
    """A Content-Security-Policy (CSP3): nothing runs, and of all styles this page's own applies."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return "; ".join(["default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", *rules]).encode()


ASKING = [
    (b"content-security-policy", _policy("form-action 'self'", "frame-ancestors 'none'")),
    (b"x-frame-options", b"DENY"),
]
"""Headers of a page that asks something: nobody's page may hide it under its own."""

TELLING = [
    (b"content-security-policy", _policy("form-action 'none'", "frame-ancestors 'self'")),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
]
"""Headers of a page that only says why there is no app: a page of the same server may frame it, as it does the app."""

_POSTING = (b"referrer-policy", b"same-origin")  # with no-referrer a form's Origin would be null (Fetch §3.2)
_KEY_ASKING = (b"referrer-policy", b"no-referrer")


def page_headers(code: str, form: str) -> Headers:
    """What goes out with `page`, by the same arguments."""
    if "<form" in form:  # and not a `link`
        return [*ASKING, _POSTING]
    return [*ASKING, _KEY_ASKING] if code in _BY_KEY else TELLING
