"""The control API of a relay (``/portico/api/``): that of `portico.hub.control`, and the making of provider tokens.

All of it is about the workspace of the caller's token. It goes by ``Authorization: Bearer <provider token>`` alone. No
cookie opens it: where services share the relay's origin, an app's script could use one. For the same reason, any page
may call it (`portico.relay.cors`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from portico.errors import InvalidOption
from portico.hub.access import EVERY_SERVICE
from portico.hub.answers import Answer, forbidden, invalid_key, unauthorized
from portico.hub.control import MADE_A_SECOND, MADE_AT_ONCE, too_often
from portico.hub.descriptor import Principal
from portico.hub.fair_use import Rates
from portico.hub.keys import InvalidKey
from portico.hub.workspace import Workspace
from portico.relay.config import RelayConfig
from portico.relay.people.accounts import Accounts, is_anonymous
from portico.relay.people.forms import Endpoint, read_body
from portico.relay.people.grants import Grant, read_scopes
from portico.relay.people.oauth import secret_json
from portico.relay.people.tokens import TokenRing

API = "/portico/api/"
"""What the path of all of it begins with."""

_DEFAULT_LIFETIME = 3600.0  # seconds, of a key that says nothing of it
_MAX_LABEL = 200

OpenWorkspace = Callable[[str], Awaitable[Workspace | None]]
"""From a workspace's name, which a token vouches for, to the workspace. None if it is gone."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who calls the API, and where."""

    grant: Grant
    workspace: Workspace

    @property
    def principal(self) -> Principal:
        return self.grant.principal()


