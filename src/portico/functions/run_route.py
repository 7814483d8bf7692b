"""One function behind its URL: reads a request, calls the function, and answers with its result, whole or in pieces.

Here: the methods, the form of the answer that ``Accept`` asks for, and what each failure looks like. Not here: how
arguments are read (`request`), how a function is called (`calling`), what pieces look like (`streams`), and how a value
becomes JSON or anything else (`portico.functions.values`).

What rooms may do otherwise, each for its own functions, is a `Manner`. Source: RFC 9110 §9.3, §12.5.1, §15.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from portico.calls.exchange import Exchange, Leaving
from portico.calls.json_text import compact
from portico.calls.run import Sink
from portico.calls.sse import STREAM_HEADERS, deliver
from portico.errors import Busy, FunctionError, PorticoError, UnusableOutput, UnusableRequest
from portico.functions.calling import Arguments, Opened, call, stream, validate
from portico.functions.failing import fields_of, status_of
from portico.functions.given import Given, Listener
from portico.functions.invalid import details_of, is_invalid
from portico.functions.request import Intake, intake_of, query_arguments, read_body_arguments
from portico.functions.streams import (
    KEEP_ALIVE,
    TEXT_HEADERS,
    AsGiven,
    EventStream,
    Failed,
    Give,
    Make,
    Refuse,
    TextStream,
)
from portico.functions.typed import TypedFunction
from portico.functions.values.accepting import choose, names
from portico.functions.values.encodings import DISPLAY, JSON, Encoded, encode, is_quick
from portico.functions.values.json_form import json_bytes
from portico.functions.values.off_loop import off_loop
from portico.functions.values.uploads import CallFiles, is_quick_to_read
from portico.types import Headers, Receive, Scope, Send

if TYPE_CHECKING:
    from pydantic import BaseModel

log = logging.getLogger(__name__)

OnError = Callable[[BaseException], object]
"""Shows an exception to the function's author."""

Form = Literal["whole", "text", "events", "given"]
"""How a result goes out: at once, in pieces of text, or as events; or as what the function gives wants it."""

LOOK_AFTER = 0.1
"""Seconds of a call after which it is looked whether its visitor has left: fewer than anybody waits for, and most calls
are over before."""


def form_of(accept: str, typed: TypedFunction) -> Form:
    """The form that *accept* asks for.

    Where it leaves the choice, a function that gives pieces is answered with text, and any other at once.
    """
    if not accept or accept == "*/*":
        return "text" if typed.streams else "whole"
    chosen = choose(accept, _STREAMED if typed.streams else _PLAIN)
    return _FORMS.get(chosen, "whole") if chosen is not None else "whole"


_EVENTS, _TEXT = "text/event-stream", "text/plain"
_FORMS: Mapping[str, Form] = {_EVENTS: "events", _TEXT: "text"}
_STREAMED = (_TEXT, _EVENTS, JSON, DISPLAY)
_PLAIN = (JSON, _EVENTS, DISPLAY)
"""Of a function that gives its result at once, text is one of the result's own forms (`portico.functions.values`)."""


def piece_text(item: Any) -> str:
    """A piece as text: a ``str`` as it is, any other as a line of JSON."""
    return item if isinstance(item, str) else f"{json_bytes(item).decode()}\n"


def told_of(error: FunctionError) -> Any:
    """The ``detail`` of an answer that says how a function failed."""
    return error.detail


