"""A hub of one workspace, put together, as the edge in Jupyter holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from portico.hub.callers import Identities
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.holding import KernelLives
from portico.hub.keys import KeyRing, KeyStore
from portico.hub.links import Links
from portico.hub.tenancy import Tenancy
from portico.hub.visits import Visits
from portico.hub.workspace import Workspace
from portico.link import Link
from portico.protocol.events import Hello
from portico.transports.transport import Transport

_SYNCHRONIZE = 2.0  # seconds: how soon a key that another server of this user revoked is refused here


class Hub:
    """The links of one workspace, and its upkeep."""

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
        self.visits = Visits()

        def tenancy(principal: Principal) -> Tenancy:
            base = base_url()
            return Tenancy(
                principal=principal,
                registry=self.workspace.registry,
                url_of=lambda name: f"{base}{name}/",
                base_url=base,
                hold=config.hold_name,
                info=welcome or {},
            )

        async def tenancy_of(hello: Hello) -> Tenancy:
            return tenancy(await authenticate(hello.token))

        self._tenancy, self._tenancy_of = tenancy, tenancy_of
        self.links = Links(config, authenticate=tenancy_of, kernel_lives=kernel_lives)
        self.workspace = workspace = Workspace(
            config, self.links, KeyRing(store), identities, self.visits, lambda name: f"{base_path}{name}/"
        )
        self.registry, self.keys = workspace.registry, workspace.keys
        self.gateway, self.control = workspace.gateway, workspace.control
        self._upkeep: asyncio.Task[None] | None = None

    def accept(self, transport: Transport, opener: Callable[[], Awaitable[Principal | None]] | None = None) -> Link:
        """Begin a link on *transport*; *opener* says who opened it, for a HELLO without a token."""
        if opener is None:
            return self.links.accept(transport)

        async def tenancy_of(hello: Hello) -> Tenancy:
            known = await opener() if not hello.token else None
            return self._tenancy(known) if known is not None else await self._tenancy_of(hello)

        return self.links.accept(transport, tenancy_of)

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
            await self.workspace.synchronize_keys()
