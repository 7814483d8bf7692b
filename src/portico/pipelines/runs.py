"""What ``POST {name}/run`` does in its own way: JSON or a stream as the pipeline gives it, and the texts of errors.

Here: the `Manner` of those routes (`portico.functions.run_route`), and the text of one piece of a stream. Not here: how
a request is read and a function is called. Source of the wire: Hayhooks 2.1.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import traceback
from collections.abc import Iterator
from typing import Any, Final

from portico.calls.run import Frames
from portico.calls.sse import STREAM_HEADERS
from portico.errors import FunctionError, PorticoError, UnusableOutput, UnusableRequest
from portico.functions.request import Intake
from portico.functions.results import MOST_ITEMS
from portico.functions.run_route import Form, Manner, OnError, RunRoute
from portico.functions.streams import AsGiven, event
from portico.functions.typed import TypedFunction
from portico.functions.values.accepting import names
from portico.functions.values.encodings import DISPLAY, Encoded, encode
from portico.packages import loaded
from portico.pipelines.deployment import Deployment
from portico.pipelines.streams.sse_stream import SSEStream
from portico.types import Message

MOST_TOLD: Final = 10_000
"""Characters of an exception's text that a visitor is told: errors of pydantic and of YAML have many lines."""

FAILED: Final = "Pipeline execution failed: "

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""The name of a header (RFC 9110 §5.1)."""
_NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value of a header holds (RFC 9110 §5.5): servers write it as it is, or break the connection off."""


def run_route(
    deployment: Deployment, *, report: OnError | None = None, show_tracebacks: bool = False
) -> RunRoute | None:
    """The route of ``{name}/run``; None for a pipeline that has none."""
    typed = deployment.api
    if typed is None:
        return None
    takes_files = any(parameter.upload for parameter in typed.parameters)
    intake = Intake(json=not takes_files, form=takes_files, fields=takes_files)
    return RunRoute(typed, report=report, manner=SHOWING if show_tracebacks else QUIET, intake=intake)


# --- streams ----------------------------------------------------------------------------------------------------------


def piece_text(item: Any) -> str:
    """A piece of a stream as text.

    A StreamingChunk is its content, or its reasoning if that is empty. None, and what is for a chat's interface alone
    (what has a ``to_event_dict``), is "". Bytes are UTF-8, what JSON has is JSON, and anything else is its ``str``.
    """
    kind = item.__class__
    if kind is str:
        return item  # type: ignore[no-any-return]
    if item is None:
        return ""
    chunk = loaded("haystack.dataclasses.streaming_chunk", "StreamingChunk")
    if chunk is not None and isinstance(item, chunk):
        return chunk_text(item)
    if isinstance(item, bytes | bytearray):
        return item.decode("utf-8", "replace")
    if hasattr(kind, "to_event_dict"):
        return ""
    if isinstance(item, dict | list | tuple | int | float):
        return json.dumps(item, default=str)
    return str(item)


def chunk_text(chunk: Any) -> str:
    """The text of Haystack's StreamingChunk: what a model says, or else what it thinks."""
    content = chunk.content
    if content:
        return str(content)
    reasoning = getattr(chunk, "reasoning", None)
    return str(getattr(reasoning, "reasoning_text", "") or "") if reasoning is not None else ""


class RunStream(AsGiven):
    """The answer to one run: JSON, text in pieces, events, or a response that the pipeline made itself."""

    _framed = False

    def opened(self, produced: Any) -> Any:
        if isinstance(produced, SSEStream):
            self._framed = True
            self.headers[:] = STREAM_HEADERS
            return produced.stream
        if isinstance(produced, Iterator) and not hasattr(produced, "close"):
            return _listed(produced)  # `iter(...)`, `map(...)`: no stream, but a list that is not made yet
        return produced

    def feed(self, item: Any) -> Frames:
        self._some = True
        text = piece_text(item)
        if self._framed:
            return event(text)
        return text.encode("utf-8", "replace") or None

    async def give(self, value: Any) -> None:
        response = loaded("starlette.responses", "Response")
        if response is not None and isinstance(value, response):
            await value(self.exchange.scope, _never, self._send_checked)
        else:
            await super().give(value)

    async def _send_checked(self, message: Message) -> None:
        """Send a piece of the pipeline's own response. Raises `UnusableOutput` for a head that no server sends."""
        if not self.exchange.started:
            _check_head(message)
            self.exchange.started = True
        await self.exchange.send(message)


