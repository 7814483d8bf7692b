"""The one gate for visitors, HTTP and WebSocket alike, and the one way through it.

An edge reads a head, begins a `Visit`, makes an `HTTPForward` or a `SocketForward`, and calls `open_now`, which decides
without waiting where it can (a key that was seen before, a provider that is linked). Where that says False, `open`
asks the server's identity provider as well, and waits for a provider. What may not go on raises an `Answer`; after that
all goes through the forward's responder, a failed second attempt as well.
"""

from __future__ import annotations

from portico.hub import access, answers
from portico.hub.access import ANONYMOUS, Visitor
from portico.hub.answers import Answer, forbidden
from portico.hub.callers import Caller, Callers, Identities
from portico.hub.config import HubConfig
from portico.hub.enforcer import Enforcer, basic_password
from portico.hub.firewall import headers
from portico.hub.firewall.headers import CONFIRMED_COOKIE, PASS_COOKIE
from portico.hub.firewall.heads import MOST_FIELDS, check_head
from portico.hub.firewall.spellings import basic_credentials
from portico.hub.forward import Admission, Forward
from portico.hub.keys import KeyRing
from portico.hub.opening import Opening
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService
from portico.hub.request import VisitorRequest, by_browser, cross_site, is_preflight
from portico.hub.visits import Visit, Visits
from portico.protocol import Kind


