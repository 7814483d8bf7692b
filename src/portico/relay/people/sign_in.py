"""The relay's pages for people: sign in and out, let a program in, and go on to a service as who is signed in.

A sign-in's cookie is set here, and lasts `RelayConfig.session_lifetime`. On a service's own host there is no password
form. Its visitor is sent to ``/portico/authorize`` on the relay, and comes back to
``<root of the service>.portico/callback`` with a code that is good once, for a minute, and for that root. The doorway
redeems it (`OneTimeCodes.redeem`) and sets a cookie that is worth nothing anywhere else.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from portico.errors import InvalidName
from portico.hub.answers import Answer
from portico.hub.redirects import is_below
from portico.relay.config import RelayConfig
from portico.relay.people.accounts import Account, Accounts, SignIn
from portico.relay.people.device import DeviceFlow, Pending
from portico.relay.people.forms import Endpoint, Pages, address_of, only_navigations, see_other
from portico.relay.people.tokens import TokenRing
from portico.types import service_name

CODE_LIFETIME = 60.0  # seconds
_MAX_CODES = 10_000
_MAX_CODES_OF_USER = 100  # in a minute: as many services as one opens at once, and a script that goes round
_STATE = re.compile(r"[A-Za-z0-9_.~-]{0,4000}", re.ASCII)
_HOME = "/portico/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """What a code was good for."""

    account: Account
    session: str
    """The digest of the sign-in at the relay by which it was made (`Accounts.is_live`)."""


@dataclass(frozen=True, slots=True)
class _Code:
    user_id: str
    session: str
    root: str
    expires: float


class OneTimeCodes:
    """Codes by which a sign-in at the relay is taken to a service's host. In memory: they last a minute."""

    def __init__(self, accounts: Accounts, now: Callable[[], float] = time.monotonic) -> None:
        self._accounts = accounts
        self._now = now
        self._codes: dict[str, _Code] = {}

    def issue(self, who: SignIn, root: str) -> str:
        """A code for the service at *root* (its URL, with a slash at its end), of 256 random bits."""
        now = self._now()
        for digest in [digest for digest, held in self._codes.items() if held.expires <= now]:
            del self._codes[digest]
        theirs = [digest for digest, held in self._codes.items() if held.user_id == who.account.id]
        if len(theirs) >= _MAX_CODES_OF_USER:
            del self._codes[theirs[0]]  # the oldest: it was most likely given up
        if len(self._codes) >= _MAX_CODES:
            raise Answer(503, "overloaded", "Too many people are signing in at once. Try again.", retry_after=5)
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = _Code(who.account.id, who.digest, root, now + CODE_LIFETIME)
        return code

    def redeem(self, code: str, root: str) -> Redeemed | None:
        """What *code* is good for at *root*, once; None for nothing. A wrong root uses it up as well."""
        held = self._codes.pop(_digest(code), None)
        if held is None or held.expires <= self._now():
            return None
        if not secrets.compare_digest(held.root.encode(), root.encode("utf-8", "replace")):
            return None
        account = self._accounts.get(held.user_id)
        if account is None or account.disabled or not self._accounts.is_live(held.session):
            return None
        return Redeemed(account=account, session=held.session)


