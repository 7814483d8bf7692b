"""What one thing that can be called is: a chat model, a function, or neither. docs/how-to/functions.md has the table.

Nothing of a thing's own code runs but what Python looks at to know how it is called. Not here: what lists, dicts and
objects with methods are (`functions`, `methods`).
"""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_origin

from portico.adapters import libraries, tool_objects
from portico.adapters.looking import is_a, look, modules_of, name_of
from portico.asgi.adapt import kind_of
from portico.functions.mark import options_of

What = Literal["chat", "function", ""]

_HISTORY = ("history", "chat_history")
"""What gradio calls the second parameter of a chat function, whose first one is ``message``."""


def what_is(thing: Any) -> What:
    """What *thing* is served as by itself: by its mark, else by how it is called. Empty for what is no function."""
    if is_model(thing):
        return "chat"
    if is_a(thing, type) or look(get_origin, thing, otherwise=None) is not None:  # a class, or one such as list[int]
        return ""
    if is_tool(thing):
        return "function"
    if not callable(thing) or look(kind_of, thing, otherwise=""):
        return ""
    if answers_to_all(thing) or look(libraries.claims, thing, otherwise=False):
        return ""
    return "chat" if chat_parameters(thing) else "function"


def is_model(thing: Any) -> bool:
    """Whether *thing* was marked with ``@portico.model``."""
    from portico.models.registry import info_of

    return look(info_of, thing, otherwise=None) is not None


def is_tool(thing: Any) -> bool:
    """Whether *thing* was marked with ``@portico.tool``, or as a tool of an agents' library."""
    marked = look(options_of, thing, otherwise=None)
    if marked is not None and marked is not look(options_of, type(thing), otherwise=None):  # and not its class alone
        return True
    return tool_objects.claims(thing)


def chat_parameters(thing: Any) -> str:
    """The parameters by whose names *thing*, which can be called, is a chat function; empty if there are none."""
    signature = look(inspect.signature, thing, otherwise=None)
    if signature is None:
        return ""
    various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [one.name for one in signature.parameters.values() if one.kind not in various]
    if "messages" in names:
        return "the parameter messages"
    if len(names) > 1 and names[0] == "message" and names[1] in _HISTORY:
        return f"the parameters message and {names[1]}"
    return ""


def answers_to_all(thing: Any) -> bool:
    """Whether *thing* has an attribute of any name, or is a mock: what it is cannot be known."""
    if "unittest.mock" in modules_of(thing):
        return True
    return look(lambda one: hasattr(one, "portico_asks_for_a_name_that_nothing_has"), thing, otherwise=False)


def called(thing: Any) -> str:
    """What *thing* is called in a sentence: by its own name, else by its class's."""
    name = look(lambda one: one.__name__, thing, otherwise=None)
    return name if isinstance(name, str) else name_of(type(thing))
