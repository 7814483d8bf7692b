"""An HTTP request under the base URL of all models, on its way to the service that has its model.

An edge makes one `ModelsExchange` for each request, and then treats it as an `HTTPForward`: it feeds the body, and says
when the visitor has left. All that is answered goes through the edge's `Responder`, in the shape of the OpenAI API.

The body is kept until its ``model`` is found, and then passed on as it comes; the rest of it is never looked at.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from portico.hub.access import ANONYMOUS
from portico.hub.answers import Answer, internal_error, invalid_key, unauthorized
from portico.hub.callers import Caller
from portico.hub.firewall.headers import cors_headers, preflight_headers
from portico.hub.held_bodies import MOST_OF_A_BODY, HeldBody
from portico.hub.http_forward import HTTPForward
from portico.hub.models import catalog
from portico.hub.models.base import AllModels, key_needed, said_to
from portico.hub.models.encoded_body import EncodedBody, decoded_headers, decoder_for
from portico.hub.models.field import Found, ModelField, NotAnObject
from portico.hub.models.no_page import NoPage
from portico.hub.models.previous import PreviousResponse, keep_their_own
from portico.hub.models.request import lengthened, shows_a_key
from portico.hub.models.stored import StoredResponse, unavailable
from portico.hub.request import VisitorRequest
from portico.hub.responders import Responder, Upload
from portico.hub.visits import Visit
from portico.networks import network_of

logger = logging.getLogger(__name__)


class ModelsExchange:
    """One HTTP request to whichever service has the model. Await `start`; then feed the body, as to an `HTTPForward`.

    The responder is told each answer once, of this object or of the service; after `visitor_left` it is told nothing.
    """

    __slots__ = (
        "_all",
        "_caller",
        "_encoded",
        "_ended",
        "_field",
        "_fin",
        "_forward",
        "_found",
        "_headers",
        "_held",
        "_over",
        "_passing",
        "_previous",
        "_request",
        "_responder",
        "_rest",
        "_service_responder",
        "_task",
        "_visit",
    )

    def __init__(self, all_models: AllModels, visit: Visit, responder: Responder, *, fin: bool) -> None:
        """With *fin* the request has no body. Its ``prefix`` is what the paths of services start with, as everywhere;
        empty if each has a host of its own."""
        self._all = all_models
        self._visit = visit
        self._request = visit.request
        self._headers = visit.request.headers
        """What is passed on of them."""
        self._responder: Responder = responder
        self._service_responder = NoPage(responder)
        self._fin = fin
        self._rest = b""
        """What follows the base URL: ``/chat/completions``."""
        self._caller: Caller | None = None
        self._encoded: EncodedBody | None = None
        self._field: ModelField | None = None
        self._held: HeldBody | None = None
        """What the field holds of the body."""
        self._found: Found | None = None
        """The model."""
        self._previous: PreviousResponse | None = None
        """Looks for the response that is gone on with, where that decides which replica has the request."""
        self._forward: Upload | None = None
        self._task: asyncio.Task[None] | None = None
        self._passing = False
        """The model is known, and its service is not open yet."""
        self._ended = False
        """The body is whole."""
        self._over = False
        """Answered here, or nobody is there to be answered."""

    async def start(self) -> bool:
        """Pass the gate. True: the body is wanted. False: it is not; the answer went, or goes, to the responder.

        Until this returns, an edge that can hold the body back does (100 Continue, RFC 9110 §10.1.1).
        """
        try:
            return await self._start()
        except Answer as answer:
            self._answer(answer)
            return False

    async def _start(self) -> bool:
        request = self._request
        self._rest = self._all.split(self._visit)
        self._cross_origin()
        caller = await self._all.gateway.identify(self._visit)
        if self._over:
            return False
        if self._about_a_response():
            self._all.gateway.refuse_strangers_page(self._visit)
            self._find(caller)
            return False
        if request.method in ("GET", "HEAD"):
            self._list(caller)
            return False
        self._all.gateway.refuse_strangers_page(self._visit)
        if request.method != "POST":
            raise _not_allowed(request.method, "GET, HEAD, POST")
        if self._fin:
            raise Answer(400, "missing_model", "POST a JSON object that names its model.")
        self._all.refuse_strangers(caller)
        decoder = decoder_for(request, MOST_OF_A_BODY)
        if decoder is not None:
            self._headers = decoded_headers(request.headers)
            self._encoded = EncodedBody(decoder, MOST_OF_A_BODY, self._take, self._taken, self._refuse)
        self._caller, self._field = caller, ModelField()
        self._held = self._all.held.begin(_who(caller, request))
        return True

    def _cross_origin(self) -> None:
        """Speak CORS for origins that a service with models names."""
        request = self._request
        fields = dict(request.headers)
        origin = fields.get(b"origin", b"")
        allowed = bool(origin) and catalog.origin_allowed(self._all.registry, origin.decode("latin-1"))
        if request.method == "OPTIONS" and origin and b"access-control-request-method" in fields:
            if allowed:
                raise Answer(204, "preflight", "", headers=tuple(preflight_headers(fields, origin)))
            raise unauthorized("A preflight from another origin is answered for services that name it in origins.")
        if allowed:
            self._visit.cors_origin = origin

    def _list(self, caller: Caller) -> None:
        """``GET models`` and ``GET models/{id}``."""
        if caller.visitor is ANONYMOUS and shows_a_key(self._request):
            # Public models or not: SDKs try a key by this list.
            raise invalid_key("this key is not one of this server's")
        known = catalog.models(self._all.registry, caller.visitor)
        if not known and caller.visitor is ANONYMOUS:
            raise key_needed()
        parts = self._rest.strip(b"/").split(b"/", 1)
        value: dict[str, Any]
        if parts == [b"models"]:
            value = {"object": "list", "data": known}
        elif parts[0] == b"models":
            name = unquote_to_bytes(parts[1]).decode("utf-8", "replace")
            value = catalog.model_object(catalog.resolve(self._all.registry, caller.visitor, name), name)
        elif parts == [b"health"]:
            value = {"status": "ok"}
        else:
            raise Answer(404, "not_found", "There is no such route here.")
        body = json.dumps(value).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._visit.cors_origin:
            headers += cors_headers(self._visit.cors_origin)
        self._over = True
        self._visit.sent += len(body)
        self._responder.respond(200, headers, body, True)

    def _about_a_response(self) -> bool:
        """Whether the path is that of a stored response. Raises an `Answer` (405) for what cannot be done to it."""
        match = _RESPONSE.fullmatch(self._rest)
        if match is None:
            return False
        method, what = self._request.method, match.group(1) or b""
        if method == "POST" and not what:
            return False  # responses/compact and the like, which name a model
        if method not in _METHODS[what]:
            raise _not_allowed(method, ", ".join(_METHODS[what]))
        return True

    def _find(self, caller: Caller) -> None:
        """Ask the caller's services for the response, behind the gate's back: it may take a while."""
        visit = self._visit
        self._all.refuse_strangers(caller)
        stored = StoredResponse(
            self._all.gateway,
            visit,
            self._service_responder,
            lambda service: self._all.admit(visit, caller, service),
        )
        self._over, self._forward = True, stored
        stored.begin(list(catalog.services(self._all.registry, caller.visitor)))

    # --- from the edge ------------------------------------------------------------------------------------------

    @property
    def uploading(self) -> bool:
        """Whether more of the body is of use to anybody."""
        if isinstance(self._forward, HTTPForward):
            return self._forward.uploading
        return self._field is not None and not self._over

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Take *data* of the request's body. A future that is returned says when to read more."""
        return self._take(data) if self._encoded is None else self._encoded.upload(data)

    def upload_done(self) -> None:
        """The request's body is whole."""
        if self._encoded is None:
            self._taken()
        else:
            self._encoded.upload_done()

    def _take(self, data: bytes) -> asyncio.Future[None] | None:
        if self._forward is not None:
            return self._forward.upload(data)
        field = self._field
        if field is None or self._over:
            return None
        assert not self._passing, "the future of the last piece is not done"
        assert self._held is not None
        try:
            if self._previous is None:
                self._held.grow(len(data))
                self._found = found = field.feed(data)
                if found is None or not self._knows_where(found):
                    return None
            elif not self._looks_on(self._previous, data):
                return None
            return self._begin_to_pass_on()
        except NotAnObject as error:
            self._answer(Answer(400, "invalid_body", f"{str(error).capitalize()}."))
        except Answer as answer:
            self._answer(answer)
        return None

    def _taken(self) -> None:
        self._ended = True
        if self._forward is not None:
            self._forward.upload_done()
        elif self._field is not None and not self._passing and not self._over:
            if self._found is None:
                self._answer(Answer(400, "invalid_body", "The body ends before it names its model."))
            else:  # its service says what it makes of such a body
                self._begin_to_pass_on()

    def _refuse(self, answer: Answer) -> None:
        """The body cannot be read on: the app, if there is one yet, hears that nobody waits for its answer."""
        if self._forward is None:
            self._answer(answer)
        elif self.uploading and not self._over:  # else it is answered already, or nobody is there any more
            self._forward.visitor_left()
            self._service_responder.end_with(answer)

    def visitor_left(self) -> None:
        """The visitor's connection is gone: the app, if there is one yet, is told, and cancelled."""
        self._over = True
        if not self._passing:
            self._let_go()
        if self._forward is not None:
            self._forward.visitor_left()

    # --- the service --------------------------------------------------------------------------------------------

    def _knows_where(self, found: Found) -> bool:
        """The model is *found*: whether that says where the request goes. Raises an `Answer`."""
        if self._rest != b"/responses":
            return True
        assert self._caller is not None
        assert self._field is not None
        service = self._all.resolve(self._caller, found.value).service
        if not keep_their_own(service):
            return True
        self._previous = PreviousResponse(service, self._field.body)
        return self._previous.feed(b"")

    def _looks_on(self, previous: PreviousResponse, data: bytes) -> bool:
        """Look for the response that is gone on with in more of the body: whether that says where it goes."""
        assert self._field is not None
        assert self._held is not None
        try:
            self._held.grow(len(data))
        except Answer:  # so much is not held: one of the replicas gets it, and says that it has no such response
            self._field.body += data
            return True
        return previous.feed(data)

    def _begin_to_pass_on(self) -> asyncio.Future[None]:
        assert self._found is not None
        self._passing = True
        self._task = asyncio.ensure_future(self._pass_on(self._found))
        return self._task

    async def _pass_on(self, found: Found) -> None:
        """The model is known: let the visitor in to its service, and pass on what has come of the body."""
        try:
            await self._open_and_pass(found)
        finally:
            self._passing = False
            self._let_go()

    async def _open_and_pass(self, found: Found) -> None:
        visit, caller, field = self._visit, self._caller, self._field
        assert caller is not None
        assert field is not None
        try:
            entry = self._all.resolve(caller, found.value)
            admission = self._all.admit(visit, caller, entry.service)
            body = bytes(field.body) if entry.model == found.value else field.replaced(entry.model)
            headers = lengthened(self._headers, len(body) - len(field.body))
            field.body.clear()
            if self._over:
                return
            replica = self._previous.replica if self._previous is not None else None
            self._forward = forward = HTTPForward(
                visit, self._service_responder, fin=False, headers=headers, admission=admission, alone=replica
            )
            if not self._all.gateway.open_now(forward):
                if replica is not None:
                    raise unavailable()
                await self._all.gateway.open(forward)
        except Answer as answer:
            self._answer(said_to(caller, answer))
            return
        except Exception:  # nobody else would hear of it
            logger.exception("a request to %s could not be passed on", visit.service)
            self._answer(internal_error())
            return
        self._passing = False
        wait = forward.upload(body)
        del body
        if self._ended:
            forward.upload_done()
        if wait is not None:
            await wait

    def _answer(self, answer: Answer) -> None:
        if not self._over:
            self._over = True
            if not self._passing:
                self._let_go()
            self._responder.answer(answer)

    def _let_go(self) -> None:
        """Hold nothing of the body any more."""
        if self._field is not None:
            self._field.body.clear()
        if self._held is not None:
            self._held.release()


_RESPONSE = re.compile(rb"/responses/[A-Za-z0-9_-]{1,200}(?:/(input_items|cancel))?")
_METHODS = {b"": ("GET", "HEAD", "DELETE"), b"input_items": ("GET", "HEAD"), b"cancel": ("POST",)}


def _not_allowed(method: str, allowed: str) -> Answer:
    allow = ((b"allow", allowed.encode()),)
    return Answer(405, "method_not_allowed", f"{method[:20]} is not allowed here.", headers=allow)


def _who(caller: Caller, request: VisitorRequest) -> str:
    """For whom counts what is held of a request's body."""
    visitor = caller.visitor
    if visitor.key_id:
        return f"key:{visitor.key_id}"
    if visitor.user_id:
        return f"user:{visitor.user_id}"
    return network_of(request.client[0]) if request.client else ""
