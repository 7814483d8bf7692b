"""What is live: services, their replicas, and the sessions that published them.

The rules of names are here: who may take one, how long it is held for whom, what is said of one that is gone. Time and
the question whether a kernel lives come from outside (`portico.hub.links`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from portico import foreign
from portico.errors import NameTaken, Refused
from portico.hub.config import HubConfig
from portico.hub.descriptor import Descriptor
from portico.hub.shares import NoRoom, Shares
from portico.link import Link

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

    def may_take_from(self, holder: Principal) -> bool:
        """Whether it may have a name that *holder* has: take it over, or share its requests.

        A kernel's hub is one user's, and all of its kernels are theirs.
        """
        return self.manages or bool(self.kernel_id) or holder.id == self.id


def _shown(value: object) -> str:
    """What a provider says of itself. It may say anything: what is nested is not walked through."""
    return foreign.text(value, _MAX_INFO) if isinstance(value, (str, int, float)) else ""


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
    callers: dict[str, int] = field(default_factory=dict)
    """How many streams each caller (`VisitorRequest.caller`) has on its links."""
    holding: Callable[[], None] | None = None
    """Ends what holds it while it has no link (`portico.hub.links`)."""

    def let_go(self) -> None:
        """It is held no more: its provider is back, or it is dropped."""
        holding, self.holding = self.holding, None
        if holding is not None:
            holding()

    @property
    def holder(self) -> dict[str, str]:
        """Who holds a name, for the one who was refused it, and for lists."""
        known = {key: _shown(self.info.get(key)) for key in ("notebook", "host", "pid", "kind")}
        return {"kernel_id": self.principal.kernel_id, **known}


@dataclass(eq=False, slots=True)
class Replica:
    """One session's registration of a service."""

    session: Session
    in_flight: int = 0
    requests: int = 0
    last_turn: int = 0
    """Which request of the service was its newest."""

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
    waiting: int = 0
    """Requests that wait for one."""

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
        self._names = Shares(config.services_of_user)
        """How many names each principal holds."""

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
        beyond = sorted(name for name in session.services if not principal.may_publish(name))
        if beyond:  # another token of the same user, which may do less
            raise Refused(f"this session serves {beyond[0]!r}, which this token may not publish; begin a new session")
        session.epoch, session.info, session.principal = epoch, info, principal
        session.link, session.stalled, session.lost_at = link, False, None
        session.let_go()
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
        self._names.take(owner)
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
        session.let_go()
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
        owner = session.principal.id
        # everything is decided before anything is done, so that who is refused has changed nothing
        others = [r.session for r in service.replicas if r.session is not session] if service is not None else []
        successor = [other for other in others if self._may_succeed(other, session)]
        others = [other for other in others if other not in successor]
        replaced = successor
        if others:
            assert service is not None
            self._check_joins(service, descriptor, value, session, others)
            if value.get("replace") is True:
                replaced = successor + others
        if service is None and len(self.services) >= self._config.max_services:
            raise Refused(f"This server holds {self._config.max_services} services already; stop one.", "full")
        if not _holds(service, owner) and not self._names.has_room(owner):
            raise NoRoom(
                "services_of_user",
                f"You hold {self._names.of_one} names here already, which is your share "
                "(max_services_of_user); stop some of your services.",
            )
        for other in replaced:
            self._remove(other, name, "")
        service = self.services.get(name)
        if service is None:
            if former is not None:  # whoever waits for the provider that held the name goes to the one that took it
                former.created, former.requests = time.time(), 0
            service = self.services[name] = former or Service(descriptor)
            what = "registered"
        else:
            what = "updated"
        service.descriptor = descriptor
        if name not in session.services:
            session.services.add(name)
            if not _holds(service, owner):
                self._names.take(owner)
            service.replicas.append(Replica(session))
        self._gone.pop(name, None)
        service.wake()
        self._tell(what, name)
        return service, replaced

    @staticmethod
    def _check_joins(
        service: Service, descriptor: Descriptor, value: dict[str, Any], session: Session, others: list[Session]
    ) -> None:
        """Whether *session* may have a name that *others* hold, in place of them or beside them.

        Raises `NameTaken` or `Refused`.
        """
        name, held = descriptor.name, service.descriptor
        replace, replica = value.get("replace") is True, value.get("replica") is True
        foreign = next((other for other in others if not session.principal.may_take_from(other.principal)), None)
        if foreign is not None:
            raise NameTaken(_anothers(name, foreign))
        if replace:
            return
        if not replica:
            raise NameTaken(_taken(name, others[0]), others[0].holder)
        if descriptor.access != held.access:
            raise Refused(f"{name!r} is {held.access}; a replica of it cannot be {descriptor.access}.", "access")
        if descriptor.origins != held.origins:
            raise Refused(f"a replica of {name!r} must name the same origins: {held.origins}", "access")
        if descriptor.conditions != held.conditions:
            raise Refused(f"a replica of {name!r} must have the same conditions, its password too", "access")

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
        if session.link is None and not session.services:  # nothing is held for it any more
            self.sessions.pop(session.id, None)
            session.let_go()
        service = self.services.get(name)
        if service is None:
            return
        owner = session.principal.id
        held = _holds(service, owner)
        service.replicas = [replica for replica in service.replicas if replica.session is not session]
        if held and not _holds(service, owner):
            self._names.give_back(owner)
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


def _holds(service: Service | None, owner: str) -> bool:
    """Whether a principal has a replica of the service."""
    return service is not None and any(replica.session.principal.id == owner for replica in service.replicas)


def _taken(name: str, holder: Session) -> str:
    return (
        f"{name!r} is held by {_where(holder)}. Choose another name, take it over with --replace, "
        "or share its requests with --replica."
    )


def _anothers(name: str, holder: Session) -> str:
    """Says whose it is, and not where: another user's machine is theirs to speak of."""
    user = holder.principal.id.removeprefix("user:")
    return (
        f"{name!r} is held by another user, {user}. Choose another name, or ask {user} to stop it; "
        "to take it over, or to share its requests, a token needs the scope 'manage'."
    )


def _where(holder: Session) -> str:
    known = holder.holder
    where = (
        f"the notebook {known['notebook']}"
        if known["notebook"]
        else (f"the process {known['pid']} on {known['host']}" if known["pid"] else "another provider")
    )
    return where + (f" (kernel {known['kernel_id']})" if known["kernel_id"] else "")