def refused(error: PorticoError) -> PorticoError:
    """What the visitor is told of *error*, for which a request is refused."""
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What a room does in its own way."""

    form_of: Callable[[str, TypedFunction], Form] = form_of
    text_of: Callable[[Any], str] = piece_text
    encode: Callable[[Any, str, TypedFunction, OnError | None], Encoded] = encode
    """Gives the whole answer. Raises `UnusableRequest` (406) and `UnusableOutput`."""
    told_of: Callable[[FunctionError], Any] = told_of
    refused: Callable[[PorticoError], PorticoError] = refused
    as_given: Callable[[Exchange, Make, Failed, Refuse, Give], AsGiven] = AsGiven
    """Makes the answer of the form ``given``."""
    opened: Opened | None = None
    """Gets at the stream in what a function gave, for the other forms in pieces."""
    keep_alive: float = KEEP_ALIVE


USUAL = Manner()


class RunRoute:
    """An ASGI app for one function: POST calls it, and GET, where its author says so."""

    def __init__(
        self,
        typed: TypedFunction,
        *,
        report: OnError | None = None,
        manner: Manner = USUAL,
        intake: Intake | None = None,
    ) -> None:
        """*report* shows the author what goes wrong; by default it is logged. *intake* is by the function's types."""
        self.typed = typed
        self.intake = intake if intake is not None else intake_of(typed)
        self.methods: tuple[str, ...] = ("GET", "HEAD", "POST") if typed.options.get else ("POST",)
        self._report = report
        self._manner = manner
        self._has_values = any(parameter.upload for parameter in typed.parameters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0), whatever its path."""
        await self.answer(Exchange(scope, receive, send, []))

    async def answer(self, exchange: Exchange) -> None:
        """Answer *exchange*. Raises only what breaks an answer off that has begun."""
        try:
            await self._answer(exchange)
        except EOFError:
            log.debug("The visitor left while sending %s", exchange.id)
        except PorticoError as error:
            if exchange.started:
                raise
            await self._refuse(exchange, error)
        except Exception as error:
            if not is_invalid(error) and not exchange.started:  # a defect of ours: the visitor gets an answer
                log.exception("Request %s failed", exchange.id)
                await exchange.json({"detail": "The server failed."}, 500)
                return
            if exchange.started:
                raise
            where = "query" if exchange.scope["method"] != "POST" else "body"
            await exchange.json({"detail": details_of(error, where)}, 422)

    async def _answer(self, exchange: Exchange) -> None:
        method = exchange.scope["method"]
        if method not in self.methods:
            allow = ", ".join(self.methods)
            message = f"{method} is not allowed here: send a {' or a '.join(self.methods)}."
            raise UnusableRequest(message, 405, headers=((b"allow", allow.encode()),))
        files = CallFiles()
        try:
            if method == "POST":
                given = await read_body_arguments(exchange, self.typed, self.intake, files)
            else:
                given = query_arguments(exchange.scope.get("query_string", b""), self.typed)
            if self._has_values and not is_quick_to_read(given, files):
                arguments = await off_loop(validate, self.typed, given, files, self._report)
            else:
                arguments = validate(self.typed, given, files, self._report)
            del given
            if method == "HEAD":
                await self._head(exchange)
            else:
                await self._call(exchange, arguments)
        finally:
            files.close()

    async def _head(self, exchange: Exchange) -> None:
        """What a GET would be answered with, as far as that is known before the function is called: it is not."""
        await exchange.head(200, [])
        await exchange.end()

    async def _call(self, exchange: Exchange, arguments: Arguments) -> None:
        manner = self._manner
        accept = exchange.headers.get("accept", "")
        form = manner.form_of(accept, self.typed)
        async with Leaving(exchange.receive, after=LOOK_AFTER) as leaving:
            if form == "whole":
                value = await call(self.typed, *arguments, self._given(exchange, None))
                encoded = await self._encoded(value, accept, self.typed)
                await exchange.whole(encoded.body, encoded.media_type.encode("latin-1"), 200, [*encoded.headers])
            else:
                await self._stream(exchange, arguments, form, accept)
        if leaving.left:
            log.debug("The visitor left during %s", exchange.id)

    async def _encoded(self, value: Any, accept: str, typed: TypedFunction) -> Encoded:
        make = self._manner.encode
        try:
            if is_quick(value):
                return make(value, accept, typed, self._report)
            return await off_loop(make, value, accept, typed, self._report)
        except UnusableOutput as error:
            raise self._unusable(error) from error

    async def _stream(self, exchange: Exchange, arguments: Arguments, form: Form, accept: str) -> None:
        manner, typed = self._manner, self.typed

        async def make(sink: Sink, listener: Listener | None, opened: Opened | None = None) -> None:
            await stream(typed, *arguments, self._given(exchange, listener), sink, opened or manner.opened)

        async def refuse(error: PorticoError) -> None:
            await self._refuse(exchange, error)

        async def result_of(value: Any) -> str:
            if typed.streams and value is None:
                return '{"result":null}'
            return (await self._encoded(value, wanted, returned)).body.decode()

        async def give(value: Any) -> None:
            told = replace(typed, answer=_any_answer()) if typed.streams else typed
            encoded = await self._encoded(value, accept, told)
            await exchange.whole(encoded.body, encoded.media_type.encode("latin-1"), 200, [*encoded.headers])

        if form == "given":
            as_given = manner.as_given(exchange, make, self._failed, refuse, give)
            await deliver(exchange, as_given, 0, as_given.headers)
            return
        if form == "text":
            await deliver(exchange, TextStream(make, manner.text_of, self._failed, refuse), 0, TEXT_HEADERS)
            return
        # What a generator returns is not what its annotation tells of its pieces.
        returned = replace(typed, answer=_any_answer()) if typed.streams else typed
        shown = names(accept, DISPLAY)
        wanted = DISPLAY if shown else JSON
        answer = EventStream(make, manner.text_of, result_of, self._failed, refuse, line_ends=shown)
        await deliver(exchange, answer, manner.keep_alive, STREAM_HEADERS)

    def _given(self, exchange: Exchange, listener: Listener | None) -> Given:
        return Given(
            headers=exchange.scope["headers"], identity=exchange.identity, progress=listener, report=self._report
        )

    def _failed(self, error: BaseException) -> PorticoError:
        """What to tell the visitor of what left a stream. Raises what is a defect of ours."""
        if isinstance(error, UnusableOutput):
            return self._unusable(error)
        if isinstance(error, PorticoError):
            return error
        raise error

    def _unusable(self, error: UnusableOutput) -> FunctionError:
        """The function's failure that *error* is; its author is told."""
        if self._report is None:
            told = error if error.__cause__ is not None and not is_invalid(error.__cause__) else None
            log.error("The result of %r cannot be sent: %s", self.typed.name, error, exc_info=told)
        else:
            self._report(error)
        failure = FunctionError("", str(error))
        failure.__cause__ = error
        return failure

    async def _refuse(self, exchange: Exchange, error: PorticoError) -> None:
        """Answer with *error* alone."""
        if isinstance(error, FunctionError):
            await _answer_failure(exchange, error, self._manner.told_of(error))
        elif isinstance(error, Busy):
            await exchange.json({"detail": str(error)}, error.status, [(b"retry-after", b"%d" % error.retry_after)])
        else:
            await answer_refusal(exchange, self._manner.refused(error))


async def answer_refusal(exchange: Exchange, error: PorticoError) -> None:
    """Say why a request is refused. One whose value is wrong is told in the form that names fields."""
    detail: Any = str(error)
    headers: Headers = []
    if isinstance(error, UnusableRequest):
        headers += error.headers
        if error.status == 422:
            loc = ["body", error.field] if error.field else ["body"]
            detail = [{"type": error.code or "value_error", "loc": loc, "msg": str(error)}]
    await exchange.json({"detail": detail}, error.status, headers)


async def _answer_failure(exchange: Exchange, error: FunctionError, detail: Any) -> None:
    status = status_of(error)
    headers = fields_of(error)
    if status in (204, 205, 304):  # these have no body (RFC 9110 §6.4.1)
        await exchange.head(status, headers)
        await exchange.end()
        return
    try:
        text = compact({"detail": detail})
    except Exception:  # noqa: BLE001 - an HTTPException's may be anything, with code of its own
        text = compact({"detail": error.message})
    await exchange.json_text(text, status, headers)


@functools.cache
def _any_answer() -> type[BaseModel]:
    """The answer of which nothing is known but that it has a result."""
    from pydantic import create_model

    return create_model("AnyRunResponse", result=(Any, ...))
