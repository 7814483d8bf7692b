"""What a request and a WebSocket have in common on their way: waiting for a stream, having one, giving it back.

An edge makes an `HTTPForward` or a `SocketForward` and has the gateway open it (`portico.hub.gateway.Gateway.open`);
from then on the link's frames call it from one side, and the edge from the other. Here is the only place where a
replica's requests in flight are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from portico.hub.access import Visitor
from portico.hub.answers import Answer, app_error, overloaded, reconnecting
from portico.hub.descriptor import Descriptor
from portico.hub.replicas import PublishedService, Replica
from portico.hub.visits import Visit
from portico.link import Stream
from portico.protocol.events import Data, Head
from portico.protocol.frames import ResetCode
from portico.types import Headers


@dataclass(slots=True, eq=False)
class Admission:
    """A request that may go on."""

    service: PublishedService
    visitor: Visitor
    drop_authorization: bool
    token: bytes | None = None
    """As `Recognised.token`."""
    descriptor: Descriptor = field(init=False)
    """The service's, as it was when the visitor was let in."""

    def __post_init__(self) -> None:
        self.descriptor = self.service.descriptor


class Opener(Protocol):
    """What a forward asks of the hub once it was opened."""

    max_message: int
    """Bytes of a WebSocket's message."""

    def retry(self, forward: Forward) -> bool:
        """Open the stream anew, now or later, which its replica has not begun. False: there is nowhere else."""

    def clean(self, forward: Forward, given: Headers) -> Headers:
        """The fields of an app's answer that may pass to the visitor."""


class Forward:
    """One exchange on its way through the hub. Its edge is told of its end once, by its responder."""

    __slots__ = (
        "_opener",
        "_retried",
        "_upload_waiter",
        "_waiting",
        "admission",
        "alone",
        "fin",
        "headers",
        "max_body",
        "over",
        "stream",
        "subprotocols",
        "visit",
    )

    def __init__(self, visit: Visit, fin: bool, admission: Admission | None) -> None:
        """*fin* says that the request has no body; *admission* is that of a visitor who was let in already."""
        self.visit = visit
        self.fin = fin
        self.admission = admission
        self.headers = visit.request.headers
        """What is passed on of the request's fields, once those of the hub are taken out."""
        self.subprotocols = visit.request.subprotocols
        self.alone: Replica | None = None
        """The only replica that may have the request."""
        self.stream: Stream | None = None
        self.max_body: int | None = None
        """Bytes of the request's body; None for no limit."""
        self.over = False
        """It has ended, whether it was ever open or not."""
        self._opener: Opener | None = None
        self._retried = False
        self._waiting: asyncio.Task[Any] | None = None
        """Waits until a stream can be opened."""
        self._upload_waiter: asyncio.Future[None] | None = None

    # --- from the stream ----------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:
        raise NotImplementedError

    def on_data(self, data: Data) -> None:
        raise NotImplementedError

    def on_close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def on_reset(self, code: ResetCode, reason: str) -> None:
        raise NotImplementedError

    def on_writable(self) -> None:
        """The link takes more of what the visitor sends."""
        self._wake_upload()

    # --- from the gateway ---------------------------------------------------------------------------------------

    @property
    def repeatable(self) -> bool:
        """Whether another replica can be asked in place of the first, as if nothing had been."""
        raise NotImplementedError

    def wait(self, opening: asyncio.Task[Any]) -> None:
        """*opening* waits for a provider. It is cancelled if the visitor leaves meanwhile."""
        self._waiting = opening

    def opened(self, replica: Replica, stream: Stream, opener: Opener) -> None:
        """The request is under way on *stream*, and counts for *replica*; where it was refused it counts no more."""
        visit = self.visit
        if self.stream is not None:
            self._give_back(self.stream)
        visit.replica, self.stream, self._opener = replica, stream, opener
        self._waiting = None
        replica.begin(visit.request.caller)

    def moved(self) -> None:
        """The stream is open anew."""

    def refuse(self, answer: Answer) -> None:
        """There is no stream for it, and none to wait for: the visitor is told so."""
        raise NotImplementedError

    # --- for both kinds -----------------------------------------------------------------------------------------

    def _try_again(self) -> bool:
        """After a refused stream: whether another was found, or is waited for. Once."""
        if self._retried or self._opener is None:
            return False
        self._retried = True
        return self._opener.retry(self)

    def _clean(self, given: Headers) -> Headers:
        assert self._opener is not None
        return self._opener.clean(self, given)

    def _give_back(self, stream: Stream) -> None:
        visit = self.visit
        assert visit.replica is not None
        visit.replica.end(visit.request.caller)
        stream.release()

    def _leave(self) -> None:
        """The exchange is over: give the stream back. That the visit has ended is for the edge to say."""
        self.over = True
        stream = self.stream
        if stream is not None:
            self.stream = None
            self._give_back(stream)
        waiting = self._waiting
        if waiting is not None:
            self._waiting = None
            waiting.cancel()
        if self._upload_waiter is not None:
            self._wake_upload()

    def _wait_for_room(self) -> asyncio.Future[None]:
        self._upload_waiter = asyncio.get_running_loop().create_future()
        return self._upload_waiter

    def _wake_upload(self) -> None:
        if self._upload_waiter is not None and not self._upload_waiter.done():
            self._upload_waiter.set_result(None)


REASONS: dict[ResetCode, Callable[[], Answer]] = {
    ResetCode.APP_ERROR: app_error,
    ResetCode.OVERLOAD: overloaded,
    ResetCode.REFUSED: reconnecting,
    ResetCode.TIMEOUT: lambda: Answer(504, "timeout", "The app did not answer in time."),
    ResetCode.TOO_LARGE: lambda: Answer(413, "too_large", "The request is larger than the app takes."),
}
"""What a visitor is told of a stream that was reset, where that says more than that the provider is lost."""
