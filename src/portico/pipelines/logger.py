"""`log`: what wrappers write their log with, called as loguru's is: ``log.info("{} of {}", 1, 2)``.

It is Python's own logging behind that, under the name ``portico_pipelines``, with the levels TRACE (5) and SUCCESS (25)
beside the usual. A program that has set up logging gets these records as any other; where none has, they go to stderr.
They begin at INFO, or at the level in ``PORTICO_LOG_LEVEL``, ``HAYHOOKS_LOG_LEVEL`` or ``LOG``. With
``HAYHOOKS_LOG_FORMAT=verbose`` each that goes to stderr so says where it was written.

What is wrong with a message never fails the code that logs it. A message of several lines is one record for who reads
the log: what visitors sent can stand in it, and must not pass for a line of somebody else's.

Source: loguru's documentation, "Logger"; Python's documentation, "logging".
"""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from portico.log_text import LineFormatter

F = TypeVar("F", bound=Callable[..., Any])

NAME = "portico_pipelines"
TRACE = 5
SUCCESS = 25
LEVELS = {
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "SUCCESS": SUCCESS,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
"""Those that loguru has, by name."""

_VARIABLES = ("PORTICO_LOG_LEVEL", "HAYHOOKS_LOG_LEVEL", "LOG")
_PLAIN = "%(asctime)s | %(levelname)-8s | %(message)s"
_VERBOSE = "%(asctime)s | %(levelname)-8s | %(name)s:%(funcName)s:%(lineno)d | %(message)s"
_MARKUP = re.compile(r"</?[a-zA-Z][a-zA-Z ,#0-9_-]*>|</>")
_context: ContextVar[Mapping[str, Any]] = ContextVar("what log.contextualize() has bound", default={})  # noqa: B039 - read
_sinks: dict[int, logging.Handler] = {}


@dataclass(frozen=True, slots=True)
class _Options:
    """What `WrapperLog.opt` and `WrapperLog.bind` have set."""

    exception: Any = None
    lazy: bool = False
    colors: bool = False
    depth: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class WrapperLog:
    """A logger; immutable, so that `opt` and `bind` give another."""

    __slots__ = ("_options",)

    def __init__(self, options: _Options | None = None) -> None:
        self._options = options or _Options()

    def trace(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What is of interest only to find a mistake: not shown unless asked for."""
        self._log(TRACE, message, args, kwargs)

    def debug(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What helps to find a mistake: not shown unless asked for."""
        self._log(logging.DEBUG, message, args, kwargs)

    def info(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What happens."""
        self._log(logging.INFO, message, args, kwargs)

    def success(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What has come about as it should."""
        self._log(SUCCESS, message, args, kwargs)

    def warning(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What may be wrong."""
        self._log(logging.WARNING, message, args, kwargs)

    def error(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What has failed."""
        self._log(logging.ERROR, message, args, kwargs)

    def critical(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What nothing can go on with."""
        self._log(logging.CRITICAL, message, args, kwargs)

    def exception(self, message: object, /, *args: Any, **kwargs: Any) -> None:
        """What has failed, with the traceback of the exception that is being handled."""
        self._log(logging.ERROR, message, args, kwargs, exception=True)

    def log(self, level: int | str, message: object, /, *args: Any, **kwargs: Any) -> None:
        """With *level* as a number or by its name. An unknown name is INFO."""
        self._log(_number(level), message, args, kwargs)

    def opt(
        self, *, exception: Any = None, lazy: bool = False, colors: bool = False, depth: int = 0, **others: Any
    ) -> WrapperLog:
        """A logger that adds a traceback (*exception*: True, an exception, or what ``sys.exc_info()`` gives), calls its
        arguments only if the message is wanted (*lazy*), takes ``<red>`` and the like out of it (*colors*), or was
        called for code *depth* functions up. Other options of loguru change nothing.
        """
        return WrapperLog(replace(self._options, exception=exception, lazy=lazy, colors=colors, depth=depth))

    def bind(self, **extra: Any) -> WrapperLog:
        """A logger whose messages each end with *extra*."""
        return WrapperLog(replace(self._options, extra={**self._options.extra, **extra}))

    @contextmanager
    def contextualize(self, **extra: Any) -> Iterator[None]:
        """Add *extra* to what is logged within, in this task or on this thread."""
        token = _context.set({**_context.get(), **extra})
        try:
            yield
        finally:
            _context.reset(token)

    def catch(self, function: Any = None, *, level: str = "ERROR", reraise: bool = False, default: Any = None) -> Any:
        """Log what a function raises: ``@log.catch``, ``@log.catch(reraise=True)``, or ``with log.catch():``.

        The function gives *default* then.
        """
        catcher = _Catcher(self, level, reraise, default)
        return catcher(function) if callable(function) else catcher

    def add(self, sink: Any, *, level: int | str = "DEBUG", **others: Any) -> int:
        """Have *sink* get each message too: a stream, the path of a file, a function, or one of logging's handlers.

        Gives a number for `remove`. Other options of loguru change nothing.
        """
        handler: logging.Handler
        if isinstance(sink, logging.Handler):
            handler = sink
        elif isinstance(sink, str | os.PathLike):
            handler = logging.FileHandler(Path(sink), encoding="utf-8", delay=True)
        elif hasattr(sink, "write"):
            handler = logging.StreamHandler(sink)
        else:
            handler = _Call(sink)
        handler.setLevel(_number(level))
        handler.setFormatter(logging.Formatter(_PLAIN) if isinstance(handler, _Call) else LineFormatter(_PLAIN))
        number = max(_sinks, default=0) + 1
        _sinks[number] = handler
        logger = _logger()
        logger.addHandler(handler)
        if logger.getEffectiveLevel() > handler.level:
            logger.setLevel(handler.level)
        return number

    def remove(self, number: int | None = None) -> None:
        """Take away what `add` added under *number*; without one, all of it."""
        for each in [number] if number is not None else [*_sinks]:
            if (handler := _sinks.pop(each, None)) is not None:
                _logger().removeHandler(handler)
                handler.close()

    def _log(
        self, level: int, message: object, args: tuple[Any, ...], kwargs: dict[str, Any], exception: Any = None
    ) -> None:
        logger = _logger()
        if not logger.isEnabledFor(level):
            return
        options = self._options
        try:
            text = _text_of(message, args, kwargs, options)
        except Exception as error:  # noqa: BLE001 - somebody's __format__, __str__, or braces that mean something else
            text = f"{_safe(message, str)} {_safe(args) if args else ''}{_safe(kwargs) if kwargs else ''}".rstrip()
            text = f"{text} (not formatted: {type(error).__name__})"
        shown = exception or options.exception
        logger.log(level, "%s", text, exc_info=shown, stacklevel=3 + options.depth)


class _Catcher:
    """What `WrapperLog.catch` gives."""

    def __init__(self, to: WrapperLog, level: str, reraise: bool, default: Any) -> None:
        self._to, self._level, self._reraise, self._default = to, level, reraise, default

    def __call__(self, function: F) -> F:
        import inspect

        @functools.wraps(function)
        def caught(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)
            return self._default

        @functools.wraps(function)
        async def caught_async(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)
            return self._default

        return caught_async if inspect.iscoroutinefunction(function) else caught  # type: ignore[return-value]

    def __enter__(self) -> _Catcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._to.opt(exception=error, depth=1).log(self._level, "{}: {}", type(error).__name__, _safe(error, str))
        return not self._reraise


class _Call(logging.Handler):
    """Calls a function with each message."""

    def __init__(self, function: Callable[[str], object]) -> None:
        super().__init__()
        self._function = function

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._function(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - the function is not ours; logging says so on stderr
            self.handleError(record)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the time, unless the program has set up logging."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def filter(self, record: logging.LogRecord) -> Any:
        return not logging.getLogger().handlers and super().filter(record)


def _text_of(message: object, args: tuple[Any, ...], kwargs: dict[str, Any], options: _Options) -> str:
    text = str(message)
    if options.lazy:
        args = tuple(each() for each in args)
        kwargs = {name: each() for name, each in kwargs.items()}
    if options.colors:
        text = _MARKUP.sub("", text)
    if args or kwargs:
        text = text.format(*args, **kwargs)
    extra = {**_context.get(), **options.extra}
    if extra:
        text = f"{text} | {', '.join(f'{name}={value!r}' for name, value in extra.items())}"
    return text


def _safe(value: object, show: Callable[[object], str] = repr) -> str:
    try:
        return show(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"


def _number(level: int | str) -> int:
    return LEVELS.get(level.upper(), logging.INFO) if isinstance(level, str) else level


@functools.cache
def _logger() -> logging.Logger:
    """Python's logger, with a way to stderr. Made when something is logged first."""
    logging.addLevelName(TRACE, "TRACE")
    logging.addLevelName(SUCCESS, "SUCCESS")
    logger = logging.getLogger(NAME)
    level = next((value for name in _VARIABLES if (value := os.environ.get(name))), "")
    if level or (logger.level == logging.NOTSET and logger.getEffectiveLevel() > logging.INFO):
        logger.setLevel(LEVELS.get(level.upper(), logging.INFO))
    handler = _Stderr()
    is_verbose = os.environ.get("HAYHOOKS_LOG_FORMAT", "").lower() == "verbose"
    handler.setFormatter(LineFormatter(_VERBOSE if is_verbose else _PLAIN, "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return logger


log = WrapperLog()
"""The one that wrappers use."""
