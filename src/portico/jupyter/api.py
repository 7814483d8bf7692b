"""The control API's routes, as handlers of jupyter_server; what they do is `portico.hub.control`.

Every route asks who calls first: a kernel by its own credential, or a user whom Jupyter knows.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web
from tornado.iostream import StreamClosedError

from portico.hub.answers import Answer, forbidden, unauthorized
from portico.hub.descriptor import Principal
from portico.hub.hub import Hub
from portico.hub.keys import InvalidKey
from portico.hub.redirects import is_below
from portico.jupyter.kernels import Kernels

_MAX_BODY = 64 * 1024


class _PorticoHandler(APIHandler):
    """Knows who calls, and answers in one shape."""

    auth_resource = "portico"
    _track_activity = False

    def initialize(self, hub: Hub, kernels: Kernels) -> None:
        self.hub = hub
        self.kernels = kernels
        self._kernel = self._kernel_of_token()

    def _kernel_of_token(self) -> Principal | None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.count(".") != 2:
            return None
        try:
            claims = self.hub.keys.verify_provider(token.strip())
        except InvalidKey:
            return None
        return kernel_principal(claims.kernel_id) if self.kernels.knows(claims.kernel_id) else None

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        try:
            return bool(super().check_origin(origin_to_satisfy_tornado))
        except ValueError:  # an Origin that is no URL, as http://[
            return False

    def check_xsrf_cookie(self) -> None:
        if self._kernel is None:  # a credential in a header is no browser's doing
            super().check_xsrf_cookie()

    async def who(self, action: str = "") -> Principal:
        """Who calls. Raises an `Answer`: 401 for nobody, 403 for a user who may not.

        *action* is what Jupyter's authorizer is asked about, by default what the method stands for.
        """
        if self._kernel is not None:
            return self._kernel
        user = self.current_user
        if user is None:
            raise unauthorized("Sign in to Jupyter, or send its token (Authorization: token ...).")
        action = action or ("read" if self.request.method in ("GET", "HEAD") else "write")
        if not await _is_authorized(self, user, action):
            raise forbidden("You may not do that on this server.")
        provider = self.identity_provider
        if getattr(provider, "hub_auth", None) is None and (self.token_authenticated or not provider.auth_enabled):
            # The server's one token is nobody's in particular: Jupyter makes up a name each time that it is asked, and
            # each would have a share of its own (as `JupyterIdentities.user_of_token`).
            return user_principal("owner")
        return user_principal(str(getattr(user, "username", "") or "user"))

    def body(self) -> Any:
        if len(self.request.body) > _MAX_BODY:
            raise Answer(413, "too_large", f"The body has more than {_MAX_BODY} bytes.")
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise Answer(400, "invalid_json", "The body is not JSON.") from None

    def reply(self, value: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Answer):
            answer = error
        elif not self.check_host():
            answer = forbidden("This server does not answer under that host name.", "host")
        elif status_code in (401, 403) and self.current_user is None:
            answer = unauthorized("Sign in to Jupyter, or send its token (Authorization: token ...).")
        else:
            message = getattr(error, "log_message", None) if isinstance(error, web.HTTPError) else None
            answer = Answer(status_code, "error", message or "That did not work.")
        headers, body = answer.render(html=False, openai=False)
        self.clear()
        self.set_status(answer.status)
        for name, value in headers:
            self.set_header(name.decode(), value.decode("latin-1"))
        self.finish(body)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, Answer):
            super().log_exception(typ, value, tb)


class ServicesHandler(_PorticoHandler):
    @allow_unauthenticated  # `who` decides, for kernels too
    async def get(self) -> None:
        self.reply({"services": self.hub.control.services(await self.who())})


class ServiceHandler(_PorticoHandler):
    @allow_unauthenticated
    async def get(self, name: str) -> None:
        self.reply(self.hub.control.service(await self.who(), name))

    @allow_unauthenticated
    async def delete(self, name: str) -> None:
        self.hub.control.stop(await self.who(), name)
        self.set_status(204)
        self.finish()


class StopHandler(_PorticoHandler):
    @allow_unauthenticated
    async def post(self, name: str) -> None:
        await self.hub.control.stop_as_author(await self.who(), name)
        self.set_status(204)
        self.finish()


class _AskingHandler(_PorticoHandler):
    """Asks a service's provider; the question is given up when who asks leaves."""

    _asking: asyncio.Task[Any] | None = None

    async def tell(self, question: Callable[[Principal, str, dict[str, str]], Awaitable[bytes]], name: str) -> None:
        """Answer with what comes of *question*. Who may not `write` may not see what the author alone sees."""
        who = await self.who("write")
        given = {key: values[-1].decode("latin-1") for key, values in self.request.query_arguments.items()}
        self._asking = asyncio.current_task()
        try:
            answer = await question(who, name, given)
        except asyncio.CancelledError:
            if self._left:
                return
            raise
        finally:
            self._asking = None
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(answer)

    _left = False

    def on_connection_close(self) -> None:
        self._left = True
        if self._asking is not None:
            self._asking.cancel()
        super().on_connection_close()


