"""All tools behind one URL (``<jupyter>/portico/mcp``): what all requests under it share, and what one is told.

A workspace has one `WorkspaceTools`, an edge makes an `AllTools` for each base URL. A request on its way is
`portico.hub.tools.exchange`. Nothing here knows a web framework.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Protocol

from portico import foreign
from portico.hub.callers import Caller
from portico.hub.fair_use import Shares
from portico.hub.forward import Admission
from portico.hub.gateway import Gateway
from portico.hub.held_bodies import HeldBodies
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService
from portico.hub.request import Target
from portico.hub.tools import catalog
from portico.hub.tools.catalog import View
from portico.hub.tools.definitions import Definitions, Sized, ToolTold
from portico.hub.tools.messages import INVALID_PARAMS, MessageError
from portico.hub.visits import Visit
from portico.version import __version__

MOST_LISTENING, MOST_LISTENING_OF_ONE = 512, 32
"""Streams that tell of changes, of all callers and of one: each knows what its caller sees, tens of KiB at most."""

MOST_HELD: Final = 128 * 1024 * 1024
"""Bytes of requests and answers that are held until they are whole: thirty of the largest requests."""

MOST_OF_A_PAGE, MOST_BYTES_OF_A_PAGE = 100, 512 * 1024
"""Tools, and bytes of them, in one answer to ``tools/list``; the next page has the others."""

_MOST_INSTRUCTIONS = 30  # services that are named to a model before it asks for anything
_MOST_TITLE = 80  # characters of each title
_SOON = 0.05
"""Seconds between a change and telling it: what changes together is told together."""


class Hears(Protocol):
    """Who is told of changes."""

    def look(self, names: frozenset[str]) -> None:
        """Something has become of the services *names*."""

    def look_again(self, name: str) -> None:
        """The definitions of a service's tools have come late."""

    def leave(self) -> None:
        """There is nothing more to hear."""


class Cancellable(Protocol):
    """A call that is under way."""

    def cancel(self) -> None: ...


class ToolLimits:
    """What the workspaces of one hub share, so that none of them takes all."""

    def __init__(self) -> None:
        self.held = HeldBodies(MOST_HELD, "call tools", "send less at a time")
        self.definitions = Definitions()
        self.listening = Shares(MOST_LISTENING_OF_ONE, MOST_LISTENING)


class WorkspaceTools:
    """The tools of one workspace, those who hear of their changes, and the calls of old clients that are under way."""

    def __init__(self, gateway: Gateway, registry: Registry, limits: ToolLimits | None = None) -> None:
        self.gateway = gateway
        self.registry = registry
        self.limits = limits or ToolLimits()
        self.listeners: set[Hears] = set()
        self.calls: dict[object, Cancellable] = {}
        """By who makes it, in which session, under which id (`exchange`)."""
        self._changed: set[str] = set()
        self._telling: asyncio.TimerHandle | None = None
        registry.listen(self._note)

    def _note(self, what: str, name: str) -> None:
        """Something has become of a service: those whom it concerns hear of it soon."""
        if what in ("removed", "updated"):
            service = self.registry.services.get(name)
            self.limits.definitions.forget(name, [one.session for one in service.replicas] if service else [])
        if not self.listeners:
            return
        loop = asyncio.get_running_loop()
        if what == "status":  # a lost link: it may be back by the time that its tools are not told any more
            loop.call_later(catalog.GRACE + _SOON, self._tell, frozenset((name,)))
        self.changed(name)

    def changed(self, name: str) -> None:
        """What is told of the tools of a service may be other than before."""
        self._changed.add(name)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_SOON, self._tell_changed)

    def _tell_changed(self) -> None:
        self._telling = None
        names, self._changed = frozenset(self._changed), set()
        self._tell(names)

    def _tell(self, names: frozenset[str]) -> None:
        for listener in tuple(self.listeners):
            listener.look(names)

    def came_late(self, name: str) -> None:
        """The definitions of a service have come after a list was told without them."""
        for listener in tuple(self.listeners):
            listener.look_again(name)

    def leave(self) -> None:
        """The hub stops: those who listen are told that there is nothing more to hear."""
        for listener in tuple(self.listeners):
            listener.leave()


