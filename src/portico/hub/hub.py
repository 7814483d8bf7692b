"""A hub, put together: the rooms of this package, wired to each other. The edges hold one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from portico.hub.config import HubConfig
from portico.hub.control import Control
from portico.hub.descriptor import Principal
from portico.hub.gateway import Gateway, Identities
from portico.hub.keys import KeyRing, KeyStore
from portico.hub.links import KernelLives, Links, Place
from portico.hub.registry import Registry
from portico.link import Link
from portico.protocol.events import Hello
from portico.transports.transport import Transport

logger = logging.getLogger(__name__)

_SYNCHRONIZE = 2.0  # seconds: how soon a key that another server of this user revoked is refused here


class Hub:
    """Everything that is decided, for one workspace."""

    def __init__(
        self,
        config: HubConfig,
        *,
        store: KeyStore,
        identities: Identities,
        authenticate: Callable[[str], Awaitable[Principal]],
        kernel_lives: KernelLives,
        base_path: str,
        base_url: Callable[[], str],
        welcome: dict[str, object] | None = None,
    ) -> None:
        """*authenticate* says whose a provider's token is, or raises `Refused`; *welcome* is told to providers."""
        self.config = config
        self.registry = Registry(config)
        self.keys = KeyRing(store)

        def place(principal: Principal) -> Place:
            base = base_url()
            return Place(
                principal=principal,
                registry=self.registry,
                url_of=lambda name: f"{base}{name}/",
                base_url=base,
                hold=config.hold_name,
                info=welcome or {},
            )

        async def place_of(hello: Hello) -> Place:
            return place(await authenticate(hello.token))

        self._place, self._place_of = place, place_of
        self.links = Links(config, authenticate=place_of, kernel_lives=kernel_lives)
        self.gateway = Gateway(config, self.registry, self.keys, identities)
        self.control = Control(config, self.registry, self.links, self.keys, lambda name: f"{base_path}{name}/")
        self._upkeep: asyncio.Task[None] | None = None

    def accept(self, transport: Transport, opener: Callable[[], Awaitable[Principal | None]] | None = None) -> Link:
        """Begin a link on *transport*; *opener* says who opened it, for a HELLO without a token."""
        if opener is None:
            return self.links.accept(transport)

        async def place_of(hello: Hello) -> Place:
            known = await opener() if not hello.token else None
            return self._place(known) if known is not None else await self._place_of(hello)

        return self.links.accept(transport, place_of)

    def start(self) -> None:
        """Begin the upkeep, on the running loop."""
        self._upkeep = asyncio.get_running_loop().create_task(self._keep_up())

    async def stop(self) -> None:
        """Close every link and write what is not written."""
        if self._upkeep is not None:
            self._upkeep.cancel()
        self.links.close()
        await self.keys.synchronize()

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(_SYNCHRONIZE)
            try:
                await self.keys.synchronize()
            except Exception:  # a disk that is full now may not be in two seconds
                logger.exception("the keys could not be written")