class LogHandler(_AskingHandler):
    @allow_unauthenticated
    async def get(self, name: str) -> None:
        await self.tell(self.hub.control.log, name)


class ToolsHandler(_AskingHandler):
    @allow_unauthenticated
    async def get(self, name: str) -> None:
        await self.tell(self.hub.control.tools, name)


class KeysHandler(_PorticoHandler):
    @allow_unauthenticated
    async def get(self) -> None:
        self.reply({"keys": self.hub.control.keys(await self.who())})

    @allow_unauthenticated
    async def post(self) -> None:
        who = await self.who()
        self.reply(await self.hub.control.mint(who, self.body()), 201)


class KeyHandler(_PorticoHandler):
    @allow_unauthenticated
    async def delete(self, key_id: str) -> None:
        await self.hub.control.revoke(await self.who(), key_id)
        self.set_status(204)
        self.finish()


class EventsHandler(_PorticoHandler):
    _reader: asyncio.Task[Any] | None = None

    @allow_unauthenticated
    async def get(self) -> None:
        who = await self.who()
        events = self.hub.control.events(who)
        first = await anext(events)  # a no must come before the head
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self._reader = asyncio.current_task()
        try:
            self.write(first)
            await self.flush()
            async for event in events:
                self.write(event)
                await self.flush()
        except (StreamClosedError, asyncio.CancelledError):
            pass  # the reader left
        finally:
            self._reader = None
            await events.aclose()  # type: ignore[attr-defined]

    def on_connection_close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        super().on_connection_close()


class NotFoundHandler(_PorticoHandler):
    @allow_unauthenticated
    async def prepare(self) -> None:
        await super().prepare()
        await self.who()
        raise Answer(404, "not_found", "There is no such route; see the documentation of the control API.")


class LoginHandler(JupyterHandler):
    """Where a browser that is not logged in is sent: Jupyter asks it to sign in, and it comes back to the app."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Frame-Options", "DENY")

    @web.authenticated
    async def get(self) -> None:
        if not await _is_authorized(self, self.current_user, "execute"):  # or it would come back, again and again
            raise web.HTTPError(403, "You may not open this server's apps.")
        self.redirect(way_back(self.get_argument("next", ""), self.base_url))


def way_back(target: str, base_url: str) -> str:
    """*target*, if it is an app of this server, else *base_url*: nobody is sent to another site."""
    return target if is_below(target, base_url + "portico/apps/") else base_url


async def _is_authorized(handler: JupyterHandler, user: Any, action: str) -> bool:
    allowed = handler.authorizer.is_authorized(handler, user, action, "portico")
    return bool(await allowed if inspect.isawaitable(allowed) else allowed)


def kernel_principal(kernel_id: str, process: int | None = None) -> Principal:
    return Principal(id=f"kernel:{kernel_id}", kernel_id=kernel_id, process=process, manages=False)


def user_principal(user_id: str) -> Principal:
    return Principal(id=f"user:{user_id}")


def routes(hub: Hub, kernels: Kernels, base_path: str) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """Every route under *base_path*, which is the server's base URL path with ``portico/`` after it."""
    api = base_path + "api/"
    given = {"hub": hub, "kernels": kernels}
    return [
        (api + "services", ServicesHandler, given),
        (api + r"services/([^/]+)", ServiceHandler, given),
        (api + r"services/([^/]+)/stop", StopHandler, given),
        (api + r"services/([^/]+)/log", LogHandler, given),
        (api + r"services/([^/]+)/tools", ToolsHandler, given),
        (api + "keys", KeysHandler, given),
        (api + r"keys/([^/]+)", KeyHandler, given),
        (api + "events", EventsHandler, given),
        (api + ".*", NotFoundHandler, given),
        (base_path + "login", LoginHandler, {}),
    ]
