"""What is live: services, their replicas, and the sessions that published them.

The rules of names are here: who may take one, how long it is held for whom, what is said of one that is gone. Time and
the question whether a kernel lives come from outside (`portico.hub.links`).
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from portico.errors import InvalidName, NameTaken, Refused
from portico.hub.conditions import Conditions
from portico.hub.config import HubConfig
from portico.link import Link
from portico.types import ServiceName, service_name

_TOMBSTONES = 1000
_MAX_INFO = 500  # characters of what a provider says of itself that others are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who speaks on a link or to the control API: a kernel (by its credential), a user, or whoever holds a token."""

    id: str
    """``kernel:<id>`` or ``user:<id>``. Who comes back with the same id may take its names up again."""
    kernel_id: str = ""
    process: int | None = None
    """The kernel's process, where it is known: after a restart the kernel is the same, and not the one that spoke."""
    token_id: str = field(default="", compare=False)
    """Of the token that it showed, where a token can be revoked: then its links end."""
    publishes: tuple[str, ...] | None = field(default=None, compare=False)
    """Patterns (``cat*``) of the names that it may publish; None for any."""
    manages: bool = field(default=True, compare=False)
    """Whether it sees and stops everything here, and makes keys for any service."""
    mints: bool = field(default=True, compare=False)
    """Whether it makes keys at all."""

    def may_publish(self, name: str) -> bool:
        return self.publishes is None or any(fnmatchcase(name, pattern) for pattern in self.publishes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A service as its provider describes it."""

    name: ServiceName
    title: str = ""
    kind: str = "app"
    models: tuple[str, ...] = ()
    access: str = "private"
    origins: tuple[str, ...] = ()
    conditions: Conditions | None = None
    """What must hold besides; None, as mostly, for nothing."""

    @staticmethod
    def read(value: dict[str, Any], config: HubConfig) -> Descriptor:
        """Check what a REGISTER frame holds. Raises `Refused`."""
        given = value.get("name", "")
        try:
            name = service_name(given if _is_text(given, 200) else "")
        except InvalidName as error:
            raise Refused(str(error), "invalid_name") from None
        access = value.get("access", "private")
        if access not in ("private", "key", "public"):
            raise Refused("access is private, key or public", "invalid_option")
        if access not in config.allowed_access:
            allowed = ", ".join(sorted(config.allowed_access))
            raise Refused(
                f"The administrator of this server does not allow {access!r} access, only: {allowed}.", "access"
            )
        title, kind = value.get("title", ""), value.get("kind", "app")
        models, origins = value.get("models", []), value.get("origins", [])
        if not (_is_text(title, 200) and _is_text(kind, 20)):
            raise Refused("title and kind are short texts of one line", "invalid_option")
        for items in (models, origins):
            if not (isinstance(items, list) and len(items) <= 100 and all(_is_text(item, 200) for item in items)):
                raise Refused("models and origins are lists of at most 100 short texts", "invalid_option")
        if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
            raise Refused("an origin is scheme and host, such as https://chat.example.com, or *", "invalid_option")
        conditions = Conditions.read(value.get("conditions"), config)
        if conditions is not None and conditions.password is not None and access != "public":
            raise Refused(
                f"A password goes with public access; {access!r} has its own ways to say who comes in.",
                "invalid_option",
            )
        return Descriptor(
            name=name,
            title=title,
            kind=kind,
            models=tuple(models),
            access=access,
            origins=tuple(origins),
            conditions=conditions,
        )


_ORIGIN = re.compile(r"https?://[^\s/?#@\\,]+")


def _is_text(value: object, longest: int) -> bool:
    """Whether *value* is one line of text that can be shown and logged."""
    return isinstance(value, str) and len(value) <= longest and (value.isprintable() or not value)


@dataclass(eq=False, slots=True)
class Session:
    """A provider's standing: who it is, its link while there is one, and what it published."""

    id: str
    principal: Principal
    info: dict[str, Any]
    link: Link | None
    epoch: int
    stalled: bool = False
    lost_at: float | None = None
    services: set[str] = field(default_factory=set)

    @property
    def holder(self) -> dict[str, str]:
        """Who holds a name, for the one who was refused it, and for lists."""
        known = {key: str(self.info.get(key, ""))[:_MAX_INFO] for key in ("notebook", "host", "pid", "kind")}
        return {"kernel_id": self.principal.kernel_id, **known}


@dataclass(eq=False, slots=True)
class Replica:
    """One session's registration of a service."""

    session: Session
    in_flight: int = 0
    requests: int = 0
    last_turn: int = 0
    """Which request of the service was its newest."""


@dataclass(eq=False, slots=True)
class Service:
    """A name, and those who answer for it."""

    descriptor: Descriptor
    replicas: list[Replica] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    requests: int = 0
    used: float = 0.0
    """When a request was last passed on to it, on the loop's clock."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when a replica comes or goes."""

    def wake(self) -> None:
        """Let those who wait for a replica look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def status(self) -> str:
        links = [replica.session.link for replica in self.replicas]
        if any(link is not None for link in links):
            return "stalled" if all(r.session.stalled for r in self.replicas if r.session.link) else "live"
        return "reconnecting"

    def pick(self, without: Replica | None = None) -> Replica | None:
        """The replica with the fewest requests in flight, of those that are linked; stalled ones only if all are.

        Of equals, the one whose last turn is longest ago.
        """
        best: Replica | None = None
        best_load = best_turn = 0
        for replica in self.replicas:
            link = replica.session.link
            if link is None or replica is without or not link.connection.can_open:
                continue
            load = replica.in_flight + (1_000_000 if replica.session.stalled else 0)
            if best is None or load < best_load or (load == best_load and replica.last_turn < best_turn):
                best, best_load, best_turn = replica, load, replica.last_turn
        return best


class Registry:
    """All of it, for one workspace."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self.interstitial = False
        """Whether a browser is told, before a service's first page, that a stranger made it."""
        self.services: dict[str, Service] = {}
        self.sessions: dict[str, Session] = {}
        self._gone: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Of services that are not here any more: why, and the access that they had."""
        self._listeners: list[Callable[[str, str], None]] = []
        self._counter = itertools.count(1)

    # --- listening ----------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        """Call *listener* with (what, name) at each change; returns how to stop.

        *what* is ``registered``, ``updated``, ``status`` or ``removed``.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self, what: str, name: str) -> None:
        for listener in tuple(self._listeners):
            listener(what, name)

    # --- sessions -----------------------------------------------------------------------------------------------

    def join(self, session_id: str, epoch: int, principal: Principal, info: dict[str, Any], link: Link) -> Session:
        """A provider said HELLO. Raises `Refused` for a session that is someone else's, or an older link of one."""
        session = self.sessions.get(session_id)
        if session is None:
            session = self.sessions[session_id] = Session(session_id, principal, info, link, epoch)
            return session
        if session.principal != principal:
            raise Refused("this session belongs to another provider")
        if epoch <= session.epoch:
            raise Refused("a newer link of this session is already here")
        session.epoch, session.info = epoch, info
        session.link, session.stalled, session.lost_at = link, False, None
        self._wake(session)
        return session

    def restore(self, value: dict[str, Any], owner: str) -> Session | None:
        """Hold a name again that was held when this hub stopped, for whoever speaks for *owner*.

        *value* is as in a REGISTER frame. None for one that is not let in any more, or is here already.
        """
        try:
            descriptor = Descriptor.read(value, self._config)
        except Refused:
            return None
        if descriptor.name in self.services:
            return None
        session = Session(f"held:{next(self._counter)}", Principal(id=owner), {}, None, 0, lost_at=0.0)
        self.sessions[session.id] = session
        session.services.add(descriptor.name)
        self.services[descriptor.name] = Service(descriptor, [Replica(session)])
        return session

    def unlinked(self, session: Session, now: float) -> None:
        """The session's link is lost; its names are held (`drop` ends that)."""
        session.link = None
        session.lost_at = now
        self._wake(session)

    def stalled(self, session: Session, stalled: bool) -> None:
        session.stalled = stalled
        self._wake(session)

    def _wake(self, session: Session) -> None:
        for name in session.services:
            self.services[name].wake()
            self._tell("status", name)

    def drop(self, session: Session, reason: str) -> None:
        """Forget the session. *reason* is what visitors of the services that it alone held are told; "" for nothing."""
        self.sessions.pop(session.id, None)
        session.link = None
        for name in tuple(session.services):
            self._remove(session, name, reason)

    # --- services -----------------------------------------------------------------------------------------------

    def register(self, session: Session, value: dict[str, Any]) -> tuple[Service, list[Session]]:
        """Publish what a REGISTER frame describes; returns the service and the sessions that it was taken from.

        Raises `NameTaken` or `Refused`.
        """
        descriptor = Descriptor.read(value, self._config)
        name = descriptor.name
        if not session.principal.may_publish(name):
            patterns = ", ".join(session.principal.publishes or ()) or "nothing"
            raise Refused(f"This token may not publish {name!r}, only: {patterns}.", "scope")
        former = service = self.services.get(name)
        replaced: list[Session] = []
        if service is not None:
            others = [replica.session for replica in service.replicas if replica.session is not session]
            successor = [other for other in others if self._may_succeed(other, session)]
            for other in successor:
                self._remove(other, name, "")
            replaced += successor
            others = [other for other in others if other not in successor]
            if others and value.get("replace") is True:
                for other in others:
                    self._remove(other, name, "")
                replaced += others
                others = []
            if others and value.get("replica") is not True:
                raise NameTaken(_taken(name, others[0]), others[0].holder)
            if others and descriptor.access != service.descriptor.access:
                raise Refused(
                    f"{name!r} is {service.descriptor.access}; a replica of it cannot be {descriptor.access}.", "access"
                )
            if others and descriptor.origins != service.descriptor.origins:
                raise Refused(
                    f"a replica of {name!r} must name the same origins: {service.descriptor.origins}", "access"
                )
            if others and descriptor.conditions != service.descriptor.conditions:
                raise Refused(f"a replica of {name!r} must have the same conditions, its password too", "access")
            service = self.services.get(name)
        if service is None:
            if len(self.services) >= self._config.max_services:
                raise Refused(f"This server holds {self._config.max_services} services already; stop one.", "full")
            if former is not None:  # whoever waits for the provider that held the name goes to the one that took it
                former.created, former.requests = time.time(), 0
            service = self.services[name] = former or Service(descriptor)
            what = "registered"
        else:
            what = "updated"
        service.descriptor = descriptor
        if name not in session.services:
            session.services.add(name)
            service.replicas.append(Replica(session))
        self._gone.pop(name, None)
        service.wake()
        self._tell(what, name)
        return service, replaced

    @staticmethod
    def _may_succeed(other: Session, session: Session) -> bool:
        """Whether *session* takes the name without a word: the same kernel after a restart, or an abandoned one."""
        if session.principal.kernel_id:
            return other.principal.kernel_id == session.principal.kernel_id
        return other.link is None and other.principal == session.principal

    def unregister(self, session: Session, name: str) -> bool:
        """The provider takes a service back."""
        if name not in session.services:
            return False
        self._remove(session, name, "")
        return True

    def remove(self, name: str) -> list[Session]:
        """Take a service down whoever holds it; returns those who must be told."""
        service = self.services.get(name)
        if service is None:
            return []
        sessions = [replica.session for replica in service.replicas]
        for session in sessions:
            self._remove(session, name, "")
        return sessions

    def _remove(self, session: Session, name: str, reason: str) -> None:
        session.services.discard(name)
        service = self.services.get(name)
        if service is None:
            return
        service.replicas = [replica for replica in service.replicas if replica.session is not session]
        service.wake()
        if service.replicas:
            self._tell("status", name)
            return
        del self.services[name]
        if reason:
            self._gone[name] = reason, service.descriptor.access
            if len(self._gone) > _TOMBSTONES:
                self._gone.popitem(last=False)
        self._tell("removed", name)

    def why_gone(self, name: str) -> str | None:
        """Why a service that was here is not, if that is known."""
        return self._gone.get(name, (None, ""))[0]

    def access_of_gone(self, name: str) -> str:
        """The access that a service had which is not here any more; ``private`` if nothing is known of it."""
        return self._gone.get(name, ("", "private"))[1]


def _taken(name: str, holder: Session) -> str:
    known = holder.holder
    where = (
        f"the notebook {known['notebook']}"
        if known["notebook"]
        else (f"the process {known['pid']} on {known['host']}" if known["pid"] else "another provider")
    )
    kernel = f" (kernel {known['kernel_id']})" if known["kernel_id"] else ""
    return (
        f"{name!r} is held by {where}{kernel}. Choose another name, take it over with --replace, "
        "or share its requests with --replica."
    )
