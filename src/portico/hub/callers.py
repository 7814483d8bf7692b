"""Who calls: what of a request may be a credential, whose it is, and what of it no app may see."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote

from portico.bounded import BoundedCache
from portico.hub import access, answers
from portico.hub.access import ANONYMOUS, NOBODY, KnownUser, Recognised, Visitor
from portico.hub.answers import Answer
from portico.hub.firewall import headers
from portico.hub.firewall.headers import KEY_ARGUMENT, KEY_COOKIE
from portico.hub.firewall.spellings import MARKED, Secrets, secrets_of
from portico.hub.keys import MARK, InvalidKey, KeyRing, is_ours
from portico.hub.request import cross_site, shows_token
from portico.hub.visits import Visit
from portico.protocol import Kind


class Identities:
    """What the gate asks of the server that it stands in. The edge implements it."""

    async def recognise(self, visit: Visit) -> Recognised:
        """Who the server's own identity provider says this is. Never raises for a bad token."""
        raise NotImplementedError

    def has_credentials(self, visit: Visit) -> bool:
        """Whether `recognise` could find anybody."""
        raise NotImplementedError

    def has_valid_xsrf(self, visit: Visit) -> bool:
        """Whether the request carries the server's own protection against forged requests."""
        raise NotImplementedError

    def is_hub_cookie(self, name: str) -> bool:
        raise NotImplementedError

    def own_tokens(self) -> tuple[bytes, ...]:
        """The server's own tokens, which no app may see. What a hub made is known by its mark (`keys.MARK`)."""
        return ()

    def holds_hub_token(self, value: bytes) -> bool:
        """Whether one of the server's own tokens is in *value*, as it stands."""
        return any(token in value for token in self.own_tokens())

    def login_url(self, visit: Visit) -> str | None:
        """Where a browser that is not logged in is sent."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Caller:
    """A visitor who is known, while the service is not: as `portico.hub.opening.Admission`, without it."""

    visitor: Visitor
    drop_authorization: bool
    token: bytes | None


class Callers:
    """Finds out who calls, in one workspace."""

    def __init__(self, keys: KeyRing, identities: Identities) -> None:
        self._keys = keys
        self._identities = identities
        self._own_tokens: tuple[bytes, ...] = ()
        self._own_secrets = MARKED
        """Of `_own_tokens`."""

    # --- who it is ----------------------------------------------------------------------------------------------

    def shows_anything(self, visit: Visit, fields: dict[bytes, bytes]) -> bool:
        """Whether a credential of any kind may be in the request, which has *fields*."""
        query = visit.target.query
        if query and (KEY_ARGUMENT in query or headers.has_argument(query, b"token")):
            return True
        if b"authorization" in fields or b"cookie" in fields:
            return True
        return self._identities.has_credentials(visit)

    async def identify(self, visit: Visit, level: str) -> tuple[Visitor, bool, Recognised]:
        """Who the visitor is, whether the Authorization header is the hub's, and what else was recognised.

        *level* is the service's access. Raises an `Answer` for a credential that is no good.
        """
        identities = self._identities
        found = self.bearer(visit) or self._key_of_link(visit) or self._cookie_key(visit, level)
        visitor, ours = found or (ANONYMOUS, False)
        asks_for_user = found is None and level != "key"
        recognised = NOBODY
        # what may be a credential of the server is asked after even where it is not needed, lest the app see it
        shows = asks_for_user or (not ours and shows_token(visit.request, visit.target.query))
        if shows and identities.has_credentials(visit):
            recognised = await identities.recognise(visit)
            if asks_for_user and recognised.user is not None:
                visitor = self._of_user(recognised.user, visit, level)
        return visitor, ours, recognised

    async def identify_program(self, visit: Visit) -> tuple[Visitor, bool, Recognised]:
        """As `identify`, of a request that has neither cookies nor a query: by its Authorization header.

        A server that asks for no credential takes every program for its user, as ever; whether another site's page
        calls is asked before.
        """
        found = self.bearer(visit)
        if found is not None:
            return *found, NOBODY
        if not self._identities.has_credentials(visit):
            return ANONYMOUS, False, NOBODY
        recognised = await self._identities.recognise(visit)
        visitor = access.of_user(recognised.user) if recognised.user is not None else ANONYMOUS
        return visitor, False, recognised

    def bearer(self, visit: Visit) -> tuple[Visitor, bool] | None:
        """The visitor that an Authorization header's key stands for; None if it holds no key of ours.

        Raises an `Answer` for a key that is no good.
        """
        for name, value in visit.request.headers:
            if name == b"authorization":
                parts = value.split(None, 1)
                if len(parts) != 2 or parts[0].lower() != b"bearer" or not is_ours(parts[1]):
                    return None
                try:
                    return self._of_key(parts[1].strip().decode("latin-1")), True
                except InvalidKey as error:
                    raise answers.invalid_key(str(error)) from None
        return None

    def _of_key(self, token: str) -> Visitor:
        key = self._keys.verify(token)
        return _visitor_of_key(key.id, key.services)

    def _key_of_link(self, visit: Visit) -> tuple[Visitor, bool] | None:
        """``?portico_key=``: the key is put into a cookie for the app's path, and the URL is made clean of it."""
        request, target = visit.request, visit.target
        if KEY_ARGUMENT not in target.query:
            return None
        given = b""
        for _, name, value in headers.arguments(target.query):
            if name == KEY_ARGUMENT:
                given = value
        if not given:
            return None
        token = given.decode("latin-1")
        try:
            visitor = self._of_key(token)
        except InvalidKey as error:
            raise answers.invalid_key(str(error)) from None
        # at the models there is no service whose path a cookie could keep to, and no page whose address could be shown
        if target.name and request.kind == Kind.HTTP and request.method in ("GET", "HEAD"):
            key = self._keys.verify(token)
            query = headers.clean_query(target.query, lambda name, _: name == KEY_ARGUMENT)
            location = target.root_path.encode("latin-1") + target.raw_path + (b"?" + query if query else b"")
            seconds = max(1, int(key.expires - time.time()))
            access.check("key", target.name, visitor)
            cookie = headers.set_own_cookie(KEY_COOKIE, token, target.root_path, request.scheme, seconds)
            raise answers.redirect(303, "key_taken", "The key was taken.", location, cookie, answers.NO_REFERRER)
        return visitor, False

    def _cookie_key(self, visit: Visit, level: str) -> tuple[Visitor, bool] | None:
        request = visit.request
        for token in headers.own_cookies(request.headers, KEY_COOKIE, visit.target.root_path, request.scheme):
            try:
                visitor = self._of_key(token.decode("latin-1"))
            except InvalidKey:
                continue  # a cookie that has expired speaks for nobody; a login may
            refusal = cross_site(request)
            if refusal is None:
                return visitor, False
            if level != "public":
                raise refusal
        return None

    def _of_user(self, user: KnownUser, visit: Visit, level: str) -> Visitor:
        if not user.by_token:
            refusal = cross_site(visit.request)
            if refusal is not None and not (visit.request.kind == Kind.HTTP and self._identities.has_valid_xsrf(visit)):
                if level == "public":
                    return ANONYMOUS  # whoever calls may; but not as this user
                raise refusal
        return access.of_user(user)

    # --- logins -------------------------------------------------------------------------------------------------

    @staticmethod
    def keep_login(visit: Visit, recognised: Recognised) -> None:
        """A page that is opened with the server's token in its address: the login is kept, and the address made clean.

        The page's own requests bring no token. As the server does on its own pages. Raises an `Answer`.
        """
        login, token = recognised.login, recognised.token
        request, target = visit.request, visit.target
        if (
            login is None
            or not token
            or request.kind is not Kind.HTTP
            or request.method not in ("GET", "HEAD")
            or not access.opens_page(request.headers)
        ):
            return
        query = headers.clean_query(
            target.query, lambda name, value: name.strip() == b"token" and value.strip() == token
        )
        location = target.root_path.encode("latin-1") + target.raw_path + (b"?" + query if query else b"")
        if query != target.query:
            kept = tuple((b"set-cookie", cookie) for cookie in login)
            raise Answer(
                303,
                "login",
                "The token was taken.",
                headers=((b"location", location), *kept, (b"referrer-policy", b"no-referrer")),
            )

    def explain(self, answer: Answer, visit: Visit, level: str) -> Answer:
        """Send a browser to the login page instead of 401, where a login would help."""
        request = visit.request
        if (
            answer.code == "unauthorized"
            and level == "private"
            and request.kind == Kind.HTTP
            and request.method in ("GET", "HEAD")
        ):
            login = self._identities.login_url(visit) if answers.wants_page(request.headers) else None
            if login:
                target = request.target if len(request.target) <= _LONGEST_NEXT else visit.target.root_path + "/"
                target = quote(target, safe="/?&=%:@!$'()*+,;~#[]-._")
                location = f"{login}{'&' if '?' in login else '?'}next={quote(target, safe='/')}"
                return answers.redirect(302, "login", "Sign in first.", location.encode("latin-1"), answers.NO_REFERRER)
        return answer

    # --- what no app may see ------------------------------------------------------------------------------------

    def is_hub_cookie(self, name: str) -> bool:
        return headers.is_own_cookie(name) or self._identities.is_hub_cookie(name)

    def is_hub_argument(self, name: bytes, value: bytes, token: bytes | None = None) -> bool:
        """Of a query argument, decoded: whether it is the hub's. *token* is `Recognised.token`."""
        if name in (KEY_ARGUMENT, b"_xsrf"):
            return True
        if name != b"token":
            return False
        return (token is not None and token in value) or self._identities.holds_hub_token(value)

    def is_hub_authorization(self, visit: Visit, token: bytes | None = None) -> bool:
        """Whether an Authorization header holds a credential of the hub, even one that is no good any more.

        *token* is `Recognised.token`.
        """
        for name, value in visit.request.headers:
            if name == b"authorization" and (
                (token is not None and token in value)
                or self._identities.holds_hub_token(value)
                or self.secrets(token).within_credentials(value)
            ):
                return True
        return False

    def secrets(self, token: bytes | None) -> Secrets:
        """All that no app may see of the server's own, with a *token* that is `Recognised.token`."""
        tokens = self._identities.own_tokens()
        if not token:
            if tokens != self._own_tokens:  # asked of every request
                self._own_tokens = tokens
                self._own_secrets = Secrets((MARK[1:], *tokens), lasting=True) if tokens else MARKED
            return self._own_secrets
        return secrets_of(MARK[1:], *tokens, token)


_LONGEST_NEXT = 2000
"""Bytes of an address that a browser comes back to after a login: it is sent inside of another address."""

_KEY_VISITORS: BoundedCache[str, Visitor] = BoundedCache()


def _visitor_of_key(key_id: str, services: tuple[str, ...]) -> Visitor:
    visitor = _KEY_VISITORS.get(key_id)
    if visitor is None:
        made = Visitor(access="key", key_id=key_id, services=services, by_token=True)
        visitor = _KEY_VISITORS.keep(key_id, made, sum(map(len, services)))
    return visitor
