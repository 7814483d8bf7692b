"""The relay's pages that ask something: rendering, and reading back only what the relay's own page sent.

A form is believed when its request has a same-origin Origin (or the browser's word for it), and holds a token that
only this browser's page could know: a MAC, by the relay's secret, of a cookie that no script reads and of who is signed
in. Where services share the relay's origin (path mode), an app's script could fetch a page and read the token out of
it; so pages are given to navigations alone, as browsers tell (Fetch Metadata), and share no window
(Cross-Origin-Opener-Policy).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from portico.hub import pages
from portico.hub.access import same_origin
from portico.hub.answers import Answer, forbidden, wants_page
from portico.relay.config import RelayConfig

logger = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

MAX_BODY = 64 * 1024
_MAX_FIELDS = 50
_URLENCODED = "application/x-www-form-urlencoded"


class Pages:
    """Renders templates, each with what keeps others out."""

    def __init__(self, config: RelayConfig, secret: bytes) -> None:
        """*secret* signs forms."""
        self._config = config
        self._secret = hmac.digest(secret, b"portico relay forms", "sha256")
        self._templates = Environment(
            loader=PackageLoader("portico.relay"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        for name in self._templates.list_templates():
            self._templates.get_template(name)  # so that no request waits for a disk
        self.form_cookie = "__Host-portico_form" if config.secure else "portico_form"

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        session: str = "",
        goes_to_services: bool = False,
        scripts: bool = False,
        **values: Any,
    ) -> Response:
        """The page of *template*; *session* is the digest of who is signed in, whose form it is.

        *goes_to_services*: a browser that sends its form may be sent on to a service's origin, which the policy must
        allow (CSP3 §6.4.2: form-action is asked for redirects too). *scripts*: the template has some, with its nonce.
        """
        only_navigations(request)
        nonce = secrets.token_urlsafe(16)
        browser = request.cookies.get(self.form_cookie, "")
        fresh = not 20 <= len(browser) <= 100
        if fresh:
            browser = secrets.token_urlsafe(24)
        text = self._templates.get_template(template).render(
            nonce=nonce,
            form_token=self._token(browser, session),
            relay=urlsplit(self._config.base_url).netloc,
            **values,
        )
        response = HTMLResponse(text, status_code=status, headers=self._headers(nonce, goes_to_services))
        if scripts:
            response.headers["Content-Security-Policy"] += f"; script-src 'nonce-{nonce}'; connect-src 'self'"
        if fresh:
            self.set_cookie(response, self.form_cookie, browser)
        return response

    def fragment(self, request: Request, template: str, *, session: str, **values: Any) -> Response:
        """A part of a page that was rendered before, for that page's own script: it sends the token of its forms."""
        expected = self._token(request.cookies.get(self.form_cookie, ""), session)
        given = request.headers.get("x-portico-form", "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise forbidden("This is for the page's own script.", "stale_form")
        text = self._templates.get_template(template).render(form_token=expected, **values)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})  # the rest: `portico.relay.operate.own_pages`

    def _headers(self, nonce: str, goes_to_services: bool) -> dict[str, str]:
        targets = "'self'"
        if goes_to_services and not self._config.paths:
            parts = urlsplit(self._config.base_url)
            port = f":{parts.port}" if parts.port else ""
            targets += f" {parts.scheme}://*.{self._config.domain}{port}"
        return {
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action {targets}; "
            "base-uri 'none'; frame-ancestors 'none'",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "same-origin",  # no-referrer would make a form's Origin null
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex",
        }

    def _token(self, browser: str, session: str) -> str:
        return hmac.new(self._secret, f"{browser}\n{session}".encode(), hashlib.sha256).hexdigest()

    async def read(self, request: Request, session: str = "") -> dict[str, str]:
        """The fields of a form that the relay's own page sent, as *session*. Raises an `Answer` (403, 413, 415)."""
        only_navigations(request)
        if request.headers.get("sec-fetch-site") != "same-origin":
            origin = request.headers.get("origin", "").encode("latin-1", "replace")
            host = request.headers.get("host", "")
            ours = urlsplit(self._config.base_url).netloc
            if not any(same_origin(origin, name, secure=self._config.secure) for name in (host, ours) if name):
                raise forbidden(
                    "This form came from another site's page. Open the page here, and try again.", "cross_origin"
                )
        fields = await read_fields(request)
        expected = self._token(request.cookies.get(self.form_cookie, ""), session)
        if not hmac.compare_digest(expected.encode(), fields.get("form_token", "").encode("utf-8", "replace")):
            raise forbidden(
                "This form is too old, or your browser keeps no cookies. Go back, load the page, try again.",
                "stale_form",
            )
        return fields

    # --- cookies ------------------------------------------------------------------------------------------------

    def set_cookie(self, response: Response, name: str, value: str, lifetime: float | None = None) -> None:
        """*lifetime* in seconds; None: until the browser closes."""
        response.set_cookie(
            name,
            value,
            max_age=None if lifetime is None else int(lifetime),
            path="/",
            secure=self._config.secure,
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._config.secure, httponly=True, samesite="lax")


