"""What all endpoints of one server share: its settings, its models, and how a model's failure is told.

Here: no route and no wire format.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from portico.calls.exchange import Exchange
from portico.calls.other_loop import explain
from portico.calls.run import THREADS, Cancel, runs_on_loop
from portico.errors import APIError, PorticoError, UnusableOutput
from portico.models.fields import fields_of
from portico.models.injection import Plan, plan, remark
from portico.models.messages import history_before_last
from portico.models.registry import AnyTokenizer, Function, Models, ModelTable, ServedModel
from portico.models.wire import ErrorAnswer, answer_error, told
from portico.types import Headers

log = logging.getLogger(__name__)

OnError = Callable[[BaseException], object]


def failed(error: BaseException, model: str) -> PorticoError:
    """What clients are told of an exception of *model*, whose text is kept back."""
    if isinstance(error, UnusableOutput):
        return APIError(str(error), 500, code="unusable_output")
    return APIError(
        f"The model {model!r} failed with {type(error).__name__}. Its author has been shown the details.",
        500,
        code="model_error",
    )


def as_answer(error: BaseException) -> PorticoError | None:
    """The answer that a model means by an exception; None where the exception is a failure."""
    return error if isinstance(error, APIError) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a room that serves models does in its own way."""

    read: Callable[[bytes], dict[str, Any]] = fields_of
    """Reads the body of a request. Raises `UnusableRequest`."""
    as_answer: Callable[[BaseException], PorticoError | None] = as_answer
    failed: Callable[[BaseException, str], PorticoError] = failed
    """What clients are told of an exception of a model, whose author has been shown it; given the model's id."""
    told: Callable[[PorticoError], ErrorAnswer] = told
    extra: Callable[[str], Mapping[str, Any]] = lambda id: {}
    """Fields of a model object besides the API's, by the model's id."""
    role_alone: bool = True
    """Whether a streamed chat begins with a chunk that tells the role alone; else the first delta tells it, too."""
    done: bool = True
    """Whether a stream of a response ends with ``data: [DONE]``, as a chat's does. The API reference has none there."""
    may_be_empty: bool = False
    """Whether there may be no model at all."""


USUAL = Dialect()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """See `chat_server`, whose keyword arguments these are, but for the last one."""

    on_error: OnError | None = None
    tokenizer: AnyTokenizer | None = None
    keep_alive: float = 10.0
    max_body: int = 32 * 1024 * 1024
    max_concurrent: int | None = None
    allow_origins: tuple[str, ...] = ("*",)
    threads: bool = THREADS
    stored_responses: int = 1000
    stored_bytes: int = 64 * 1024 * 1024
    dialect: Dialect = USUAL


@dataclass(frozen=True, slots=True)
class Call:
    """A function that is ready to be called for one request."""

    run: Callable[[], Any]
    on_loop: bool
    sees_n: bool
    """Whether the function can know how many choices are wanted."""


class Engine:
    """Settings, models, and the signatures that have been read."""

    def __init__(self, models: Models, settings: EngineSettings) -> None:
        self.settings = settings
        self.registry = ModelTable(models, settings.tokenizer, settings.dialect.may_be_empty)
        self.active = 0
        self._plans: dict[str, tuple[Function, Plan, bool]] = {}

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places for requests. Raises `APIError` with status 429 if all are taken."""
        limit = self.settings.max_concurrent
        if limit is not None and self.active >= limit:
            raise APIError(
                f"{self.active} requests are being answered, which is all that this server takes at a time.",
                429,
                code="too_many_requests",
                retry_after=1,
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    def call(
        self,
        entry: ServedModel,
        main: Any,
        injected: Mapping[str, Any],
        fields: Mapping[str, Any],
        main_names: frozenset[str] = frozenset(("request", "body")),
    ) -> Call:
        """Make the call of a model's present function. Arguments are copied for each run, as functions change them."""
        function, signature, on_loop = self._known(entry, main_names)

        def run() -> Any:
            own = dict(main) if isinstance(main, dict) else list(main)
            values = {**injected, **dict.fromkeys(main_names, own)}
            args, kwargs = signature.arguments(own, values, fields)
            return function(*args, **kwargs)

        return Call(run, on_loop, signature.sees("n"))

    def _known(self, entry: ServedModel, main_names: frozenset[str]) -> tuple[Function, Plan, bool]:
        function = entry.function()
        known = self._plans.get(entry.info.id)
        if known is None or known[0] is not function:
            known = self._plans[entry.info.id] = (function, plan(function, main_names), runs_on_loop(function))
        return known

    def remarks(self) -> list[str]:
        """What the authors of the chat models should be told of their functions' parameters.

        Raises `NotServable` for a function whose signature cannot be read.
        """
        found = []
        for entry in self.registry.entries.values():
            if entry.info.kind != "chat":
                continue
            try:
                function = entry.function()
            except APIError:  # a `Live` one that is not there yet
                continue
            said = remark(entry.info.id, plan(function))
            if said is not None:
                found.append(said)
        return found

    def injected(
        self, exchange: Exchange, request: Mapping[str, Any], entry: ServedModel, cancel: Cancel
    ) -> dict[str, Any]:
        """What a function may ask for by name, whatever the endpoint."""
        return {
            "model": entry.info.id,
            "headers": exchange.headers,
            "user": exchange.identity if exchange.identity is not None else request.get("user"),
            "cancel": cancel,
            "tools": request.get("tools"),
            "messages": request.get("messages"),
            "history": history_before_last(request.get("messages")),
        }

    def answerable(self, error: BaseException, model: str) -> PorticoError:
        """The error to tell the client of. A model's own exception is reported to its author, its text kept back."""
        dialect = self.settings.dialect
        answer = dialect.as_answer(error)
        if answer is not None:
            return answer
        self.report(error)
        return dialect.failed(error, model)

    async def refuse(self, exchange: Exchange, error: PorticoError, headers: Headers | None = None) -> None:
        """Answer with *error* alone; *headers* go out with it."""
        await answer_error(exchange, self.settings.dialect.told(error), headers)

    def report(self, error: BaseException) -> None:
        """Show an exception of a model to its author: by ``on_error``, else in the log."""
        explain(error)
        if self.settings.on_error is None:
            log.error("A model failed", exc_info=error)
            return
        try:
            self.settings.on_error(error)
        except Exception:  # the hook is not ours, and its failure must not hide the model's
            log.exception("on_error failed on %r", error)
