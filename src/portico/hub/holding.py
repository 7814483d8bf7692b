"""What becomes of the names of a provider that has lost its link: they are held for a while, as it may be back.

For a kernel they are held as long as it lives, for anyone else as long as its tenancy says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from portico.hub.config import HubConfig
from portico.hub.fair_use import Refusals
from portico.hub.replicas import ProviderSession
from portico.hub.tenancy import Tenancy

logger = logging.getLogger(__name__)

KernelLives = Callable[[str, int | None], Awaitable[bool]]
"""Whether the kernel of an id still runs, as the process of that pid (or of an unknown one: None)."""

KERNEL_GONE = "The kernel that served this has gone. Run its notebook again to bring it back."
PROVIDER_GONE = "The process that served this has gone. Start it again to bring it back."

_FIRST_POLL = 0.1  # seconds: a process that is being killed drops its connections a little before it is gone


class HeldSessions:
    """The sessions without a link whose names are held."""

    def __init__(
        self,
        config: HubConfig,
        kernel_lives: KernelLives,
        refusals: Refusals,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """*refusals* counts the sessions that are dropped as their owner left too many. *spawn* begins a task."""
        self._config = config
        self._kernel_lives = kernel_lives
        self._refusals = refusals
        self._spawn = spawn
        self.of_owner: dict[str, dict[ProviderSession, Tenancy]] = {}
        """By whose they are, the longest held first."""

    def let_go(self) -> None:
        """Stop looking after them: the hub stops."""
        for session in [session for sessions in self.of_owner.values() for session in sessions]:
            session.let_go()

    def hold(self, session: ProviderSession, tenancy: Tenancy) -> None:
        """Hold the names of a session without a link for as long as its tenancy allows; then drop it.

        So many sessions of one owner are held as it may have links, or names, if those are more: after a restart each
        name is a session's. Of more, the one that was lost first is dropped.
        """
        owner, kernel_id = session.principal.id, session.principal.kernel_id
        held = self.of_owner.setdefault(owner, {})
        end: Callable[[], object]
        if kernel_id:
            end = self._spawn(self._hold_for_kernel(session, tenancy)).cancel
        else:
            end = asyncio.get_running_loop().call_later(tenancy.hold, self.give_up, session, tenancy).cancel

        def let_go() -> None:
            end()
            del held[session]
            if not held and self.of_owner.get(owner) is held:
                del self.of_owner[owner]

        held[session], session.holding = tenancy, let_go
        if len(held) > max(self._config.links_of_user, self._config.services_of_user):
            first = next(iter(held))
            self._refusals.add("sessions_held_of_user", f"{owner} left more sessions than are held for it")
            self.give_up(first, held[first])

    @staticmethod
    def give_up(session: ProviderSession, tenancy: Tenancy) -> None:
        """Forget a session, and say of its names why they are gone."""
        tenancy.registry.drop(session, KERNEL_GONE if session.principal.kernel_id else PROVIDER_GONE)

    async def _hold_for_kernel(self, session: ProviderSession, tenancy: Tenancy) -> None:
        """Keep a lost session's names for as long as its kernel lives."""
        wait = min(_FIRST_POLL, self._config.kernel_poll)
        while await self._lives(session):
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._config.kernel_poll)
        self.give_up(session, tenancy)

    async def _lives(self, session: ProviderSession) -> bool:
        """Whether the session's kernel still runs; yes, while it cannot be known."""
        try:
            return await self._kernel_lives(session.principal.kernel_id, session.principal.process)
        except Exception:  # the kernel manager's own trouble (a gateway that is away) is no news of the kernel
            logger.warning("asking after kernel %s failed", session.principal.kernel_id, exc_info=True)
            return True
