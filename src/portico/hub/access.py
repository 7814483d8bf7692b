"""Who a visitor is, and what a service's access lets them do. Pure decisions: nothing is looked up here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from portico.hub.answers import Answer, forbidden, unauthorized
from portico.types import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


@dataclass(frozen=True, slots=True)
class User:
    """Someone whom the server's own identity provider knows."""

    id: str
    name: str = ""
    by_token: bool = False
    """Shown by a token in this request rather than by a cookie: no other site's page can make a browser send it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who calls. ``access`` is ``user``, ``key`` or ``anonymous``."""

    access: str = "anonymous"
    user_id: str = ""
    name: str = ""
    key_id: str = ""
    services: tuple[str, ...] = ()
    """What a key opens."""
    by_token: bool = False
    identity: bytes = field(init=False, repr=False)
    """The same as JSON, for ``scope["extensions"]["portico"]``."""

    def __post_init__(self) -> None:
        value: dict[str, object] = {"access": self.access}
        if self.access == "user":
            value |= {"user": {"id": self.user_id, "name": self.name}}
        elif self.access == "key":
            value |= {"key_id": self.key_id}
        object.__setattr__(self, "identity", json.dumps(value, separators=(",", ":")).encode())


ANONYMOUS = Visitor()


def of_user(user: User) -> Visitor:
    return Visitor(access="user", user_id=user.id, name=user.name, by_token=user.by_token)


def check(access: str, service: str, visitor: Visitor) -> None:
    """Let *visitor* in to *service*, which has this *access*, or raise the `Answer` that says why not."""
    if access == "public":
        return
    if visitor.access == "key":
        if service in visitor.services:
            return
        raise forbidden(f"This key does not open {service!r}.", "wrong_key")
    if visitor.access == "user":
        if access == "private":
            return
        raise forbidden(f"{service!r} is open to keys alone. Ask its author for one, or make one in the notebook.")
    raise unauthorized()


# --- a browser that is logged in may be made to call by another site's page ------------------------------------


def same_origin(origin: bytes, host: str) -> bool:
    """Whether the Origin or Referer header *origin* names *host* (the Host header), whatever the scheme.

    The scheme is not compared: TLS may end at a proxy in front, which the server does not hear of.
    """
    parts = urlsplit(origin.decode("latin-1"))
    return bool(parts.netloc) and _without_default_port(parts.netloc) == _without_default_port(host)


def _without_default_port(netloc: str) -> str:
    netloc = netloc.lower()
    for suffix in (":80", ":443"):
        if netloc.endswith(suffix):
            return netloc[: -len(suffix)]
    return netloc


def cross_site(method: str, headers: Headers, host: str, *, websocket: bool) -> Answer | None:
    """What to answer a request that a login cookie speaks for, if another site's page may have made it.

    An unsafe method needs a same-origin Origin, else Referer; a WebSocket needs a same-origin Origin.
    """
    if method in SAFE_METHODS and not websocket:
        return None
    fields = dict(headers)
    origin = fields.get(b"origin")
    if origin is None and not websocket:
        origin = fields.get(b"referer")
    if origin is not None and same_origin(origin, host):
        return None
    return forbidden(
        "This request came from another site's page, or does not say from which. With a login cookie only "
        "the server's own pages may do that; programs use a key (Authorization: Bearer ...).",
        "cross_origin",
    )
