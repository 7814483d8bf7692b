"""Calls a typed function: reads what callers gave, waits for its turn, runs it, and says what its failure is for them.

Here: one call, for REST, the page and tools alike. How code of any shape is run is in `portico.calls.run`; what the
answer looks like is up to who calls.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from portico.calls.endings import UNUSUAL, as_exception
from portico.calls.iterating import close_iterator
from portico.calls.other_loop import explain
from portico.calls.run import THREADS, Cancel, Frames, Sink, drive
from portico.errors import FunctionError
from portico.functions.given import NOTHING_GIVEN, Given, Progress, headers_of, user_of
from portico.functions.line import CallLine
from portico.functions.typed import TypedFunction
from portico.log_text import one_line

if THREADS:
    import threading

log = logging.getLogger(__name__)

MOST_TOLD = 500
"""Characters of an exception's text that its caller is told: enough for a sentence or two."""

Arguments = tuple[list[Any], dict[str, Any]]
"""What goes by position, and what goes by name."""


def validate(typed: TypedFunction, given: Mapping[str, Any], context: Any = None) -> Arguments:
    """Read what a caller gave, by the parameters' names, as pydantic reads it.

    *context* is for the types' own validators: the files that came with the call. What the function is given by us is
    not in the result: `call` adds it. Raises `pydantic.ValidationError`, which names each wrong field.
    """
    validator = typed.arguments.__pydantic_validator__
    if typed.passing.strict and (text := _as_json(given)) is not None:
        return _passed(typed, validator.validate_json(text, context=context))
    return _passed(typed, validator.validate_python(given, context=context))


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


def succeeding(new: TypedFunction, old: TypedFunction) -> TypedFunction:
    """*new* to be served in the place of *old*, with whose calls its own wait in one line."""
    if new.line is None or old.line is None:
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

    A generator's items are a list; if it yielded nothing and returned something, that is the result. Raises
    `FunctionError` for whatever the function raises, whose author is shown its traceback (`Given.report`), and `Busy`.
    Cancel the task if the caller leaves.
    """
    whole = _Whole()
    await _run(typed, args, kwargs, given, whole, whole.iterate)
    return whole.result


async def stream(typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given, sink: Sink) -> None:
    """As `call`, but *sink* gets each item as it comes, and by its ``final`` what is no item.

    That is what a generator returned, unless it is None; or the result of a function that gave no iterator, None too.
    What *sink* raises is raised as it is, and is no failure of the function.
    """
    told = _Told(sink)
    await _run(typed, args, kwargs, given, told, told.iterate)


class _Whole:
    """A sink that makes one result of what comes."""

    done = False
    failure = None

    def __init__(self) -> None:
        self.feed: Callable[[Any], Frames] = self._keep
        self._items: list[Any] = []
        self._value: Any = None
        self._is_value = False

    def iterate(self, produced: Any) -> Any:
        iterator = iterator_of(produced)
        if iterator is None and is_value(produced):
            self.feed = self.final
        return iterator

    def _keep(self, item: Any) -> Frames:
        self._items.append(item)
        return None

    def final(self, value: Any) -> Frames:
        self._value, self._is_value = value, True
        return None

    async def write(self, frame: bytes) -> None:
        raise AssertionError("there is nothing to write: `feed` gives no frames")

    @property
    def result(self) -> Any:
        return self._value if self._is_value and not self._items else self._items


class _Told:
    """A sink for another, which knows what that one raised from what the function raised."""

    def __init__(self, sink: Sink) -> None:
        self.failure: BaseException | None = None
        self.feed: Callable[[Any], Frames] = self._told(sink.feed)
        self.final: Callable[[Any], Frames] = self._told(sink.final)
        self._sink = sink
        self._write = sink.write

    def iterate(self, produced: Any) -> Any:
        iterator = iterator_of(produced)
        if iterator is None and is_value(produced):
            self.feed = self.final
        return iterator

    @property
    def done(self) -> bool:
        return self._sink.done

    async def write(self, frame: bytes) -> None:
        try:
            await self._write(frame)
        except Exception as error:
            self.failure = error
            raise

    def _told(self, take: Callable[[Any], Frames]) -> Callable[[Any], Frames]:
        def told(item: Any) -> Frames:
            try:
                return take(item)
            except Exception as error:
                self.failure = error
                raise

        return told


def iterator_of(produced: Any) -> Any:
    """An iterator over what a function gave, or None if that is its value: a list is one, and so is a table."""
    return produced if hasattr(type(produced), "__next__") else None


class _Turn:
    """One call on a thread, which may go on after its caller has left: it has its turn in the line until it ends."""

    def __init__(self, call: Callable[[], Any], cancel: Cancel, line: CallLine | None) -> None:
        self._call = call
        self._cancel = cancel
        self._line = line
        self._lock = threading.Lock()
        self._runs = False
        self._is_over = False

    def run(self) -> Any:
        """Call the function, on its thread. Not if its caller has left already."""
        with self._lock:
            if self._is_over:
                return None
            self._runs = True
        held = False
        try:
            produced = self._call()
            if iterator_of(produced) is not None:
                held = True
                return _Held(produced, self)
        except UNUSUAL as error:
            return self.ended(error)
        else:
            return produced
        finally:
            if not held:
                self.leave()

    def ended(self, error: BaseException) -> None:
        """What *error*, one of `UNUSUAL`, means on a thread: the end that we asked for, or a failure."""
        if not (isinstance(error, asyncio.CancelledError) and self._cancel.is_set()):
            raise as_exception(error) from error

    def leave(self) -> None:
        """The thread has left the function's code."""
        with self._lock:
            self._runs = False
            over = self._is_over
        if over and self._line is not None:
            self._line.leave()

    def over(self) -> None:
        """Nobody waits for the result any more, or it has come."""
        with self._lock:
            self._is_over = True
            runs = self._runs
        if not runs and self._line is not None:
            self._line.leave()


