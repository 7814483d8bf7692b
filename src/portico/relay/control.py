"""Everything under a relay's ``/portico/`` but the links, as one Starlette app. The control API itself is in `api`.

That is: pages for people (`portico.relay.people.sign_in`), what programs call to get a token
(`portico.relay.people.oauth`), and the control API (`portico.relay.api`). The last two have CORS, for any page.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.errors import StoreFailed
from portico.hub.answers import Answer, invalid_key
from portico.hub.keys import InvalidKey
from portico.relay.api import API, ControlAPI, OpenWorkspace
from portico.relay.config import RelayConfig
from portico.relay.cors import for_every_origin
from portico.relay.people.accounts import Account, Accounts
from portico.relay.people.device import DeviceFlow, OAuthError
from portico.relay.people.forms import Pages, answer_to, answering, say, store_failed
from portico.relay.people.oauth import PATHS as OAUTH
from portico.relay.people.oauth import OAuthEndpoints, say_error
from portico.relay.people.sign_in import OneTimeCodes, SignInPages
from portico.relay.people.tokens import TokenRing
from portico.types import Receive, Scope, Send


class ControlApp:
    """The ASGI app. ``codes`` is for the doorway, which redeems them on a service's host."""

    def __init__(
        self, config: RelayConfig, accounts: Accounts, tokens: TokenRing, open_workspace: OpenWorkspace, secret: bytes
    ) -> None:
        """*secret* is the store's."""
        self._accounts = accounts
        self.codes = OneTimeCodes(accounts)
        self.pages = Pages(config, secret)
        self.devices = DeviceFlow(
            tokens,
            verification_uri=f"{config.base_url}/portico/device",
            token_lifetime=config.token_lifetime,
            max_token_lifetime=config.max_token_lifetime,
            may_enter=self._who_may_enter,
            max_tokens=config.hub.max_keys,
            uid_of=accounts.uid_of,
        )
        people = SignInPages(config, self.pages, accounts, tokens, self.devices, self.codes)
        programs = OAuthEndpoints(config.base_url, self.devices)
        api = ControlAPI(config, accounts, tokens, open_workspace)
        self._app = Starlette(
            routes=[
                Route(path, answering(endpoint, _answer), methods=methods)
                for path, endpoint, methods in [*people.routes(), *programs.routes(), *api.routes()]
            ],
            exception_handlers={
                OAuthError: say_error,
                HTTPException: _http_error,
                InvalidKey: _invalid_key,
                StoreFailed: store_failed,
            },
        )
        self._app.router.redirect_slashes = False  # a redirect would name a host that the visitor chose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path.startswith(API) or path in OAUTH):
            await for_every_origin(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _who_may_enter(self, user_id: str, workspace: str) -> Account | None:
        account = self._accounts.get(user_id)
        return account if account is not None and self._accounts.may_enter(account, workspace) else None


def _answer(request: Request, answer: Answer) -> Response:
    path = request.url.path
    return say(request, answer, page=not path.startswith(API) and path not in OAUTH)


async def _invalid_key(request: Request, error: Exception) -> Response:
    """A token that ended while its request was under way."""
    return _answer(request, invalid_key(str(error)))


async def _http_error(request: Request, error: Exception) -> Response:
    return _answer(request, answer_to(error, "There is no such page; see the documentation."))
