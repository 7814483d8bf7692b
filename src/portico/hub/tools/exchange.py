"""An HTTP request under the one URL of all tools: who calls, and whether it may.

An edge makes one `ToolsExchange` for each request, and treats it as it does an `HTTPForward`: it feeds the body, and
says when the visitor has left. What the body asks is `answering`'s. Source: MCP specification, "Streamable HTTP" of
2025-11-25 and of 2026-07-28.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from portico.hub.access import ANONYMOUS, same_origin
from portico.hub.answers import Answer, forbidden, internal_error, invalid_key, unauthorized
from portico.hub.callers import Caller
from portico.hub.firewall.headers import preflight_headers
from portico.hub.held_bodies import HeldBody
from portico.hub.request import Target
from portico.hub.responders import Responder
from portico.hub.tools import catalog
from portico.hub.tools.agent import CallingAgent, of_a_program, takes_events
from portico.hub.tools.answering import Answering
from portico.hub.tools.base import AllTools
from portico.hub.tools.catalog import View
from portico.hub.tools.eras import version_of
from portico.hub.tools.listening import ChangeListener
from portico.hub.tools.messages import PARSE_ERROR, MessageError, refusal_of
from portico.hub.tools.reply import PostReply, render
from portico.hub.visits import Visit

logger = logging.getLogger(__name__)

MOST_OF_A_REQUEST: Final = 4 * 1024 * 1024
"""Bytes of one request: a model writes some kilobytes, a program may send an image."""

_TOO_LONG = f"A request has at most {MOST_OF_A_REQUEST:,} bytes here; the service's own URL may take longer ones."


class ToolsExchange:
    """One request. Await `start`; then feed the body. After `visitor_left` the responder is told nothing."""

    __slots__ = (
        "_all",
        "_answering",
        "_body",
        "_fin",
        "_given",
        "_held",
        "_listener",
        "_over",
        "_reply",
        "_responder",
        "_task",
        "_visit",
    )

    def __init__(self, all_tools: AllTools, visit: Visit, responder: Responder, *, fin: bool) -> None:
        """With *fin* the request has no body."""
        self._all = all_tools
        self._visit = visit
        self._given = visit.request
        """The request as it came, with what counts for nobody here."""
        self._responder = responder
        self._fin = fin
        self._reply = PostReply(visit, responder, events=takes_events(visit.request))
        self._body = bytearray()
        self._held: HeldBody | None = None
        """None where no body is wanted, or no more of it."""
        self._answering: Answering | None = None
        self._task: asyncio.Task[None] | None = None
        self._listener: ChangeListener | None = None
        self._over = False

    async def start(self) -> bool:
        """Pass the gate. True: the body is wanted. False: it is not; the answer went, or goes, to the responder."""
        try:
            return await self._start()
        except Answer as answer:
            self._answer(answer)
        except MessageError as refusal:
            self._reply.refuse(None, refusal)
        return False

    async def _start(self) -> bool:
        request, base = self._given, self._all.base
        path, _, query = request.target.partition(b"?")
        self._visit.target = Target("", b"/mcp", b"", "")
        origin = self._cross_origin()
        if path not in (base, base + b"/"):
            text = f"There is nothing here. Tools are called at {base.decode('latin-1')}, with a key."
            raise Answer(404, "not_found", text)
        narrowed = catalog.narrowing(query)
        self._visit.request = of_a_program(request, path)
        caller = await self._all.gateway.identify_program(self._visit)
        if self._over:
            return False
        view = View(caller.visitor, request.client[0] if request.client else None, origin, narrowed)
        self._refuse_strangers(caller, view)
        agent = CallingAgent(request, caller, view, version_of(request.headers))
        if request.method == "POST":
            self._check_body()
            self._answering = Answering(self._all, self._visit, self._responder, self._reply, agent)
            self._held = self._all.limits.held.begin(agent.owner, MOST_OF_A_REQUEST, _TOO_LONG)
            return True
        if request.method == "GET" and not agent.modern:
            self._listen(agent)
        elif request.method == "DELETE" and not agent.modern:
            self._answer(Answer(204, "ended", ""))  # of a session nothing is kept
        else:
            allowed = b"POST, OPTIONS" if agent.modern else b"GET, POST, DELETE, OPTIONS"
            raise Answer(405, "method_not_allowed", "That method is not for tools.", headers=((b"allow", allowed),))
        return False

    def _cross_origin(self) -> str:
        """The origin of the page that calls, if it is another's. Raises an `Answer` (403) for one that may not.

        With whatever key: the specification wants it so, as a key in a page's hand says nothing of the page.
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

    def _check_body(self) -> None:
        """Raise an `Answer`, or a `MessageError`, for a body that is no message whatever is in it.

        A page of another site can send text without asking first, and JSON it cannot.
        """
        fields = dict(self._given.headers)
        kind = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Answer(415, "not_json", "A message is sent with Content-Type: application/json.")
        if fields.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise Answer(415, "encoded", "A message is sent without Content-Encoding.")
        if self._fin:
            raise MessageError(PARSE_ERROR, "The body is empty: a message is a JSON object.")

    def _listen(self, agent: CallingAgent) -> None:
        """``GET``: tell a client that began with a handshake of changes."""
        if not takes_events(agent.request, plainly=True):
            text = "This is where MCP clients call tools: they POST, or GET with Accept: text/event-stream."
            raise Answer(406, "not_acceptable", text)
        listener = ChangeListener(self._all, self._visit, self._responder, agent)
        listener.begin()
        self._listener = listener

    # --- from the edge ------------------------------------------------------------------------------------------

    @property
    def uploading(self) -> bool:
        """Whether more of the body is of use."""
        return self._held is not None and not self._over

    def upload(self, data: bytes) -> asyncio.Future[None] | None:
        """Take *data* of the request's body."""
        if self._held is not None and not self._over:
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
        if self._held is not None and not self._over:
            self._task = asyncio.ensure_future(self._work())

    def visitor_left(self) -> None:
        """The visitor's connection is gone: what is under way ends."""
        self._over = True
        self._reply.drop()
        self._let_go()
        if self._listener is not None:
            self._listener.visitor_left()
        if self._answering is not None:
            self._answering.leave()
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        """Answer what the body asks."""
        assert self._answering is not None
        try:
            await self._answering.answer(self._body, self._let_go)
        except Exception:  # nobody else would hear of it
            logger.exception("a request for tools has failed")
            self._reply.refuse(None, refusal_of(internal_error()))

    def _answer(self, answer: Answer) -> None:
        if not self._over and not self._reply.over:
            self._over = True
            self._reply.note(answer)
            self._reply.whole(answer.status, *render(answer))

    def _let_go(self) -> None:
        """Hold nothing of the body any more."""
        self._body.clear()
        held, self._held = self._held, None
        if held is not None:
            held.release()
