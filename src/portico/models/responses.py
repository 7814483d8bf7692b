"""``responses``: creating, reading, cancelling and deleting them.

Here: the responses of one server, and their routes over HTTP. Not here: their WebSocket (`response_socket`), and how
they look (`response_events`). Source: OpenAI API reference, "Responses"; Open Responses specification.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from portico.calls.body import kind, read_body
from portico.calls.endings import as_exception
from portico.calls.exchange import Exchange, Leaving, now
from portico.calls.run import Cancel
from portico.errors import APIError, InvalidRequest
from portico.models.delivery import deliver_stream, deliver_whole
from portico.models.engine import Engine
from portico.models.fields import check_fields, limit_of, stops_of
from portico.models.generation import Aborted, Generation, Wanted
from portico.models.messages import get_last_user_message
from portico.models.response_events import ResponseEvents
from portico.models.response_input import chat_request, items_of, messages_of
from portico.models.response_store import Store, Stored, owner_of
from portico.models.response_tape import Tape
from portico.models.structured import check_of
from portico.models.tool_items import found_tools
from portico.models.tools import offers_of

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Turn:
    """One response being made."""

    generation: Generation
    events: ResponseEvents
    model: str
    input: list[dict[str, Any]]
    earlier: list[dict[str, Any]]
    owner: str
    store: Store | None
    """Where the response is to be kept; None if it is not."""
    tape: Tape | None = None
    """Its events, if it is made in the background."""

    @property
    def id(self) -> str:
        return str(self.events.response["id"])

    def keep(self) -> None:
        """Store the response as it is now."""
        if self.store is not None:
            response = self.events.response
            conversation = [*self.earlier, *self.input, *response["output"]]
            self.store.put(response, self.input, conversation, self.owner, self.tape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a response, as it is understood: how it is made, its own items, and those of its conversation."""

    model: str
    wanted: Wanted
    cancel: Cancel
    items: list[dict[str, Any]]
    earlier: list[dict[str, Any]]
    summary: bool = False
    """Whether reasoning is told as a summary too, though the client did not ask for that."""


