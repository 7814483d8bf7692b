"""`serve`: from a thing in a notebook or a script to a service with a URL."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from portico.adapters import functions, pipelines
from portico.adapters.take import take
from portico.adapters.taken import Taken, TakeOptions
from portico.adapters.wiring import Wiring
from portico.asgi.wsgi import THREADS
from portico.errors import InvalidName, InvalidOption
from portico.pipelines.deployment import Wires
from portico.provider import discovery
from portico.provider.discovery import HubAddress
from portico.provider.options import Options
from portico.provider.provider import Provider, current
from portico.provider.service import AwaitableService, Service
from portico.provider.thread import on_loop
from portico.types import ASGIApp, service_name, suggest_name


def _keep_stored(before: ASGIApp | None, now: ASGIApp) -> None:
    """Let a server of models that takes another's place go on with its stored responses."""
    from portico.models import ChatServer

    if isinstance(before, ChatServer) and isinstance(now, ChatServer):
        now.take_over(before)
    elif pipelines.is_app(before) and pipelines.is_app(now):
        now.keep_stored(before)  # type: ignore[attr-defined]  # PipelineApps


def serve(
    app: Any,
    name: str | None = None,
    *,
    title: str = "",
    access: str = "private",
    origins: Iterable[str] = (),
    chat: bool = False,
    replace: bool = False,
    replica: bool = False,
    inputs: Wires | None = None,
    outputs: Wires | None = None,
    settings: Mapping[str, Any] | None = None,
    mount: str | None = None,
    threads: int = THREADS,
    loop: str = "own",
    hub: str = "",
    relay: str = "",
    token: str = "",
    workspace: str = "",
    provider: Provider | None = None,
) -> AwaitableService:
    """Give *app* a live URL, and return its `Service`.

    *app* is an ASGI app, a WSGI app, an object that carries one, a function, a list or dict of functions, an object
    with typed methods, a chat function (*chat*), a pipeline's wrapper, a Haystack pipeline or agent, or what another
    package's adapter takes (`portico.adapters`). *name* becomes part of the URL; without one it is guessed. *access* is
    ``private`` (the hub's own users and keys), ``key`` (keys alone) or ``public``. *origins* are the other origins
    whose pages may call it (CORS). *hub* is a Jupyter server's URL, found by itself in a notebook. With *relay*, a
    relay's URL, it is served there instead, in the token's workspace or in *workspace*. *inputs* and *outputs* are a
    Haystack pipeline's: by name, sockets of its components (``{"question": "prompt.query"}``); *settings* are what a
    wrapper's ``setup`` is given. *mount* ``strip`` is for an app that does not know of ASGI's root_path, and so answers
    everything with 404; where that is known of its library, it need not be said. *threads* is how many requests a WSGI
    app works on at a time. *loop* is ``own`` (answers while a cell runs) or ``kernel`` (runs on the caller's loop).

    Live on return where threads exist (not with *loop* ``kernel``: await it, or look at ``status``); awaitable
    everywhere. In a browser tab, under Pyodide: ``await portico.serve(...)``; where the browser can switch stacks
    (JSPI), it is live on return there too. Served again under the same name, it replaces the app.

    Raises `NotServable`, `InvalidName`, `InvalidOption`, `NoHub`, `StartupFailed` (the app's own startup failed),
    `NameTaken` or `Refused` (by the hub), `LinkClosed` (the hub cannot be reached).
    """
    provider = provider or current()
    options = Options(
        title=title,
        access=access,
        origins=tuple(origins),
        replace=replace,
        replica=replica,
        mount=mount,
        threads=threads,
        loop=loop,
    )
    checked = service_name(name) if name else guess_name(app)
    service = AwaitableService(checked, options, "app", (), "", provider=provider)
    service.wiring = Wiring(inputs=inputs, outputs=outputs, settings=settings or {})
    taken = take(app, _asked(service, chat))
    service._takes(taken)
    if (before := provider.services.get(checked)) is not None:
        _keep_stored(before.app, taken.app)
    if hub and relay:
        raise InvalidOption("give hub or relay, not both: Service.share serves by a relay too")
    address = discovery.find_relay(relay, token, workspace) if relay else discovery.find_hub(hub, token)
    if loop == "kernel":
        # Its startup needs the loop that this call is on: to wait here would be to wait for ever.
        app = on_loop(taken.app, _caller_loop())
        provider.work.begin(_publish(provider, service, app, address, before), service.log)
    else:
        provider.work.do(_publish(provider, service, taken.app, address, before), service.log)
    return service