class SignInPages:
    """The routes; see `routes`."""

    def __init__(
        self,
        config: RelayConfig,
        pages: Pages,
        accounts: Accounts,
        tokens: TokenRing,
        devices: DeviceFlow,
        codes: OneTimeCodes,
    ) -> None:
        self._config = config
        self._pages = pages
        self._accounts = accounts
        self._tokens = tokens
        self._devices = devices
        self._codes = codes

    def routes(self) -> list[tuple[str, Endpoint, list[str]]]:
        """Paths, what answers them, and the methods."""
        return [
            ("/portico/", self.home, ["GET"]),
            ("/portico/login", self.login, ["GET", "POST"]),
            ("/portico/logout", self.logout, ["GET", "POST"]),
            ("/portico/tokens", self.revoke, ["POST"]),
            ("/portico/device", self.device, ["GET", "POST"]),
            ("/portico/authorize", self.authorize, ["GET"]),
        ]

    # --- who ----------------------------------------------------------------------------------------------------

    def who(self, request: Request) -> SignIn | None:
        return self._accounts.signed_in(request.cookies.get(self._config.session_cookie, ""))

    def _to_login(self, request: Request) -> Response:
        """And back here afterwards."""
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return see_other("/portico/login?" + urlencode({"next": way_back(here)}))

    # --- sign in and out ----------------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        who = self.who(request)
        if request.method != "POST":
            target = way_back(request.query_params.get("next", ""))
            if who is not None and "again" not in request.query_params:
                only_navigations(request)
                return see_other(target)
            return self._login_page(request, who, target)
        fields = await self._pages.read(request, who.digest if who is not None else "")
        target, name = way_back(fields.get("next", "")), fields.get("name", "").strip()
        try:
            account = await self._accounts.check_password(name, fields.get("password", ""), address_of(request))
        except Answer as answer:
            if answer.status != 429:
                raise
            response = self._login_page(request, who, target, name, answer.message, 429)
            response.headers["Retry-After"] = str(answer.retry_after or 60)
            return response
        if account is None:
            return self._login_page(request, who, target, name, "That name and password do not go together.", 401)
        former = request.cookies.get(self._config.session_cookie, "")
        if former:
            await self._accounts.sign_out(former)  # a new one for who comes in, whatever was planted here
        response = see_other(target)
        value = await self._accounts.sign_in(account)
        self._pages.set_cookie(response, self._config.session_cookie, value, self._config.session_lifetime)
        return response

    def _login_page(
        self, request: Request, who: SignIn | None, target: str, name: str = "", wrong: str = "", status: int = 200
    ) -> Response:
        return self._pages.render(
            request,
            "login.html",
            status=status,
            session=who.digest if who is not None else "",
            goes_to_services=True,
            next=target,
            name=name[:100],
            wrong=wrong,
            for_device=target.startswith("/portico/device"),
        )

    async def logout(self, request: Request) -> Response:
        who = self.who(request)
        if request.method == "POST":
            await self._pages.read(request, who.digest if who is not None else "")
            await self._accounts.sign_out(request.cookies.get(self._config.session_cookie, ""))
            response = see_other("/portico/logout")
            self._pages.drop_cookie(response, self._config.session_cookie)
            return response
        if who is None:
            return self._pages.render(
                request, "message.html", title="You are signed out", text="", link="/portico/login", says="Sign in"
            )
        return self._pages.render(request, "logout.html", session=who.digest, account=who.account)

    async def home(self, request: Request) -> Response:
        who = self.who(request)
        if who is None:
            return self._to_login(request)
        grants = self._tokens.list(user_id=who.account.id)
        return self._pages.render(
            request,
            "home.html",
            session=who.digest,
            account=who.account,
            workspaces=self._accounts.workspaces_of(who.account),
            tokens=[
                {
                    "id": grant.token_id,
                    "label": grant.label or "unnamed",
                    "workspace": grant.workspace,
                    "does": [plainly(scope) for scope in grant.scopes],
                    "expires": _day(grant.expires),
                }
                for grant in grants
                if not grant.revoked
            ][:200],
        )

    async def revoke(self, request: Request) -> Response:
        who = self.who(request)
        if who is None:
            return see_other("/portico/login")
        fields = await self._pages.read(request, who.digest)
        grant = self._tokens.get(fields.get("id", ""))
        if grant is not None and grant.user_id == who.account.id:
            await self._tokens.revoke(grant.token_id)
        return see_other(_HOME)

    # --- letting a program in -----------------------------------------------------------------------------------

    async def device(self, request: Request) -> Response:
        who = self.who(request)
        if request.method != "POST":
            if who is None:
                return self._to_login(request)
            code = request.query_params.get("user_code", "")
            if not code:
                return self._ask_for_code(request, who)
            only_navigations(request)
            return self._about(request, who, code)
        if who is None:
            return see_other("/portico/login?" + urlencode({"next": "/portico/device"}))
        fields = await self._pages.read(request, who.digest)
        code, action = fields.get("user_code", ""), fields.get("action", "")
        if action not in ("allow", "deny"):
            return self._about(request, who, code)
        pending = self._devices.find(code, who.account, address_of(request))
        if pending is None:
            return self._ask_for_code(request, who, wrong=_NO_CODE)
        if action == "deny":
            self._devices.deny(pending)
            return self._done(
                request, who, "Nothing was allowed", "The program has been told. You can close this page."
            )
        workspace = fields.get("workspace", "")
        if not self._devices.allow(pending, who.account, workspace):
            raise Answer(403, "forbidden", "You may not allow this program what it asks for.")
        return self._done(
            request,
            who,
            "The program is signed in",
            f"It may use the workspace {workspace} now. You can close this page, and go back to it.",
        )

    def _about(self, request: Request, who: SignIn, code: str) -> Response:
        """What a program asks for, in plain words."""
        try:
            pending = self._devices.find(code, who.account, address_of(request))
        except Answer as answer:
            response = self._ask_for_code(request, who, wrong=answer.message, status=429)
            response.headers["Retry-After"] = str(answer.retry_after or 60)
            return response
        if pending is None:
            return self._ask_for_code(request, who, wrong=_NO_CODE, code=code)
        workspaces = self._accounts.workspaces_of(who.account)
        if pending.workspace:
            workspaces = [name for name in workspaces if name == pending.workspace]
        problem = ""
        if not workspaces:
            problem = f"It asks for the workspace {pending.workspace}, which you may not enter."
        elif "admin" in pending.scopes and not who.account.admin:
            problem = "It asks to administer the relay, which you may not do yourself."
        return self._pages.render(
            request,
            "device.html",
            session=who.digest,
            account=who.account,
            pending=pending,
            elsewhere=pending.address != address_of(request),
            page="" if pending.origin == "null" else pending.origin,
            by_page=bool(pending.origin),
            led_here=request.headers.get("sec-fetch-site") in ("cross-site", "same-site"),
            here=address_of(request),
            workspaces=workspaces,
            asks=[plainly(scope) for scope in pending.scopes],
            until=_until(pending),
            problem=problem,
        )

    def _ask_for_code(
        self, request: Request, who: SignIn, *, wrong: str = "", code: str = "", status: int = 200
    ) -> Response:
        if wrong and status == 200:
            status = 404
        return self._pages.render(
            request, "code.html", status=status, session=who.digest, account=who.account, wrong=wrong, code=code[:20]
        )

    def _done(self, request: Request, who: SignIn, title: str, text: str) -> Response:
        return self._pages.render(
            request, "message.html", session=who.digest, title=title, text=text, link=_HOME, says="Your account"
        )

    # --- going on to a service ----------------------------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        """Send who is signed in on to a service. The URL is made here of two names: nobody is sent to another site."""
        asked = request.query_params
        state = asked.get("state", "")
        try:
            workspace, name = service_name(asked.get("workspace", "")), service_name(asked.get("service", ""))
        except InvalidName:
            raise Answer(400, "invalid_request", "workspace and service are needed: the names of both.") from None
        if not _STATE.fullmatch(state):
            raise Answer(400, "invalid_request", "state is a short text without signs.")
        who = self.who(request)
        if who is None:
            return self._to_login(request)
        only_navigations(request)
        if not self._accounts.may_enter(who.account, workspace):
            return self._pages.render(
                request,
                "refused.html",
                status=403,
                session=who.digest,
                account=who.account,
                name=name,
                workspace=workspace,
                next="/portico/login?again=1&" + urlencode({"next": f"/portico/authorize?{request.url.query}"}),
            )
        root = self._config.service_url(workspace, name)
        code = self._codes.issue(who, root)  # the state is the service's own to check
        return see_other(f"{root}.portico/callback?" + urlencode({"code": code, "state": state}))


