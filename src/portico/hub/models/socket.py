"""The WebSocket of the responses API under the base URL of all models: the first message says whose it is.

The visitor is accepted here, and its first message kept until the service that has its model is open; from then on the
messages go through as they are. A message for a model of another service is answered with an error, as the responses
API has it. Source: OpenAI API guide, "WebSocket mode" of the responses API.
"""

from __future__ import annotations

import asyncio
import json
import logging

from portico.hub.answers import Answer
from portico.hub.callers import Caller
from portico.hub.models import catalog
from portico.hub.models.base import AllModels
from portico.hub.models.field import ModelField, NotAnObject
from portico.hub.models.previous import replica_for
from portico.hub.models.stored import unavailable
from portico.hub.responders import SocketResponder
from portico.hub.socket_forward import SocketForward
from portico.hub.visits import Visit
from portico.types import Headers

logger = logging.getLogger(__name__)

FIRST_MESSAGE_SECONDS = 300.0
"""How long a visitor may be connected without having named a model."""


class ModelsSocket:
    """One WebSocket. Await `admit`, then `begin`; then feed it as a `portico.hub.socket_forward.SocketForward`.

    It is the responder of the service's stream. The edge bounds the length of a message, as for every WebSocket.
    """

    def __init__(self, all_models: AllModels, visit: Visit) -> None:
        self._all = all_models
        self._visit = visit
        self._caller: Caller | None = None
        self._responder: SocketResponder | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._accepted: asyncio.Future[None] | None = None
        self._forward: SocketForward | None = None
        self._last: asyncio.Future[None] | None = None
        """The message to the visitor that is under way, or the last one that was."""
        self._over = False

    async def admit(self) -> None:
        """Pass the gate. Raises an `Answer` for a no."""
        rest = self._all.split(self._visit)
        if rest != b"/responses":
            raise Answer(404, "not_found", "The one WebSocket here is that of the responses API, at responses.")
        self._caller = await self._all.gateway.identify(self._visit)
        self._all.refuse_strangers(self._caller)
        if next(catalog.services(self._all.registry, self._caller.visitor), None) is None:
            raise Answer(404, "model_not_found", "There is no model here that you may use.")

    def begin(self, responder: SocketResponder) -> ModelsSocket:
        """Accept the visitor, on the next turn of the loop; returns this object."""
        loop = asyncio.get_running_loop()
        self._responder = responder
        self._deadline = loop.call_later(FIRST_MESSAGE_SECONDS, self._end, 1008, "No model was named in time.")
        loop.call_soon(self._accept)
        return self

    def _accept(self) -> None:
        if not self._over and self._responder is not None:
            self._responder.accept("", [])

    # --- from the visitor ---------------------------------------------------------------------------------------

    def visitor_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Take a visitor's message. A future that is returned says when to read the next."""
        if self._over:
            return None
        try:
            entry, data = self._read(data)
        except Answer as answer:
            return self._tell(answer, data)
        if self._forward is not None:
            return self._forward.visitor_message(data, text)
        assert entry is not None
        assert self._opening is None or self._opening.done(), "the future of the last message is not done"
        read_on = asyncio.get_running_loop().create_future()
        self._opening = asyncio.ensure_future(self._open(entry, data, text))
        self._opening.add_done_callback(lambda _: None if read_on.done() else read_on.set_result(None))
        return read_on

    def visitor_closed(self, code: int, reason: str) -> None:
        """The visitor closed, or (1006) its connection is gone."""
        self._stop()
        if self._forward is not None:
            self._forward.visitor_closed(code, reason)
        if self._opening is not None:
            self._opening.cancel()

    def _read(self, data: bytes) -> tuple[catalog.CatalogEntry | None, bytes]:
        """Whose model a message names, and the message as its service reads it. None: it goes where the others went.

        Raises an `Answer` for a message that cannot go anywhere.
        """
        known = self._forward is not None
        field = ModelField()
        try:
            found = field.feed(data)
        except NotAnObject as error:
            if known:
                return None, data  # its service says in its own words what it makes of it
            raise Answer(400, "missing_model", f"{str(error).capitalize()}.") from None
        if found is None:
            if known:
                return None, data
            raise Answer(400, "invalid_body", "The message ends before it names its model.")
        assert self._caller is not None
        if known:
            service = self._all.registry.services.get(self._visit.service)
            if service is not None and found.value in service.descriptor.models:
                return None, data
        entry = self._all.resolve(self._caller, found.value)
        if known and entry.service.descriptor.name != self._visit.service:
            raise Answer(
                400,
                "model_elsewhere",
                f"This connection is with {self._visit.service!r}, and {found.value!r} is a model of another service. "
                "Open another connection for it.",
            )
        return entry, data if entry.model == found.value else field.replaced(entry.model)

    # --- the service --------------------------------------------------------------------------------------------

    async def _open(self, entry: catalog.CatalogEntry, data: bytes, text: bool) -> None:
        """Open a stream to the service, and pass the first message on. An `Answer` goes to the visitor as an error."""
        visit, caller, gateway = self._visit, self._caller, self._all.gateway
        assert caller is not None
        try:
            admission = self._all.admit(visit, caller, entry.service)
            self._accepted = asyncio.get_running_loop().create_future()
            # the app is asked too late to choose a subprotocol
            replica = replica_for(entry.service, data)
            forward = SocketForward(visit, self, subprotocols=(), admission=admission, alone=replica)
            if not gateway.open_now(forward):
                if replica is not None:
                    raise unavailable()
                await gateway.open(forward)
        except Answer as answer:
            told = self._tell(answer, data)
            if told is not None:
                await told
            return
        except Exception:  # nobody else would hear of it
            logger.exception("a WebSocket to %s could not be opened", visit.service)
            self._end(1011, "The hub failed on this message.")
            return
        self._forward = forward
        if self._over:  # its time was over meanwhile
            forward.visitor_closed(1006, "")
            return
        if self._deadline is not None:
            self._deadline.cancel()
        await self._accepted
        if self._over:
            return
        wait = forward.visitor_message(data, text)
        if wait is not None:
            await wait

    def accept(self, subprotocol: str, headers: Headers) -> None:
        """The app has accepted: the first message may go."""
        if self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self.answer(Answer(status, "refused", "The service that has the model takes no WebSocket."))

    def answer(self, answer: Answer) -> None:
        self._tell(answer, b"")
        self._end(1013 if answer.status == 503 else 1011, answer.message)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        return self._say(data, text)

    def close(self, code: int, reason: str) -> None:
        self._end(code, reason)

    def cut(self) -> None:
        if not self._over:
            self._stop()
            assert self._responder is not None
            self._responder.cut()

    # --- towards the visitor ------------------------------------------------------------------------------------

    def _tell(self, answer: Answer, data: bytes) -> asyncio.Future[None] | None:
        """Tell of what is wrong with the message *data*, as the responses API does."""
        assert self._caller is not None
        event: dict[str, object] = {"type": "error", "status": answer.status}
        event |= json.loads(answer.render(html=False, openai=True)[1])
        try:
            lane = ModelField("stream_id").feed(data)
        except NotAnObject:
            lane = None
        if lane is not None:  # one of several conversations on this connection
            event["stream_id"] = lane.value
        return self._say(json.dumps(event).encode(), True)

    def _say(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        """Send a message. The service's and those of the hub go one after the other."""
        if self._over or self._responder is None:
            return None
        last = self._last
        if last is None or last.done():
            self._last = self._responder.message(data, text)
        else:
            self._last = asyncio.ensure_future(self._say_after(last, data, text))
        return self._last

    async def _say_after(self, last: asyncio.Future[None], data: bytes, text: bool) -> None:
        await asyncio.wait([last])
        if not self._over and self._responder is not None:
            done = self._responder.message(data, text)
            if done is not None:
                await done

    def _end(self, code: int, reason: str) -> None:
        if not self._over:
            self._stop()
            assert self._responder is not None
            self._responder.close(code, reason)

    def _stop(self) -> None:
        self._over = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.accept("", [])  # nobody waits for the app any more