class ControlAPI:
    """The endpoints. They raise `Answer`, `InvalidKey` and `StoreFailed`."""

    def __init__(
        self, config: RelayConfig, accounts: Accounts, tokens: TokenRing, open_workspace: OpenWorkspace
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._tokens = tokens
        self._open = open_workspace
        self._making = Rates(MADE_AT_ONCE, MADE_A_SECOND)

    def routes(self) -> list[tuple[str, Endpoint, list[str]]]:
        """Path, endpoint and methods of each."""
        return [
            (API + "me", self._me, ["GET"]),
            (API + "services", self._services, ["GET"]),
            (API + "services/{name}", self._service, ["GET", "DELETE"]),
            (API + "keys", self._keys, ["GET", "POST"]),
            (API + "keys/{id}", self._key, ["DELETE"]),
            (API + "tokens", self._many_tokens, ["GET", "POST"]),
            (API + "tokens/{id}", self._one_token, ["GET", "DELETE"]),
            (API + "events", self._events, ["GET"]),
        ]

    async def _who(self, request: Request) -> _Caller:
        """Whose token the request carries. Raises an `Answer` (401)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("Send a token of this relay (Authorization: Bearer ...); portico login gets one.")
        try:
            grant = await self._tokens.authenticate(token.strip())
        except InvalidKey as error:
            raise invalid_key(str(error)) from None
        workspace = await self._open(grant.workspace)
        if workspace is None:
            raise invalid_key("the workspace of this token is gone")
        if self._is_over(grant):  # while its workspace was opened
            raise invalid_key("this token was revoked")
        return _Caller(grant, workspace)

    async def _me(self, request: Request) -> Response:
        """Who the token's holder is, as a provider is told in WELCOME."""
        grant = (await self._who(request)).grant
        account = self._accounts.get(grant.user_id)
        return JSONResponse(
            {
                "user": {
                    "id": grant.user_id,
                    "email": account.email if account is not None else "",
                    "is_anonymous": is_anonymous(grant.workspace),
                    "scopes": list(grant.scopes),
                },
                "workspace": grant.workspace,
                "public_base_url": self._config.base_url,
                "models_url": self._config.models_url(grant.workspace),
                "token": grant.public(),
            }
        )

    async def _services(self, request: Request) -> Response:
        who = await self._who(request)
        return JSONResponse({"services": who.workspace.control.services(who.principal)})

    async def _service(self, request: Request) -> Response:
        who, name = await self._who(request), request.path_params["name"]
        if request.method == "DELETE":
            who.workspace.control.stop(who.principal, name)
            return Response(status_code=204)
        return JSONResponse(who.workspace.control.service(who.principal, name))

    async def _keys(self, request: Request) -> Response:
        who = await self._who(request)
        if request.method == "POST":
            who, body = await self._with_body(request, who)
            if isinstance(body, dict) and body.get("services") == [EVERY_SERVICE]:
                return secret_json(await self._make_key(who, body, _label(body)), 201)
            made = await who.workspace.control.mint(_minter(who, body), body, made_with=who.grant.token_id)
            return secret_json(await self._unless_over(who, made), 201)
        return JSONResponse({"keys": who.workspace.control.keys(who.principal)})

    async def _with_body(self, request: Request, who: _Caller) -> tuple[_Caller, Any]:
        """Who calls, and the body: that may take a while to come, and the token of *who* may be revoked meanwhile."""
        body = await _json(request)
        return await self._who(request), body

    async def _unless_over(self, who: _Caller, made: dict[str, Any]) -> dict[str, Any]:
        """A key that was *made*, unless the token that made it was revoked while it was: then the key is too."""
        if self._is_over(who.grant):
            await who.workspace.keys.revoke(made["id"])
            raise invalid_key("this token was revoked")
        return made

    async def _key(self, request: Request) -> Response:
        who = await self._who(request)
        await who.workspace.control.revoke(who.principal, request.path_params["id"])
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        who = await self._who(request)
        events = who.workspace.control.events(who.principal)
        first = await anext(events)  # a no must come before the head

        async def all_of_them() -> AsyncIterator[str]:
            try:
                yield first
                async for event in events:
                    if self._is_over(who.grant):
                        return
                    yield event
            finally:
                await events.aclose()  # type: ignore[attr-defined]

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(all_of_them(), media_type="text/event-stream", headers=headers)

    def _is_over(self, grant: Grant) -> bool:
        now = self._tokens.get(grant.token_id)
        return now is None or now.revoked

    # --- provider tokens ----------------------------------------------------------------------------------------

    async def _many_tokens(self, request: Request) -> Response:
        who = await self._who(request)
        if request.method == "POST":
            return secret_json(await self._make(*await self._with_body(request, who)), 201)
        return JSONResponse({"tokens": [grant.public() for grant in self._visible(who)]})

    def _visible(self, who: _Caller) -> list[Grant]:
        """What a token's holder sees and revokes: itself and what it made; who manages, all of the workspace."""
        grants = self._tokens.list(workspace=who.grant.workspace)
        if who.grant.has("manage"):
            return [grant for grant in grants if who.grant.has("admin") or not grant.has("admin")]
        own = {who.grant.token_id, *(grant.token_id for grant in self._tokens.made_by(who.grant.token_id))}
        return [grant for grant in grants if grant.token_id in own]

    async def _one_token(self, request: Request) -> Response:
        who, token_id = await self._who(request), request.path_params["id"]
        grant = next((grant for grant in self._visible(who) if grant.token_id == token_id), None)
        if grant is None:
            raise Answer(404, "token_not_found", "There is no such token, or it is not yours to see.")
        if request.method == "DELETE":
            await self._tokens.revoke(token_id)
            return Response(status_code=204)
        return JSONResponse(grant.public())

    async def _make(self, who: _Caller, body: Any) -> dict[str, Any]:
        """``POST tokens``: a provider token with ``scopes``; without, a visitor's key for every service."""
        if not isinstance(body, dict):
            raise Answer(400, "invalid_body", 'Send a JSON object: {"scopes": ["publish:cat"], "expires_in": 3600}.')
        if body.get("workspace") not in (None, "", who.grant.workspace):
            raise forbidden(f"This token is for the workspace {who.grant.workspace!r} alone.", "scope")
        label = _label(body)
        asked = body.get("scopes") or body.get("scope")
        if asked is None:
            return await self._make_key(who, body, label)
        try:
            scopes = read_scopes(asked if isinstance(asked, (list, str)) else [asked])
        except InvalidOption as error:
            raise Answer(400, "invalid_scopes", f"{error}.") from None
        for scope in scopes:
            if not who.grant.has(scope):
                raise forbidden(f"This token has not {scope!r}, so it cannot give it.", "scope")
        lifetime = _lifetime(body, self._config.token_lifetime, self._config.max_token_lifetime)
        if self._tokens.held_by(who.grant.user_id) >= self._config.hub.max_keys:
            raise Answer(
                429, "too_many_tokens", "You hold as many tokens as you may; a revoked one counts until it expires."
            )
        if wait := self._making.take(who.grant.user_id):
            raise too_often("tokens", wait)
        try:
            token, grant = await self._tokens.mint(
                user_id=who.grant.user_id,
                workspace=who.grant.workspace,
                scopes=scopes,
                lifetime=lifetime,
                label=label,
                parent=who.grant.token_id,
            )
        except InvalidOption as error:
            raise forbidden(f"{str(error).capitalize()}.", "too_deep") from None
        return {"token": token, **grant.public()}

    async def _make_key(self, who: _Caller, body: dict[str, Any], label: str) -> dict[str, Any]:
        if not who.grant.has("keys"):
            raise forbidden("This token may not make keys for every service of its workspace (scope 'keys').", "scope")
        longest = self._config.hub.max_key_lifetime
        lifetime = _lifetime(body, min(_DEFAULT_LIFETIME, longest), longest)
        maker = who.principal.id
        who.workspace.control.check_making(maker)
        token, key = await who.workspace.keys.mint(
            [EVERY_SERVICE], lifetime, label=label, created_by=maker, made_with=who.grant.token_id
        )
        return await self._unless_over(who, {"token": token, "key": token, **key.public()})


def _minter(who: _Caller, body: Any) -> Principal:
    """Who makes keys: with the scope ``keys``, for any service; else for what the token itself may publish, and does.

    Two tokens of one user are one principal, so that what the other one publishes must be left out here.
    """
    principal = who.principal
    if who.grant.has("keys"):
        return replace(principal, manages=True, mints=True)
    names = body.get("services") if isinstance(body, dict) else None
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    foreign = [name for name in texts if not who.grant.may_publish(name)]
    if foreign:
        raise forbidden(
            f"This token makes keys only for what it may publish; {foreign[0][:80]!r} is not that.", "scope"
        )
    return replace(principal, manages=False, mints=bool(who.grant.publishes))


def _label(body: dict[str, Any]) -> str:
    label = body.get("label") or ""
    if not isinstance(label, str) or len(label) > _MAX_LABEL or not label.isprintable():
        raise Answer(400, "invalid_label", f"label is a line of at most {_MAX_LABEL} characters.")
    return label


def _lifetime(body: dict[str, Any], default: float, longest: float) -> float:
    value = body.get("expires_in")
    if value is None:
        return default
    # compared as it is: an int may be beyond all floats
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= longest:
        raise Answer(
            400,
            "invalid_expires_in",
            f"expires_in is a number of seconds from 1 to {longest:g}, the longest that this relay allows.",
        )
    return float(value)


async def _json(request: Request) -> Any:
    """The body. Any content type: a token in a header is no browser's doing. Raises an `Answer` (400, 413)."""
    try:
        return json.loads(await read_body(request))
    except (ValueError, RecursionError):
        raise Answer(400, "invalid_json", "The body is not JSON.") from None