_NO_CODE = "No program waits with that code. Is it older than ten minutes, or used already? Look at it again."


def way_back(target: str) -> str:
    """*target*, if it is one of the relay's own pages, else its home page: nobody is sent to another site."""
    return target if is_below(target, _HOME) else _HOME


def plainly(scope: str) -> str:
    """What a scope lets a program do."""
    kind, _, name = scope.partition(":")
    if kind == "publish":
        if name == "*":
            return "Publish services, under any name"
        return (
            f"Publish services whose names fit {name}"
            if "*" in name or "?" in name
            else f"Publish a service named {name}"
        )
    if kind == "consume":
        return "Be told to your apps as one who may use " + ("any service" if name == "*" else name)
    return {
        "keys": "Make keys that let visitors in to the workspace's services",
        "manage": "See and stop every service of the workspace, and revoke its keys and tokens",
        "admin": "Administer the whole relay, and everything of everyone on it",
    }[kind]


def _day(when: float) -> str:
    at = datetime.fromtimestamp(when, UTC)
    return f"{at.day} {at:%B %Y}"


def _until(pending: Pending) -> str:
    days = pending.lifetime / 86400
    return (
        _day(time.time() + pending.lifetime)
        if days >= 1
        else f"{max(1, round(pending.lifetime / 60))} minutes from now"
    )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def authorize_url(config: RelayConfig, workspace: str, name: str, state: str) -> str:
    """Where a browser that visits a service is sent to sign in; *state* comes back with it."""
    query = {"workspace": workspace, "service": name, "state": state}
    return f"{config.base_url}/portico/authorize?" + urlencode(query, quote_via=quote)
