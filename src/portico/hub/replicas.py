"""Services, the replicas that answer for each, and the sessions of the providers that published them.

Here: what each of them knows of itself, such as how many requests a replica has in flight. That number is changed by
`portico.hub.forward` alone. Who may have which name is decided by the `registry`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portico import foreign
from portico.errors import LocalProtocolError
from portico.hub.descriptor import Descriptor, Principal
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Kind
from portico.protocol.events import Unregister
from portico.protocol.offer import NO_TOOLS, Capability, ToolList
from portico.types import Headers

_MAX_INFO = 500  # characters of what a provider says of itself that others are shown


def _shown(value: object) -> str:
    """What a provider says of itself. It may say anything: what is nested is not walked through."""
    return foreign.text(value, _MAX_INFO) if isinstance(value, (str, int, float)) else ""


@dataclass(eq=False, slots=True)
class ProviderSession:
    """A provider's standing: who it is, its link while there is one, and what it published."""

    id: str
    principal: Principal
    info: dict[str, Any]
    link: Link | None
    epoch: int
    stalled: bool = False
    lost_at: float | None = None
    features: frozenset[str] = frozenset()
    """What its provider can do that not every one can, as HELLO said (`portico.protocol.control.FEATURE`)."""
    services: set[str] = field(default_factory=set)
    callers: dict[str, int] = field(default_factory=dict)
    """How many streams each caller (`VisitorRequest.caller`) has on its links."""
    holding: Callable[[], None] | None = None
    """Ends what holds it while it has no link (`portico.hub.links`)."""

    @property
    def linked(self) -> bool:
        """Whether there is a link, be it one that is about to go."""
        return self.link is not None

    def let_go(self) -> None:
        """It is held no more: its provider is back, or it is dropped."""
        holding, self.holding = self.holding, None
        if holding is not None:
            holding()

    def tell_stopped(self, name: str) -> None:
        """Tell the provider, if it is there, that *name* was taken from it."""
        if self.link is not None:
            self.link.connection.send_unregister(Unregister(0, name))
            self.link.flush_soon()

    @property
    def holder(self) -> dict[str, str]:
        """Who holds a name, for the one who was refused it, and for lists."""
        known = {key: _shown(self.info.get(key)) for key in ("notebook", "host", "pid", "kind")}
        return {"kernel_id": self.principal.kernel_id, **known}


@dataclass(eq=False, slots=True)
class Replica:
    """One session's registration of a service."""

    session: ProviderSession
    in_flight: int = 0
    requests: int = 0
    last_turn: int = 0
    """Which request of the service was its newest."""
    tag: str = ""
    """As `Descriptor.tag`, of its own."""
    capabilities: tuple[Capability, ...] = ()
    """What it can do that a request may ask for."""
    tools: ToolList = NO_TOOLS
    """As `Descriptor.tools`, of its own."""

    # Where it is, a link of this hub's today, is nobody else's affair.

    @property
    def can_open(self) -> bool:
        """Whether `open` would be let through now."""
        link = self.session.link
        return link is not None and link.connection.can_open

    @property
    def linked(self) -> bool:
        """Whether its provider is there, be it about to go."""
        return self.session.link is not None

    @property
    def stays(self) -> bool:
        """Whether its provider is there and has not said that it goes: what it cannot take now it may take later."""
        link = self.session.link
        return link is not None and not link.closed and not link.connection.going_away

    @property
    def stalled(self) -> bool:
        """Whether its provider has been silent for longer than it should."""
        return self.session.stalled

    @property
    def status(self) -> str:
        """``live``, ``stalled`` or ``reconnecting``."""
        if self.session.link is None:
            return "reconnecting"
        return "stalled" if self.session.stalled else "live"

    def open(
        self,
        handler: StreamHandler,
        *,
        kind: Kind,
        service: str,
        method: str,
        scheme: str,
        http_version: str,
        raw_path: bytes,
        query: bytes,
        root_path: str,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        subprotocols: tuple[str, ...],
        identity: bytes,
        headers: Headers,
        fin: bool,
    ) -> Stream:
        """Open a stream, whose events go to *handler*. The rest is as in `Open`.

        Raises `LocalProtocolError` when `can_open` is False, or for a head that is longer than the provider reads.
        """
        link = self.session.link
        if link is None:
            raise LocalProtocolError("the provider has no link now")
        stream_id = link.connection.open_stream(
            kind=kind,
            service=service,
            method=method,
            scheme=scheme,
            http_version=http_version,
            raw_path=raw_path,
            query=query,
            root_path=root_path,
            client=client,
            server=server,
            subprotocols=subprotocols,
            identity=identity,
            headers=headers,
            fin=fin,
            now=link.time(),
        )
        return link.adopt(stream_id, handler)

    # How much of it is in use.

    def streams_of(self, caller: str) -> int:
        """How many streams *caller* has on the provider's link, of this service and of others."""
        return self.session.callers.get(caller, 0)

    def begin(self, caller: str) -> None:
        """One more request of *caller* is under way; "" counts for nobody."""
        self.in_flight += 1
        if caller:
            callers = self.session.callers
            callers[caller] = callers.get(caller, 0) + 1

    def end(self, caller: str) -> None:
        self.in_flight -= 1
        if caller:
            callers = self.session.callers
            left = callers[caller] - 1
            if left:
                callers[caller] = left
            else:
                del callers[caller]


@dataclass(eq=False, slots=True)
class PublishedService:
    """A name, and those who answer for it."""

    descriptor: Descriptor
    replicas: list[Replica] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    requests: int = 0
    used: float = 0.0
    """When a request was last passed on to it, of `time.monotonic`."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when a replica comes or goes."""
    waiting: int = 0
    """Requests that wait for one."""

    def wake(self) -> None:
        """Let those who wait for a replica look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def status(self) -> str:
        """``live``, ``stalled`` or ``reconnecting``: the best of its replicas'."""
        all_of_them = {replica.status for replica in self.replicas}
        return next((status for status in ("live", "stalled") if status in all_of_them), "reconnecting")

    @property
    def capabilities(self) -> list[Capability]:
        """What any of its replicas can do, each once."""
        every = (one for replica in self.replicas for one in replica.capabilities)
        return list({json.dumps(one, sort_keys=True): one for one in every}.values())  # 1 is not True here, as in JSON
