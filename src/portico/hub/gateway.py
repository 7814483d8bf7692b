"""The one gate for visitors, HTTP and WebSocket alike: parse the name once, decide access from it once, then open.

An edge brings a `VisitorRequest` and a responder. `Gateway.admit_now` decides without waiting where it can (a key that
was seen before); `Gateway.admit` asks the server's identity provider as well. What may not go on raises an `Answer`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from portico.bounded import BoundedCache
from portico.errors import LocalProtocolError
from portico.hub import access, answers
from portico.hub.access import ANONYMOUS, NOBODY, Recognised, User, Visitor
from portico.hub.answers import Answer, forbidden
from portico.hub.config import HubConfig
from portico.hub.descriptor import Descriptor
from portico.hub.enforcer import Enforcer, basic_password, busy, too_large
from portico.hub.exchange import HTTPForward, Responder, SocketForward, SocketResponder
from portico.hub.firewall import headers
from portico.hub.firewall.headers import CONFIRMED_COOKIE, KEY_ARGUMENT, KEY_COOKIE, PASS_COOKIE
from portico.hub.firewall.heads import MOST_FIELDS, check_head
from portico.hub.firewall.spellings import MARKED, Secrets, basic_credentials, secrets_of
from portico.hub.keys import MARK, InvalidKey, KeyRing, is_ours
from portico.hub.registry import Registry
from portico.hub.replicas import Replica, Service
from portico.hub.shares import Shares
from portico.protocol import Kind
from portico.types import Headers

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class VisitorRequest:
    """A request as it came in, before anything is decided. Header names are lower case."""

    kind: Kind
    method: str
    scheme: str
    """``http`` or ``https``, as the visitor sees it."""
    host: str
    """The Host header."""
    http_version: str
    target: bytes
    """Path and query, raw."""
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    prefix: bytes
    """What the path of every service starts with (``/portico/apps/``, with the server's base URL before it)."""
    subprotocols: tuple[str, ...] = ()
    caller: str = ""
    """Whom it counts for where each has a share: the network of the visitor's address; "" for nobody, where visitors
    cannot be told apart (`HubConfig.by_address`), or a trusted proxy says nothing of its visitor."""
    fields: dict[bytes, bytes] | None = None
    """``dict(headers)``: to see at once which there are. None where the edge has not made it."""
    small: bool = False
    """Whether the edge knows target and headers to have at most `heads.SMALL` bytes."""

    # parsed by `Gateway.parse`
    name: str = ""
    raw_path: bytes = b""
    """What follows the name, from its slash on."""
    query: bytes = b""
    root_path: str = ""

    cors_origin: bytes = b""
    """The origin for which the hub speaks CORS on this request, found by the gate. The edge adds `headers.cors_headers`
    to the answers in the hub's own words, so that a page of that origin can read them."""


class Identities:
    """What the gate asks of the server that it stands in. The edge implements it."""

    async def recognise(self, request: VisitorRequest) -> Recognised:
        """Who the server's own identity provider says this is. Never raises for a bad token."""
        raise NotImplementedError

    def has_credentials(self, request: VisitorRequest) -> bool:
        """Whether `recognise` could find anybody."""
        raise NotImplementedError

    def has_valid_xsrf(self, request: VisitorRequest) -> bool:
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

    def login_url(self, request: VisitorRequest) -> str | None:
        """Where a browser that is not logged in is sent."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Admission:
    """A request that may go on."""

    service: Service
    visitor: Visitor
    drop_authorization: bool
    token: bytes | None = None
    """As `Recognised.token`."""
    descriptor: Descriptor = field(init=False)
    """The service's, as it was when the visitor was let in."""

    def __post_init__(self) -> None:
        self.descriptor = self.service.descriptor


@dataclass(slots=True, eq=False)
class Caller:
    """A visitor who is known, while the service is not: as `Admission`, without it."""

    visitor: Visitor
    drop_authorization: bool
    token: bytes | None


class Gateway:
    def __init__(
        self,
        config: HubConfig,
        registry: Registry,
        keys: KeyRing,
        identities: Identities,
        enforcer: Enforcer | None = None,
    ) -> None:
        """*enforcer* is one made for the workspace's name, where there are several workspaces."""
        self._config = config
        self._registry = registry
        self._keys = keys
        self._identities = identities
        self.enforcer = enforcer or Enforcer()
        self._since = time.monotonic()
        self._streams_of_address = config.streams_of_address
        self._waiters = Shares(MOST_WAITING_OF_ADDRESS)
        self._own_tokens: tuple[bytes, ...] = ()
        self._own_secrets = MARKED
        """Of `_own_tokens`."""
        self.on_traffic: Callable[[Replica], None] = lambda replica: None
        """Told of each request that is opened, for activity."""
        self._leaving = False
        self._waiting: set[asyncio.Task[None]] = set()

    # --- parsing ------------------------------------------------------------------------------------------------

    def parse(self, request: VisitorRequest) -> None:
        """Split the target into service, path and query. Raises an `Answer` (404, or 308 to add the slash)."""
        target = request.target
        path, mark, query = target.partition(b"?")
        rest = path[len(request.prefix) :]
        raw_name, slash, tail = rest.partition(b"/")
        name = raw_name.decode("latin-1")
        if "%" in name and len(name) <= _LONGEST_NAME:
            name = unquote_to_bytes(raw_name).decode("utf-8", "replace")
        request.name = name
        request.query = query
        request.raw_path = slash + tail
        request.root_path = (request.prefix + raw_name).decode("latin-1")
        if not slash and _A_NAME.fullmatch(name):  # whether there is such a service is not said before the gate
            check_head(target, request.headers)
            location = request.prefix + raw_name + b"/" + mark + query
            raise answers.redirect(308, "slash", "The URL of a service ends with a slash.", location)

    # --- the gate -----------------------------------------------------------------------------------------------

    def admit_now(self, request: VisitorRequest) -> Admission | None:
        """Decide by what is known already. None: `admit` must be awaited. Raises an `Answer` for a no."""
        if not request.small or len(request.headers) > MOST_FIELDS:
            check_head(request.target, request.headers)
        service = self._registry.services.get(request.name)
        if service is None:
            return None
        descriptor = service.descriptor
        if descriptor.origins:
            request.cors_origin = self._cors_origin(service, request)
        fields = request.fields
        if fields is None:
            fields = request.fields = dict(request.headers)
        key = self._bearer(request) if b"authorization" in fields else None
        if key is None:
            if descriptor.access != "public" or request.method == "OPTIONS" or self._shows_anything(request, fields):
                return None
            visitor, ours = ANONYMOUS, False
        else:
            visitor, ours = key
        access.check(descriptor.access, request.name, visitor)
        if self._registry.interstitial:
            self._warn(request)
        if descriptor.conditions is not None:
            ours = self._meet(request, service, visitor) or ours
        return Admission(service, visitor, ours)

    def _shows_anything(self, request: VisitorRequest, fields: dict[bytes, bytes]) -> bool:
        """Whether a credential of any kind may be in the request, which has *fields*."""
        query = request.query
        if query and (KEY_ARGUMENT in query or headers.has_argument(query, b"token")):
            return True
        if b"authorization" in fields or b"cookie" in fields:
            return True
        return self._identities.has_credentials(request)

    async def admit(self, request: VisitorRequest) -> Admission:
        """Decide, asking the identity provider where that is needed. Raises an `Answer` for a no."""
        service = self._registry.services.get(request.name)
        level = service.descriptor.access if service is not None else self._registry.access_of_gone(request.name)
        origin = self._cors_origin(service, request) if service is not None and service.descriptor.origins else b""
        if request.method == "OPTIONS" and request.kind == Kind.HTTP and _is_preflight(request):
            if origin:
                request.cors_origin = b""  # said already
                raise Answer(
                    204, "preflight", "", headers=tuple(headers.preflight_headers(dict(request.headers), origin))
                )
            if service is not None and level == "public" and not service.descriptor.origins:
                if service.descriptor.conditions is not None:
                    self._meet(request, service, ANONYMOUS)
                return Admission(service, ANONYMOUS, self._is_hub_authorization(request))
            raise answers.unauthorized(
                "A preflight from another origin is answered for services that name it in origins."
            )
        request.cors_origin = origin
        try:
            visitor, ours, recognised = await self._identify(request, level)
            if service is None:
                if visitor is ANONYMOUS and level != "public":
                    raise access.needs_key()
                if visitor.access == "key" and level != "public":
                    access.check("key", request.name, visitor)
                reason = self._registry.why_gone(request.name)
                raise answers.gone(reason) if reason else answers.not_found(request.name)
            access.check(level, request.name, visitor)
        except Answer as answer:
            raise self._explain(answer, request, level) from None
        self._keep_login(request, recognised)
        if self._registry.interstitial:
            self._warn(request)
        if service.descriptor.conditions is not None:
            ours = self._meet(request, service, visitor) or ours
        ours = ours or self._is_hub_authorization(request, recognised.token)
        return Admission(service, visitor, ours, recognised.token)

    async def _identify(self, request: VisitorRequest, level: str) -> tuple[Visitor, bool, Recognised]:
        """Who the visitor is, whether the Authorization header is the hub's, and what else was recognised."""
        identities = self._identities
        found = self._bearer(request) or self._key_of_link(request) or self._cookie_key(request, level)
        visitor, ours = found or (ANONYMOUS, False)
        asks_for_user = found is None and level != "key"
        recognised = NOBODY
        # what may be a credential of the server is asked after even where it is not needed, lest the app see it
        if (asks_for_user or (not ours and _shows_token(request))) and identities.has_credentials(request):
            recognised = await identities.recognise(request)
            if asks_for_user and recognised.user is not None:
                visitor = self._of_user(recognised.user, request, level)
        return visitor, ours, recognised

    def _keep_login(self, request: VisitorRequest, recognised: Recognised) -> None:
        """A page that is opened with the server's token in its address: the login is kept, and the address made clean.

        The page's own requests bring no token. As the server does on its own pages. Raises an `Answer`.
        """
        login, token = recognised.login, recognised.token
        if (
            login is None
            or not token
            or request.kind is not Kind.HTTP
            or request.method not in ("GET", "HEAD")
            or not access.opens_page(request.headers)
        ):
            return
        query = headers.clean_query(
            request.query, lambda name, value: name.strip() == b"token" and value.strip() == token
        )
        location = request.root_path.encode("latin-1") + request.raw_path + (b"?" + query if query else b"")
        if query != request.query:
            kept = tuple((b"set-cookie", cookie) for cookie in login)
            raise Answer(
                303,
                "login",
                "The token was taken.",
                headers=((b"location", location), *kept, (b"referrer-policy", b"no-referrer")),
            )

    async def identify(self, request: VisitorRequest) -> Caller:
        """Who calls for a model, before it is known whose. Raises an `Answer` for a credential that is no good."""
        check_head(request.target, request.headers)
        visitor, ours, recognised = await self._identify(request, "private")
        return Caller(visitor, ours or self._is_hub_authorization(request, recognised.token), recognised.token)

    def admit_caller(self, request: VisitorRequest, caller: Caller, service: Service) -> Admission:
        """Let *caller* in to *service*, now that it is known whose the model is. Raises an `Answer` for a no."""
        access.check(service.descriptor.access, service.descriptor.name, caller.visitor)
        request.cors_origin = self._cors_origin(service, request) if service.descriptor.origins else b""
        ours = caller.drop_authorization
        if service.descriptor.conditions is not None:
            ours = self._meet(request, service, caller.visitor) or ours
        return Admission(service, caller.visitor, ours, caller.token)

    # --- what must hold besides ---------------------------------------------------------------------------------

    def _meet(self, request: VisitorRequest, service: Service, visitor: Visitor) -> bool:
        """Hold the service's conditions against a request of *visitor*, whom its access lets in.

        Returns whether the Authorization header held its password. Raises an `Answer` for a no.
        """
        conditions, name = service.descriptor.conditions, service.descriptor.name
        assert conditions is not None
        client = request.client[0] if request.client else None
        self.enforcer.check(conditions, client)
        consumed = conditions.password is not None and self._ask_password(request, service, visitor, client)
        if conditions.rate is not None:
            self.enforcer.count(conditions.rate, name, visitor, client)
        return consumed

    def _ask_password(self, request: VisitorRequest, service: Service, visitor: Visitor, client: str | None) -> bool:
        """As `_meet`, of the password. A key for the service says more than a password, and needs none."""
        conditions, name = service.descriptor.conditions, service.descriptor.name
        assert conditions is not None
        shown = [value for field_name, value in request.headers if field_name == b"authorization"]
        passes = headers.own_cookies(request.headers, PASS_COOKIE, request.root_path, request.scheme)
        by_key = visitor.access == "key" and access.opens(visitor, name)
        if by_key or any(self.enforcer.is_pass(conditions, name, value) for value in passes):
            refusal = None if by_key else _cross_site(request)
            if refusal is not None:
                raise refusal
            held = [credentials.partition(b":")[2] for value in shown if (credentials := basic_credentials(value))]
            return any(self.enforcer.is_password(conditions, password) for password in held)
        said = answers.password_needed
        given = basic_password(shown[-1]) if shown else None
        if given is not None:
            if self.enforcer.try_password(conditions, name, client, given):
                return True
            said = answers.wrong_password
        program = not (answers.wants_page(request.headers) or _by_browser(request))
        raise said(f"{request.root_path}/.portico/password", _page_of(request), program=program)

    def _warn(self, request: VisitorRequest) -> None:
        """Before a browser's first page: say that a stranger made it. Programs are not held up. Raises an `Answer`.

        By whatever method: a form of another site may POST. The page that is gone on to is asked for by GET.
        """
        if request.kind is not Kind.HTTP or not access.opens_page(request.headers):
            return
        confirmed = headers.own_cookies(request.headers, CONFIRMED_COOKIE, request.root_path, request.scheme)
        if not any(self.enforcer.is_confirmation(request.name, value) for value in confirmed):
            action = f"{request.root_path}/.portico/confirm"
            kept = request.method in ("GET", "HEAD")
            raise answers.confirm_needed(action, request.target.decode("latin-1"), request.host, kept=kept)

    def refuse_strangers_page(self, request: VisitorRequest) -> None:
        """Where a stranger's model answers, a browser is shown nothing: the API is for programs. Raises an `Answer`.

        There is no page there that could be confirmed, and an app can answer a navigation with any page.
        """
        if self._registry.interstitial and access.opens_page(request.headers):
            raise forbidden("This address is for programs. A person who did not sign in runs what answers here.", "api")

    def _explain(self, answer: Answer, request: VisitorRequest, level: str) -> Answer:
        """Send a browser to the login page instead of 401, where a login would help."""
        if (
            answer.code == "unauthorized"
            and level == "private"
            and request.kind == Kind.HTTP
            and request.method in ("GET", "HEAD")
        ):
            login = self._identities.login_url(request) if answers.wants_page(request.headers) else None
            if login:
                target = request.target if len(request.target) <= _LONGEST_NEXT else request.root_path + "/"
                target = quote(target, safe="/?&=%:@!$'()*+,;~#[]-._")
                location = f"{login}{'&' if '?' in login else '?'}next={quote(target, safe='/')}"
                return answers.redirect(302, "login", "Sign in first.", location.encode("latin-1"), answers.NO_REFERRER)
        return answer

    def _bearer(self, request: VisitorRequest) -> tuple[Visitor, bool] | None:
        """The visitor that an Authorization header's key stands for; None if it holds no key of ours."""
        for name, value in request.headers:
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

    def _key_of_link(self, request: VisitorRequest) -> tuple[Visitor, bool] | None:
        """``?portico_key=``: the key is put into a cookie for the app's path, and the URL is made clean of it."""
        if KEY_ARGUMENT not in request.query:
            return None
        given = b""
        for _, name, value in headers.arguments(request.query):
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
        if request.name and request.kind == Kind.HTTP and request.method in ("GET", "HEAD"):
            key = self._keys.verify(token)
            query = headers.clean_query(request.query, lambda name, _: name == KEY_ARGUMENT)
            location = request.root_path.encode("latin-1") + request.raw_path + (b"?" + query if query else b"")
            seconds = max(1, int(key.expires - time.time()))
            access.check("key", request.name, visitor)
            cookie = headers.set_own_cookie(KEY_COOKIE, token, request.root_path, request.scheme, seconds)
            raise answers.redirect(303, "key_taken", "The key was taken.", location, cookie, answers.NO_REFERRER)
        return visitor, False

    def _cookie_key(self, request: VisitorRequest, level: str) -> tuple[Visitor, bool] | None:
        for token in headers.own_cookies(request.headers, KEY_COOKIE, request.root_path, request.scheme):
            try:
                visitor = self._of_key(token.decode("latin-1"))
            except InvalidKey:
                continue  # a cookie that has expired speaks for nobody; a login may
            refusal = _cross_site(request)
            if refusal is None:
                return visitor, False
            if level != "public":
                raise refusal
        return None

    def _of_user(self, user: User, request: VisitorRequest, level: str) -> Visitor:
        if not user.by_token:
            refusal = _cross_site(request)
            if refusal is not None and not (request.kind == Kind.HTTP and self._identities.has_valid_xsrf(request)):
                if level == "public":
                    return ANONYMOUS  # whoever calls may; but not as this user
                raise refusal
        return access.of_user(user)

    def _is_hub_authorization(self, request: VisitorRequest, token: bytes | None = None) -> bool:
        """Whether an Authorization header holds a credential of the hub, even one that is no good any more.

        *token* is `Recognised.token`.
        """
        for name, value in request.headers:
            if name == b"authorization" and (
                (token is not None and token in value)
                or self._identities.holds_hub_token(value)
                or self._secrets(token).within_credentials(value)
            ):
                return True
        return False

    def _secrets(self, token: bytes | None) -> Secrets:
        """All that no app may see of the server's own, with a *token* that is `Recognised.token`."""
        tokens = self._identities.own_tokens()
        if not token:
            if tokens != self._own_tokens:  # asked of every request
                self._own_tokens = tokens
                self._own_secrets = Secrets((MARK[1:], *tokens), lasting=True) if tokens else MARKED
            return self._own_secrets
        return secrets_of(MARK[1:], *tokens, token)

    @staticmethod
    def _cors_origin(service: Service, request: VisitorRequest) -> bytes:
        """The Origin header, if the service names it."""
        allowed = service.descriptor.origins
        for name, value in request.headers:
            if name == b"origin":
                text = value.decode("latin-1")
                return value if "*" in allowed or text in allowed else b""
        return b""

    # --- opening ------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Let no request wait for a provider any more: the hub stops, and whoever asks again is to ask another."""
        self._leaving = True
        for service in self._registry.services.values():
            service.wake()

    async def ready(self, service: Service, caller: str = "") -> None:
        """Wait for a provider that has just lost its link. Raises an `Answer` (503, or what became of it; 429).

        One that was lost longer ago than a request waits is not waited for.
        """
        name = service.descriptor.name
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while service.pick() is None:
            if self._leaving:
                raise answers.restarting()
            if self._registry.services.get(name) is not service:
                reason = self._registry.why_gone(name)
                if name in self._registry.services:
                    raise answers.reconnecting()  # another provider's by now: let whoever comes again be asked anew
                raise answers.gone(reason) if reason else answers.not_found(name)
            links = [replica.session.link for replica in service.replicas]
            if any(link is not None and not link.connection.going_away for link in links):
                raise answers.overloaded()
            if deadline is None:
                lost = max((replica.session.lost_at or 0.0 for replica in service.replicas), default=0.0)
                if any(link is not None for link in links):  # its provider takes its leave, and may be back
                    lost = loop.time()
                # a name that is held since before this hub started is waited for as if it was lost then
                deadline = max(lost, self._since) + self._config.wait_for_provider
                if deadline <= loop.time():
                    raise answers.away()
            left = deadline - loop.time()
            if left <= 0:
                raise answers.reconnecting()
            await self._wait(service, caller, left)

    async def _wait(self, service: Service, caller: str, seconds: float) -> None:
        """Wait for a change of the service's replicas. Each request that waits is held in memory: so many may."""
        if not self._waiters.has_room(caller):
            raise Answer(
                429,
                "too_many_waiting",
                "Too many requests from your network wait for this app, which is reconnecting. Try again in a moment.",
                retry_after=5,
            )
        if service.waiting >= MOST_WAITING:
            raise answers.reconnecting()
        self._waiters.take(caller)
        service.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await service.changed.wait()
        except TimeoutError:
            raise answers.reconnecting() from None
        finally:
            service.waiting -= 1
            self._waiters.give_back(caller)

    def forward(
        self,
        request: VisitorRequest,
        admission: Admission,
        responder: Responder,
        *,
        fin: bool,
        on_done: Callable[[], None],
        replica: Replica | None = None,
    ) -> HTTPForward | None:
        """Open an HTTP stream to *replica* alone, else to the least busy. None: nobody is there now (see `ready`)."""
        alone = replica is not None
        if replica is None:
            replica = admission.service.pick()
        elif replica.session.link is None or not replica.session.link.connection.can_open:
            return None
        if replica is None:
            return None

        def retry() -> bool:
            return not alone and self._retry(request, admission, replica, forward, fin)

        max_body = self._config.max_body
        conditions = admission.service.descriptor.conditions
        if conditions is not None or admission.descriptor is not admission.service.descriptor:
            max_body = self._limit(admission, max_body)
        if max_body is not None and not fin:
            _check_length(request, max_body)
        caller = request.caller
        if caller and replica.session.callers.get(caller, 0) >= self._streams_of_address:
            raise _too_many_streams()
        forward = HTTPForward(responder, caller, self._cleaner(request, admission), on_done, retry, max_body)
        self._open(request, admission, replica, forward, fin)
        return forward

    @staticmethod
    def _limit(admission: Admission, max_body: int | None) -> int | None:
        """How many bytes a request's body may have. Raises an `Answer` if the service may take no more at once."""
        service = admission.service
        conditions = service.descriptor.conditions
        _check_unchanged(admission)
        if conditions is None:
            return max_body
        most = conditions.concurrency
        if most is not None and sum(replica.in_flight for replica in service.replicas) >= most:
            raise busy(most)
        if conditions.max_body is None:
            return max_body
        return conditions.max_body if max_body is None else min(max_body, conditions.max_body)

    def _retry(
        self,
        request: VisitorRequest,
        admission: Admission,
        refused: Replica,
        forward: HTTPForward | SocketForward,
        fin: bool,
    ) -> bool:
        """Open the stream of *forward* anew, now or later, which *refused* has not begun; what stands in the way is
        answered. False: there is nowhere else, and nothing to wait for.
        """
        if not forward.repeatable:
            return False
        try:
            if self._move(request, admission, refused, forward, fin):
                return True
        except Answer as answer:
            forward.refuse(answer)
            return True
        except Exception:  # the link's callbacks would log it, and the visitor wait for ever
            logger.exception("a request to %s could not be passed on again", admission.service.descriptor.name)
            forward.refuse(answers.internal_error())
            return True
        link = refused.session.link
        if link is not None and not link.closed and not link.connection.going_away:
            return False
        task = asyncio.get_running_loop().create_task(self._wait_and_move(request, admission, forward, fin))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        forward.wait(task)
        return True

    def _move(
        self,
        request: VisitorRequest,
        admission: Admission,
        refused: Replica | None,
        forward: HTTPForward | SocketForward,
        fin: bool,
    ) -> bool:
        """Open the stream of *forward* anew, not on the replica that *refused*. False: there is no other.

        Raises an `Answer` where a request that comes now would not be let in either.
        """
        replica = admission.service.pick(refused)
        if replica is None:
            return False
        _check_unchanged(admission)
        self._check_room(admission.service, request.caller, replica, forward.replica)
        self._open(request, admission, replica, forward, fin)
        forward.moved()
        return True

    def _check_room(self, service: Service, caller: str, replica: Replica, left: Replica | None) -> None:
        """Let *replica* have one request more, of *caller*, that counts for *left* still. Raises an `Answer`."""
        conditions = service.descriptor.conditions
        if conditions is not None and conditions.concurrency is not None:
            under_way = sum(each.in_flight - (each is left) for each in service.replicas)
            if under_way >= conditions.concurrency:
                raise busy(conditions.concurrency)
        if caller:
            own = left is not None and left.session is replica.session
            if replica.session.callers.get(caller, 0) - own >= self._streams_of_address:
                raise _too_many_streams()

    async def _wait_and_move(
        self, request: VisitorRequest, admission: Admission, forward: HTTPForward | SocketForward, fin: bool
    ) -> None:
        """Open the stream of *forward* anew once a provider is back, as for a request that comes in meanwhile."""
        try:
            await self.ready(admission.service, request.caller)
            if forward.stream is None:  # the visitor left in this very turn
                return
            if not self._move(request, admission, None, forward, fin):
                raise answers.reconnecting()
        except Answer as answer:
            forward.refuse(answer)
        except Exception:  # nobody else would hear of it
            logger.exception("a request to %s could not be passed on again", admission.service.descriptor.name)
            forward.refuse(answers.internal_error())

    def forward_socket(
        self, request: VisitorRequest, admission: Admission, responder: SocketResponder, *, on_done: Callable[[], None]
    ) -> SocketForward | None:
        """Open a WebSocket stream; the app is asked before the visitor is accepted. None: nobody is there now."""
        replica = admission.service.pick()
        if replica is None or replica.session.link is None:
            return None
        if (
            admission.service.descriptor.conditions is not None
            or admission.descriptor is not admission.service.descriptor
        ):
            self._limit(admission, None)
        caller = request.caller
        if caller and replica.session.callers.get(caller, 0) >= self._streams_of_address:
            raise _too_many_streams()
        forward = SocketForward(
            responder,
            caller,
            self._cleaner(request, admission),
            on_done,
            lambda: self._retry(request, admission, replica, forward, False),
            self._config.max_websocket_message,
        )
        self._open(request, admission, replica, forward, False)
        return forward

    def _open(
        self,
        request: VisitorRequest,
        admission: Admission,
        replica: Replica,
        forward: HTTPForward | SocketForward,
        fin: bool,
    ) -> None:
        """Open the stream of *forward* on *replica*. Raises an `Answer`; then nothing has changed."""
        link = replica.session.link
        assert link is not None
        now = link.time()
        client = request.client
        origin = (client[0] if client else "unknown", request.scheme, request.host, request.root_path)
        forwarded = _FORWARDED.get(origin) or _forward_headers(origin)
        token = admission.token
        is_hub_argument = (
            self._is_hub_argument if token is None else lambda name, value: self._is_hub_argument(name, value, token)
        )
        own = self._secrets(token)
        found: list[bytes] = []
        """What the hub's cookies hold, which does not pass in another place either."""
        passed = headers.request_headers(
            request.headers,
            drop_authorization=admission.drop_authorization,
            is_hub_cookie=self._is_hub_cookie,
            drop_arguments=is_hub_argument,
            forwarded=forwarded,
            secrets=own,
            found=found,
        )
        query = headers.clean_query(request.query, is_hub_argument, own) if request.query else b""
        subprotocols = request.subprotocols
        if subprotocols:
            subprotocols = tuple(item for item in subprotocols if not own.within(item.encode("latin-1")))
        if found:
            held = secrets_of(*found)
            if query:
                query = headers.clean_query(query, _never, held)
            subprotocols = tuple(item for item in subprotocols if not held.within(item.encode("latin-1")))
        try:
            stream_id = link.connection.open_stream(
                kind=request.kind,
                service=admission.service.descriptor.name,
                method=request.method,
                scheme=request.scheme,
                http_version=request.http_version,
                raw_path=request.raw_path,
                query=query,
                root_path=request.root_path,
                client=client,
                server=request.server,
                subprotocols=subprotocols,
                identity=admission.visitor.identity,
                headers=passed,
                fin=fin,
                now=now,
            )
        except LocalProtocolError as error:
            if not link.connection.can_open:
                raise answers.overloaded() from None
            raise Answer(431, "too_large", f"The request cannot be passed on: {error}.") from None
        forward.opened(replica, link.adopt(stream_id, forward))
        replica.requests += 1
        admission.service.requests += 1
        admission.service.used = now
        replica.last_turn = admission.service.requests
        self.on_traffic(replica)

    def _is_hub_cookie(self, name: str) -> bool:
        return headers.is_own_cookie(name) or self._identities.is_hub_cookie(name)

    def _is_hub_argument(self, name: bytes, value: bytes, token: bytes | None = None) -> bool:
        """Of a query argument, decoded: whether it is the hub's. *token* is `Recognised.token`."""
        if name in (KEY_ARGUMENT, b"_xsrf"):
            return True
        if name != b"token":
            return False
        return (token is not None and token in value) or self._identities.holds_hub_token(value)

    def _cleaner(self, request: VisitorRequest, admission: Admission) -> Callable[[Headers], Headers]:
        root_path, origin = request.root_path, request.cors_origin
        own_cors = bool(admission.service.descriptor.origins)
        is_hub_cookie = self._is_hub_cookie

        def clean(given: Headers) -> Headers:
            passed = headers.response_headers(
                given, root_path=root_path, is_hub_cookie=is_hub_cookie, own_cors=own_cors
            )
            if origin:
                passed += headers.cors_headers(origin)
            return passed

        return clean


_FORWARDED: BoundedCache[tuple[str, str, str, str], Headers] = BoundedCache()
"""The hub's own headers towards an app, by the visitor's address, scheme and host, and the prefix."""

MOST_WAITING = 1000
"""Requests that wait for one service's provider: some tens of MiB, with what they hold."""

MOST_WAITING_OF_ADDRESS = 100
"""Of one address, in one workspace: the pages of a class behind one router."""


def _too_many_streams() -> Answer:
    return Answer(
        429,
        "too_many_streams",
        "As many requests from your network are under way at this app as it may have. Try again when one has ended.",
        retry_after=2,
    )


def _forward_headers(origin: tuple[str, str, str, str]) -> Headers:
    address, scheme, host, prefix = origin
    made = [
        (b"x-forwarded-for", address.encode()),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", host.encode("latin-1", "replace")),
        (b"x-forwarded-prefix", prefix.encode("latin-1")),
    ]
    return _FORWARDED.keep(origin, made, 2 * (len(address) + len(host) + len(prefix)))


_KEY_VISITORS: BoundedCache[str, Visitor] = BoundedCache()


def _visitor_of_key(key_id: str, services: tuple[str, ...]) -> Visitor:
    visitor = _KEY_VISITORS.get(key_id)
    if visitor is None:
        made = Visitor(access="key", key_id=key_id, services=services, by_token=True)
        visitor = _KEY_VISITORS.keep(key_id, made, sum(map(len, services)))
    return visitor


def _never(name: bytes, value: bytes) -> bool:
    return False


_LONGEST_NEXT = 2000
"""Bytes of an address that a browser comes back to after a login: it is sent inside of another address."""

_LONGEST_NAME = 100
"""Bytes of a service's name in a path, which has up to 30 characters, with each of them percent-encoded."""

_A_NAME = re.compile(r"[a-z0-9-]{1,30}")


def _cross_site(request: VisitorRequest) -> Answer | None:
    return access.cross_site(
        request.method,
        request.headers,
        request.host,
        websocket=request.kind == Kind.WEBSOCKET,
        secure=request.scheme == "https",
    )


def _shows_token(request: VisitorRequest) -> bool:
    """Whether a credential may be in the Authorization header or in the query."""
    return any(name == b"authorization" for name, _ in request.headers) or headers.has_argument(request.query, b"token")


def _by_browser(request: VisitorRequest) -> bool:
    """Whether a browser says that it sends this (Fetch Metadata)."""
    return any(name == b"sec-fetch-mode" for name, _ in request.headers)


def _page_of(request: VisitorRequest) -> str:
    """The path that a browser goes on to when it has done what a page of the hub asks."""
    if request.kind is not Kind.HTTP or request.method != "GET":
        return f"{request.root_path}/"
    return request.target.decode("latin-1")


def _check_length(request: VisitorRequest, most: int) -> None:
    for name, value in request.headers:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise too_large(most)


def _check_unchanged(admission: Admission) -> None:
    """Raises an `Answer`: who waited for a provider was let in by what it asked for before."""
    let_in, now = admission.descriptor, admission.service.descriptor
    if (let_in.access, let_in.conditions) != (now.access, now.conditions):
        raise answers.reconnecting()


def _is_preflight(request: VisitorRequest) -> bool:
    names = {name for name, _ in request.headers}
    return b"origin" in names and b"access-control-request-method" in names