class AllTools:
    """One base URL, over the tools of one workspace. Cheap to make, and without state of its own."""

    __slots__ = ("base", "gateway", "limits", "of", "registry")

    def __init__(self, of: WorkspaceTools, base: str) -> None:
        """*base* is the path of the URL as requests have it, without a slash at its end: ``/portico/mcp``."""
        self.of = of
        self.gateway = of.gateway
        self.registry = of.registry
        self.limits = of.limits
        self.base = base.encode("latin-1")

    def services(self, view: View) -> Iterator[PublishedService]:
        """Those whose tools may be used, whether their providers are there or not."""
        return catalog.services(self.registry, self.gateway.enforcer, view)

    def there(self, view: View) -> Iterator[PublishedService]:
        """Those whose tools are told: their providers are there."""
        return (service for service in self.services(view) if catalog.is_there(service))

    def resolve(self, view: View, name: object) -> tuple[PublishedService, str]:
        """Whose tool *name* is, and what that calls it. Raises `MessageError`."""
        if not isinstance(name, str):
            raise MessageError(INVALID_PARAMS, "params.name must be the name of a tool.")
        found = catalog.resolve(self.registry, self.gateway.enforcer, view, name)
        if found is None:
            text = f"Unknown tool: {foreign.text(name, 100)}. tools/list has those that you may call."
            raise MessageError(INVALID_PARAMS, text)
        return found

    def admit(self, visit: Visit, caller: Caller, service: PublishedService) -> Admission:
        """Make the visit a call of *service*, and let *caller* in to it. Raises an `Answer` for a no."""
        name, prefix = service.descriptor.name, visit.request.prefix
        root_path = (prefix + name.encode()).decode("latin-1") if prefix else ""
        visit.target = Target(name, b"/mcp", b"", root_path)
        origin = visit.cors_origin
        admission = self.gateway.admit_caller(visit, caller, service)
        visit.cors_origin = origin  # which page may read the answer was decided for the URL
        return admission

    # --- what is told -------------------------------------------------------------------------------------------

    async def page(self, view: View, cursor: object) -> tuple[list[ToolTold], str | None]:
        """The tools after *cursor*, as many as one answer holds, and the cursor of the next page.

        Raises `MessageError` for a cursor that is none of ours.
        """
        if cursor is not None and not (isinstance(cursor, str) and 0 < len(cursor) <= 64 and "__" in cursor):
            raise MessageError(INVALID_PARAMS, "The cursor is none that tools/list gave.")
        after = cursor if isinstance(cursor, str) else ""
        owner = after.partition("__")[0]
        services = [service for service in self.there(view) if service.descriptor.name >= owner]
        definitions = self.limits.definitions
        unknown = [service for service in services if definitions.known(service) is None]
        if unknown:
            await definitions.learn(unknown, self.of.came_late)
        told: list[ToolTold] = []
        size = 0
        for service in services:
            tools = definitions.known(service) or []
            if service.descriptor.name == owner:
                tools = _after(after, tools)
            for tool, its_size in tools:
                if told and (len(told) >= MOST_OF_A_PAGE or size + its_size > MOST_BYTES_OF_A_PAGE):
                    return told, told[-1]["name"]
                told.append(tool)
                size += its_size
        return told, None

    def instructions(self, view: View) -> str:
        """What a model is told before it asks for anything: which services there are."""
        services = list(self.there(view))
        lines = ["Tools that people serve live from notebooks and programs, by Portico. Each is named SERVICE__TOOL."]
        if not services:
            lines.append("None is served now. The list changes as services come and go.")
        for service in services[:_MOST_INSTRUCTIONS]:
            descriptor = service.descriptor
            title = foreign.text(descriptor.title, _MOST_TITLE)
            count = len(descriptor.tools.names)
            lines.append(
                f"- {descriptor.name}: {f'{title}, ' if title and title != descriptor.name else ''}"
                f"{count} tool{'s' if count != 1 else ''}"
            )
        if len(services) > _MOST_INSTRUCTIONS:
            lines.append(f"- and {len(services) - _MOST_INSTRUCTIONS} services more")
        return "\n".join(lines)


def _after(name: str, tools: list[Sized]) -> list[Sized]:
    """What comes after the tool *name*; none, if it is gone: the next page begins with the next service."""
    place = next((place for place, (tool, _) in enumerate(tools) if tool["name"] == name), None)
    return tools[place + 1 :] if place is not None else []


SERVER: Final = {"name": "portico", "title": "Portico", "version": __version__}
"""Who speaks (``serverInfo``)."""
