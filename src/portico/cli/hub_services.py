"""The pipelines of ``portico run`` as services of a hub: each is one, for as long as it is deployed.

Here: what keeps the two alike. Not here: which hub it is (`hub_flags`), and the server of its own that the same
pipelines have (`portico.pipelines.server.server`), by which they are deployed; a hub's visitors can only call them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from portico.adapters import pipelines
from portico.errors import LinkClosed, PorticoError
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.service_app import PipelineApp
from portico.provider.dial import Dial, dial_websocket
from portico.provider.discovery import HubAddress
from portico.provider.options import Options
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.thread import LoopThread
from portico.types import MAX_NAME, service_name, suggest_name

logger = logging.getLogger(__name__)

AGAIN = 30.0
"""Seconds until a hub that could not be reached at first is asked again: each try waits for it long enough itself."""

_GRACE = 3.0
"""Seconds for requests that came by the hub to end, as with `portico serve`."""

Say = Callable[[str], object]
"""Tells whoever started the server."""


@asynccontextmanager
async def hub_services(
    deployments: Deployments,
    address: HubAddress,
    *,
    options: Options | None = None,
    dial: Dial = dial_websocket,
    say: Say = lambda text: print(text, file=sys.stderr),
    again: float = AGAIN,
) -> AsyncIterator[HubServices]:
    """Have each of *deployments* as a service of the hub at *address* while the block lasts, on the running loop.

    What goes wrong with one is said by *say*, and keeps none of the others. A hub that cannot be reached is asked again
    after *again* seconds.
    """
    provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
    services = HubServices(deployments, address, options or Options(), provider, say, again)
    deployments.listeners.append(services.changed.set)
    following = asyncio.create_task(services.follow())
    try:
        yield services
    finally:
        deployments.listeners.remove(services.changed.set)
        following.cancel()
        await asyncio.wait([following])
        # A relay's visitors are told to wait for the next start; at one's own server the names are free at once.
        await provider.leave(_GRACE, hold=not address.own)


@dataclass(slots=True)
class _Served:
    """A deployment, and the service that it is."""

    deployment: Deployment
    service: Service
    app: PipelineApp


class HubServices:
    """Keeps a hub's services as a table of deployments is. On one event loop."""

    def __init__(
        self,
        deployments: Deployments,
        address: HubAddress,
        options: Options,
        provider: Provider,
        say: Say,
        again: float,
    ) -> None:
        self.changed = asyncio.Event()
        """Set when the table has changed."""
        self.changed.set()
        self.settled = asyncio.Event()
        """Set while the hub has all as the table has it."""
        self._deployments = deployments
        self._address = address
        self._options = options
        self._provider = provider
        self._say = say
        self._again = again
        self._served: dict[str, _Served] = {}
        """By the names of the pipelines."""
        self._refused: dict[str, Deployment] = {}
        """What the hub did not take: it is asked again when it is deployed anew."""

    @property
    def services(self) -> dict[str, Service]:
        """The services by the names of their pipelines."""
        return {name: served.service for name, served in self._served.items()}

    async def follow(self) -> None:
        """Follow the table, without end."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            self.settled.clear()
            await self._bring_about({**self._deployments.present})
            if not self.changed.is_set():
                self.settled.set()

    async def _bring_about(self, wanted: Mapping[str, Deployment]) -> None:
        for name in [name for name in self._served if name not in wanted]:
            await self._provider.stop(self._served.pop(name).service, "its pipeline was undeployed")
        for name in [name for name in self._refused if self._refused[name] is not wanted.get(name)]:
            del self._refused[name]
        new = [one for name, one in wanted.items() if name not in self._served and name not in self._refused]
        await asyncio.gather(*(self._publish(one) for one in new))  # each waits for its hub's answer
        for name, served in self._served.items():
            if (now := wanted.get(name)) is not None and now is not served.deployment:
                await self._swap(served, now)

    async def _publish(self, deployment: Deployment) -> None:
        name = deployment.name
        try:
            service = Service(
                service_name(self._free_name(name)), self._options, "app", (), "", provider=self._provider
            )

            def report(error: BaseException) -> None:
                service.log.report("the pipeline", error)
                logger.error("The pipeline %r failed", name, exc_info=error)

            app = PipelineApp(deployment, title=self._options.title, on_error=report)
            service._takes(pipelines.taken_of(app))
            self._served[name] = _Served(deployment, service, app)
            await self._provider.publish(service, app, self._address)
        except PorticoError as error:
            self._served.pop(name, None)
            self._refused[name] = deployment
            again = isinstance(error, LinkClosed)  # nobody has said no
            more = f". It is tried again in {self._again:g} s" if again else ""
            self._say(f"portico: the pipeline {name} is no service of {self._address.url}: {error}{more}")
            if again:
                asyncio.get_running_loop().call_later(self._again, self._try_again, deployment)
        else:
            self._say(f"{name}: {service.url}")

    def _try_again(self, deployment: Deployment) -> None:
        if self._refused.get(deployment.name) is deployment:
            del self._refused[deployment.name]
            self.changed.set()

    async def _swap(self, served: _Served, deployment: Deployment) -> None:
        """Serve *deployment* in the place of what is there: no request is lost."""
        before = served.service.descriptor()
        served.app.replace(deployment)
        served.deployment = deployment
        served.service._takes(pipelines.taken_of(served.app))
        if served.service.descriptor() != before:
            try:
                await self._provider.republish(served.service)
            except PorticoError as error:  # it answers as it should; the hub hears of it with the next link
                self._say(f"portico: {self._address.url} was not told of the new {deployment.name}: {error}")

    def _free_name(self, name: str) -> str:
        """A service's name for the pipeline *name*, which none of the others has."""
        taken = {served.service.name for served in self._served.values()}
        wanted = suggest_name(name) or "pipeline"
        free, number = wanted, 1
        while free in taken:
            number += 1
            end = f"-{number}"
            free = wanted[: MAX_NAME - len(end)].rstrip("-") + end
        return free