class _Held:
    """An iterator that a function gave on its thread, where it is iterated and closed."""

    __slots__ = ("_iterator", "_turn")

    def __init__(self, iterator: Any, turn: _Turn) -> None:
        self._iterator = iterator
        self._turn = turn

    def __next__(self) -> Any:
        try:
            return next(self._iterator)
        except UNUSUAL as error:
            self._turn.ended(error)
            raise StopIteration from None

    def close(self) -> None:
        try:
            close_iterator(self._iterator, self._iterator)
        finally:
            self._turn.leave()


def is_value(produced: Any) -> bool:
    """Whether what is no iterator is a result, and nothing that has to be awaited or gone through on the event loop."""
    return not hasattr(type(produced), "__aiter__") and not inspect.isawaitable(produced)


async def _run(
    typed: TypedFunction,
    args: list[Any],
    kwargs: dict[str, Any],
    given: Given,
    sink: _Whole | _Told,
    iterate: Callable[[Any], Any],
) -> None:
    cancel = Cancel()
    progress = _give(typed, args, kwargs, given, cancel) if typed.injected else None
    line = typed.line
    if line is not None:
        await line.enter()
    run: Callable[[], Any] = partial(typed.function, *args, **kwargs)
    turn = None
    if not typed.on_loop and THREADS:
        turn = _Turn(run, cancel, line)
        run = turn.run
    try:
        await drive(run, typed.on_loop, sink, iterate=iterate)
    except UNUSUAL:  # `drive` has made a failure of what is one
        raise
    except BaseException as error:  # whatever a function raises is its call's failure, and its author is told
        if error is sink.failure:
            raise
        failure = failure_of(error)
        if failure.type:  # an HTTPException is an answer
            _report(typed, error, given)
        if _is_cancelled():
            raise asyncio.CancelledError from error
        raise failure from error
    finally:
        cancel.set()
        if progress is not None:
            progress.end()
        if turn is not None:
            turn.over()
        elif line is not None:
            line.leave()


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


def failure_of(error: BaseException) -> FunctionError:
    """What the caller is told of what a function raised: never a traceback."""
    exceptions = sys.modules.get("starlette.exceptions")  # of FastAPI's, too
    if exceptions is not None and isinstance(error, exceptions.HTTPException):
        message = _text_of(error.detail)
        return FunctionError("", message, status=error.status_code, detail=error.detail, headers=error.headers)
    return FunctionError(type(error).__name__, _text_of(error))


def _text_of(error: object) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may do anything
        return ""
    return one_line(" ".join(text[: 10 * MOST_TOLD].split()), MOST_TOLD)


def _report(typed: TypedFunction, error: BaseException, given: Given) -> None:
    """Show the function's author what it has raised."""
    try:
        explain(error)
    except Exception:  # noqa: BLE001 - the text of somebody's exception, which may raise
        pass
    try:
        if given.report is not None:
            given.report(error)
        else:
            log.error("The function %r failed", typed.name, exc_info=error)
    except Exception:  # the hook is not ours, and its failure must not hide the function's
        log.exception("A failure of the function %r could not be reported", typed.name)
