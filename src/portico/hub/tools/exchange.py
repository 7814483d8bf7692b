"""An HTTP request under the one URL of all tools: who calls, what it asks, and the answer.

An edge makes one `ToolsExchange` for each request, and treats it as it does an `HTTPForward`: it feeds the body, and
says when the visitor has left. Source: MCP specification, "Streamable HTTP" of 2025-11-25 and of 2026-07-28.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any, Final

from portico.hub.access import ANONYMOUS, same_origin
from portico.hub.answers import Answer, forbidden, internal_error, invalid_key, unauthorized
from portico.hub.callers import Caller
from portico.hub.fair_use import network_of
from portico.hub.firewall.headers import preflight_headers
from portico.hub.held_bodies import HeldBody
from portico.hub.http_forward import HTTPForward
from portico.hub.request import Target, VisitorRequest
from portico.hub.responders import Responder
from portico.hub.tools import catalog
from portico.hub.tools.base import SERVER, AllTools
from portico.hub.tools.call import MOST_OF_AN_ANSWER, ToolCall, passed_on, refuse, sent
from portico.hub.tools.catalog import View
from portico.hub.tools.eras import (
    BATCHES,
    MODERN,
    SERVER_KEY,
    SESSION_HEADER,
    SUPPORTED,
    answered_version,
    check_modern,
    is_modern,
    version_of,
)
from portico.hub.tools.listening import Listener
from portico.hub.tools.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    JSONRPCMessage,
    MalformedMessage,
    Refusal,
    RequestId,
    id_in,
    is_id,
    loads,
    read,
    refusal_of,
    response,
)
from portico.hub.tools.reply import Reply, render, unwritable
from portico.hub.visits import Visit
from portico.types import Headers

logger = logging.getLogger(__name__)

MOST_OF_A_REQUEST: Final = 4 * 1024 * 1024
"""Bytes of one request: a model writes some kilobytes, a program may send an image."""

MOST_IN_A_BATCH: Final = 50
"""Messages in one list, which are answered one after the other. No client is known to send more than a few."""

_LONGEST_SESSION = 200  # bytes of an Mcp-Session-Id, of which ours have 22


class ToolsExchange:
    """One request. Await `start`; then feed the body. After `visitor_left` the responder is told nothing."""

    __slots__ = (
        "_all",
        "_body",
        "_call",
        "_caller",
        "_fin",
        "_given",
        "_held",
        "_listener",
        "_over",
        "_reply",
        "_responder",
        "_task",
        "_version",
        "_view",
        "_visit",
        "_wanted",
    )

    def __init__(self, all_tools: AllTools, visit: Visit, responder: Responder, *, fin: bool) -> None:
        """With *fin* the request has no body."""
        self._all = all_tools
        self._visit = visit
        self._given = visit.request
        """The request as it came, with what counts for nobody here."""
        self._responder = responder
        self._fin = fin
        self._caller: Caller | None = None
        self._view: View | None = None
        self._version = ""
        self._reply = Reply(visit, responder, events=_takes(visit.request, b"text/event-stream"))
        self._body = bytearray()
        self._held: HeldBody | None = None
        self._wanted = False
        """More of the body is."""
        self._task: asyncio.Task[None] | None = None
        self._call: ToolCall | None = None
        self._listener: Listener | None = None
        self._over = False

    async def start(self) -> bool:
        """Pass the gate. True: the body is wanted. False: it is not; the answer went, or goes, to the responder."""
        try:
            return await self._start()
        except Answer as answer:
            self._answer(answer)
        except Refusal as refusal:
            self._reply.refuse(None, refusal)
        return False

    async def _start(self) -> bool:
        request = self._given
        path, _, query = request.target.partition(b"?")
        self._visit.target = Target("", b"/mcp", b"", "")
        rest = path[len(self._all.base) :]
        origin = self._cross_origin()
        if not path.startswith(self._all.base) or rest not in (b"", b"/"):
            url = self._all.base.decode("latin-1")
            raise Answer(404, "not_found", f"There is nothing here. The tools are at {url}, which asks for a key.")
        narrowed = catalog.narrowing(query)
        self._visit.request = _of_a_program(request, path)
        caller = self._caller = await self._all.gateway.identify_program(self._visit)
        if self._over:
            return False
        client = request.client[0] if request.client else None
        view = self._view = View(caller.visitor, client, origin, narrowed)
        self._refuse_strangers(caller, view)
        self._version = version_of(request.headers)
        if request.method == "POST":
            return self._wants_body(request)
        allowed = "POST, OPTIONS" if self._version == MODERN else "GET, POST, DELETE, OPTIONS"
        if self._version != MODERN and request.method == "GET":
            if not _takes(request, b"text/event-stream", plainly=True):
                text = "This is where MCP clients call tools: they POST, or GET with Accept: text/event-stream."
                raise Answer(406, "not_acceptable", text)
            self._listen(caller, view)
        elif self._version != MODERN and request.method == "DELETE":  # there is no session to end
            self._answer(Answer(204, "ended", ""))
        else:
            raise Answer(
                405, "method_not_allowed", "That method is not for tools.", headers=((b"allow", allowed.encode()),)
            )
        return False

    def _cross_origin(self) -> str:
        """The origin of the page that calls, if it is another's. Raises an `Answer` (403) for one that may not.

        Whoever it is that calls: the specification wants it so, as a key in a page's hand proves nothing of the page.
        """
        request = self._given
        fields = dict(request.headers)
        origin = fields.get(b"origin", b"")
        if not origin:
            if fields.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
                raise forbidden("Another site's page asks for this, and does not say which.", "cross_origin")
            return ""
        allowed = catalog.origin_allowed(self._all.registry, origin.decode("latin-1"))
        if request.method == "OPTIONS" and b"access-control-request-method" in fields and allowed:
            raise Answer(204, "preflight", "", headers=tuple(preflight_headers(fields, origin)))
        if allowed:
            self._visit.cors_origin = origin
        if same_origin(origin, request.host, secure=request.scheme == "https"):
            return ""
        if not allowed:
            text = "Pages of that origin may not call tools here: no service names it in its origins."
            raise forbidden(text, "cross_origin")
        return origin.decode("latin-1")

    def _refuse_strangers(self, caller: Caller, view: View) -> None:
        """Raise an `Answer` (401) for someone unknown with a bad credential, or where no tool is public."""
        if caller.visitor is not ANONYMOUS:
            return
        if any(name == b"authorization" for name, _ in self._given.headers):
            raise invalid_key("this key is not one of this server's, or it has ended")
        if next(self._all.services(view), None) is None:
            raise unauthorized(
                "A key is needed here, in the header Authorization: Bearer KEY. The author of a service makes one in "
                "its notebook: service.key()"
            )

    def _wants_body(self, request: VisitorRequest) -> bool:
        fields = dict(request.headers)
        kind = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Answer(415, "not_json", "A message is sent with Content-Type: application/json.")
        if fields.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise Answer(415, "encoded", "A message is sent without Content-Encoding.")
        if self._fin:
            raise Refusal(PARSE_ERROR, "The body is empty: a message is a JSON object.")
        caller = self._caller
        assert caller is not None
        text = f"A request has at most {MOST_OF_A_REQUEST:,} bytes here; the service's own URL may take longer ones."
        self._held = self._all.limits.held.begin(owner_of(caller, request), MOST_OF_A_REQUEST, text)
        self._wanted = True
        return True

    # --- from the edge ------------------------------------------------------------------------------------------

    @property
    def uploading(self) -> bool:
        """Whether more of the body is of use."""
        return self._wanted and not self._over

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Take *data* of the request's body."""
        if self._wanted and not self._over:
            assert self._held is not None
            try:
                self._held.grow(len(data))
            except Answer as answer:
                self._let_go()
                self._answer(answer)
            else:
                self._body += data
                self._visit.received += len(data)
        return None

    def upload_done(self) -> None:
        """The request's body is whole."""
        if self._wanted and not self._over:
            self._wanted = False
            self._task = asyncio.ensure_future(self._work())

    def visitor_left(self) -> None:
        """The visitor's connection is gone: what is under way ends."""
        self._over = True
        self._reply.drop()
        self._let_go()
        if self._call is not None:
            self._call.leave()
        if self._listener is not None:
            self._listener.visitor_left()
        elif self._task is not None:
            self._task.cancel()

    def _answer(self, answer: Answer) -> None:
        if not self._over and not self._reply.over:
            self._over = True
            self._reply.note(answer)
            self._reply.whole(answer.status, *render(answer))

    def _let_go(self) -> None:
        """Hold nothing of the body any more."""
        self._wanted = False
        self._body.clear()
        if self._held is not None:
            self._held.release()

    # --- the messages -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Answer what the body asks."""
        try:
            await self._answer_all()
        except Exception:  # nobody else would hear of it
            logger.exception("a request for tools has failed")
            self._reply.refuse(None, refusal_of(internal_error()))
        finally:
            self._let_go()

    async def _answer_all(self) -> None:
        reply = self._reply
        reply.modern = self._version == MODERN
        try:
            value = loads(self._body)
        except MalformedMessage as error:
            reply.refuse(None, Refusal(PARSE_ERROR, f"The body cannot be read: {error}."))
            return
        finally:
            self._let_go()
        if not isinstance(value, list):
            await self._answer_one(value)
            reply.end()
            return
        if self._version and self._version not in BATCHES:
            text = f"Messages in a list are not of MCP {self._version}: send them one by one."
            reply.refuse(None, Refusal(INVALID_REQUEST, text))
            return
        if not 0 < len(value) <= MOST_IN_A_BATCH:
            reply.refuse(None, Refusal(INVALID_REQUEST, f"A list holds 1 to {MOST_IN_A_BATCH} messages."))
            return
        reply.batch = True
        for one in value:
            await self._answer_one(one)
            if reply.over:
                return
        reply.end()

    async def _answer_one(self, value: Any) -> None:
        """One message, whatever it is."""
        reply = self._reply
        reply.modern = self._version == MODERN
        id_ = id_in(value)
        try:
            message = read(value)
            if not message.method and self._version == MODERN:
                raise Refusal(INVALID_REQUEST, "A client of 2026-07-28 sends no responses.")
            if not message.is_request:
                self._hear(message)
                return
            modern = is_modern(self._version, message)
            if modern:
                reply.modern = True
                check_modern(message, self._given.headers)
            await self._do(message, modern)
        except Refusal as refusal:
            reply.refuse(id_, refusal)
        except Answer as answer:
            reply.refuse(id_, refusal_of(answer))
        except MalformedMessage as error:
            reply.refuse(id_, unwritable(error))

    async def _do(self, message: JSONRPCMessage, modern: bool) -> None:
        """Answer a request. Raises `Refusal`, an `Answer`, or `MalformedMessage`."""
        method, view = message.method, self._view
        assert view is not None
        if method == "tools/call":
            await self._begin_call(message, modern)
        elif method == "tools/list":
            tools, cursor = await self._all.page(view, message.params.get("cursor"))
            result: dict[str, Any] = {"tools": tools} | ({"nextCursor": cursor} if cursor else {})
            self._reply.answer(response(message.id, result | (_modern() if modern else {})))
        elif modern and method == "server/discover":
            told = {"supportedVersions": list(SUPPORTED), "instructions": self._all.instructions(view)}
            result = {**told, "capabilities": {"tools": {"listChanged": True}}, **_modern()}
            self._reply.answer(response(message.id, result))
        elif modern and method == "subscriptions/listen":
            self._subscribe(message)
        elif not modern and method == "initialize":
            self._initialize(message, view)
        elif not modern and method == "ping":
            self._reply.answer(response(message.id, {}))
        else:
            raise Refusal(METHOD_NOT_FOUND, f"There is no method {method[:100]!r} here: this URL has tools alone.")

    def _initialize(self, message: JSONRPCMessage, view: View) -> None:
        """Nothing is kept of a session. It has an id since some clients listen for changes only if there is one."""
        self._reply.with_header(SESSION_HEADER, secrets.token_urlsafe(16).encode())
        result = {
            "protocolVersion": answered_version(message.params),
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": SERVER,
            "instructions": self._all.instructions(view),
        }
        self._reply.answer(response(message.id, result))

    def _hear(self, message: JSONRPCMessage) -> None:
        """A notification, or a response: to none of them is anything said."""
        if message.method != "notifications/cancelled" or self._version == MODERN:
            return  # a client of 2026-07-28 cancels by closing the request
        id_ = message.params.get("requestId")
        call = self._all.of.calls.get(self._call_key(id_)) if is_id(id_) else None
        if call is not None:
            call.cancel()

    def _call_key(self, id_: RequestId | None) -> object:
        """Which call has the request id *id_*: of this caller, in this session."""
        assert self._caller is not None
        session = next((value for name, value in self._given.headers if name == SESSION_HEADER), b"")
        return owner_of(self._caller, self._given), session[:_LONGEST_SESSION], type(id_), id_

    # --- changes ------------------------------------------------------------------------------------------------

    def _listen(self, caller: Caller, view: View) -> None:
        """``GET``: changes, for a client that began with a handshake."""
        owner = owner_of(caller, self._given)
        listener = Listener(self._all, self._visit, self._responder, caller, view, owner)
        listener.begin()
        self._listener = listener

    def _subscribe(self, message: JSONRPCMessage) -> None:
        """``subscriptions/listen``: the same for one of 2026-07-28."""
        wanted = message.params.get("notifications")
        if not isinstance(wanted, dict):
            raise Refusal(INVALID_PARAMS, "params.notifications must be an object: what to listen for.")
        if not _takes(self._given, b"text/event-stream"):
            raise Answer(406, "not_acceptable", "Changes are told as events: send Accept: text/event-stream.")
        caller, view = self._caller, self._view
        assert caller is not None
        assert view is not None
        owner = owner_of(caller, self._given)
        wants = wanted.get("toolsListChanged") is True
        listener = Listener(self._all, self._visit, self._responder, caller, view, owner, message.id, wants=wants)
        listener.begin()
        self._listener = listener
        self._reply.drop()  # the listener writes from now on

    # --- a call -------------------------------------------------------------------------------------------------

    async def _begin_call(self, message: JSONRPCMessage, modern: bool) -> None:
        """Pass a call on to its service, and wait for its end."""
        visit, caller, view = self._visit, self._caller, self._view
        assert caller is not None
        assert view is not None
        service, tool = self._all.resolve(view, message.params.get("name"))
        sent_id, body = sent(message, tool, modern=modern)
        owner = owner_of(caller, self._given)
        held = self._all.limits.held.begin(owner, MOST_OF_AN_ANSWER, _TOO_LONG)
        call = self._call = ToolCall(self._reply, message, sent_id, held)
        key = self._call_key(message.id)
        self._all.of.calls[key] = call
        try:
            admission = self._all.admit(visit, caller, service)
            forward = HTTPForward(
                visit,
                call,
                fin=False,
                headers=passed_on(visit.request.headers, tool, body),
                admission=admission,
            )
            call.forward = forward
            if not self._all.gateway.open_now(forward):
                await self._all.gateway.open(forward)
            if not forward.over:
                forward.upload(body)
                forward.upload_done()
            await call.over
        except Answer as answer:
            call.leave()
            refuse(self._reply, message.id, answer)
        finally:
            if self._all.of.calls.get(key) is call:
                del self._all.of.calls[key]
            if not call.over.done():
                call.leave()


