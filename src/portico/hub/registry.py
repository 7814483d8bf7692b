"""What is live in a workspace, and the rules of names: who may take one, and what is said of one that is gone.

Services, replicas and sessions themselves are in `portico.hub.replicas`. How long a name is held for a provider that is
gone is decided in `portico.hub.holding`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

from portico.bounded import BoundedCache
from portico.errors import NameTaken, Refused
from portico.hub import routing
from portico.hub.config import HubConfig
from portico.hub.descriptor import Descriptor, Principal
from portico.hub.fair_use import NoRoom, Shares
from portico.hub.replicas import ProviderSession, PublishedService, Replica
from portico.link import Link

_TOMBSTONES = 1000  # names that are gone, of which is remembered why: the newest


class Registry:
    """All of it, for one workspace."""

    def __init__(self, config: HubConfig) -> None:
        """Raises `Refused` where *config* names a routing policy that there is not."""
        routing.check(config.routing)
        self._config = config
        self.interstitial = False
        """Whether a browser is told, before a service's first page, that a stranger made it."""
        self.services: dict[str, PublishedService] = {}
        self.sessions: dict[str, ProviderSession] = {}
        self._gone: BoundedCache[str, tuple[str, str]] = BoundedCache(_TOMBSTONES, None, oldest_first=True)
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

    def join(
        self,
        session_id: str,
        epoch: int,
        principal: Principal,
        info: dict[str, Any],
        link: Link,
        features: Iterable[str] = (),
    ) -> ProviderSession:
        """A provider said HELLO. Raises `Refused` for a session that is someone else's, or an older link of one."""
        session = self.sessions.get(session_id)
        if session is None:
            session = self.sessions[session_id] = ProviderSession(session_id, principal, info, link, epoch)
            session.features = frozenset(features)
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
        session.features = frozenset(features)
        session.let_go()
        self._wake(session)
        return session

    def restore(self, value: dict[str, Any], owner: str) -> ProviderSession | None:
        """Hold a name again that was held when this hub stopped, for whoever speaks for *owner*.

        *value* is as in a REGISTER frame. None for one that is not let in any more, or is here already.
        """
        try:
            descriptor = self._read(value)
        except Refused:
            return None
        if descriptor.name in self.services:
            return None
        session = ProviderSession(f"held:{next(self._counter)}", Principal(id=owner), {}, None, 0, lost_at=0.0)
        self.sessions[session.id] = session
        session.services.add(descriptor.name)
        self._names.take(owner)
        self.services[descriptor.name] = PublishedService(
            descriptor, [Replica(session, capabilities=descriptor.capabilities, tools=descriptor.tools)]
        )
        return session

    def unlinked(self, session: ProviderSession, now: float) -> None:
        """The session's link is lost; its names are held (`drop` ends that)."""
        session.link = None
        session.lost_at = now
        self._wake(session)

    def stalled(self, session: ProviderSession, stalled: bool) -> None:
        session.stalled = stalled
        self._wake(session)

    def _wake(self, session: ProviderSession) -> None:
        for name in session.services:
            self.services[name].wake()
            self._tell("status", name)

    def drop(self, session: ProviderSession, reason: str) -> None:
        """Forget the session. *reason* is what visitors of the services that it alone held are told; "" for nothing."""
        self.sessions.pop(session.id, None)
        session.link = None
        session.let_go()
        for name in tuple(session.services):
            self._remove(session, name, reason)

    # --- services -----------------------------------------------------------------------------------------------

    def register(
        self, session: ProviderSession, value: dict[str, Any]
    ) -> tuple[PublishedService, list[ProviderSession]]:
        """Publish what a REGISTER frame describes; returns the service and the sessions that it was taken from.

        Raises `NameTaken` or `Refused`.
        """
        descriptor = self._read(value)
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
            service = self.services[name] = former or PublishedService(descriptor)
            what = "registered"
        else:
            what = "updated"
        service.descriptor = descriptor
        if name not in session.services:
            session.services.add(name)
            if not _holds(service, owner):
                self._names.take(owner)
            service.replicas.append(Replica(session))
        for replica in service.replicas:
            if replica.session is session:
                replica.tag = descriptor.tag
                replica.capabilities = descriptor.capabilities
                replica.tools = descriptor.tools
        self._gone.forget(name)
        service.wake()
        self._tell(what, name)
        return service, replaced

    def _read(self, value: dict[str, Any]) -> Descriptor:
        descriptor = Descriptor.read(value, self._config)
        routing.check(descriptor.routing)
        return descriptor

    @staticmethod
    def _check_joins(
        service: PublishedService,
        descriptor: Descriptor,
        value: dict[str, Any],
        session: ProviderSession,
        others: list[ProviderSession],
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
    def _may_succeed(other: ProviderSession, session: ProviderSession) -> bool:
        """Whether *session* takes the name without a word: the same kernel after a restart, or an abandoned one."""
        if session.principal.kernel_id:
            return other.principal.kernel_id == session.principal.kernel_id
        return not other.linked and other.principal == session.principal

    def unregister(self, session: ProviderSession, name: str) -> bool:
        """The provider takes a service back."""
        if name not in session.services:
            return False
        self._remove(session, name, "")
        return True

    def remove(self, name: str) -> list[ProviderSession]:
        """Take a service down whoever holds it; returns those who must be told."""
        service = self.services.get(name)
        if service is None:
            return []
        sessions = [replica.session for replica in service.replicas]
        for session in sessions:
            self._remove(session, name, "")
        return sessions

    def _remove(self, session: ProviderSession, name: str, reason: str) -> None:
        session.services.discard(name)
        if not session.linked and not session.services:  # nothing is held for it any more
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
            self._gone.keep(name, (reason, service.descriptor.access))
        self._tell("removed", name)

    def why_gone(self, name: str) -> str | None:
        """Why a service that was here is not, if that is known."""
        return self._gone.get(name, (None, ""))[0]

    def access_of_gone(self, name: str) -> str:
        """The access that a service had which is not here any more; ``private`` if nothing is known of it."""
        return self._gone.get(name, ("", "private"))[1]


def _holds(service: PublishedService | None, owner: str) -> bool:
    """Whether a principal has a replica of the service."""
    return service is not None and any(replica.session.principal.id == owner for replica in service.replicas)


def _taken(name: str, holder: ProviderSession) -> str:
    return (
        f"{name!r} is held by {_where(holder)}. Choose another name, take it over with --replace, "
        "or share its requests with --replica."
    )


def _anothers(name: str, holder: ProviderSession) -> str:
    """Says whose it is, and not where: another user's machine is theirs to speak of."""
    user = holder.principal.id.removeprefix("user:")
    return (
        f"{name!r} is held by another user, {user}. Choose another name, or ask {user} to stop it; "
        "to take it over, or to share its requests, a token needs the scope 'manage'."
    )


def _where(holder: ProviderSession) -> str:
    known = holder.holder
    where = (
        f"the notebook {known['notebook']}"
        if known["notebook"]
        else (f"the process {known['pid']} on {known['host']}" if known["pid"] else "another provider")
    )
    return where + (f" (kernel {known['kernel_id']})" if known["kernel_id"] else "")