class Responses:
    """The responses API of one server."""

    def __init__(self, engine: Engine, ask: Ask) -> None:
        self.engine = engine
        self._ask = ask
        self.store = Store(engine.settings.stored_responses, engine.settings.stored_bytes)
        self._running: dict[str, Turn] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._shutting_down = False
        """Whether what runs in the background was cancelled by us."""

    def take_over(self, other: Responses) -> None:
        """Go on with what *other* has stored, and with what it makes in the background."""
        if other is not self:
            self.store, self._running = other.store, other._running
            self._background, other._background = other._background, set()

    async def create(self, engine: Engine, exchange: Exchange, body: dict[str, Any]) -> None:
        """``POST responses``. Raises `APIError` before anything is sent if the request cannot be served."""
        turn = self.begin(exchange, body)
        if body.get("background"):
            tape = self._make_behind(turn)
            if body.get("stream"):
                await tape.play(exchange, 0, engine.settings.keep_alive)
            else:
                await exchange.json(turn.events.response)
            return
        self._running[turn.id] = turn
        try:
            if body.get("stream"):
                await deliver_stream(engine, exchange, turn.generation, turn.events, turn.model)
            else:

                def answer() -> dict[str, Any]:
                    turn.events.closing(turn.generation)
                    return turn.events.response

                await deliver_whole(engine, exchange, turn.generation, answer, turn.model, turn.events)
        except asyncio.CancelledError:
            turn.events.cancelled()
            raise
        finally:
            self._running.pop(turn.id, None)

    def begin(
        self,
        exchange: Exchange,
        body: dict[str, Any],
        unstored: Store | None = None,
        stream_id: str | None = None,
        lines: bool = True,
    ) -> Turn:
        """Check a request and make all that is needed to run it.

        *unstored* is where a WebSocket keeps its responses of ``store: false``; *stream_id* and *lines* are those of
        `ResponseEvents`. Raises `APIError`.
        """
        asked = self._ask(self, exchange, body, unstored)
        owner = owner_of(exchange.identity)
        kept = body.get("store") is not False
        if body.get("background") and not kept:
            raise InvalidRequest("'background' needs 'store'.", "background")
        response = response_object(self.store.new_id(), body, asked.model)
        events = ResponseEvents(response, lines, stream_id, asked.summary, self.engine.settings.dialect.done)
        store = self.store if kept else unstored
        generation = Generation(asked.wanted, asked.cancel)
        turn = Turn(generation, events, asked.model, asked.items, asked.earlier, owner, store)
        events.ended = turn.keep
        return turn

    def _make_behind(self, turn: Turn) -> Tape:
        """Make a response in the background, whoever leaves; the tape of its events. Raises `APIError`, status 429."""
        limit = self.engine.settings.max_concurrent
        if limit is not None and len(self._background) >= limit:
            raise APIError(
                f"{len(self._background)} responses are being made in the background, which is all that this server "
                "takes at a time.",
                429,
                code="too_many_requests",
                retry_after=1,
            )
        tape = turn.tape = Tape(turn.events.opening(), self.engine.settings.stored_bytes)
        turn.keep()
        self._running[turn.id] = turn
        task = asyncio.get_running_loop().create_task(self._run_behind(turn, tape))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return tape

    async def _run_behind(self, turn: Turn, tape: Tape) -> None:
        last: list[bytes] = []
        try:
            await turn.generation.run(turn.events, tape.write)
            last = turn.events.closing(turn.generation)
        except asyncio.CancelledError as error:
            if self._shutting_down:
                last = turn.events.failure(Aborted())
                raise
            last = turn.events.failure(self.engine.answerable(as_exception(error), turn.model))
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything; answerable() logs
            last = turn.events.failure(self.engine.answerable(error, turn.model))
        finally:
            tape.end(last[:-1])  # each client is told of the end by itself
            self._running.pop(turn.id, None)

    async def stored(self, exchange: Exchange, rest: str, method: str) -> None:
        """The routes under ``responses/``: *rest* is what comes after. Raises `APIError`, mostly with status 404."""
        id, _, what = rest.partition("/")
        owner = owner_of(exchange.identity)
        if method == "POST" and rest in ("compact", "input_tokens"):
            raise APIError(f"'/responses/{rest}' is not supported by this server.", 501, code="not_implemented")
        if what not in ("", "cancel", "input_items"):
            raise APIError(f"There is nothing at '/responses/{rest[:200]}'.", 404, code="unknown_url")
        if method == "POST" and what == "cancel":
            await exchange.json(await self._cancel(id, owner))
        elif method == "GET" and what == "input_items":
            await exchange.json(page_of(self.store.get(id, owner).input, exchange.scope.get("query_string", b"")))
        elif method in ("GET", "HEAD") and not what:
            await self._read(exchange, self.store.get(id, owner), exchange.scope.get("query_string", b""))
        elif method == "DELETE" and not what:
            self.store.delete(id, owner)
            await exchange.json({"id": id, "object": "response", "deleted": True})
        else:
            error = APIError(f"{method} is not allowed here.", 405, code="method_not_allowed")
            allow = ", ".join([*methods_of_stored(rest), "OPTIONS"]).encode()
            await self.engine.refuse(exchange, error, [(b"allow", allow)])

    async def _read(self, exchange: Exchange, stored: Stored, query_string: bytes) -> None:
        start = events_from(query_string)
        if start is None or exchange.scope["method"] == "HEAD":
            await exchange.json(stored.response)
            return
        if stored.tape is None:
            raise InvalidRequest("Only a response that was made with 'background' can be streamed again.", "stream")
        settings = self.engine.settings
        await read_body(
            exchange.receive, {}, settings.max_body, exchange.scope
        )  # whatever it says: only its end is wanted
        async with Leaving(exchange.receive):
            await stored.tape.play(exchange, start, settings.keep_alive)

    async def _cancel(self, id: str, owner: str) -> dict[str, Any]:
        turn = self._running.get(id)
        if turn is None or turn.owner != owner:
            return self.store.get(id, owner).response  # it has ended, and to cancel it changes nothing
        turn.generation.abort()
        return {**turn.events.response, "status": "cancelled"}

    async def shut_down(self) -> None:
        """Cancel what runs in the background, and wait for it."""
        self._shutting_down = True
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)


