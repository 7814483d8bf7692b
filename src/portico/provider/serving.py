"""`serve`: from a thing in a notebook or a script to a service with a URL."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from portico.asgi.adapt import adapt
from portico.asgi.wsgi import THREADS
from portico.errors import InvalidName, InvalidOption
from portico.provider import discovery
from portico.provider.options import Options
from portico.provider.provider import Provider, current
from portico.provider.service import AwaitableService, Service
from portico.provider.thread import on_loop
from portico.types import ASGIApp, service_name, suggest_name


@dataclass(frozen=True, slots=True)
class Taken:
    """A thing made ready to be served."""

    app: ASGIApp
    kind: str
    models: tuple[str, ...]
    how: str
    remarks: tuple[str, ...] = ()
    """What its author should be told of it."""


def is_chat(thing: Any) -> bool:
    """Whether *thing* was marked as a model (``@portico.model``), or is a list of such, or a dict of functions."""
    from portico.models import ChatServer
    from portico.models.registry import info_of

    if isinstance(thing, dict):
        return bool(thing) and all(is_chat(value) or inspect.isroutine(value) for value in thing.values())
    if isinstance(thing, list | tuple):
        return bool(thing) and all(info_of(one) is not None for one in thing)
    return isinstance(thing, ChatServer) or info_of(thing) is not None


def take(
    thing: Any,
    *,
    chat: bool = False,
    mount: str | None = None,
    threads: int = THREADS,
    report: Callable[[str, BaseException], None],
) -> Taken:
    """Make an ASGI app of *thing*: as chat model(s) if *chat* or if it is marked as one, else as an app.

    *mount* and *threads* as in `Options`. Raises `NotServable`, saying what was given and what would work.
    """
    if chat or is_chat(thing):
        from portico.models import ChatServer, chat_server

        server = (
            thing
            if isinstance(thing, ChatServer)
            else chat_server(thing, on_error=lambda error: report("the model", error))
        )
        ids = tuple(server.model_ids)
        return Taken(server, "chat", ids, _how(ids), tuple(server.remarks))
    adapted = adapt(thing, mount, threads)
    return Taken(adapted.app, "app", (), adapted.how)


def _how(ids: tuple[str, ...]) -> str:
    """What is served, for people."""
    if len(ids) > _NAMED:
        return f"{len(ids)} models, {', '.join(ids[:_NAMED])} and others"
    return f"chat model {', '.join(ids)}"


_NAMED = 5
"""Models that are named where people read of what is served: as many as fit a line."""


def _keep_stored(before: ASGIApp | None, now: ASGIApp) -> None:
    """Let a chat server that takes another's place go on with its stored responses."""
    from portico.models import ChatServer

    if isinstance(before, ChatServer) and isinstance(now, ChatServer):
        now.take_over(before)


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

    *app* is an ASGI app, a WSGI app, an object that carries one, or a chat function (*chat*). *name* becomes part of
    the URL; without one it is guessed. *access* is ``private`` (the hub's own users and keys), ``key`` (keys alone) or
    ``public``. *origins* are the other origins whose pages may call it (CORS). *hub* is a Jupyter server's URL, found
    by itself in a notebook. With *relay*, a relay's URL, it is served there instead, in the token's workspace or in
    *workspace*. *mount* ``strip`` is for an app that does not know of ASGI's root_path, and so answers everything with
    404; where that is known of its library, it need not be said. *threads* is how many requests a WSGI app works on at
    a time. *loop* is ``own`` (answers while a cell runs) or ``kernel`` (runs on the caller's loop).

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
    taken = take(app, chat=chat, mount=mount, threads=threads, report=service.log.report)
    service._takes(taken.app, taken.kind, taken.models, taken.how, taken.remarks)
    if (before := provider.services.get(checked)) is not None:
        _keep_stored(before.app, taken.app)
    if hub and relay:
        raise InvalidOption("give hub or relay, not both: Service.share serves by a relay too")
    address = discovery.find_relay(relay, token, workspace) if relay else discovery.find_hub(hub, token)
    if loop == "kernel":
        # Its startup needs the loop that this call is on: to wait here would be to wait for ever.
        provider.work.begin(provider.publish(service, on_loop(taken.app, _caller_loop()), address), service.log)
    else:
        provider.work.do(provider.publish(service, taken.app, address), service.log)
    return service


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

    Raises `NotServable` or `StartupFailed`, and keeps the old one, if the new one cannot be served.
    """
    from portico.models import ChatServer

    provider, server = service.provider, service.app
    if isinstance(server, ChatServer) and not isinstance(thing, ChatServer) and (chat or is_chat(thing)):
        server.replace(thing)  # stored responses stay
        service.remarks = tuple(server.remarks)
        models = tuple(server.model_ids)
        if models != service.models:
            service.models = models
            provider.work.do(provider.republish(service))
        return
    taken = take(
        thing, chat=chat, mount=service.options.mount, threads=service.options.threads, report=service.log.report
    )
    _keep_stored(server, taken.app)
    changed = (taken.kind, taken.models) != (service.kind, service.models)
    if service.options.loop == "kernel":
        provider.work.begin(replace(service, on_loop(taken.app, _caller_loop())), service.log)  # as in `serve`
    else:
        provider.work.do(replace(service, taken.app), service.log)
    service._takes(taken.app, taken.kind, taken.models, taken.how, taken.remarks)
    if changed:
        provider.work.do(provider.republish(service))


async def replace(service: Service, app: ASGIApp) -> None:
    """Put *app* in the place of the service's app: no request is lost; those in flight end on the old one.

    Runs on the provider's loop. Raises `StartupFailed`, and keeps the old app, if the new one does not start.
    """
    old = await service._start(app)
    if old is not None:
        service.provider.work.begin(old.retire())


def guess_name(app: Any) -> Any:
    """The name that *app* is served under if none is given."""
    name = getattr(app, "__name__", None) or "app"
    try:
        return service_name(suggest_name(str(name)))
    except InvalidName:
        return service_name("app")
