"""The hub's own words to a visitor: one answer, in the shape that fits the visitor.

JSON for API clients (OpenAI's error object under ``/v1/``), a small page (`portico.hub.pages`) for browsers. No answer
holds a traceback, a path or a secret. Statuses are of RFC 9110 §15.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from portico.hub import pages
from portico.hub.redirects import here
from portico.types import Headers

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

_BEARER = b'Bearer realm="portico"'
_BASIC = b'Basic realm="portico", charset="UTF-8"'  # RFC 7617 §2.1


@dataclass(frozen=True, slots=True)
class Answer(Exception):
    """Status, machine-readable code, and one or two plain sentences. Raised to end a request early."""

    status: int
    code: str
    message: str
    retry_after: int | None = None
    """Seconds."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    form: str = ""
    """What a page of this answer asks, as HTML of `portico.hub.pages`."""
    challenge: bytes = _BEARER
    """WWW-Authenticate of a 401 (RFC 9110 §11.6.1)."""

    def render(self, *, html: bool, openai: bool) -> tuple[Headers, bytes]:
        """Headers (with Content-Length) and body, as a page or as JSON."""
        if html:
            text = pages.page(self.status, self.code, self.message, retry_after=self.retry_after, form=self.form)
            body, content_type = text.encode(), b"text/html; charset=utf-8"
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
            headers += pages.page_headers(self.code, self.form)
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", self.challenge))
        return headers, body


def wants_page(headers: Headers) -> bool:
    """Whether a browser navigates (it accepts text/html); fetch(), curl and SDKs do not say so."""
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


def redirect(status: int, code: str, message: str, path: bytes, *more: tuple[bytes, bytes]) -> Answer:
    """Send a browser to *path* on the host that it asked, with *more* headers."""
    return Answer(status, code, message, headers=((b"location", here(path)), *more))


NO_REFERRER = (b"referrer-policy", b"no-referrer")


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
        503,
        "provider_reconnecting",
        "The app's notebook or program is reconnecting. Try again in a moment.",
        retry_after=5,
    )


def away() -> Answer:
    """The provider has been away for longer than a request waits, and its name is held for it."""
    return Answer(
        503,
        "provider_away",
        "The computer that runs this app is asleep or has no connection. "
        "The address stays, and the app answers here as soon as it is back.",
        retry_after=10,
    )


def restarting() -> Answer:
    """The hub itself takes its leave."""
    return Answer(503, "restarting", "This server is restarting. Try again in a moment.", retry_after=3)


def late_body() -> Answer:
    """RFC 9110 §15.5.9."""
    return Answer(
        408, "late_body", "The rest of the request did not come in time.", headers=((b"connection", b"close"),)
    )


def overloaded() -> Answer:
    return Answer(
        503, "overloaded", "The app has as many requests as it can take. Try again in a moment.", retry_after=2
    )


def app_error() -> Answer:
    return Answer(500, "app_error", "The app failed on this request. Its author can see why in the notebook.")


def internal_error() -> Answer:
    """The hub itself failed, in a way that nobody has thought of: its log says how."""
    return Answer(500, "internal_error", "The hub failed on this request.")


def provider_lost() -> Answer:
    return Answer(502, "provider_lost", "The process that runs the app went away before it answered.")


def password_needed(action: str, target: str, *, program: bool) -> Answer:
    """*action* and *target* are of `pages.password_form`. A *program* is told how to send the password."""
    return Answer(
        401,
        "password_needed",
        "A password opens this. Ask for it where you found the link."
        if not program
        else "A password is needed here: send it with HTTP Basic authentication, under any user name.",
        form=pages.password_form(action, target),
        # A browser would ask for it in a window of its own, and then send it with every request, other sites' too.
        challenge=_BASIC if program else _BEARER,
    )


def wrong_password(action: str, target: str, *, program: bool) -> Answer:
    return Answer(
        401,
        "wrong_password",
        "Mind capital letters, or ask for it where you found the link." if not program else "The password is wrong.",
        form=pages.password_form(action, target, wrong=True),
        challenge=_BASIC if program else _BEARER,
    )


def confirm_needed(action: str, target: str, host: str, *, kept: bool = True) -> Answer:
    """*action*, *target* and *host* are of `pages.confirm_form`. No success: nobody must take it for the app's page.

    *kept* is False where the request held more than its address, which is lost: a form that was sent.
    """
    lost = "" if kept else " What you sent did not reach the app: go on to its page, and send it again there."
    return Answer(
        403,
        "confirm_needed",
        f"A person who did not sign in put this app on {host}. Nobody here has looked at it.{lost}",
        form=pages.confirm_form(action, target, host),
    )