def ask_model(responses: Responses, exchange: Exchange, body: dict[str, Any], unstored: Store | None) -> Asked:
    """A request to one of the server's models. See `Ask`."""
    engine = responses.engine
    entry = engine.registry.find(body.get("model"), "chat")
    check_fields(body)
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise APIError(f"{name!r} is not supported by this server.", 501, param=name, code="not_implemented")
    if not isinstance(body.get("reasoning"), dict | None):
        raise InvalidRequest(f"'reasoning' must be an object, not {kind(body['reasoning'])}.", "reasoning")
    owner = owner_of(exchange.identity)
    earlier: list[dict[str, Any]] = []
    previous = body.get("previous_response_id")
    if previous is not None:
        own = unstored if unstored is not None and unstored.has(previous) else responses.store
        earlier = own.get(previous, owner, "previous_response_id").conversation
    items = items_of(body.get("input"), lambda id: responses.store.item(id, owner))
    if not items and not earlier and body.get("input") is None:
        raise InvalidRequest("You must provide 'input'.", "input")
    check = check_of((body.get("text") or {}).get("format"), "text.format")
    messages = messages_of([*earlier, *items], body.get("instructions"))
    if not messages and items:
        raise InvalidRequest("'input' holds no message.", "input")
    if not messages:  # an empty array: functions may still count on a message
        messages = [{"role": "user", "content": ""}]
    cancel = Cancel()
    request = chat_request(body, messages)
    injected = engine.injected(exchange, request, entry, cancel)
    injected["prompt"] = get_last_user_message(messages)
    call = engine.call(entry, request, injected, request)
    wanted = Wanted(
        calls=[call.run],
        on_loop=call.on_loop,
        messages=messages,
        stops=stops_of(body),
        limit=limit_of(body),
        tokenizer=entry.info.tokenizer,
        check=check,
        threads=engine.settings.threads,
        offers=offers_of([*(body.get("tools") or ()), *found_tools([*earlier, *items])]),
    )
    return Asked(model=entry.info.id, wanted=wanted, cancel=cancel, items=items, earlier=earlier)


Ask = Callable[[Responses, Exchange, dict[str, Any], Store | None], Asked]
"""Understands a request's body; given where a WebSocket keeps its responses, too. Raises `APIError`."""


def methods_of_stored(rest: str) -> list[str]:
    """The methods of what is below ``responses/``: an id, or an id and what is asked of it."""
    allowed = {"": ["GET", "HEAD", "DELETE"], "cancel": ["POST"], "input_items": ["GET"]}
    return allowed.get(rest.partition("/")[2], [])


def response_object(id: str, body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A response object that has just begun: the request's own fields, or the API's defaults."""

    def given(name: str, default: Any = None) -> Any:
        value = body.get(name)
        return default if value is None else value

    tools = [
        {"parameters": None, "strict": None, **tool} if tool.get("type") == "function" else tool
        for tool in body.get("tools") or ()
    ]
    reasoning = given("reasoning", {})
    return {
        "id": id,
        "object": "response",
        "created_at": now(),
        "completed_at": None,
        "status": "in_progress",
        "background": given("background", False),
        "error": None,
        "incomplete_details": None,
        "instructions": given("instructions"),
        "max_output_tokens": given("max_output_tokens"),
        "max_tool_calls": given("max_tool_calls"),
        "metadata": given("metadata", {}),
        "model": model,
        "output": [],
        "parallel_tool_calls": given("parallel_tool_calls", True),
        "previous_response_id": given("previous_response_id"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "store": given("store", True),
        "temperature": given("temperature", 1.0),
        "text": {"format": {"type": "text"}, **given("text", {})},
        "tool_choice": given("tool_choice", "auto"),
        "tools": tools,
        "top_p": given("top_p", 1.0),
        "truncation": given("truncation", "disabled"),
        "usage": None,
        "user": given("user"),
    }


def events_from(query_string: bytes) -> int | None:
    """The number of the first event that ``stream=true`` and ``starting_after`` ask for; None for no events.

    Raises `InvalidRequest`.
    """
    query = {name: values[-1] for name, values in parse_qs(query_string.decode("latin-1")).items()}
    stream = query.get("stream", "false").lower()
    if stream not in ("true", "false"):
        raise InvalidRequest("'stream' must be true or false.", "stream")
    after = query.get("starting_after")
    if after is not None and not (after.isascii() and after.isdigit()):
        raise InvalidRequest("'starting_after' must be the number of an event.", "starting_after")
    if stream == "false":
        return None
    return 0 if after is None else int(after[:18]) + 1


def page_of(items: list[dict[str, Any]], query_string: bytes) -> dict[str, Any]:
    """A page of input items, by ``limit`` (1 to 100), ``order`` and ``after``. Raises `InvalidRequest`."""
    query = {name: values[-1] for name, values in parse_qs(query_string.decode("latin-1")).items()}
    limit = query.get("limit", "20")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= 100:
        raise InvalidRequest("'limit' must be between 1 and 100.", "limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' must be asc or desc.", "order")
    rows = items if order == "asc" else items[::-1]
    after = query.get("after")
    if after is not None:
        places = [place for place, row in enumerate(rows) if row.get("id") == after]
        if not places:
            raise InvalidRequest("'after' is no item of this response.", "after")
        rows = rows[places[0] + 1 :]
    page = rows[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": len(rows) > len(page),
    }
