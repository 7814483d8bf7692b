"""`connect_to_server`: a hub for a program that is asynchronous itself, with its apps on the program's own loop.

The calls and the shapes are those of Hypha's client, so that a program written for it runs with another import. What is
not here: remote procedure calls. What is served is HTTP and WebSocket.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from portico.adapters.table import is_plain
from portico.adapters.take import take
from portico.adapters.taken import Taken, TakeOptions
from portico.errors import InvalidName, InvalidOption, LinkClosed, NotServable
from portico.provider import api, discovery
from portico.provider.discovery import HubAddress
from portico.provider.options import Options, conditions
from portico.provider.presence import Presence
from portico.provider.provider import Provider
from portico.provider.service import AwaitableService, Service
from portico.provider.thread import HAS_THREADS, LoopThread
from portico.types import ASGIApp, Receive, Scope, Send, service_name, suggest_name

logger = logging.getLogger(__name__)

_CONNECT_WITHIN = 10.0  # seconds for a hub to let the program in
_TURN = 1.0
"""Seconds within which the loop turns while a program serves. Ctrl-C that comes in the moment in which the loop goes to
wait is heard when it turns: `asyncio.run` does not have signals wake it."""
_JUPYTER_PREFIX = "portico"
"""Stands for the workspace on a Jupyter server: services are at ``<base>/portico/apps/<name>/`` there."""


class Bunch(dict[str, Any]):
    """A dict whose keys can be read as attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} here, only: {', '.join(self)}") from None


_CONNECT_KEYS = {
    "server_url": "the URL of a relay or a Jupyter server",
    "workspace": "the workspace",
    "token": "a provider's token",
    "client_id": "a name for this program in the ids of services",
    "name": "a title for this program",
    "ssl": "False: do not check the server's certificate",
    "disable_ssl": "True: the same",
}
_ELSEWHERE = {
    "webrtc": "what is served here is HTTP and WebSocket, over the hub",
    "transport": "a link is a WebSocket",
    "method_timeout": "there are no remote calls here; a client of HTTP has a time-out of its own",
    "reconnection_token": "a lost link is taken up again by itself",
    "login": "log in once on the command line (portico login URL), or give a token",
    "username": "give a token",
    "password": "give a token",
}


async def connect_to_server(config: Mapping[str, Any] | None = None, /, **options: Any) -> Server:
    """Link to a relay (or a Jupyter server), on the running loop; returns the `Server` to register services on.

    *config*, or keywords: ``server_url``, ``workspace``, ``token``, ``client_id``, ``ssl`` (False: the certificate is
    not checked). Without a URL or a token, ``PORTICO_RELAY``, ``PORTICO_TOKEN`` and what ``portico login`` has kept are
    used; in a notebook, its own Jupyter server.

    Raises `InvalidOption` for a key that is not known, `NoHub`, `Refused` or `LinkClosed`.
    """
    given = {**(config or {}), **options}
    for key in given:
        if key not in _CONNECT_KEYS:
            why = _ELSEWHERE.get(key, f"known are: {', '.join(_CONNECT_KEYS)}")
            raise InvalidOption(f"connect_to_server takes no {key!r}: {why}")
    insecure = given.get("ssl") is False or bool(given.get("disable_ssl", False))
    address = await asyncio.to_thread(
        _find,
        str(given.get("server_url") or ""),
        str(given.get("token") or ""),
        str(given.get("workspace") or ""),
        insecure,
    )
    provider = Provider(thread=LoopThread.adopt(asyncio.get_running_loop()))
    return await open_server(provider, address, str(given.get("client_id") or given.get("name") or ""))


def _find(url: str, token: str, workspace: str, insecure: bool) -> HubAddress:
    """The hub that is meant: a relay, unless the URL is that of a Jupyter server whose credential is at hand."""
    if not token and not workspace:
        known = [rung.address for rung in discovery.climb() if rung.address is not None]
        if url:
            known = [address for address in known if address.url == discovery.hub_url(url)]
        elif discovery.names_relay():
            known = []
        if known:
            return known[0]
    return discovery.find_relay(url, token, workspace, insecure=insecure)


async def open_server(provider: Provider, address: HubAddress, client_id: str = "") -> Server:
    """Link *provider* to the hub at *address*. Raises `Refused` or `LinkClosed`."""
    session = await provider.connect(address, _CONNECT_WITHIN)
    return Server(provider, session, address, client_id)