def only_navigations(request: Request) -> None:
    """Raises an `Answer` (403) where a script, a frame or anything but a window asks, and the browser says so."""
    if request.headers.get("sec-fetch-dest", "document") != "document":
        raise forbidden("This page is for people, in a window of its own.", "not_a_navigation")


def say(request: Request, answer: Answer, *, page: bool) -> Response:
    """*answer* in the relay's own words: to who asks for a *page* there one, else JSON."""
    html = page and wants_page(list(request.scope["headers"]))
    headers, body = answer.render(html=html, openai=False)
    response = Response(body, answer.status)
    response.raw_headers = headers
    if html:
        for name, value in pages.ASKING:  # the relay's own pages are in nobody's frame, whatever they say
            response.headers[name.decode()] = value.decode()
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def answering(endpoint: Endpoint, say: Callable[[Request, Answer], Response]) -> Endpoint:
    """*endpoint*, with an `Answer` that it raises as its answer: Starlette writes to exceptions, and this is frozen."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Answer as answer:
            return say(request, answer)

    return answer


def answer_to(error: Exception, not_found: str) -> Answer:
    """What is said where Starlette's router finds nothing (404, by *not_found*), or not for this method (405)."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allow = ((b"allow", (error.headers or {}).get("Allow", "").encode()),)
        return Answer(405, "method_not_allowed", "That method is not for this.", headers=allow)
    return Answer(404, "not_found", not_found)


async def store_failed(request: Request, error: Exception) -> Response:
    """What the relay remembers could not be read or written: the caller is told that nothing was changed."""
    logger.error("%s", error)
    page = not request.url.path.startswith("/portico/api/")
    message = "The relay could not write this down, so nothing was changed. Try again later; its operator can see why."
    return say(request, Answer(503, "store_failed", message, retry_after=10), page=page)


def see_other(location: str) -> Response:
    """303 (RFC 9110 §15.4.4), which no cache keeps."""
    return RedirectResponse(location, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


async def read_body(request: Request) -> bytes:
    """The body, of a size that is bounded. Raises an `Answer` (413)."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Answer(413, "too_large", f"The body has more than {MAX_BODY} bytes.")
    return body


async def read_fields(request: Request) -> dict[str, str]:
    """A form's fields; of one that comes twice, none (RFC 6749 §3.1). Raises an `Answer` (400, 413, 415)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _URLENCODED:
        raise Answer(415, "invalid_type", f"Send a form ({_URLENCODED}).")
    try:
        pairs = parse_qsl((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Answer(400, "invalid_form", "This form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Answer(400, "invalid_form", "A field comes twice in this form.")
    return fields


def page_of(request: Request) -> str:
    """The origin of the web page that a browser sends the request for, or "null" if it is hidden; "" for a program's.

    Browsers name the origin in each POST (Fetch §3.2), or say ``null``; where a proxy drops that, Fetch Metadata and
    Referer tell that there is a page. A program can say what it likes: it is then only taken for a page.
    """
    origin = request.headers.get("origin", "")
    if origin:
        return origin
    try:
        parts = urlsplit(request.headers.get("referer", "")[:_MOST_OF_REFERER])
    except ValueError:  # as http://[
        return "null"
    if parts.scheme and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}"
    return "null" if any(name.startswith("sec-fetch-") for name in request.headers) else ""


_MOST_OF_REFERER = 512
"""Characters that are looked at: its host is at the beginning, and what `urlsplit` was given it remembers."""


def address_of(request: Request) -> str:
    """Whence it comes, as the server that runs the relay knows it."""
    return request.client.host if request.client is not None else ""