_TOO_LONG = f"The service's result has more than {MOST_OF_AN_ANSWER:,} bytes. Ask for less, or call its own URL."


def _modern() -> dict[str, Any]:
    """What results of 2026-07-28 hold besides: they are the caller's alone, and true until the next change."""
    return {"resultType": "complete", "_meta": {SERVER_KEY: SERVER}, "ttlMs": 0, "cacheScope": "private"}


def _of_a_program(request: VisitorRequest, path: bytes) -> VisitorRequest:
    """*request* without its cookies and its query, which browsers send along and links hold."""
    headers: Headers = [pair for pair in request.headers if pair[0] != b"cookie"]
    return request._replace(headers=headers, target=path, fields=None)


def _takes(request: VisitorRequest, kind: bytes, *, plainly: bool = False) -> bool:
    """Whether the caller takes answers of this *kind*; *plainly*: it says so in full."""
    accepted = [value.lower() for name, value in request.headers if name == b"accept"]
    if not accepted:
        return not plainly
    return any(kind in value or (b"*/*" in value and not plainly) for value in accepted)


def owner_of(caller: Caller, request: VisitorRequest) -> str:
    """For whom counts what a request takes: a key, a user, or an address."""
    visitor = caller.visitor
    if visitor.key_id:
        return f"key:{visitor.key_id}"
    if visitor.user_id:
        return f"user:{visitor.user_id}"
    return network_of(request.client[0]) if request.client else ""
