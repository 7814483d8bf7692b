"""A caller who hears of changes: of those that concern what this caller may see, and of no others.

Who listens is asked again who it is before each word: a key that was revoked hears nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from portico.hub.answers import Answer
from portico.hub.responders import Responder
from portico.hub.tools import catalog
from portico.hub.tools.agent import CallingAgent
from portico.hub.tools.base import AllTools
from portico.hub.tools.eras import SUBSCRIPTION_KEY
from portico.hub.tools.events import BEAT, BEAT_EVERY, EVENTS, event
from portico.hub.tools.messages import RequestId, notification, response
from portico.hub.tools.reply import BodyWriter
from portico.hub.visits import Visit

logger = logging.getLogger(__name__)

LIST_CHANGED: Final = "notifications/tools/list_changed"
_AFTER_EXPIRY = 0.05  # seconds: clocks are no finer


class ChangeListener:
    """One stream: the GET of a client with a handshake, or ``subscriptions/listen`` of 2026-07-28."""

    def __init__(
        self,
        all_tools: AllTools,
        visit: Visit,
        responder: Responder,
        agent: CallingAgent,
        subscription: RequestId | None = None,
        *,
        wants: bool = True,
    ) -> None:
        """*subscription* is the id of the request, None for a GET; *wants*: changes of tools were asked for."""
        self._all = all_tools
        self._visit = visit
        self._writer = BodyWriter(visit, responder)
        self._caller = agent.caller
        self._view = agent.view
        self._owner = agent.owner
        self._subscription = subscription
        self._wants = wants
        self._seen = self._now()
        """The services whose tools were told, and the digest of each."""
        self._wake = asyncio.Event()
        self._again = False
        """What was told may have been incomplete."""
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Open the stream. Raises an `Answer` (429) where there are too many."""
        listening = self._all.limits.listening
        if not listening.has_room(self._owner) or listening.full:
            raise Answer(
                429,
                "too_many_listeners",
                f"You listen for changes {listening.of_one} times already. Close some of these streams.",
                retry_after=10,
            )
        listening.take(self._owner)
        self._all.of.listeners.add(self)
        opening = BEAT
        if self._subscription is not None:
            asked = {"toolsListChanged": True} if self._wants else {}
            opening = event(
                notification(
                    "notifications/subscriptions/acknowledged", {"_meta": self._meta(), "notifications": asked}
                )
            )
        self._writer.begin(200, EVENTS, opening, False)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def visitor_left(self) -> None:
        self._writer.over = True
        if self._task is not None:
            self._task.cancel()

    def leave(self) -> None:
        """The hub stops."""
        self._leaving = True
        self._wake.set()

    # --- changes ------------------------------------------------------------------------------------------------

    def look(self, names: frozenset[str]) -> None:
        """Something has become of the services *names*."""
        if not self._wants:
            return
        registry, enforcer = self._all.registry, self._all.gateway.enforcer
        for name in names:
            service = registry.services.get(name)
            seen = (
                service.descriptor.tools.digest
                if service is not None and catalog.sees(self._view, service, enforcer) and catalog.is_there(service)
                else None
            )
            if self._seen.get(name) != seen:
                self._wake.set()
                return

    def look_again(self, name: str) -> None:
        """The tools of the service *name* are known only now."""
        if self._wants and name in self._seen:
            self._again = True
            self._wake.set()

    def _now(self) -> dict[str, str]:
        return {service.descriptor.name: service.descriptor.tools.digest for service in self._all.there(self._view)}

    # --- the stream ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._leaving and not self._writer.over:
                try:
                    async with asyncio.timeout(self._until()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                woken = self._wake.is_set()
                self._wake.clear()
                if self._leaving or not await self._is_same_caller():
                    break
                if self._wants and not woken:
                    await self._ask_again()
                await self._look_around()
            self._end()
        except Exception:  # nobody else would hear of it
            logger.exception("a stream of changes of tools has failed")
            self._writer.cut()
        finally:
            self._all.of.listeners.discard(self)
            self._all.limits.listening.give_back(self._owner)

    def _until(self) -> float:
        """Seconds until the next look: something may expire before the next sign of life."""
        expiry = catalog.next_expiry(self._all.services(self._view)) if self._wants else None
        if expiry is None:
            return BEAT_EVERY
        return min(BEAT_EVERY, max(0.0, expiry - time.time()) + _AFTER_EXPIRY)

    async def _look_around(self) -> None:
        now = self._now() if self._wants else self._seen
        changed = self._again or now != self._seen
        self._seen, self._again = now, False
        if changed:
            params = {"_meta": self._meta()} if self._subscription is not None else None
            written = self._writer.more(event(notification(LIST_CHANGED, params)))
        else:
            written = self._writer.more(BEAT)
        if written is not None:  # one who does not read hears one word of all that happens meanwhile
            await asyncio.wait((written,))

    async def _ask_again(self) -> None:
        """Ask providers that did not say what their tools take: nobody else might."""
        definitions = self._all.limits.definitions
        unknown = [service for service in self._all.there(self._view) if definitions.known(service) is None]
        if unknown:
            await definitions.learn(unknown, self._all.of.came_late)
            known = {service.descriptor.name for service in unknown if definitions.known(service) is not None}
            self._again = self._again or not known.isdisjoint(self._seen)

    async def _is_same_caller(self) -> bool:
        try:
            caller = await self._all.gateway.identify_program(self._visit)
        except Answer:
            return False
        return caller.visitor == self._caller.visitor

    def _end(self) -> None:
        if self._subscription is None:
            self._writer.more(b"", True)
        else:
            result = {"resultType": "complete", "_meta": self._meta()}
            self._writer.more(event(response(self._subscription, result)), True)

    def _meta(self) -> dict[str, Any]:
        return {SUBSCRIPTION_KEY: self._subscription}