def _check_head(message: Message) -> None:
    status = message.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise UnusableOutput(f"the status of the pipeline's response is {status!r:.100}, and not one from 200 to 599")
    for name, value in message.get("headers", ()):
        if _NAME.fullmatch(name) is None or _NO_VALUE.search(value) is not None:
            said = f"{bytes(name)!r:.100} with {bytes(value)!r:.100}"
            raise UnusableOutput(f"the pipeline's response has a header that none can be: {said}")


async def _never() -> Message:
    """In the place of ``receive``: it is looked elsewhere whether the visitor leaves, and that cancels the call."""
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


def _listed(iterator: Iterator[Any]) -> list[Any]:
    items = list(itertools.islice(iterator, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise ValueError(f"the pipeline gave an iterator of more than {MOST_ITEMS:,} items")
    return items


# --- the manner -------------------------------------------------------------------------------------------------------


def _form_of(accept: str, typed: TypedFunction) -> Form:
    """Whatever a client accepts: what the pipeline gives decides."""
    return "given"


def _encode(value: Any, accept: str, typed: TypedFunction, report: OnError | None) -> Encoded:
    return encode(value, "", typed, report)


def told_of(error: FunctionError) -> Any:
    """The ``detail`` of a failure: that of an HTTPException as it is, of any other its text."""
    cause = error.__cause__
    if cause is None or isinstance(cause, UnusableOutput):
        return f"{FAILED}{error.message}"
    if not error.type:  # an HTTPException, which is an answer
        return error.detail
    try:
        text = str(cause)
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may do anything; `message` is what was had of it
        text = error.message
    return f"{FAILED}{text[:MOST_TOLD] or error.type}"


def _told_with_traceback(error: FunctionError) -> Any:
    told = told_of(error)
    return told if not error.type and not isinstance(error.__cause__, UnusableOutput) else with_traceback(told, error)


def with_traceback(told: str, error: BaseException) -> str:
    """*told* and the traceback of what *error* comes of."""
    cause = error.__cause__
    return told if cause is None else f"{told}\n{''.join(traceback.format_exception(cause))[-MOST_TOLD:]}"


def refused(error: PorticoError) -> PorticoError:
    """A body that is not JSON, or does not say that it is, is told as one whose value is wrong: at 422."""
    if isinstance(error, UnusableRequest):
        if error.status == 400 and error.code is None:
            return UnusableRequest(str(error), 422, field=error.field, code=None if error.field else "json_invalid")
        if error.status == 415 and error.code == "content_type":
            return UnusableRequest(str(error), 422, code=error.code, headers=error.headers)
    return error


def _form_in_service(accept: str, typed: TypedFunction) -> Form:
    """Events for the page of a form, which alone asks for how a result is shown."""
    return "events" if names(accept, DISPLAY) else "given"


def opened(produced: Any) -> Any:
    """What is gone through of what a pipeline gave: an `SSEStream` holds its stream."""
    return produced.stream if isinstance(produced, SSEStream) else produced


QUIET: Final = Manner(form_of=_form_of, encode=_encode, told_of=told_of, refused=refused, as_given=RunStream)
SHOWING: Final = Manner(
    form_of=_form_of, encode=_encode, told_of=_told_with_traceback, refused=refused, as_given=RunStream
)
"""With tracebacks, for those who write pipelines."""

IN_SERVICE: Final = Manner(
    form_of=_form_in_service,
    text_of=piece_text,
    encode=encode,
    told_of=told_of,
    refused=refused,
    as_given=RunStream,
    opened=opened,
)
"""Where a pipeline is a service with a page: results are given as a caller asks for them, as those of functions."""
