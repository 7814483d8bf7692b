"""What the relay itself serves under ``/.portico/`` at each service's root: where visitors show that they may come in.

===========================  =======================================================================================
``POST .portico/password``   takes the form of `portico.hub.pages.password_form`; leaves a pass
``POST .portico/confirm``    takes the form of `portico.hub.pages.confirm_form`; leaves a note that the visitor was told
``GET .portico/login``       begins to sign in: leaves a random number, and sends the browser to the relay's own page
``GET .portico/callback``    ends it: takes a one-time code, and leaves who that is, for this service's root alone
``POST .portico/logout``     forgets that
===========================  =======================================================================================

No cookie has a Domain: on a service's own host a neighbour's page can neither read nor set them (`headers.own_cookie`).
What is sent by a form must come from a page of the same origin, or another site could say it in the visitor's name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt

from portico.bounded import BoundedCache
from portico.hub import access, answers, pages
from portico.hub.access import KnownUser
from portico.hub.answers import Answer, forbidden
from portico.hub.enforcer import CONFIRMED_LIFETIME, PASS_LIFETIME
from portico.hub.firewall import headers
from portico.hub.firewall.headers import CONFIRMED_COOKIE, PASS_COOKIE, STATE_COOKIE, VISITOR_COOKIE
from portico.hub.firewall.heads import MOST_ARGUMENTS, check_head, too_many
from portico.hub.keys import ISSUER
from portico.hub.redirects import is_below
from portico.hub.visits import Visit
from portico.hub.workspace import Workspace

UNDER = b"/.portico/"
"""What the path below a service's root begins with, for all that is handled here."""

_STATE_LIFETIME = 900  # seconds to sign in
_CACHE_SIZE = 4096
_CACHE_BYTES = 4 << 20  # of cookies that were checked
_NO_TOKEN = (jwt.PyJWTError, ValueError, RecursionError)  # what PyJWT raises for hostile text


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user of the relay, and which of the user's sign-ins it was."""

    user: KnownUser
    session: str = ""
    """Whatever tells sign-ins apart, so that one that is over can be known."""
    workspace: str = ""
    """The identity of the workspace that it was to: another one of its name is none of it."""


Redeem = Callable[[str, str], Awaitable[SignedIn | None]]
"""From a one-time code, and the `place_of` that it must have been made for, to who that is; None for no such code."""

SignInURL = Callable[[str, Visit, str], str]
"""The relay's own page where a browser signs in: of a workspace's name, the visit, and a state. In the end that page
sends the browser to `callback_url` with ``?code=...&state=...``, and the state as it was."""


def place_of(visit: Visit) -> str:
    """Host and root of the service that is asked for: what a sign-in is good for."""
    return f"{visit.request.host.lower()}{visit.target.root_path}"


def callback_url(scheme: str, place: str) -> str:
    """Where the relay's own page sends a browser that has signed in. *place* is of `place_of`."""
    return f"{scheme}://{place}/.portico/callback"


def login_path(visit: Visit) -> str:
    """For `Identities.login_url`: the gate adds ``?next=``."""
    return f"{visit.target.root_path}/.portico/login"


