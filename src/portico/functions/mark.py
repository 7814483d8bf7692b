"""``@portico.tool``: says of a function, where it is defined, how it is served. The function stays as it was.

Here: the mark. Not here: what is made of a function (`signature`), and which functions are served.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from portico.errors import InvalidOption, NotServable
from portico.functions.hints import note_locals
from portico.functions.names import function_name
from portico.functions.typed import FunctionOptions

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__portico_tool__"


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str = "",
    title: str = "",
    description: str = "",
    get: bool = False,
    concurrency: int | None = None,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    agents: bool = True,
) -> Callable[[F], F]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str = "",
    title: str = "",
    description: str = "",
    get: bool = False,
    concurrency: int | None = None,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    agents: bool = True,
) -> Any:
    """Mark a function as one that is served as a form, a REST API and a tool; it can be called as before.

    - *name* is part of its URL and the tool's name, at most 64 of ``A-Z a-z 0-9 _ -``; by default the function's own.
    - *title* and *description* are what people and agents read; by default its name and its docstring.
    - *get*: whether a GET calls it, too. Say so only if a call changes nothing: whoever follows a link makes one.
    - *concurrency*: how many calls may run at a time; others wait in line. None: as many as come.
    - *read_only*, *destructive*, *idempotent*, *open_world*: hints for agents. It changes nothing; it may destroy
      something; a second call with the same arguments changes no more; it reaches beyond this program. None: unsaid.
    - *agents*: whether agents are told of it.

    Raises `InvalidName` for a name that cannot be one, and `InvalidOption`.
    """
    if isinstance(function, str):
        raise InvalidOption(f"Say @portico.tool(name={function!r}).")
    if name:
        function_name(name)
    for option, text in (("name", name), ("title", title), ("description", description)):
        if not isinstance(text, str):
            raise InvalidOption(f"{option} is a text, not {text!r:.60}.")
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency is True or concurrency < 1):
        raise InvalidOption(f"concurrency is a whole number from 1, or None for no limit, not {concurrency!r:.60}.")
    for option, flag in (("get", get), ("agents", agents)):
        if not isinstance(flag, bool):
            raise InvalidOption(f"{option} is True or False, not {flag!r:.60}.")
    hints = {
        "readOnlyHint": read_only,
        "destructiveHint": destructive,
        "idempotentHint": idempotent,
        "openWorldHint": open_world,
    }
    for hint, value in hints.items():
        if value is not None and not isinstance(value, bool):
            raise InvalidOption(f"A hint ({hint}) is True, False, or None where nothing is said, not {value!r:.60}.")
    options = FunctionOptions(
        name=name,
        title=title,
        description=description,
        get=get,
        concurrency=concurrency,
        tool=agents,
        annotations={hint: said for hint, said in hints.items() if said is not None},
    )
    return _marked(function, options) if function is not None else lambda one: _marked(one, options)


def _marked(function: Any, options: FunctionOptions) -> Any:
    if isinstance(function, staticmethod | classmethod):
        _marked(function.__func__, options)
        return function
    if not callable(function):
        raise NotServable(f"A tool is a function; {type(function).__name__} cannot be called.")
    note_locals(function)
    try:
        setattr(function, _MARK, options)
    except (AttributeError, TypeError):  # a bound method, a builtin, an object with slots: these take no attribute
        function = functools.partial(function)
        setattr(function, _MARK, options)
    return function


def options_of(function: object) -> FunctionOptions | None:
    """What `tool` has noted on *function*; None if it was not marked."""
    options = getattr(function, _MARK, None)
    return options if isinstance(options, FunctionOptions) else None
