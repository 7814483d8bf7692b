"""Calls a typed function: reads what callers gave, waits for its turn, and runs it.

Here: one call, for REST, the page and tools alike. Not here: how code of any shape is run (`portico.calls.run`), and
what an answer looks like, which is up to who calls.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from portico.calls.endings import UNUSUAL, is_failure
from portico.calls.run import THREADS, Cancel, Sink, drive
from portico.errors import PorticoError, UnusableRequest
from portico.functions.choices import is_too_deep
from portico.functions.failing import failure_of, report_failure
from portico.functions.fields import NOT_PASSED
from portico.functions.given import NOTHING_GIVEN, Given, Progress, headers_of, user_of
from portico.functions.invalid import is_invalid
from portico.functions.mistakes import validator_of
from portico.functions.results import Told, Whole
from portico.functions.turn import ThreadTurn
from portico.functions.typed import TypedFunction

if TYPE_CHECKING:
    from pydantic_core import SchemaSerializer

Arguments = tuple[list[Any], dict[str, Any]]
"""What goes by position, and what goes by name."""

Opened = Callable[[Any], Any]
"""Gives what stands for what a function gave."""

Report = Callable[[BaseException], object]
"""Shows an exception to the function's author."""


def validate(
    typed: TypedFunction, given: Mapping[str, Any], context: Any = None, report: Report | None = None
) -> Arguments:
    """Read what a caller gave, by the parameters' names, as pydantic reads it.

    *context* is for the types' own validators: the files that came with the call. What the function is given by us is
    not in the result: `call` adds it.

    Raises `pydantic.ValidationError`, which names each wrong field; of what is large, only the first in each list
    (`portico.functions.mistakes`). A type's validator is code, its author's or a library's: what else it raises is
    shown to the author by *report*, and becomes a `FunctionError`; or `UnusableRequest` (422), where a value was too
    deep or too large for it. The same is raised for what would take too long to try (`portico.functions.choices`).
    """
    choices = typed.passing.choices
    if choices > 1 and is_too_deep(given, choices):
        message = (
            "The arguments hold too many lists and objects within each other: some may be one of several types, of "
            "which each would be tried with all that is inside."
        )
        raise UnusableRequest(message, 422, code="too_deep")
    try:
        validator = validator_of(typed.arguments, given)
        if typed.passing.strict and (text := _as_json(given)) is not None:
            return _passed(typed, validator.validate_json(text, context=context))
        return _passed(typed, validator.validate_python(given, context=context))
    except PorticoError:
        raise
    except BaseException as error:  # a validator may raise anything
        if is_invalid(error) or not is_failure(error, stopped=False):
            raise
        report_failure(typed.name, error, Given(report=report))
        if isinstance(error, RecursionError | OverflowError):  # re.compile of "((((...", and of "a{9999999999}"
            message = "The arguments cannot be read: a value is nested too deeply, or too large."
            raise UnusableRequest(message, 422, code="value_error") from error
        raise failure_of(error) from error


def _as_json(given: Mapping[str, Any]) -> bytes | None:
    """What came as JSON, as it came; None if it did not: a form has files."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(given, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError):
        return None


def validate_json(typed: TypedFunction, body: bytes | str) -> Arguments:
    """As `validate`, of a JSON text. Raises `pydantic.ValidationError` of the type ``json_invalid`` if it is none."""
    return _passed(typed, typed.arguments.__pydantic_validator__.validate_json(body))


def _passed(typed: TypedFunction, read: Any) -> Arguments:
    passing, values = typed.passing, read.__dict__
    if passing.plain:
        given = read.__pydantic_fields_set__
        return [], (values if len(given) == len(values) else {name: values[name] for name in given})
    names = passing.names
    wanted = [*read.__pydantic_fields_set__, *passing.always]
    kwargs = {names[name]: values[name] for name in wanted if name in names}
    for name in passing.as_dicts:
        if (value := kwargs[names[name]]) is not NOT_PASSED:
            kwargs[names[name]] = as_dicts(value)
        else:
            del kwargs[names[name]]
    if passing.more:
        _take_more(typed, kwargs, read.__pydantic_extra__ or {})
    args: list[Any] = []
    rest = kwargs.pop(passing.rest, ()) if passing.rest else ()
    missing = 0
    for name, otherwise in passing.positional:
        if name in kwargs or name in typed.injected:
            missing = 0
        else:
            missing += 1
        args.append(kwargs.pop(name, otherwise))
    if rest:
        args.extend(rest)
    elif missing:
        del args[-missing:]
    return args, kwargs


def as_dicts(value: Any) -> Any:
    """*value* with a dict in place of each pydantic model and dataclass in it."""
    return _dumper().to_python(value, warnings=False)


@functools.cache
def _dumper() -> SchemaSerializer:
    from pydantic_core import SchemaSerializer, core_schema

    return SchemaSerializer(core_schema.any_schema())


def succeeding(new: TypedFunction, old: TypedFunction) -> TypedFunction:
    """*new* to be served in the place of *old*, with whose calls its own wait in one line."""
    if new.line.most is None or old.line.most is None:
        return new
    old.line.resize(new.line.most)
    return replace(new, line=old.line)


def _take_more(typed: TypedFunction, kwargs: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what is for ``**kwargs``. No name of another parameter may be there, and so none that we give."""
    refused = [name for name in more if name in typed.passing.taken]
    if refused:
        from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

        error = PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")
        raise ValidationError.from_exception_data(
            typed.arguments.__name__,
            [InitErrorDetails(type=error, loc=(name,), input=more[name]) for name in refused],
        )
    kwargs.update(more)


