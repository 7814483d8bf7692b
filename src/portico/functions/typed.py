"""One function, as its signature and its docstring tell it: what callers give, what they get, and what it is called.

Here: the records that the rest of this room reads. Not here: how they are made (`signature`), and how a function is
called (`calling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from portico.calls.run import Around

if TYPE_CHECKING:
    from pydantic import BaseModel

    from portico.functions.line import CallLine

Role = Literal["headers", "user", "progress", "cancel"]
"""What a parameter is given by us, and by no caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOptions:
    """What its author says of a function besides its signature."""

    name: str = ""
    """Part of the URL, and the tool's name. Empty for the function's own."""
    title: str = ""
    description: str = ""
    """In place of the docstring's."""
    get: bool = False
    """Whether a GET calls it, too: it changes nothing, and whoever follows a link may run it."""
    concurrency: int | None = None
    """Calls at a time; None for as many as come."""
    tool: bool = True
    """Whether agents are told of it."""
    annotations: Mapping[str, bool] = field(default_factory=dict)
    """Hints for agents, as MCP names them: ``readOnlyHint``, ``destructiveHint``, ``idempotentHint``..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What callers give for one parameter."""

    name: str
    """As callers write it: the parameter's own, or the alias that its ``Field`` has."""
    annotation: Any
    """The type, as pydantic takes it."""
    required: bool
    default: Any = None
    """What the function has if callers give nothing. It may be anything; what JSON can hold is in the schema, too."""
    description: str = ""
    upload: bool = False
    """Whether it is sent as a file, by ``multipart/form-data``: ``bytes``, ``Path``, ``UploadFile``, lists of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """How what callers gave is passed to the function: by position or by name, and what is left to its own defaults."""

    names: Mapping[str, str]
    """The function's own name for each field of `TypedFunction.arguments`."""
    plain: bool
    """Whether all go by name, those that were not given are left out, and each field has the parameter's name."""
    positional: tuple[tuple[str, Any], ...] = ()
    """What goes by position, in order: the parameter's name, and what stands for it if it is not given."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Where in ``positional`` are those that callers cannot give."""
    rest: str = ""
    """The ``*args`` parameter."""
    more: bool = False
    """Whether it has a ``**kwargs``."""
    always: tuple[str, ...] = ()
    """The fields that are passed if callers gave nothing, too: their defaults are those of a ``Field(...)``."""
    as_dicts: tuple[str, ...] = ()
    """The fields whose models and dataclasses become dicts (`Conventions.as_dict`)."""
    strict: bool = False
    """Whether some type takes no text for a date, say, unless it comes as JSON."""
    choices: int = 1
    """How many choices pydantic tries with a value that may hold such values again (`portico.functions.choices`)."""
    taken: frozenset[str] = frozenset()
    """The names that ``**kwargs`` cannot have: its other parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedFunction:
    """One function that is served."""

    name: str
    function: Callable[..., Any]
    title: str
    summary: str
    """The first line of its description; may be empty."""
    description: str
    """What its docstring says, but for what it says of parameters."""
    parameters: tuple[Parameter, ...]
    """Those that callers give, in order."""
    injected: Mapping[str, Role]
    """Those that callers cannot give, by name."""
    arguments: type[BaseModel]
    """Reads what callers give: ``<name>RunRequest``, a field for each parameter."""
    answer: type[BaseModel]
    """``<name>RunResponse``, with the one field ``result``."""
    input_schema: Mapping[str, Any]
    """JSON Schema (2020-12) of what callers give: an object, a property for each parameter, in order."""
    output_schema: Mapping[str, Any] | None
    """JSON Schema of the result; None where nothing is known of it."""
    on_loop: bool
    """Whether it runs on the event loop (`portico.calls.run.runs_on_loop`)."""
    streams: bool
    """Whether it gives its result in pieces: it is a generator function, or says that it returns an iterator."""
    options: FunctionOptions
    passing: Passing
    line: CallLine
    """Where calls wait for their turn, if only so many may run at a time."""
    around: Around | None = None
    """Called for each call: what it gives is entered around it."""