_GOES_ON = (functions.KIND, pipelines.KIND)
"""Kinds of services whose agents go on when another takes the place."""


async def _publish(
    provider: Provider, service: Service, app: ASGIApp, address: HubAddress, before: Service | None
) -> None:
    """Publish *service*, whose app is *app*. Agents that talk to the functions of *before* go on with its own."""
    await provider.publish(service, app, address)
    alike = before is not None and service.kind == before.kind and service.kind in _GOES_ON
    if alike and before is not None and before.status == "stopped":
        service.app.take_over(before.app)  # type: ignore[union-attr]  # FunctionsServers, PipelineApps


def service(name: str) -> Service:
    """The service of that *name* which this process serves, wherever it was served from. Or `InvalidName`."""
    services = current().services
    found = services.get(name) or services.get(suggest_name(name))
    if found is None:
        raise InvalidName(f"no service named {name!r} here; this process serves {', '.join(services) or 'nothing'}")
    return found


def _caller_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidOption("loop='kernel' needs a running event loop: call serve in a cell or a coroutine") from None


def renew(service: Service, thing: Any, *, chat: bool = False) -> None:
    """Put *thing* in the place of what *service* serves; requests in flight end on the old one.

    Raises `NotServable`, `InvalidOption` or `StartupFailed`, and keeps the old one, if the new one cannot be served.
    """
    provider = service.provider
    taken = take(thing, _asked(service, chat))
    service._check(taken)
    before = service.descriptor()
    if (kept := _in_place(service.app, thing, taken)) is not None:
        taken = kept
    else:
        _keep_stored(service.app, taken.app)
        if service.options.loop == "kernel":
            provider.work.begin(replace(service, on_loop(taken.app, _caller_loop())), service.log)  # as in `serve`
        else:
            provider.work.do(replace(service, taken.app), service.log)
    service._takes(taken)
    if service.descriptor() != before:
        provider.work.do(provider.republish(service))


def _in_place(server: ASGIApp | None, thing: Any, taken: Taken) -> Taken | None:
    """*taken*, served by the *server* that is there: with its stored responses, its sessions, and those who listen.

    None where another server has to take its place.
    """
    if taken.app is thing or type(server) is not type(taken.app):
        return None
    if taken.kind == "chat":
        server.replace(thing)  # type: ignore[union-attr]  # a ChatServer
    elif taken.kind == functions.KIND:
        server.replace(taken.app.functions)  # type: ignore[union-attr]  # a FunctionsServer
    elif taken.kind == pipelines.KIND:
        server.replace(taken.app.deployment)  # type: ignore[union-attr]  # a PipelineApp
    else:
        return None
    return dataclasses.replace(taken, app=server)


async def replace(service: Service, app: ASGIApp) -> None:
    """Put *app* in the place of the service's app: no request is lost; those in flight end on the old one.

    Runs on the provider's loop. Raises `StartupFailed`, and keeps the old app, if the new one does not start.
    """
    old = await service._start(app)
    if old is not None:
        service.provider.work.begin(old.retire())


def _asked(service: Service, chat: bool) -> TakeOptions:
    """How what *service* serves is to be taken."""
    options = service.options
    return TakeOptions(
        by="chat" if chat else "",
        name=service.name,
        title=options.title,
        mount=options.mount,
        threads=options.threads,
        report=service.log.report,
        wiring=service.wiring,
    )


def guess_name(app: Any) -> Any:
    """The name that *app* is served under if none is given."""
    try:
        own = pipelines.own_name(app) if pipelines.claims(app) else functions.own_name(app)
        return service_name(suggest_name(own) or "app")
    except Exception:  # noqa: BLE001 - it cannot be a name; or it is an object whose own code raises at the question
        return service_name("app")