async def call(typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given = NOTHING_GIVEN) -> Any:
    """Call the function with what `validate` gave; returns its result.

    A generator's items are a list; if it yielded nothing and returned something, that is the result. Cancel the task if
    the caller leaves. Raises `FunctionError` for whatever the function raises, whose author is shown its traceback
    (`Given.report`), `Busy`, and `UnusableOutput` for a generator of more than a million items.
    """
    whole = Whole()
    await _run(typed, args, kwargs, given, whole, whole.iterate)
    return whole.result


async def stream(
    typed: TypedFunction,
    args: list[Any],
    kwargs: dict[str, Any],
    given: Given,
    sink: Sink,
    opened: Opened | None = None,
) -> None:
    """As `call`, but *sink* gets each item as it comes, and by its ``final`` what is no item.

    That is what a generator returned, unless it is None; or the result of a function that gave no iterator, None too.
    What *sink* raises is raised as it is, and is no failure of the function. *opened* gives what stands for what the
    function gave, before any of it is iterated; where the function runs, on its thread.
    """
    told = Told(sink)
    await _run(typed, args, kwargs, given, told, told.iterate, opened)


async def _run(
    typed: TypedFunction,
    args: list[Any],
    kwargs: dict[str, Any],
    given: Given,
    sink: Whole | Told,
    iterate: Callable[[Any], Any],
    opened: Opened | None = None,
) -> None:
    cancel = Cancel()
    progress = _give(typed, args, kwargs, given, cancel) if typed.injected else None
    line = typed.line
    await line.enter()
    run: Callable[[], Any] = partial(typed.function, *args, **kwargs)
    if opened is not None:
        run = partial(_open, run, opened)
    turn = None
    if not typed.on_loop and THREADS:
        turn = ThreadTurn(run, cancel, line)
        run = turn.run
    try:
        await drive(run, typed.on_loop, sink, threads=THREADS, iterate=iterate, around=typed.around)
    except UNUSUAL:  # `drive` has made a failure of what is one
        raise
    except BaseException as error:  # whatever a function raises is its call's failure, and its author is told
        if error is sink.failure:
            raise
        failure = failure_of(error)
        if failure.type:  # an HTTPException is an answer
            report_failure(typed.name, error, given)
        if _is_cancelled():
            raise asyncio.CancelledError from error
        raise failure from error
    finally:
        cancel.set()
        if progress is not None:
            progress.end()
        if turn is not None:
            turn.over()
        else:
            line.leave()


def _open(run: Callable[[], Any], opened: Opened) -> Any:
    produced = run()
    return _open_later(produced, opened) if inspect.isawaitable(produced) else opened(produced)


async def _open_later(produced: Any, opened: Opened) -> Any:
    while inspect.isawaitable(produced):
        produced = await produced
    return opened(produced)


def _give(
    typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given, cancel: Cancel
) -> Progress | None:
    """Add what the function is given by us, in the place of whatever a caller gave; returns what tells its progress."""
    progress: Progress | None = None
    value: Any
    for name, role in typed.injected.items():
        if role == "progress":
            value = progress = progress or Progress(given.progress, cancel)
        elif role == "cancel":
            value = cancel
        elif role == "user":
            value = user_of(given.identity)
        else:
            value = headers_of(given.headers)
        at = typed.passing.places.get(name)
        if at is None:
            kwargs[name] = value
        else:
            args[at] = value
    return progress


def _is_cancelled() -> bool:
    """Whether the present task was told to stop, and so nobody waits for a result."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
