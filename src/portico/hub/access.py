"""Who a visitor is, and what a service's access lets them do. Pure decisions: nothing is looked up here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from portico.hub.answers import Answer, forbidden, unauthorized
from portico.types import Headers

EVERY_SERVICE = "*"
"""In a key's services: all of the workspace's, those to come as well."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


@dataclass(frozen=True, slots=True)
class KnownUser:
    """Someone whom the server's own identity provider knows."""

    id: str
    name: str = ""
    by_token: bool = False
    """Shown by a token in this request rather than by a cookie: no other site's page can make a browser send it."""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What the server's own identity provider makes of a request's credentials."""

    user: KnownUser | None = None
    token: bytes | None = field(default=None, repr=False)
    """The credential of the server that is shown in a header or in the query, which no app may see, even where it lets
    nobody in here. None if there is none; b"" if there is one and it cannot be told which."""

    login: tuple[bytes, ...] | None = field(default=None, repr=False)
    """Where the token was in the query: the Set-Cookie fields by which the server keeps the login that it gave, none if
    the browser has the cookie already. None if the server keeps no such login."""


NOBODY = Recognised()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who calls. ``access`` is ``user``, ``key`` or ``anonymous``."""

    access: str = "anonymous"
    user_id: str = ""
    name: str = ""
    email: str = ""
    key_id: str = ""
    services: tuple[str, ...] = ()
    """What a key opens."""
    by_token: bool = False
    identity: bytes = field(init=False, repr=False)
    """The same as JSON, for ``scope["extensions"]["portico"]``."""

    def __post_init__(self) -> None:
        value: dict[str, object] = {"access": self.access}
        if self.access == "user":
            value |= {"user": {"id": self.user_id, "name": self.name} | ({"email": self.email} if self.email else {})}
        elif self.access == "key":
            value |= {"key_id": self.key_id}
        object.__setattr__(self, "identity", json.dumps(value, separators=(",", ":")).encode())


ANONYMOUS = Visitor()


def of_user(user: KnownUser) -> Visitor:
    return Visitor(access="user", user_id=user.id, name=user.name, email=user.email, by_token=user.by_token)


def opens(visitor: Visitor, service: str) -> bool:
    """Whether the visitor's key, if it has one, is for *service*."""
    return service in visitor.services or EVERY_SERVICE in visitor.services


def check(access: str, service: str, visitor: Visitor) -> None:
    """Let *visitor* in to *service*, which has this *access*, or raise the `Answer` that says why not."""
    if access == "public":
        return
    if visitor.access == "key":
        if opens(visitor, service):
            return
        raise forbidden(f"This key does not open {service!r}.", "wrong_key")
    if visitor.access == "user":
        if access == "private":
            return
        raise forbidden(
            f"{service!r} is open to keys alone. Ask its author for one, or make one in the notebook.", "key_needed"
        )
    raise needs_key(login=access != "key")


def needs_key(*, login: bool = True) -> Answer:
    """What somebody unknown is told: how to come in. It is the same whether there is such a service or not."""
    needed = "A key or a login is needed here." if login else "A key is needed here: a login does not open this."
    return unauthorized(
        f"{needed} A key is sent in the header Authorization: Bearer KEY. Its author makes one in the notebook: "
        "service.key()"
    )


# --- a browser that is logged in may be made to call by another site's page ------------------------------------


def same_origin(origin: bytes, host: str, *, secure: bool = False) -> bool:
    """Whether the Origin or Referer header *origin* names *host* (the Host header).

    The scheme is compared where the server knows that it is spoken to over TLS (*secure*). Where it believes it is
    not, TLS may yet end at a proxy in front that it does not hear of.
    """
    try:
        parts = urlsplit(origin[:_MOST_OF_ORIGIN].decode("latin-1"))  # it remembers what it was given
    except ValueError:  # as http://[
        return False
    if parts.scheme != "https" and (secure or parts.scheme != "http"):
        return False
    return bool(parts.netloc) and _without_default_port(parts.netloc) == _without_default_port(host)


_MOST_OF_ORIGIN = 512
"""Bytes of a Referer that are looked at: its host, which has up to 253 (RFC 1035 §2.3.4), is at the beginning."""


def _without_default_port(netloc: str) -> str:
    netloc = netloc.lower()
    for suffix in (":80", ":443"):
        if netloc.endswith(suffix):
            return netloc[: -len(suffix)]
    return netloc


def cross_site(method: str, headers: Headers, host: str, *, websocket: bool, secure: bool) -> Answer | None:
    """What to answer a request that a cookie speaks for, if another site's page may have made it.

    An unsafe method needs a same-origin Origin, else Referer; a WebSocket needs a same-origin Origin. Another origin's
    page may link to an app, and may not load it as a part of itself, where the browser tells (Fetch Metadata).
    """
    fields = dict(headers)
    if method in SAFE_METHODS and not websocket:
        from_elsewhere = fields.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        if not from_elsewhere or fields.get(b"sec-fetch-mode") == b"navigate":
            return None
    elif not websocket and fields.get(b"sec-fetch-site") == b"same-origin":
        return None  # the browser's own word, where a proxy has changed the Host header
    else:
        origin = fields.get(b"origin")
        if origin is None and not websocket:
            origin = fields.get(b"referer")
        if origin is not None and same_origin(origin, host, secure=secure):
            return None
    return forbidden(
        "This request came from another site's page, or does not say from which. With a login cookie only "
        "the server's own pages may do that; programs use a key (Authorization: Bearer ...).",
        "cross_origin",
    )


# --- whether a browser will show the answer as a page ------------------------------------------------------------

_PAGE_MODES = (b"navigate", b"nested-navigate")
_PAGE_PLACES = frozenset({b"document", b"iframe", b"frame", b"fencedframe", b"embed", b"object"})
_PURPOSES = (b"sec-purpose", b"purpose", b"x-moz", b"x-purpose")
_SIGNS = frozenset({b"upgrade-insecure-requests", b"sec-fetch-user", b"service-worker-navigation-preload"})
"""Fields that go with navigations alone."""
_LATER = (b"prefetch", b"prerender", b"preview")


def opens_page(headers: Headers) -> bool:
    """Whether a browser asks for a page, to show it now or later (prefetch), in a window or in a frame.

    Browsers say so by Fetch Metadata (https://www.w3.org/TR/fetch-metadata/), but over plain http they send none: there
    Accept and Upgrade-Insecure-Requests tell. A script's ``fetch()``, curl and SDKs say none of this.
    """
    for name, value in headers:
        if name == b"accept":
            if b"html" in value.lower():  # text/html, application/xhtml+xml
                return True
        elif name == b"sec-fetch-mode":
            if value in _PAGE_MODES:
                return True
        elif name == b"sec-fetch-dest":
            if value in _PAGE_PLACES:
                return True
        elif name in _SIGNS or (name in _PURPOSES and any(purpose in value.lower() for purpose in _LATER)):
            return True
    return False
