"""The admin's view of the whole relay: who is linked, what is served, what is under way; and ways to end it.

As a page (``/portico/admin``) for admins who are signed in, and as JSON (``/portico/api/admin``) for programs that hold
``admin_token``, or a token with the scope ``admin``. No cookie opens the JSON, and no token the page. What an admin
does is logged.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portico.errors import InvalidName, StoreFailed
from portico.hub.answers import Answer, forbidden, unauthorized
from portico.hub.descriptor import Principal
from portico.hub.forward import Forward
from portico.hub.keys import InvalidKey
from portico.hub.links import Linked
from portico.relay.people.accounts import SignIn
from portico.relay.people.forms import Pages, answer_to, answering, read_body, say, see_other, store_failed
from portico.relay.state import RelayState
from portico.types import Receive, Scope, Send
from portico.version import __version__

logger = logging.getLogger(__name__)

_PAGE = "/portico/admin"
_API = "/portico/api/admin"
PATHS = (_PAGE, _PAGE + "/live", _API)
"""What is here; under the last of them, more."""

_MOST_STREAMS = 200
_MOST_TOKENS = 500
_SHOWN_PATH = 200  # characters

_ADMIN = Principal(id="admin")


class Admin:
    """An ASGI app for HTTP."""

    def __init__(self, state: RelayState, pages: Pages) -> None:
        self._relay, self._pages = state, pages
        self._since = time.time()
        self._app = Starlette(
            routes=[
                Route(path, answering(endpoint, _answer), methods=methods)
                for path, endpoint, methods in (
                    (_PAGE, self._page, ["GET", "POST"]),
                    (_PAGE + "/live", self._live, ["GET"]),
                    (_API, self._state, ["GET"]),
                    (_API + "/links/{id:int}", self._delete_link, ["DELETE"]),
                    (_API + "/services/{workspace}/{name}", self._delete_service, ["DELETE"]),
                    (_API + "/tokens/{id}", self._delete_token, ["DELETE"]),
                    (_API + "/users/{name}", self._change_user, ["PATCH"]),
                )
            ],
            exception_handlers={HTTPException: _http_error, StoreFailed: store_failed},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    # --- what there is ------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that is shown. Times in seconds since 1970, or seconds where they last; sizes in bytes."""
        relay = self._relay
        links = relay.links.all()
        streams = [stream for linked in links for stream in self._streams(linked)]
        streams.sort(key=lambda stream: -stream["seconds"])
        return {
            "version": __version__,
            "time": time.time(),
            "since": self._since,
            "ready": relay.ready,
            "draining": relay.leaving,
            "totals": self._totals(links),
            "services": list(self._services()),
            "links": [self._link(linked) for linked in links],
            "streams": streams[:_MOST_STREAMS],
            "more_streams": max(0, len(streams) - _MOST_STREAMS),
            "workspaces": self._workspaces(links),
            "users": [
                {"id": user.id, "email": user.email, "admin": user.admin, "disabled": user.disabled}
                for user in relay.accounts.list()
            ],
            "tokens": [grant.public() for grant in relay.tokens.list() if not grant.revoked][:_MOST_TOKENS],
        }

    def _totals(self, links: list[Linked]) -> dict[str, Any]:
        relay = self._relay
        counters = relay.counters
        classes: dict[str, int] = {}
        for status, count in relay.visits.statuses.items():
            classes[f"{status // 100}xx"] = classes.get(f"{status // 100}xx", 0) + count
        return {
            "links": len(links),
            "streams": relay.links.streams,
            "services": sum(len(workspace.registry.services) for workspace in relay.workspaces.all()),
            "websockets": relay.visits.sockets_open,
            "held": sum(linked.link.connection.held for linked in links),
            "requests": sum(classes.values()),
            "by_status": dict(sorted(classes.items())),
            "from_providers": counters.from_providers,
            "to_providers": counters.to_providers,
            "refused_providers": relay.links.refused,
        }

    def _services(self) -> Iterator[dict[str, Any]]:
        for workspace in sorted(self._relay.workspaces.all(), key=lambda workspace: workspace.name):
            for service in sorted(workspace.registry.services.values(), key=lambda service: service.descriptor.name):
                descriptor = service.descriptor
                yield {
                    "workspace": workspace.name,
                    "name": descriptor.name,
                    "title": descriptor.title or descriptor.name,
                    "url": self._relay.config.service_url(workspace.name, descriptor.name),
                    "access": descriptor.access,
                    "status": service.status,
                    "replicas": len(service.replicas),
                    "in_flight": sum(replica.in_flight for replica in service.replicas),
                    "requests": service.requests,
                    "created": service.created,
                }

    @staticmethod
    def _link(linked: Linked) -> dict[str, Any]:
        session, connection = linked.session, linked.link.connection
        return {
            "id": linked.id,
            "who": session.principal.id if session is not None else "",
            "token": session.principal.token_id if session is not None else "",
            "workspace": _workspace_of(linked),
            "services": sorted(session.services) if session is not None else [],
            "holder": session.holder if session is not None else {},
            "since": linked.since,
            "agent": linked.agent[:_SHOWN_PATH],
            "address": linked.address,
            "origin": linked.origin,
            "streams": len(linked.link.streams),
            "held": connection.held,
            "silence": round(connection.silence(linked.link.time()), 1),
            "status": "new"
            if session is None
            else "leaving"
            if connection.going_away
            else "stalled"
            if session.stalled
            else "live",
        }

    @staticmethod
    def _streams(linked: Linked) -> Iterator[dict[str, Any]]:
        now = time.monotonic()
        for stream in linked.link.streams.values():
            handler = stream.handler
            if not isinstance(handler, Forward):
                continue
            visit = handler.visit
            request, target = visit.request, visit.target
            yield {
                "link": linked.id,
                "id": stream.id,
                "workspace": visit.workspace,
                "service": target.name,
                "kind": request.kind.name.lower(),
                "method": request.method,
                "path": target.raw_path.decode("latin-1")[:_SHOWN_PATH],
                "client": request.client[0] if request.client else "",
                "seconds": round(now - visit.came, 1),
            }

    def _workspaces(self, links: list[Linked]) -> list[dict[str, Any]]:
        of_links = [_workspace_of(linked) for linked in links]
        live = {workspace.name: workspace for workspace in self._relay.workspaces.all()}
        return [
            {
                "name": name,
                "anonymous": live[name].anonymous,
                "services": len(live[name].registry.services),
                "links": of_links.count(name),
                "held": sum(1 for session in live[name].registry.sessions.values() if not session.linked),
            }
            for name in sorted(live)
        ]

    # --- what can be done ---------------------------------------------------------------------------------------

    def _kick(self, who: str, link_id: int) -> None:
        """Close a link for good: its provider does not come back by itself, and its names are free."""
        if not self._relay.links.end_link(link_id, "the relay's admin closed this link"):
            raise Answer(404, "link_not_found", "That link is gone already.")
        logger.warning("%s closed link %d", who, link_id)

    def _stop(self, who: str, workspace: str, name: str) -> None:
        found = next((other for other in self._relay.workspaces.all() if other.name == workspace), None)
        if found is None:
            raise Answer(404, "service_not_found", f"No service named {name!r} is live there.")
        found.control.stop(_ADMIN, name)
        logger.warning("%s stopped %s in %s", who, name, workspace)

    async def _disable(self, who: str, name: str, disabled: bool) -> None:
        """A user who is disabled is signed out, and their tokens are revoked for good: their links end."""
        if disabled and name == who:
            raise Answer(409, "yourself", "You cannot disable yourself.")
        try:
            await self._relay.accounts.set_disabled(name, disabled)
        except InvalidName as error:
            raise Answer(404, "user_not_found", str(error)) from None
        await self._relay.tokens.reread()
        logger.warning("%s %s the user %s", who, "disabled" if disabled else "enabled", name)

    async def _revoke(self, who: str, token_id: str) -> None:
        if await self._relay.tokens.revoke(token_id) is None:
            raise Answer(404, "token_not_found", "There is no such token.")
        logger.warning("%s revoked the token %s", who, token_id)

    # --- the page -----------------------------------------------------------------------------------------------

    def _admin(self, request: Request) -> SignIn | None:
        """The admin who is signed in; None for nobody. Raises an `Answer` (403) for someone else."""
        who = self._relay.accounts.signed_in(request.cookies.get(self._relay.config.session_cookie, ""))
        if who is not None and not who.account.admin:
            raise forbidden("This page is for the relay's admins.", "not_admin")
        return who

    async def _page(self, request: Request) -> Response:
        who = self._admin(request)
        if who is None:
            return see_other(f"/portico/login?next={_PAGE}")
        pages = self._pages
        if request.method == "POST":
            section = await self._act(who, await pages.read(request, who.digest))
            return see_other(f"{_PAGE}#{section}")
        return pages.render(request, "admin.html", session=who.digest, scripts=True, **self._values(who))

    async def _live(self, request: Request) -> Response:
        """What of the page changes, for its own script."""
        who = self._admin(request)
        if who is None:
            raise unauthorized("You are signed out.")
        return self._pages.fragment(request, "admin_live.html", session=who.digest, **self._values(who))

    def _values(self, who: SignIn) -> dict[str, Any]:
        return {"account": who.account, "state": self.state(), "ago": _ago, "size": _size, "day": _day}

    async def _act(self, who: SignIn, fields: dict[str, str]) -> str:
        """Do what a form says; returns the section of the page that it is about."""
        action, what, by = fields.get("action", ""), fields.get("id", ""), who.account.id
        if action == "kick" and what.isdecimal():
            self._kick(by, int(what[:15]))
            return "links"
        if action == "stop":
            self._stop(by, fields.get("workspace", ""), what)
            return "services"
        if action in ("disable", "enable"):
            await self._disable(by, what, action == "disable")
            return "users"
        if action == "revoke":
            await self._revoke(by, what)
            return "tokens"
        raise Answer(400, "invalid_action", "The page does not know that.")

    # --- JSON ---------------------------------------------------------------------------------------------------

    async def _program(self, request: Request) -> str:
        """Who calls, for the log. Raises an `Answer` (401, 403)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("Send admin_token, or an admin's token (Authorization: Bearer ...).")
        own = self._relay.config.admin_token
        if own and hmac.compare_digest(token.encode("utf-8", "replace"), own.encode()):
            return "admin_token"
        try:
            grant = await self._relay.tokens.authenticate(token)
        except InvalidKey as error:
            raise unauthorized(f"That token opens nothing here: {error}.") from None
        if not grant.has("admin"):
            raise forbidden("This is for tokens with the scope admin.", "scope")
        return grant.user_id

    async def _state(self, request: Request) -> Response:
        await self._program(request)
        return JSONResponse(self.state(), headers={"Cache-Control": "no-store"})

    async def _delete_link(self, request: Request) -> Response:
        self._kick(await self._program(request), request.path_params["id"])
        return Response(status_code=204)

    async def _delete_service(self, request: Request) -> Response:
        self._stop(await self._program(request), request.path_params["workspace"], request.path_params["name"])
        return Response(status_code=204)

    async def _delete_token(self, request: Request) -> Response:
        await self._revoke(await self._program(request), request.path_params["id"])
        return Response(status_code=204)

    async def _change_user(self, request: Request) -> Response:
        who = await self._program(request)
        body = await read_body(request)
        try:
            disabled = json.loads(body)["disabled"]
        except (ValueError, RecursionError, KeyError, TypeError):
            disabled = None
        if not isinstance(disabled, bool):
            raise Answer(400, "invalid_body", 'Send a JSON object: {"disabled": true}.')
        await self._disable(who, request.path_params["name"], disabled)
        return Response(status_code=204)


def _workspace_of(linked: Linked) -> str:
    return str(linked.tenancy.info.get("workspace", "")) if linked.tenancy is not None else ""


def _answer(request: Request, answer: Answer) -> Response:
    return say(request, answer, page=not request.url.path.startswith(_API))


async def _http_error(request: Request, error: Exception) -> Response:
    return _answer(request, answer_to(error, "There is no such page."))


# --- how things are said ----------------------------------------------------------------------------------------


def _ago(seconds: float) -> str:
    """How long *seconds* are, for people: ``8 s``, ``5 min``, ``3 h``, ``2 d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _size(count: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))
