"""Finding a stored response by its id alone: the tag in it says which replica has it.

The hub keeps no list of ids: a replica says its tag when it registers, and again after each reconnect. Where no replica
says the tag, those that say none at all are asked one after the other, and for an id without a tag every replica is
asked: the one that has the response answers, and the others say 404. Only services that the caller may use are asked,
so an id of another's response is as good as an unknown one; and they are not shown the Authorization header.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator

from portico.hub.answers import Answer, internal_error
from portico.hub.forward import Admission
from portico.hub.gateway import Gateway
from portico.hub.http_forward import HTTPForward
from portico.hub.replicas import PublishedService, Replica
from portico.hub.responders import Responder
from portico.hub.visits import Visit
from portico.types import Headers

logger = logging.getLogger(__name__)

_MOST_ASKED = 100
"""Replicas that are asked for one response, where its id does not say which has it: each is a request of its own."""

_TAGGED = re.compile(r"resp_([a-z0-9]{8,32})_[A-Za-z0-9_-]{1,150}")

_ASK_SECONDS = 5.0
"""How long each has to say whether it has the response; it is a look into a dict."""

_NOT_HERE = frozenset({401, 403, 404, 405, 501})
"""What says that the response is somewhere else: it is not there, or that app stores none, or has keys of its own."""


class StoredResponse:
    """One request about one response; an `Upload` whose body, if there is one, is thrown away."""

    __slots__ = ("_admit", "_forward", "_gateway", "_headers", "_left", "_responder", "_search", "_visit")

    def __init__(
        self,
        gateway: Gateway,
        visit: Visit,
        responder: Responder,
        admit: Callable[[PublishedService], Admission],
    ) -> None:
        """*admit* lets the caller in to a service, and makes the request one to it; it raises an `Answer` for a no."""
        self._gateway = gateway
        self._visit = visit
        self._responder = responder
        self._admit = admit
        self._forward: HTTPForward | None = None
        self._left = False
        self._search: asyncio.Task[None] | None = None
        self._headers = [pair for pair in visit.request.headers if pair[0] not in _OF_A_BODY]

    def begin(self, services: list[PublishedService]) -> None:
        """Ask *services*; the answer goes to the responder."""
        self._search = asyncio.ensure_future(self._run(services))

    # --- as an edge sees it -------------------------------------------------------------------------------------

    def upload(self, data: bytes) -> None: ...

    def upload_done(self) -> None: ...

    def visitor_left(self) -> None:
        self._left = True
        if self._forward is not None:
            self._forward.visitor_left()
        if self._search is not None:
            self._search.cancel()

    # --- the search ---------------------------------------------------------------------------------------------

    async def _run(self, services: list[PublishedService]) -> None:
        try:
            answer = await self._find(services)
        except Exception:  # nobody else would hear of it
            logger.exception("a stored response could not be looked for")
            answer = internal_error()
        if answer is not None and not self._left:
            self._responder.answer(answer)

    async def _find(self, services: list[PublishedService]) -> Answer | None:
        """Ask until one has it. None: it was found, and its answer is on its way."""
        spoken_for = self._visit.cors_origin
        path = self._visit.target.raw_path
        response_id = path.removeprefix(b"/v1/responses/").partition(b"/")[0].decode("latin-1")
        unheard = unable = False
        for service, replica in _in_turn(services, response_id):
            if not replica.linked:
                unheard = True
                continue
            try:
                status = await self._ask(service, replica)
            except Answer as answer:  # of its conditions: it is busy, or not open to this caller, or not now
                unheard = unheard or answer.status == 429 or answer.status >= 500
                continue
            if status == 0:
                return None
            unable = unable or status == 501
            unheard = unheard or status not in _NOT_HERE
        self._visit.cors_origin = spoken_for
        if unheard:
            return unavailable()
        if unable:
            return Answer(501, "not_implemented", "No service that may have this response can do that.")
        return Answer(404, "response_not_found", "There is no such stored response, or it is not yours.")

    async def _ask(self, service: PublishedService, replica: Replica) -> int:
        """Ask *replica*. 0: it has the response. Else its status, or 503 if it gave none."""
        asked = _Asked(self._responder)
        admission = self._admit(service)
        admission.drop_authorization = True  # a credential of one app's own is not for the others to see
        forward = HTTPForward(self._visit, asked, fin=True, headers=self._headers, admission=admission, alone=replica)
        if not self._gateway.open_now(forward):
            return 503
        self._forward = forward
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                status = await asked.status
        except TimeoutError:
            status = 503
        if status:
            self._forward = None
            forward.visitor_left()  # what is left of its answer is nobody's
        return status


class _Asked:
    """The responder of one replica that is asked: hands on the answer of the one that has the response."""

    __slots__ = ("_responder", "status")

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """As `StoredResponse._ask` returns it."""

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self.status.done():  # too late
            return None
        if status in _NOT_HERE or status >= 500:
            self.status.set_result(status)
            return None
        self.status.set_result(0)
        return self._responder.respond(status, headers, body, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        return self._responder.write(body, fin) if self._found else None

    def answer(self, answer: Answer) -> None:
        if not self.status.done():
            self.status.set_result(answer.status)

    def cut(self) -> None:
        if self._found:
            self._responder.cut()

    @property
    def _found(self) -> bool:
        return self.status.done() and not self.status.cancelled() and self.status.result() == 0


def unavailable() -> Answer:
    """It may be there, and cannot be looked for now."""
    return Answer(
        503, "response_unavailable", "A service that may have the response does not answer now.", retry_after=5
    )


def tag_of(response_id: str) -> str:
    """The tag in the id of a response; "" if there is none."""
    match = _TAGGED.fullmatch(response_id)
    return match.group(1) if match is not None else ""


def holder(service: PublishedService, response_id: str) -> Replica | None:
    """The replica of *service* that has the response, if one says the tag of its id; of several, one that is there."""
    tag = tag_of(response_id)
    found = [replica for replica in service.replicas if replica.tag == tag] if tag else []
    return next((replica for replica in found if replica.can_open), found[0] if found else None)


def _in_turn(services: list[PublishedService], response_id: str) -> Iterator[tuple[PublishedService, Replica]]:
    """The replicas that are asked, in their order: of the service that was used last first, stalled ones last."""
    tag = tag_of(response_id)
    said = bool(tag) and any(replica.tag == tag for service in services for replica in service.replicas)
    pairs = [
        (service, replica)
        for service in sorted(services, key=lambda service: service.used, reverse=True)
        for replica in service.replicas
        if not tag or replica.tag == (tag if said else "")
    ]
    pairs.sort(key=lambda pair: pair[1].stalled)
    yield from pairs[:_MOST_ASKED]


_OF_A_BODY = frozenset({b"content-length", b"transfer-encoding", b"content-type", b"expect"})
