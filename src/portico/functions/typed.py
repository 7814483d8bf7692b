"""One function, as its signature and its docstring tell it: what callers give, what they get, and what it is called.

Here: the record that the rest of this room reads. Not here: how it is made (`signature`), and how it is called
(`calling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    annotation: Any
    """The type, as pydantic takes it."""
    required: bool
    default: Any = None
    description: str = ""
    upload: bool = False
    """Whether it is sent as a file, by ``multipart/form-data``: ``bytes``, ``Path``, ``UploadFile``, lists of them."""


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