class Server:
    """A hub that a program is linked to, and what it has registered there. For one event loop."""

    def __init__(self, provider: Provider, session: Presence, address: HubAddress, client_id: str = "") -> None:
        self._provider = provider
        self._session = session
        self._address = address
        info = session.hub_info
        base = str(info.get("public_base_url") or "").rstrip("/")
        workspace = str(info.get("workspace") or "")
        if not workspace:
            base, workspace = session.base_url.rstrip("/").removesuffix(f"/{_JUPYTER_PREFIX}/apps"), _JUPYTER_PREFIX
        user = info.get("user")
        self.config = Bunch(
            public_base_url=base,
            server_url=session.address.url.rstrip("/"),
            workspace=workspace,
            user=Bunch(user if isinstance(user, dict) else {"id": ""}),
            client_id=suggest_name(client_id) or secrets.token_hex(8),
            hub="relay" if info.get("workspace") else "jupyter",
        )
        """``public_base_url`` (no slash at its end), ``workspace``, ``user``, ``client_id``, and what ``hub`` it is."""

    @property
    def services(self) -> dict[str, Service]:
        """What is registered now, by name."""
        return dict(self._provider.services)

    # --- services -----------------------------------------------------------------------------------------------

    async def register_service(
        self, service: Mapping[str, Any], config: Mapping[str, Any] | None = None, *, overwrite: bool = False
    ) -> Bunch:
        """Publish a service, live on return; returns its ``id`` (``workspace/client:name``), ``name`` and ``url``.

        *service* has an ``id``, a ``name`` for people, ``type`` ``asgi`` (with ``serve``: an app, or a function of
        ``{"scope", "receive", "send"}``) or ``functions`` (with functions under the parts of their paths), and
        ``config``: ``visibility`` (``public``, or ``protected``), ``require_context``, and what `portico.serve` knows.

        Raises `NotServable`, `InvalidName`, `InvalidOption`, `StartupFailed`, `Refused`, `NameTaken` or `LinkClosed`.
        """
        settings = {**(service.get("config") or {}), **(config or {})}
        name = _name_of(service)
        made = AwaitableService(name, _options(service, settings, overwrite), "app", (), "", provider=self._provider)
        taken = await self._app(service, settings, made)
        made._takes(taken)
        await self._provider.publish(made, taken.app, self._address)
        info = self._describe(made.name, made.title, made.url)
        info.update(type=service.get("type", "asgi"), config=Bunch(settings))
        return info

    async def _app(self, service: Mapping[str, Any], settings: Mapping[str, Any], made: Service) -> Taken:
        kind = service.get("type", "asgi" if "serve" in service else "")
        require_context = bool(settings.get("require_context", False))
        if kind == "asgi":
            serve = service.get("serve")
            if serve is None:
                raise NotServable('a service of type "asgi" has its app, or a function that calls one, under "serve"')
            if _takes_args(serve):
                return Taken(_serving(serve, self._context, require_context), how="a function that calls an app")
            asked = TakeOptions(mount=made.options.mount, threads=made.options.threads, report=made.log.report)
            if HAS_THREADS and not is_plain(serve):  # another package's adapter is imported: the program's loop goes on
                return await asyncio.to_thread(take, serve, asked)
            return take(serve, asked)
        if kind == "functions":
            functions = {key: value for key, value in service.items() if key not in _SERVICE_KEYS}
            asked = TakeOptions(by="event_functions", context=self._context, require_context=require_context)
            return take(functions, asked)
        raise NotServable(
            f'a service of type {kind!r} cannot be served, only "asgi" and "functions": what is called over the web'
        )

    def _context(self, scope: Scope) -> dict[str, Any]:
        return context_of(scope, self.config.workspace)

    def _describe(self, name: str, title: str, url: str) -> Bunch:
        return Bunch(id=f"{self.config.workspace}/{self.config.client_id}:{name}", name=title, url=url, service_id=name)

    async def unregister_service(self, service: str | Mapping[str, Any]) -> None:
        """Take a service of this program down, by its id in any form. Raises `InvalidName` for one that is not here."""
        given = str(service["id"] if isinstance(service, Mapping) else service)
        name = given.rpartition(":")[2].rpartition("/")[2]
        found = self._provider.services.get(name)
        if found is None:
            known = ", ".join(self._provider.services) or "none"
            raise InvalidName(f"no service {given!r} is registered by this program, which has {known}")
        await self._provider.stop(found)

    async def list_services(self) -> list[Bunch]:
        """What the workspace serves, by whomever. Raises `Refused` for a token that may not see it."""
        answer = await api.call_async(self._session.address, "GET", "services")
        return [
            Bunch({**entry, **self._describe(entry["name"], entry.get("title") or entry["name"], entry.get("url", ""))})
            for entry in answer.get("services", [])
        ]

    async def generate_token(self, config: Mapping[str, Any] | None = None, /, **options: Any) -> str:
        """Make a key for visitors, for every service of the workspace or for those of ``services``.

        ``expires_in`` is seconds, or text such as ``2h`` (an hour by default); ``label`` is for people. It opens
        services, and publishes nothing. Raises `InvalidOption` or `Refused`.
        """
        given = {**(config or {}), **options}
        unknown = set(given) - {"expires_in", "label", "services"}
        if unknown:
            raise InvalidOption(f"generate_token takes no {min(unknown)!r}; known are: expires_in, label, services")
        services = given.get("services") or (["*"] if self.config.hub == "relay" else list(self._provider.services))
        if not services:
            raise InvalidOption(
                "on a Jupyter server a key opens the services that it names: register one first, or give services=[...]"
            )
        label = str(given.get("label") or "")
        return await api.make_key_async(self._session.address, list(services), given.get("expires_in"), label)

    # --- the end ------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Serve until `disconnect` is called, the hub refuses this program for good, or the call is cancelled.

        On being cancelled, as by Ctrl-C, apps shut down and the link is closed; a relay holds the names for the next
        start. Raises what the hub refused it with.
        """
        ended = asyncio.ensure_future(self._session.ended())
        try:
            while not ended.done():
                await asyncio.wait((ended,), timeout=_TURN)
        except asyncio.CancelledError:
            ended.cancel()
            await self._provider.shutdown()
            raise
        if self._session.status == "refused":
            raise self._session.last_error or LinkClosed("the hub has refused this program")

    async def disconnect(self) -> None:
        """Take every service down, and close the link."""
        for service in list(self._provider.services.values()):
            await self._provider.stop(service)
        await self._provider.shutdown()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    def __repr__(self) -> str:
        return f"<{self.config.hub} at {self.config.public_base_url}, {self._session.status}>"


# --- what a service may say of itself ---------------------------------------------------------------------------

_SERVICE_KEYS = frozenset(("id", "name", "type", "serve", "config", "description", "docs", "title"))
_VISIBILITY = {"public": "public", "protected": "private", "private": "private"}
_CONFIG_KEYS = (
    "visibility", "require_context", "access", "origins", "title", "replace", "replica",
    "expires", "password", "cidr", "rate", "concurrency", "max_body",
)  # fmt: skip


def _name_of(service: Mapping[str, Any]) -> Any:
    given = service.get("id") or suggest_name(str(service.get("name") or ""))
    if not given:
        raise InvalidName("a service needs an 'id', which becomes part of its URL")
    return service_name(str(given).rpartition(":")[2])


def _options(service: Mapping[str, Any], settings: Mapping[str, Any], overwrite: bool) -> Options:
    for key in settings:
        if key not in _CONFIG_KEYS:
            raise InvalidOption(f"a service's config has no {key!r}; known are: {', '.join(_CONFIG_KEYS)}")
    visibility = settings.get("visibility", "protected")
    if visibility not in _VISIBILITY:
        raise InvalidOption(f"visibility is public or protected, not {visibility!r}; or say access: 'key'")
    origins = settings.get("origins", ())
    return Options(
        title=str(settings.get("title") or service.get("title") or service.get("name") or ""),
        access=str(settings.get("access") or _VISIBILITY[visibility]),
        origins=(origins,) if isinstance(origins, str) else tuple(origins),
        replace=overwrite or bool(settings.get("replace", False)),
        replica=bool(settings.get("replica", False)),
        conditions=conditions(
            expires=settings.get("expires"),
            password=settings.get("password"),
            cidr=settings.get("cidr", ()),
            rate=settings.get("rate"),
            concurrency=settings.get("concurrency"),
            max_body=settings.get("max_body"),
        ),
    )


def _takes_args(serve: Any) -> bool:
    """Whether *serve* is a function of the three in one dict, and not an app."""
    if not (inspect.isroutine(serve) or hasattr(serve, "func")):
        return False
    try:
        parameters = list(inspect.signature(serve).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    names = [parameter.name for parameter in positional]
    if len(positional) == 1:
        return names != ["scope"]
    return len(positional) == 2 and (names[1] == "context" or positional[1].default is not inspect.Parameter.empty)


def _serving(serve: Callable[..., Any], context: Callable[[Scope], dict[str, Any]], require_context: bool) -> ASGIApp:
    """An app that calls *serve*. It hears of no lifespan: it may count on every scope being a visitor's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        given = {"context": context(scope)} if require_context else {}
        result = serve({"scope": scope, "receive": receive, "send": send}, **given)
        if inspect.isawaitable(result):
            await result

    return app


def context_of(scope: Scope, workspace: str) -> dict[str, Any]:
    """Who calls, as the hub verified it: ``user`` (``id``, ``email``, ``is_anonymous``, ``scopes``), and ``ws``."""
    known = (scope.get("extensions") or {}).get("portico") or {}
    access = known.get("access", "anonymous")
    user: dict[str, Any] = {"id": "anonymous", "email": "", "is_anonymous": True, "scopes": []}
    if access == "key":
        user |= {"id": f"key:{known.get('key_id', '')}", "is_anonymous": False}
    elif access == "user":
        user["is_anonymous"] = False
    given = known.get("user")
    if isinstance(given, dict):
        user |= given
    return {"user": user, "ws": known.get("workspace") or workspace}
