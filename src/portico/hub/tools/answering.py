"""What one POST asks, message by message, and how each is answered. Source: MCP specification, "Tools", "Lifecycle"."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from portico.hub.answers import Answer
from portico.hub.http_forward import HTTPForward
from portico.hub.responders import Responder
from portico.hub.tools.agent import CallingAgent, takes_events
from portico.hub.tools.base import SERVER, AllTools
from portico.hub.tools.call import MOST_OF_AN_ANSWER, ForwardedCall, passed_on, refuse, sent
from portico.hub.tools.eras import (
    BATCHES,
    SERVER_KEY,
    SESSION_HEADER,
    SUPPORTED,
    answered_version,
    check_modern,
    is_modern,
)
from portico.hub.tools.listening import ChangeListener
from portico.hub.tools.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    JSONRPCMessage,
    MalformedMessage,
    MessageError,
    RequestId,
    id_in,
    is_id,
    loads,
    read,
    refusal_of,
    response,
)
from portico.hub.tools.reply import PostReply, unwritable
from portico.hub.visits import Visit

MOST_IN_A_BATCH: Final = 50
"""Messages in one list, which are answered one after the other. No client is known to send more than a few."""

_CAPABILITIES: Final = {"tools": {"listChanged": True}}
_TOO_LONG = f"The service's result has more than {MOST_OF_AN_ANSWER:,} bytes. Ask for less, or call its own URL."

_TOO_LONG_A_LIST = (
    f"The results of the calls in one list have more than {MOST_OF_AN_ANSWER:,} bytes together. Send them one by one."
)


class Answering:
    """The messages of one POST."""

    __slots__ = ("_agent", "_all", "_call", "_reply", "_responder", "_visit", "listener")

    def __init__(
        self, all_tools: AllTools, visit: Visit, responder: Responder, reply: PostReply, agent: CallingAgent
    ) -> None:
        self._all = all_tools
        self._visit = visit
        self._responder = responder
        self._reply = reply
        self._agent = agent
        self._call: ForwardedCall | None = None
        """The one that is under way."""
        self.listener: ChangeListener | None = None
        """Who writes the answer, if it is a stream of changes."""

    def leave(self) -> None:
        """The caller has left."""
        if self._call is not None:
            self._call.leave()
        if self.listener is not None:
            self.listener.visitor_left()

    async def answer(self, body: bytearray, is_read: Callable[[], None]) -> None:
        """Answer all that *body* asks; *is_read* is called once it is not held any more."""
        reply, agent = self._reply, self._agent
        reply.modern = agent.modern
        try:
            value = loads(body)
        except MalformedMessage as error:
            reply.refuse(None, MessageError(PARSE_ERROR, f"The body cannot be read: {error}."))
            return
        finally:
            body.clear()
            is_read()
        if not isinstance(value, list):
            await self._answer_one(value)
            reply.end()
            return
        if agent.version and agent.version not in BATCHES:
            text = f"Messages in a list are not of MCP {agent.version}: send them one by one."
            reply.refuse(None, MessageError(INVALID_REQUEST, text))
            return
        if not 0 < len(value) <= MOST_IN_A_BATCH:
            reply.refuse(None, MessageError(INVALID_REQUEST, f"A list holds 1 to {MOST_IN_A_BATCH} messages."))
            return
        held = self._all.limits.held.begin(agent.owner, MOST_OF_AN_ANSWER, _TOO_LONG_A_LIST)
        reply.collect(held)
        try:
            for one in value:
                await self._answer_one(one)
                await reply.settle()
                if reply.over:
                    return
            reply.end()
        finally:
            held.release()

    async def _answer_one(self, value: Any) -> None:
        """One message, whatever it is."""
        reply, agent = self._reply, self._agent
        reply.modern = agent.modern
        id_ = id_in(value)
        try:
            message = read(value)
            if not message.method and agent.modern:
                raise MessageError(INVALID_REQUEST, "A client of 2026-07-28 sends no responses.")
            if not message.is_request:
                self._hear(message)
                return
            modern = reply.modern = is_modern(agent.version, message)
            if modern:
                check_modern(message, agent.request.headers)
            await self._do(message, modern)
        except MessageError as refusal:
            reply.refuse(id_, refusal)
        except Answer as answer:
            reply.refuse(id_, refusal_of(answer))
        except MalformedMessage as error:
            reply.refuse(id_, unwritable(error))

    async def _do(self, message: JSONRPCMessage, modern: bool) -> None:
        """Answer a request. Raises `MessageError`, an `Answer`, or `MalformedMessage`."""
        method, view = message.method, self._agent.view
        result: dict[str, Any]
        if method == "tools/call":
            await self._begin_call(message, modern)
            return
        if modern and method == "subscriptions/listen":
            self._subscribe(message)
            return
        if method == "tools/list":
            tools, cursor = await self._all.page(view, message.params.get("cursor"))
            result = {"tools": tools} | ({"nextCursor": cursor} if cursor else {})
        elif modern and method == "server/discover":
            result = {"supportedVersions": [*SUPPORTED], "capabilities": _CAPABILITIES}
            result["instructions"] = self._all.instructions(view)
        elif not modern and method == "initialize":
            # Nothing is kept of a session. It has an id since some clients listen for changes only if there is one.
            self._reply.with_header(SESSION_HEADER, secrets.token_urlsafe(16).encode())
            result = {"protocolVersion": answered_version(message.params), "capabilities": _CAPABILITIES}
            result |= {"serverInfo": SERVER, "instructions": self._all.instructions(view)}
        elif not modern and method == "ping":
            result = {}
        else:
            raise MessageError(METHOD_NOT_FOUND, f"There is no method {method[:100]!r} here: this URL has tools alone.")
        if modern:  # what is told is the caller's alone, and true until the next change
            result |= {"resultType": "complete", "_meta": {SERVER_KEY: SERVER}, "ttlMs": 0, "cacheScope": "private"}
        self._reply.answer(response(message.id, result))

    def _hear(self, message: JSONRPCMessage) -> None:
        """A notification, or a response: to none of them is anything said."""
        if message.method != "notifications/cancelled" or self._agent.modern:
            return  # a client of 2026-07-28 cancels by closing the request
        id_ = message.params.get("requestId")
        call = self._all.of.calls.get(self._call_key(id_)) if is_id(id_) else None
        if call is not None:
            call.cancel()

    def _call_key(self, id_: RequestId | None) -> object:
        """Which call has the request id *id_*: of this caller, in this session."""
        return self._agent.owner, self._agent.session, type(id_), id_

    def _subscribe(self, message: JSONRPCMessage) -> None:
        """``subscriptions/listen``: tell of changes from now on."""
        wanted = message.params.get("notifications")
        if not isinstance(wanted, dict):
            raise MessageError(INVALID_PARAMS, "params.notifications must be an object: what to listen for.")
        if not takes_events(self._agent.request):
            raise Answer(406, "not_acceptable", "Changes are told as events: send Accept: text/event-stream.")
        wants = wanted.get("toolsListChanged") is True
        listener = ChangeListener(self._all, self._visit, self._responder, self._agent, message.id, wants=wants)
        listener.begin()
        self.listener = listener
        self._reply.drop()  # the listener writes from now on

    async def _begin_call(self, message: JSONRPCMessage, modern: bool) -> None:
        """Pass a call on to its service, and wait for its end."""
        visit, agent, of = self._visit, self._agent, self._all.of
        service, tool = self._all.resolve(agent.view, message.params.get("name"))
        sent_id, body = sent(message, tool, modern=modern)
        held = self._all.limits.held.begin(agent.owner, MOST_OF_AN_ANSWER, _TOO_LONG)
        call = self._call = ForwardedCall(self._reply, message, sent_id, held)
        key = self._call_key(message.id)
        of.calls[key] = call
        try:
            admission = self._all.admit(visit, agent.caller, service)
            headers = passed_on(visit.request.headers, tool, body)
            forward = HTTPForward(visit, call, fin=False, headers=headers, admission=admission)
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
            if of.calls.get(key) is call:
                del of.calls[key]
            if not call.over.done():
                call.leave()
