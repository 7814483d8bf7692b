"""From a visitor who was let in to an open stream: find a replica, wait for one, try another where one refuses.

Nothing here asks who the visitor is (`portico.hub.gateway`), or what passes afterwards (`portico.hub.http_forward`,
`portico.hub.socket_forward`).
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from portico.bounded import BoundedCache
from portico.errors import LocalProtocolError
from portico.hub import answers, routing
from portico.hub.answers import Answer
from portico.hub.body_limit import check_length, most_of
from portico.hub.callers import Callers
from portico.hub.config import HubConfig
from portico.hub.enforcer import busy
from portico.hub.fair_use import Shares
from portico.hub.firewall import headers
from portico.hub.firewall.spellings import secrets_of
from portico.hub.forward import Admission, Forward
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService, Replica
from portico.hub.request import VisitorRequest
from portico.hub.visits import Visits
from portico.protocol import Kind
from portico.types import Headers

logger = logging.getLogger(__name__)

MOST_WAITING = 1000
"""Requests that wait for one service's provider: some tens of MiB, with what they hold."""

MOST_WAITING_OF_ADDRESS = 100
"""Of one address, in one workspace: the pages of a class behind one router."""


class Opening:
    """Opens streams to the services of one registry: a `portico.hub.forward.Opener`."""

    def __init__(self, config: HubConfig, registry: Registry, callers: Callers, visits: Visits) -> None:
        self.max_message = config.max_websocket_message
        self._config = config
        self._registry = registry
        self._callers = callers
        self._visits = visits
        self._since = monotonic()
        self._streams_of_address = config.streams_of_address
        self._waiters = Shares(MOST_WAITING_OF_ADDRESS)
        self._leaving = False
        self._retrying: set[asyncio.Task[None]] = set()

    def leave(self) -> None:
        """Let no request wait for a provider any more: the hub stops, and whoever asks again is to ask another."""
        self._leaving = True
        for service in self._registry.services.values():
            service.wake()

    # --- now ----------------------------------------------------------------------------------------------------

    def start(self, forward: Forward, without: Replica | None = None) -> bool:
        """Open the stream of *forward*, not on the replica *without*. False: nobody is there now (see `wait`).

        Raises an `Answer`; then nothing has changed.
        """
        admission = forward.admission
        assert admission is not None
        service, request = admission.service, forward.visit.request
        replica = forward.alone
        if replica is None:
            replica = routing.pick(service, request, without)
            if replica is None:
                return False
        elif not replica.can_open:
            return False
        descriptor = service.descriptor
        if descriptor is not admission.descriptor:
            _check_unchanged(admission)
        left = forward.visit.replica if forward.stream is not None else None
        """Where it was refused, and still counts."""
        conditions = descriptor.conditions
        if conditions is not None and conditions.concurrency is not None:
            under_way = sum(each.in_flight - (each is left) for each in service.replicas)
            if under_way >= conditions.concurrency:
                raise busy(conditions.concurrency)
        if not forward.fin and request.kind is Kind.HTTP:
            forward.max_body = most = most_of(self._config.max_body, conditions)
            if most is not None:
                check_length(request, most)
        caller = request.caller
        if caller:
            own = left is not None and left.session is replica.session
            if replica.streams_of(caller) - own >= self._streams_of_address:
                raise _too_many_streams()
        self._open(forward, admission, replica)
        return True

    def _open(self, forward: Forward, admission: Admission, replica: Replica) -> None:
        """Open the stream of *forward* on *replica*. Raises an `Answer`; then nothing has changed."""
        callers, visit = self._callers, forward.visit
        request, target = visit.request, visit.target
        client = request.client
        origin = (client[0] if client else "unknown", request.scheme, request.host, target.root_path)
        forwarded = _FORWARDED.get(origin) or _forward_headers(origin)
        token = admission.token
        is_hub_argument = (
            callers.is_hub_argument
            if token is None
            else lambda name, value: callers.is_hub_argument(name, value, token)
        )
        own = callers.secrets(token)
        found: list[bytes] = []
        """What the hub's cookies hold, which does not pass in another place either."""
        passed = headers.request_headers(
            forward.headers,
            drop_authorization=admission.drop_authorization,
            is_hub_cookie=callers.is_hub_cookie,
            drop_arguments=is_hub_argument,
            forwarded=forwarded,
            secrets=own,
            found=found,
        )
        query = headers.clean_query(target.query, is_hub_argument, own) if target.query else b""
        subprotocols = forward.subprotocols
        if subprotocols:
            subprotocols = tuple(item for item in subprotocols if not own.within(item.encode("latin-1")))
        if found:
            held = secrets_of(*found)
            if query:
                query = headers.clean_query(query, _never, held)
            subprotocols = tuple(item for item in subprotocols if not held.within(item.encode("latin-1")))
        try:
            stream = replica.open(
                forward,
                kind=request.kind,
                service=admission.service.descriptor.name,
                method=request.method,
                scheme=request.scheme,
                http_version=request.http_version,
                raw_path=target.raw_path,
                query=query,
                root_path=target.root_path,
                client=client,
                server=request.server,
                subprotocols=subprotocols,
                identity=admission.visitor.identity,
                headers=passed,
                fin=forward.fin,
            )
        except LocalProtocolError as error:
            if not replica.can_open:
                raise answers.overloaded() from None
            raise Answer(431, "too_large", f"The request cannot be passed on: {error}.") from None
        forward.opened(replica, stream, self)
        service = admission.service
        replica.requests += 1
        service.requests += 1
        service.used = visit.opened = monotonic()
        replica.last_turn = service.requests
        self._visits.opened.tell(visit)

    def clean(self, forward: Forward, given: Headers) -> Headers:
        """The fields of an app's answer that may pass to the visitor."""
        admission, visit = forward.admission, forward.visit
        assert admission is not None
        passed = headers.response_headers(
            given,
            root_path=visit.target.root_path,
            is_hub_cookie=self._callers.is_hub_cookie,
            own_cors=bool(admission.descriptor.origins),
        )
        if visit.cors_origin:
            passed += headers.cors_headers(visit.cors_origin)
        return passed

    # --- later --------------------------------------------------------------------------------------------------

    async def wait(self, forward: Forward) -> None:
        """Wait until a provider of the service of *forward* may be there, or its visitor has left (`Forward.over`).

        Raises an `Answer` where there is nothing to wait for any more.
        """
        admission = forward.admission
        assert admission is not None
        ready = asyncio.ensure_future(self._ready(admission.service, forward.visit.request))
        forward.wait(ready)
        try:
            await asyncio.wait((ready,))
        finally:
            ready.cancel()
        if not ready.cancelled():
            ready.result()

    async def _ready(self, service: PublishedService, request: VisitorRequest) -> None:
        """Wait for a provider that has just lost its link. Raises an `Answer` (503, or what became of it; 429).

        One that was lost longer ago than a request waits is not waited for.
        """
        name = service.descriptor.name
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while routing.pick(service, request) is None:
            if self._leaving:
                raise answers.restarting()
            if self._registry.services.get(name) is not service:
                reason = self._registry.why_gone(name)
                if name in self._registry.services:
                    raise answers.reconnecting()  # another provider's by now: let whoever comes again be asked anew
                raise answers.gone(reason) if reason else answers.not_found(name)
            if any(replica.stays for replica in service.replicas):
                raise answers.overloaded()
            if deadline is None:
                lost = max((replica.session.lost_at or 0.0 for replica in service.replicas), default=0.0)
                if any(replica.linked for replica in service.replicas):  # its provider takes its leave, and may be back
                    lost = loop.time()
                # a name that is held since before this hub started is waited for as if it was lost then
                deadline = max(lost, self._since) + self._config.wait_for_provider
                if deadline <= loop.time():
                    raise answers.away()
            left = deadline - loop.time()
            if left <= 0:
                raise answers.reconnecting()
            await self._changed(service, request.caller, left)

    async def _changed(self, service: PublishedService, caller: str, seconds: float) -> None:
        """Wait for a change of the service's replicas. Each request that waits is held in memory: so many may."""
        if not self._waiters.has_room(caller):
            raise Answer(
                429,
                "too_many_waiting",
                "Too many requests from your network wait for this app, which is reconnecting. Try again in a moment.",
                retry_after=5,
            )
        if service.waiting >= MOST_WAITING:
            raise answers.reconnecting()
        self._waiters.take(caller)
        service.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await service.changed.wait()
        except TimeoutError:
            raise answers.reconnecting() from None
        finally:
            service.waiting -= 1
            self._waiters.give_back(caller)

    # --- again --------------------------------------------------------------------------------------------------

    def retry(self, forward: Forward) -> bool:
        """Open the stream of *forward* anew, now or later, which its replica has not begun; what stands in the way is
        answered. False: there is nowhere else, and nothing to wait for.
        """
        if forward.alone is not None or not forward.repeatable:
            return False
        refused = forward.visit.replica
        assert refused is not None
        try:
            if self._move(forward, refused):
                return True
        except Answer as answer:
            forward.refuse(answer)
            return True
        except Exception:  # the link's callbacks would log it, and the visitor wait for ever
            logger.exception(_NOT_AGAIN, forward.visit.service)
            forward.refuse(answers.internal_error())
            return True
        if refused.stays:
            return False
        task = asyncio.get_running_loop().create_task(self._wait_and_move(forward))
        self._retrying.add(task)
        task.add_done_callback(self._retrying.discard)
        forward.wait(task)
        return True

    def _move(self, forward: Forward, refused: Replica | None) -> bool:
        """Open the stream of *forward* anew, not on the replica that *refused*. False: there is no other.

        Raises an `Answer` where a request that comes now would not be let in either.
        """
        if not self.start(forward, refused):
            return False
        forward.moved()
        return True

    async def _wait_and_move(self, forward: Forward) -> None:
        """Open the stream of *forward* anew once a provider is back, as for a request that comes in meanwhile."""
        admission = forward.admission
        assert admission is not None
        try:
            await self._ready(admission.service, forward.visit.request)
            if forward.over:  # the visitor left in this very turn
                return
            if not self._move(forward, None):
                raise answers.reconnecting()
        except Answer as answer:
            forward.refuse(answer)
        except Exception:  # nobody else would hear of it
            logger.exception(_NOT_AGAIN, forward.visit.service)
            forward.refuse(answers.internal_error())


_NOT_AGAIN = "a request to %s could not be passed on again"

_FORWARDED: BoundedCache[tuple[str, str, str, str], Headers] = BoundedCache()
"""The hub's own headers towards an app, by the visitor's address, scheme and host, and the prefix."""


def _too_many_streams() -> Answer:
    return Answer(
        429,
        "too_many_streams",
        "As many requests from your network are under way at this app as it may have. Try again when one has ended.",
        retry_after=2,
    )


def _forward_headers(origin: tuple[str, str, str, str]) -> Headers:
    address, scheme, host, prefix = origin
    made = [
        (b"x-forwarded-for", address.encode()),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", host.encode("latin-1", "replace")),
        (b"x-forwarded-prefix", prefix.encode("latin-1")),
    ]
    return _FORWARDED.keep(origin, made, 2 * (len(address) + len(host) + len(prefix)))


def _never(name: bytes, value: bytes) -> bool:
    return False


def _check_unchanged(admission: Admission) -> None:
    """Raises an `Answer`: who waited for a provider was let in by what it asked for before."""
    let_in, now = admission.descriptor, admission.service.descriptor
    if (let_in.access, let_in.conditions) != (now.access, now.conditions):
        raise answers.reconnecting()