class Doorway:
    """Handles it, for all workspaces of a relay."""

    def __init__(
        self,
        secret: bytes,
        *,
        redeem: Redeem,
        sign_in_url: SignInURL,
        lifetime: float = 12 * 3600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*secret* signs what is left with browsers; a sign-in on a service's host lasts *lifetime* seconds."""
        self._secret = secret
        self._redeem = redeem
        self._sign_in_url = sign_in_url
        self._lifetime = lifetime
        self._now = now
        self._known: BoundedCache[tuple[str, str, bytes], tuple[float, SignedIn]] = BoundedCache(
            _CACHE_SIZE, _CACHE_BYTES
        )
        """Cookies whose signature was checked."""

    async def handle(self, workspace: Workspace, visit: Visit, body: bytes) -> Answer:
        """Answer a request under ``/.portico/``, whose target is found already."""
        try:
            check_head(visit.request.target, visit.request.headers)
        except Answer as answer:
            return answer
        what = visit.target.raw_path[len(UNDER) :].decode("latin-1")
        if what not in ("password", "confirm", "login", "callback", "logout"):
            return Answer(404, "not_found", "There is nothing here.")
        reads = visit.request.method in ("GET", "HEAD")
        try:
            if what == "login" and reads:
                return self._login(workspace, visit)
            if what == "callback" and reads:
                return await self._callback(workspace, visit)
            if reads:
                return _see_other(visit, f"{visit.target.root_path}/")  # a page of here that is loaded again
            if visit.request.method != "POST" or what in ("login", "callback"):
                return Answer(405, "method_not_allowed", "That method is not for this address.")
            form = _form(visit, body)
            if what == "password":
                return self._password(workspace, visit, form)
            if what == "confirm":
                return self._confirm(workspace, visit, form)
            return _see_other(visit, f"{visit.target.root_path}/", _cookie(VISITOR_COOKIE, "", visit, 0))
        except Answer as answer:
            return answer

    # --- conditions ---------------------------------------------------------------------------------------------

    @staticmethod
    def _password(workspace: Workspace, visit: Visit, form: dict[bytes, bytes]) -> Answer:
        target = _inside(visit, form.get(b"next", b""))
        service = workspace.registry.services.get(visit.target.name)
        conditions = service.descriptor.conditions if service is not None else None
        if conditions is None or conditions.password is None:
            return _see_other(visit, target)  # whether there is such a service is the gate's to say
        client = visit.request.client[0] if visit.request.client else None
        enforcer = workspace.gateway.enforcer
        enforcer.check(conditions, client)
        if enforcer.try_password(conditions, visit.target.name, client, form.get(b"password", b"")):
            value = enforcer.make_pass(conditions, visit.target.name)
            return _see_other(visit, target, _cookie(PASS_COOKIE, value, visit, PASS_LIFETIME))
        program = not answers.wants_page(visit.request.headers)
        return answers.wrong_password(f"{visit.target.root_path}/.portico/password", target, program=program)

    @staticmethod
    def _confirm(workspace: Workspace, visit: Visit, form: dict[bytes, bytes]) -> Answer:
        value = workspace.gateway.enforcer.make_confirmation(visit.target.name)
        cookie = _cookie(CONFIRMED_COOKIE, value, visit, CONFIRMED_LIFETIME)
        return _see_other(visit, _inside(visit, form.get(b"next", b"")), cookie)

    # --- signing in ---------------------------------------------------------------------------------------------
    #
    # The random number in the browser's cookie ties the end of a sign-in to its beginning: else a link with someone
    # else's code would sign the visitor in as them. Several pages of one browser may be at it at once.

    def _login(self, workspace: Workspace, visit: Visit) -> Answer:
        refusal = _cross_site("GET", visit)
        if refusal is not None:
            return refusal
        number = next(self._numbers(visit), None) or secrets.token_urlsafe(24)
        target = _inside(visit, _argument(visit, b"next"))
        state = self._sign(
            "state", workspace.name, _STATE_LIFETIME, place=place_of(visit), n=_digest(number), next=target
        )
        url = self._sign_in_url(workspace.name, visit, state)
        return Answer(
            302,
            "login",
            "Sign in first.",
            headers=(  # the relay's own, which stands in its configuration
                (b"location", url.encode("ascii")),
                _cookie(STATE_COOKIE, number, visit, _STATE_LIFETIME),
                answers.NO_REFERRER,
            ),
        )

    async def _callback(self, workspace: Workspace, visit: Visit) -> Answer:
        state = self._read("state", workspace.name, _argument(visit, b"state").decode("latin-1"))
        mine = state is not None and state["place"] == place_of(visit)
        if (
            state is None
            or not mine
            or not any(hmac.compare_digest(_digest(number), str(state["n"])) for number in self._numbers(visit))
        ):
            return _failed(visit, "The sign-in took too long, or was begun in another browser.")
        found = await self._redeem(_argument(visit, b"code").decode("latin-1"), place_of(visit))
        if found is None:
            return _failed(visit, "The sign-in took too long, or its address was opened twice.")
        value = self._sign(
            "visit",
            workspace.name,
            self._lifetime,
            place=place_of(visit),
            sub=found.user.id,
            name=found.user.name,
            sid=found.session,
            of=workspace.gateway.enforcer.workspace,
        )
        cookie = _cookie(VISITOR_COOKIE, value, visit, int(self._lifetime))
        return _see_other(visit, str(state["next"]), cookie)

    @staticmethod
    def _numbers(visit: Visit) -> Any:
        for value in _own_cookies(visit, STATE_COOKIE):
            if _NUMBER.fullmatch(value):
                yield value.decode()

    def visitor(self, workspace: str, visit: Visit) -> SignedIn | None:
        """Who signed in on this service's host, by the cookie that `callback` left; None for nobody.

        Whether the user is still one, and still signed in, is the caller's question.
        """
        now = self._now()
        place = place_of(visit)
        for value in _own_cookies(visit, VISITOR_COOKIE):
            known = self._known.get((workspace, place, value))
            if known is None:
                claims = self._read("visit", workspace, value.decode("latin-1"))
                if claims is None or claims["place"] != place:
                    continue
                user = KnownUser(id=str(claims["sub"]), name=str(claims["name"]))
                known = float(claims["exp"]), SignedIn(user, str(claims["sid"]), str(claims.get("of", "")))
                self._known.keep((workspace, place, value), known, len(place) + len(value))
            if now < known[0]:
                return known[1]
        return None

    def _sign(self, purpose: str, workspace: str, lifetime: float, **claims: str) -> str:
        # "iss" comes first: by that every hub knows what must never reach an app (`portico.hub.keys.MARK`)
        return jwt.encode(
            {"iss": ISSUER, "aud": f"portico:{purpose}:{workspace}", **claims, "exp": int(self._now() + lifetime)},
            self._secret,
            algorithm="HS256",
        )

    def _read(self, purpose: str, workspace: str, token: str) -> dict[str, Any] | None:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=f"portico:{purpose}:{workspace}",
                issuer=ISSUER,
                options={"require": ["exp", "aud", "iss", "place"], "verify_exp": False},
            )
        except _NO_TOKEN:
            return None
        return claims if self._now() < claims["exp"] else None


