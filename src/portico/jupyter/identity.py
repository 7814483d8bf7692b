"""Who a visitor is, by Jupyter's own word: its identity provider and authorizer decide, as they would for a handler.

They are asked with a handler over a request that has no connection, so that nothing they write gets out. The answer is
kept a few seconds under a hash of the credentials: asking costs up to a millisecond, and under JupyterHub a request.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPServerRequest, RequestStartLine

from portico.bounded import BoundedCache
from portico.hub.access import NOBODY, KnownUser, Recognised, same_origin
from portico.hub.callers import Identities
from portico.hub.firewall.headers import KEY_COOKIE
from portico.hub.request import VisitorRequest
from portico.hub.visits import Visit
from portico.log_text import shown
from portico.types import Headers

logger = logging.getLogger(__name__)

_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_WHAT_DECIDES = _CREDENTIALS | {b"sec-fetch-mode"}
"""Headers that an identity provider looks at: JupyterHub's takes cookies and tokens by what the browser is doing."""
_CACHE_SIZE = 2000


class _NoConnection:
    """Stands where a handler expects its connection: there is nobody to write to."""

    context = None

    def set_close_callback(self, callback: Callable[[], None] | None) -> None: ...


class JupyterIdentities(Identities):
    """Asks the server that the hub is embedded in."""

    def __init__(self, web_app: web.Application, identity_provider: Any, authorizer: Any, cache: float) -> None:
        self._web_app = web_app
        self._identity_provider = identity_provider
        self._authorizer = authorizer
        self._cache_for = cache
        self._cache: BoundedCache[bytes, tuple[float, Recognised]] = BoundedCache(_CACHE_SIZE)
        self._hosts: BoundedCache[str, bool] = BoundedCache(_CACHE_SIZE)
        self._token: Any = ""
        self._own_tokens: tuple[bytes, ...] = ()
        names = {str(getattr(asked, "cookie_name", "") or "") for asked in (identity_provider, self._jupyterhub)}
        self._cookie_names = names - {""}

    # --- what the gate asks ----------------------------------------------------------------------------------

    @property
    def _jupyterhub(self) -> Any:
        """JupyterHub's own authenticator, under JupyterHub."""
        return getattr(self._identity_provider, "hub_auth", None)

    @property
    def _auth_enabled(self) -> bool:
        return bool(getattr(self._identity_provider, "auth_enabled", True))

    async def recognise(self, visit: Visit) -> Recognised:
        return await self._recognise(visit.request)

    async def _recognise(self, request: VisitorRequest) -> Recognised:
        digest = self._digest(request)
        now = time.monotonic()
        known = self._cache.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        found = await self._ask(request)
        size = len(found.token or b"") + len(repr(found.user))
        return self._cache.keep(digest, (now + self._cache_for, found), size)[1]

    def has_credentials(self, visit: Visit) -> bool:
        if not self._auth_enabled:
            return True  # an open server: everyone is its user
        return _may_hold_token(visit.target.query) or any(name in _CREDENTIALS for name, _ in visit.request.headers)

    def has_valid_xsrf(self, visit: Visit) -> bool:
        try:
            handler = self._handler(visit.request)
            handler.current_user = handler._jupyter_current_user = True  # or they would ask who it is
            if not handler.check_origin():
                return False
            web.RequestHandler.check_xsrf_cookie(handler)
        except Exception as error:  # noqa: BLE001 -- whatever the check makes of hostile bytes, they are not valid
            logger.debug("a request's _xsrf is not valid: %s", shown(str(error)))
            return False
        return True

    def is_hub_cookie(self, name: str) -> bool:
        # Jupyter's are username-<host>; JupyterHub's all start with its name, after a prefix or not
        bare = name.lower().removeprefix("__host-").removeprefix("__secure-")
        return (
            bare in ("_xsrf", KEY_COOKIE) or bare.startswith(("username-", "jupyterhub-")) or name in self._cookie_names
        )

    def own_tokens(self) -> tuple[bytes, ...]:
        token = getattr(self._identity_provider, "token", "")
        if token is not self._token:  # it may be set anew; asked of each request
            self._token, self._own_tokens = token, (str(token).encode(),) if token else ()
        return self._own_tokens

    def login_url(self, visit: Visit) -> str | None:
        if not getattr(self._identity_provider, "login_available", True):
            return None
        return f"{self._web_app.settings['base_url']}portico/login"

    # --- for the edge ----------------------------------------------------------------------------------------

    def host_allowed(self, host: str) -> bool:
        """Jupyter's protection against DNS rebinding, on every route, public ones too."""
        known = self._hosts.get(host)
        if known is None:
            try:
                request = _bare_request("GET", "/", HTTPHeaders({"Host": host or "-"}))
                known = bool(JupyterHandler(self._web_app, request).check_host())
            except Exception as error:  # noqa: BLE001 -- a name that cannot be read is none of ours
                logger.debug("the Host header %s cannot be checked: %s", shown(host), shown(str(error)))
                known = False
            self._hosts.keep(host, known, len(host))
        return known

    def may_link(self, request: VisitorRequest) -> bool:
        """Whether a link may be opened from where the request says it comes.

        HELLO's token decides who may publish, and a page of any origin may have one. Where the server asks for none,
        only its own pages and programs may: else any page on the web could publish here.
        """
        if self._auth_enabled:
            return True
        origins = [value for name, value in request.headers if name == b"origin"]
        return all(same_origin(origin, request.host, secure=request.scheme == "https") for origin in origins)

    async def user_of_page(self, request: VisitorRequest) -> KnownUser | None:
        """Whose session opened a WebSocket from a page of this server; nobody's, if the page is another's.

        A browser sends the session's cookie with every page's WebSocket, and the page's Origin, which no page can
        forge. A program that sends neither has a token, and says it in HELLO.
        """
        origins = [value for name, value in request.headers if name == b"origin"]
        if not self._auth_enabled or len(origins) != 1:
            return None
        if not same_origin(origins[0], request.host, secure=request.scheme == "https"):
            return None
        return (await self._recognise(request)).user

    async def user_of_token(self, token: str) -> KnownUser | None:
        """Who holds *token*, a credential of the server itself: how a provider without its own comes in.

        The server's one token is nobody's in particular: Jupyter makes up a name each time that it is asked. A session
        that comes back must be the same provider all the same.
        """
        if not token and self._auth_enabled:
            return None
        headers = HTTPHeaders({"Host": "localhost"})
        if token:
            try:
                headers["Authorization"] = f"token {token}"
            except (ValueError, HTTPInputError):
                return None
        user = (await self._ask_jupyter("GET", "/", headers)).user
        return OWNER if user is not None and self._jupyterhub is None else user

    # --- asking ----------------------------------------------------------------------------------------------

    @staticmethod
    def _digest(request: VisitorRequest) -> bytes:
        query = _query_of(request)
        state = hashlib.sha256(query if _may_hold_token(query) else b"")
        state.update(b"\0")
        for name, value in request.headers:
            if name in _WHAT_DECIDES:
                state.update(name + b"\0" + value + b"\0")
        state.update(f"{request.scheme} {request.host}".encode("latin-1", "replace"))
        return state.digest()

    def _handler(self, request: VisitorRequest) -> JupyterHandler:
        return JupyterHandler(
            self._web_app,
            _bare_request(request.method, request.target.decode("latin-1"), _tornado_headers(request.headers)),
        )

    async def _ask(self, request: VisitorRequest) -> Recognised:
        # always as a GET: whether an unsafe method may use a cookie is the gate's own question, for every identity
        try:
            headers = _tornado_headers(request.headers)
        except (ValueError, HTTPInputError):
            return NOBODY
        found = await self._ask_jupyter("GET", request.target.decode("latin-1"), headers, request.scheme)
        if found == NOBODY and "Authorization" in headers and _may_hold_token(_query_of(request)):
            # the app's own `token` argument, which Jupyter takes for its own and believes before any header
            path = request.target.partition(b"?")[0].decode("latin-1")
            found = await self._ask_jupyter("GET", path, headers, request.scheme)
        return found

    async def _ask_jupyter(self, method: str, target: str, headers: HTTPHeaders, scheme: str = "http") -> Recognised:
        token: bytes | None = None
        login: tuple[bytes, ...] | None = None
        try:
            handler = JupyterHandler(self._web_app, _bare_request(method, target, headers, scheme))
            found = self._identity_provider.get_user(handler)
            user = await found if inspect.isawaitable(found) else found
            if getattr(handler, "_token_authenticated", False):
                token = self._token_of(handler)
                if "Authorization" not in headers:
                    login = await self._login_of(handler)
            if user is None:
                return Recognised(token=token)
            handler.current_user = handler._jupyter_current_user = user
            allowed = self._authorizer.is_authorized(handler, user, "execute", "portico")
            if inspect.isawaitable(allowed):
                allowed = await allowed
        except web.HTTPError as error:
            logger.debug("the identity provider refused a visitor: %s", shown(str(error)))
            return Recognised(token=token)
        except Exception:  # a bad token is nobody's, whatever the provider makes of it; never a 500
            logger.exception("the identity provider failed on a visitor's credentials")
            return Recognised(token=token)
        if not allowed:
            return Recognised(token=token)
        if token and token in self.own_tokens() and "Authorization" in headers and self._jupyterhub is None:
            return Recognised(user=OWNER, token=token)
        return Recognised(
            user=KnownUser(
                id=str(getattr(user, "username", "") or "user"),
                name=str(getattr(user, "display_name", "") or getattr(user, "name", "") or ""),
                by_token=token is not None,
            ),
            token=token,
            login=login,
        )

    async def _login_of(self, handler: JupyterHandler) -> tuple[bytes, ...] | None:
        """As `Recognised.login`, of a handler whose request has brought a token in its query."""
        cookies = getattr(handler, "_new_cookie", None)  # where tornado keeps what set_cookie was called with
        if cookies:
            return tuple(cookie.OutputString(None).encode("latin-1") for cookie in cookies.values())
        known = getattr(self._identity_provider, "get_user_cookie", lambda handler: None)(handler)
        return () if (await known if inspect.isawaitable(known) else known) is not None else None

    def _token_of(self, handler: JupyterHandler) -> bytes:
        """The token that the provider took the request by; b"" if it does not say."""
        try:
            if self._jupyterhub is not None:
                token = self._jupyterhub.get_token(handler, in_cookie=False)
            else:
                token = self._identity_provider.get_token(handler)
        except Exception:  # noqa: BLE001 -- a provider of another kind: whatever may be the token is kept from the app
            return b""
        return str(token or "").encode()


OWNER = KnownUser("owner", "owner", by_token=True)
"""Who calls with the server's own token in a header. Jupyter makes up another user each time that it is asked, and so
sessions, stored responses and calls that can be cancelled would be nobody's a moment later."""


def _query_of(request: VisitorRequest) -> bytes:
    return request.target.partition(b"?")[2]


def _may_hold_token(query: bytes) -> bool:
    """Whether an argument of *query* may be named ``token``, percent-encoded or not."""
    return b"token" in query or (b"%" in query and b"token" in unquote_to_bytes(query))


def _tornado_headers(headers: Headers) -> HTTPHeaders:
    made = HTTPHeaders()
    for name, value in headers:
        made.add(name.decode("latin-1"), value.decode("latin-1"))
    return made


def _bare_request(method: str, uri: str, headers: HTTPHeaders, scheme: str = "http") -> HTTPServerRequest:
    nobody: Any = _NoConnection()
    headers.setdefault("Host", "-")
    request = HTTPServerRequest(
        start_line=RequestStartLine(method, uri, "HTTP/1.1"), headers=headers, connection=nobody
    )
    request.remote_ip = "127.0.0.1"
    request.protocol = scheme  # a cookie that is set over https is marked Secure
    return request
