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

from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.httputil import HTTPHeaders, HTTPServerRequest

from portico.hub.access import User
from portico.hub.gateway import Identities, VisitorRequest
from portico.hub.headers import KEY_COOKIE
from portico.types import Headers

logger = logging.getLogger(__name__)

_CREDENTIALS = frozenset({b"authorization", b"cookie"})
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
        self._cache: dict[bytes, tuple[float, User | None]] = {}
        self._hosts: dict[str, bool] = {}
        self._cookie_name = str(getattr(identity_provider, "cookie_name", "") or "")

    # --- what the gate asks ----------------------------------------------------------------------------------

    async def user(self, request: VisitorRequest) -> User | None:
        digest = self._digest(request)
        now = time.monotonic()
        known = self._cache.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        user = await self._ask(request)
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        self._cache[digest] = (now + self._cache_for, user)
        return user

    def has_credentials(self, request: VisitorRequest) -> bool:
        if not getattr(self._identity_provider, "auth_enabled", True):
            return True  # an open server: everyone is its user
        return b"token=" in request.query or any(name in _CREDENTIALS for name, _ in request.headers)

    def has_valid_xsrf(self, request: VisitorRequest) -> bool:
        handler = self._handler(request)
        try:
            handler._jupyter_current_user = True  # the check is skipped for a handler that knows no user yet
            web.RequestHandler.check_xsrf_cookie(handler)
        except web.HTTPError:
            return False
        return True

    def is_hub_cookie(self, name: str) -> bool:
        # Jupyter's are username-<host>; JupyterHub's all start with its name
        return (
            name in ("_xsrf", KEY_COOKIE)
            or name.startswith(("username-", "jupyterhub-"))
            or (bool(self._cookie_name) and name == self._cookie_name)
        )

    def is_hub_token(self, value: str) -> bool:
        token = getattr(self._identity_provider, "token", "")
        return bool(token) and value == token

    def login_url(self, request: VisitorRequest) -> str | None:
        if not getattr(self._identity_provider, "login_available", True):
            return None
        return f"{self._web_app.settings['base_url']}portico/login"

    # --- for the edge ----------------------------------------------------------------------------------------

    def host_allowed(self, host: str) -> bool:
        """Jupyter's protection against DNS rebinding, on every route, public ones too."""
        known = self._hosts.get(host)
        if known is None:
            handler = JupyterHandler(self._web_app, _bare_request("GET", "/", HTTPHeaders({"Host": host or "-"})))
            known = bool(handler.check_host())
            if len(self._hosts) > _CACHE_SIZE:
                self._hosts.clear()
            self._hosts[host] = known
        return known

    async def user_of_token(self, token: str) -> User | None:
        """Who holds *token*, a credential of the server itself: how a provider without its own comes in."""
        if not token and getattr(self._identity_provider, "auth_enabled", True):
            return None
        headers = HTTPHeaders({"Host": "localhost"})
        if token:
            headers["Authorization"] = f"token {token}"
        return await self._ask_jupyter(_bare_request("GET", "/", headers))

    # --- asking ----------------------------------------------------------------------------------------------

    @staticmethod
    def _digest(request: VisitorRequest) -> bytes:
        state = hashlib.sha256(request.query if b"token=" in request.query else b"")
        for name, value in request.headers:
            if name in _CREDENTIALS:
                state.update(name + b"\0" + value + b"\0")
        state.update(request.host.encode("latin-1", "replace"))
        return state.digest()

    def _handler(self, request: VisitorRequest) -> JupyterHandler:
        return JupyterHandler(
            self._web_app,
            _bare_request(request.method, request.target.decode("latin-1"), _tornado_headers(request.headers)),
        )

    async def _ask(self, request: VisitorRequest) -> User | None:
        # always as a GET: whether an unsafe method may use a cookie is the gate's own question, for every identity
        headers = _tornado_headers(request.headers)
        return await self._ask_jupyter(_bare_request("GET", request.target.decode("latin-1"), headers))

    async def _ask_jupyter(self, request: HTTPServerRequest) -> User | None:
        handler = JupyterHandler(self._web_app, request)
        try:
            found = self._identity_provider.get_user(handler)
            user = await found if inspect.isawaitable(found) else found
            if user is None:
                return None
            handler.current_user = handler._jupyter_current_user = user
            allowed = self._authorizer.is_authorized(handler, user, "execute", "portico")
            if inspect.isawaitable(allowed):
                allowed = await allowed
        except web.HTTPError as error:
            logger.debug("the identity provider refused a visitor: %s", error)
            return None
        except Exception:  # a bad token is nobody's, whatever the provider makes of it; never a 500
            logger.exception("the identity provider failed on a visitor's credentials")
            return None
        if not allowed:
            return None
        return User(
            id=str(getattr(user, "username", "") or "user"),
            name=str(getattr(user, "display_name", "") or getattr(user, "name", "") or ""),
            by_token=bool(getattr(handler, "_token_authenticated", False)),
        )


def _tornado_headers(headers: Headers) -> HTTPHeaders:
    made = HTTPHeaders()
    for name, value in headers:
        made.add(name.decode("latin-1"), value.decode("latin-1"))
    return made


def _bare_request(method: str, uri: str, headers: HTTPHeaders) -> HTTPServerRequest:
    nobody: Any = _NoConnection()
    request = HTTPServerRequest(
        method=method, uri=uri, headers=headers, connection=nobody, host=headers.get("Host", "-")
    )
    request.remote_ip = "127.0.0.1"
    request.protocol = "http"
    return request