_NUMBER = re.compile(rb"[\w-]{32}", re.ASCII)


def _digest(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()


def _cross_site(method: str, visit: Visit) -> Answer | None:
    request = visit.request
    return access.cross_site(method, request.headers, request.host, websocket=False, secure=request.scheme == "https")


def _own_cookies(visit: Visit, name: str) -> Iterator[bytes]:
    request = visit.request
    yield from headers.own_cookies(request.headers, name, visit.target.root_path, request.scheme)


def _cookie(name: str, value: str, visit: Visit, seconds: int) -> tuple[bytes, bytes]:
    return headers.set_own_cookie(name, value, visit.target.root_path, visit.request.scheme, seconds)


def _argument(visit: Visit, name: bytes) -> bytes:
    """The first argument *name* of the query, decoded; b"" if there is none. Raises an `Answer` (431)."""
    if visit.target.query.count(b"&") >= MOST_ARGUMENTS:
        raise too_many(f"{MOST_ARGUMENTS} arguments in a query here")
    return next((value for _, found, value in headers.arguments(visit.target.query) if found == name), b"")


def _form(visit: Visit, body: bytes) -> dict[bytes, bytes]:
    """The fields of a form that a page of the same origin sent. Raises an `Answer`."""
    if _cross_site("POST", visit) is not None:
        raise forbidden("This was not sent by a page of this address.", "cross_origin")
    kind = dict(visit.request.headers).get(b"content-type", b"")
    if body and not kind.startswith(b"application/x-www-form-urlencoded"):
        raise Answer(400, "bad_form", "That is no form of this page.")
    fields: dict[bytes, bytes] = {}
    for _, name, value in headers.arguments(body):
        fields.setdefault(name, value)
    return fields


_LONGEST_TARGET = 2000  # bytes: it is sent inside of another address, sealed


def _inside(visit: Visit, target: bytes) -> str:
    """*target*, if it is the path of a page of this service; else the service's root. There is no way out of here."""
    root, asked = visit.target.root_path + "/", target[: _LONGEST_TARGET + 1].decode("latin-1")
    if len(asked) > _LONGEST_TARGET:
        return root
    return asked if is_below(asked, root) and not asked.startswith(root + ".portico/") else root


def _see_other(visit: Visit, target: str, *cookies: tuple[bytes, bytes]) -> Answer:
    policy = (b"referrer-policy", b"same-origin")
    return answers.redirect(303, "seen", "Go on.", target.encode("latin-1"), *cookies, policy)


def _failed(visit: Visit, message: str) -> Answer:
    return Answer(403, "sign_in_failed", message, form=pages.link(f"{visit.target.root_path}/", "Open the app again"))
