"""Tools of agents' libraries: objects that hold a function, with a name and a description for a model.

Each row of `LIBRARIES` is one library. Nothing is imported: an object is known by the modules of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.adapters.looking import is_a, look, mro
from portico.functions.typed import FunctionOptions


@dataclass(frozen=True, slots=True)
class ToolLibrary:
    """A library whose objects are tools."""

    module: str
    """The top-level package that the object's class comes from."""
    kind: str
    """The name of a class that it is an object of."""
    function: Callable[[Any], Any]
    """Gets at the function that a tool holds."""
    called: Callable[[Any], tuple[str, str]] = lambda tool: (tool.name, tool.description)
    """Its name and its description."""

    def carries(self, thing: Any) -> bool:
        """Whether *thing* is one of its tools."""
        return any(
            base.__name__ == self.kind and base.__module__.partition(".")[0] == self.module for base in mro(type(thing))
        )


def _langchain(tool: Any) -> Any:
    """A StructuredTool holds a function, or a coroutine function; a class of one's own has a method for it."""
    return getattr(tool, "func", None) or getattr(tool, "coroutine", None) or tool._run


# Libraries whose tools are served as functions. docs/how-to/functions.md lists them.
LIBRARIES = (
    ToolLibrary("langchain_core", "BaseTool", _langchain),
    ToolLibrary("pydantic_ai", "Tool", lambda tool: tool.function),
    ToolLibrary("haystack", "Tool", lambda tool: tool.function),
    ToolLibrary(
        "llama_index",
        "FunctionTool",
        lambda tool: getattr(tool, "real_fn", None) or tool.fn,
        lambda tool: (tool.metadata.name, tool.metadata.description),
    ),
    ToolLibrary("crewai", "Tool", lambda tool: tool.func),
    ToolLibrary("smolagents", "Tool", lambda tool: tool.forward),
    ToolLibrary("fastmcp", "FunctionTool", lambda tool: tool.fn),
)


def claims(thing: Any) -> bool:
    """Whether *thing* is a tool of one of these libraries."""
    return not is_a(thing, type) and _library_of(thing) is not None


def unwrap(thing: Any) -> tuple[Any, FunctionOptions] | None:
    """The function that *thing* holds, and what it is called; None where it holds none."""
    library = _library_of(thing)
    if library is None:
        return None
    function = look(library.function, thing, otherwise=None)
    if not callable(function):
        return None
    name, description = look(library.called, thing, otherwise=("", ""))
    return function, FunctionOptions(name=str(name or ""), description=str(description or ""))


def _library_of(thing: Any) -> ToolLibrary | None:
    return next((library for library in LIBRARIES if look(library.carries, thing, otherwise=False)), None)