class Gateway:
    """The gate of one workspace."""

    def __init__(
        self,
        config: HubConfig,
        registry: Registry,
        keys: KeyRing,
        identities: Identities,
        visits: Visits,
        enforcer: Enforcer | None = None,
    ) -> None:
        """*enforcer* is one made for the workspace's name, where there are several workspaces."""
        self._registry = registry
        self._callers = Callers(keys, identities)
        self._opening = Opening(config, registry, self._callers, visits)
        self.enforcer = enforcer or Enforcer()

    # --- the way through ----------------------------------------------------------------------------------------

    def open_now(self, forward: Forward) -> bool:
        """Let the visitor in and open the stream of *forward*, by what is known already.

        False: `open` must be awaited, and goes on from there. Raises an `Answer`.
        """
        if forward.admission is None:
            admission = self.admit_now(forward.visit)
            if admission is None:
                return False
            forward.admission = admission
            forward.visit.visitor = admission.visitor
        return self._opening.start(forward)

    async def open(self, forward: Forward) -> None:
        """After `open_now` said False: ask who the visitor is, wait for a provider that lost its link, open the stream.

        Returns when it is open, or when the visitor has left (`Forward.over`). Raises an `Answer`.
        """
        if forward.admission is None:
            forward.admission = admission = await self.admit(forward.visit)
            forward.visit.visitor = admission.visitor
        while not forward.over and not self._opening.start(forward):
            await self._opening.wait(forward)

    async def let_in(self, visit: Visit) -> Admission:
        """The gate alone, where an edge can make no responder before it; the `Forward` is given what this returns.

        Raises an `Answer`.
        """
        return self.admit_now(visit) or await self.admit(visit)

    def leave(self) -> None:
        """Let no request wait for a provider any more: the hub stops, and whoever asks again is to ask another."""
        self._opening.leave()

    # --- the gate -----------------------------------------------------------------------------------------------

    def admit_now(self, visit: Visit) -> Admission | None:
        """Decide by what is known already. None: `admit` must be awaited. Raises an `Answer` for a no."""
        request = visit.request
        if not request.small or len(request.headers) > MOST_FIELDS:
            check_head(request.target, request.headers)
        name = visit.target.name
        service = self._registry.services.get(name)
        if service is None:
            return None
        descriptor = service.descriptor
        if descriptor.origins:
            visit.cors_origin = _cors_origin(service, request)
        fields = request.fields
        if fields is None:
            fields = dict(request.headers)
        key = self._callers.bearer(visit) if b"authorization" in fields else None
        if key is None:
            if (
                descriptor.access != "public"
                or request.method == "OPTIONS"
                or self._callers.shows_anything(visit, fields)
            ):
                return None
            visitor, ours = ANONYMOUS, False
        else:
            visitor, ours = key
        access.check(descriptor.access, name, visitor)
        if self._registry.interstitial:
            self._warn(visit)
        if descriptor.conditions is not None:
            ours = self._meet(visit, service, visitor) or ours
        return Admission(service, visitor, ours)

    async def admit(self, visit: Visit) -> Admission:
        """Decide, asking the identity provider where that is needed. Raises an `Answer` for a no."""
        request, name = visit.request, visit.target.name
        service = self._registry.services.get(name)
        level = service.descriptor.access if service is not None else self._registry.access_of_gone(name)
        origin = _cors_origin(service, request) if service is not None and service.descriptor.origins else b""
        if is_preflight(request):
            return self._preflight(visit, service, origin)
        visit.cors_origin = origin
        callers = self._callers
        try:
            visitor, ours, recognised = await callers.identify(visit, level)
            if service is None:
                raise self._not_here(name, level, visitor)
            access.check(level, name, visitor)
        except Answer as answer:
            raise callers.explain(answer, visit, level) from None
        callers.keep_login(visit, recognised)
        if self._registry.interstitial:
            self._warn(visit)
        if service.descriptor.conditions is not None:
            ours = self._meet(visit, service, visitor) or ours
        ours = ours or callers.is_hub_authorization(visit, recognised.token)
        return Admission(service, visitor, ours, recognised.token)

    def _preflight(self, visit: Visit, service: PublishedService | None, origin: bytes) -> Admission:
        """A browser's question for another origin's page. Raises an `Answer`, but where a public app answers it."""
        if origin:
            visit.cors_origin = b""  # said already
            allowed = headers.preflight_headers(dict(visit.request.headers), origin)
            raise Answer(204, "preflight", "", headers=tuple(allowed))
        if service is not None and service.descriptor.access == "public" and not service.descriptor.origins:
            if service.descriptor.conditions is not None:
                self._meet(visit, service, ANONYMOUS)
            return Admission(service, ANONYMOUS, self._callers.is_hub_authorization(visit))
        raise answers.unauthorized("A preflight from another origin is answered for services that name it in origins.")

    def _not_here(self, name: str, level: str, visitor: Visitor) -> Answer:
        """What a visitor is told of a service that is not here. Raises an `Answer` who may not know even that."""
        if visitor is ANONYMOUS and level != "public":
            return access.needs_key()
        if visitor.access == "key" and level != "public":
            access.check("key", name, visitor)
        reason = self._registry.why_gone(name)
        return answers.gone(reason) if reason else answers.not_found(name)

    async def identify(self, visit: Visit) -> Caller:
        """Who calls for a model, before it is known whose. Raises an `Answer` for a credential that is no good."""
        check_head(visit.request.target, visit.request.headers)
        visitor, ours, recognised = await self._callers.identify(visit, "private")
        visit.visitor = visitor
        ours = ours or self._callers.is_hub_authorization(visit, recognised.token)
        return Caller(visitor, ours, recognised.token)

    async def identify_program(self, visit: Visit) -> Caller:
        """Who calls, by the Authorization header alone: cookies and arguments of the URL speak for nobody.

        The visit's request has lost both. Raises an `Answer` for a credential that is no good.
        """
        check_head(visit.request.target, visit.request.headers)
        visitor, ours, recognised = await self._callers.identify_program(visit)
        visit.visitor = visitor
        ours = ours or self._callers.is_hub_authorization(visit, recognised.token)
        return Caller(visitor, ours, recognised.token)

    def admit_caller(self, visit: Visit, caller: Caller, service: PublishedService) -> Admission:
        """Let *caller* in to *service*, now that it is known whose the model is. Raises an `Answer` for a no."""
        access.check(service.descriptor.access, service.descriptor.name, caller.visitor)
        visit.cors_origin = _cors_origin(service, visit.request) if service.descriptor.origins else b""
        ours = caller.drop_authorization
        if service.descriptor.conditions is not None:
            ours = self._meet(visit, service, caller.visitor) or ours
        return Admission(service, caller.visitor, ours, caller.token)

    # --- what must hold besides ---------------------------------------------------------------------------------

    def _meet(self, visit: Visit, service: PublishedService, visitor: Visitor) -> bool:
        """Hold the service's conditions against a request of *visitor*, whom its access lets in.

        Returns whether the Authorization header held its password. Raises an `Answer` for a no.
        """
        conditions, name = service.descriptor.conditions, service.descriptor.name
        assert conditions is not None
        client = visit.request.client[0] if visit.request.client else None
        self.enforcer.check(conditions, client)
        consumed = conditions.password is not None and self._ask_password(visit, service, visitor, client)
        if conditions.rate is not None:
            self.enforcer.count(conditions.rate, name, visitor, client)
        return consumed

    def _ask_password(self, visit: Visit, service: PublishedService, visitor: Visitor, client: str | None) -> bool:
        """As `_meet`, of the password. A key for the service says more than a password, and needs none."""
        conditions, name = service.descriptor.conditions, service.descriptor.name
        assert conditions is not None
        request, root_path = visit.request, visit.target.root_path
        shown = [value for field_name, value in request.headers if field_name == b"authorization"]
        passes = headers.own_cookies(request.headers, PASS_COOKIE, root_path, request.scheme)
        by_key = visitor.access == "key" and access.opens(visitor, name)
        if by_key or any(self.enforcer.is_pass(conditions, name, value) for value in passes):
            refusal = None if by_key else cross_site(request)
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
        program = not (answers.wants_page(request.headers) or by_browser(request))
        raise said(f"{root_path}/.portico/password", _page_of(visit), program=program)

    def _warn(self, visit: Visit) -> None:
        """Before a browser's first page: say that a stranger made it. Programs are not held up. Raises an `Answer`.

        By whatever method: a form of another site may POST. The page that is gone on to is asked for by GET.
        """
        request, root_path = visit.request, visit.target.root_path
        if request.kind is not Kind.HTTP or not access.opens_page(request.headers):
            return
        confirmed = headers.own_cookies(request.headers, CONFIRMED_COOKIE, root_path, request.scheme)
        if not any(self.enforcer.is_confirmation(visit.target.name, value) for value in confirmed):
            action = f"{root_path}/.portico/confirm"
            kept = request.method in ("GET", "HEAD")
            raise answers.confirm_needed(action, request.target.decode("latin-1"), request.host, kept=kept)

    def refuse_strangers_page(self, visit: Visit) -> None:
        """Where a stranger's model answers, a browser is shown nothing: the API is for programs. Raises an `Answer`.

        There is no page there that could be confirmed, and an app can answer a navigation with any page.
        """
        if self._registry.interstitial and access.opens_page(visit.request.headers):
            raise forbidden("This address is for programs. A person who did not sign in runs what answers here.", "api")


def _cors_origin(service: PublishedService, request: VisitorRequest) -> bytes:
    """The Origin header, if the service names it."""
    allowed = service.descriptor.origins
    for name, value in request.headers:
        if name == b"origin":
            text = value.decode("latin-1")
            return value if "*" in allowed or text in allowed else b""
    return b""


def _page_of(visit: Visit) -> str:
    """The path that a browser goes on to when it has done what a page of the hub asks."""
    request = visit.request
    if request.kind is not Kind.HTTP or request.method != "GET":
        return f"{visit.target.root_path}/"
    return request.target.decode("latin-1")
