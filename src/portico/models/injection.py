"""Decides which arguments a model function gets: each parameter by its name.

Here: signatures. What the values are is the endpoints' business, and what annotations mean is in `annotations`. Bound
methods, partials and callable objects count as functions.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.errors import NotServable
from portico.models.annotations import is_list, is_text

INJECTED = frozenset(("messages", "model", "request", "body", "tools", "headers", "user", "cancel", "prompt"))
"""The names that mean something of their own; any other name is a field of the request's body."""

HISTORY = ("history", "chat_history")
"""What the second parameter of a chat function is called in gradio, where the first one is the message's text."""

FIELDS = frozenset(
    (
        *("temperature", "top_p", "n", "stop", "stream", "stream_options", "max_tokens"),
        *("max_completion_tokens", "max_output_tokens", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "seed", "response_format", "tool_choice"),
        *("parallel_tool_calls", "functions", "function_call", "reasoning_effort", "modalities", "audio"),
        *("metadata", "store", "service_tier", "input", "instructions", "suffix", "echo", "best_of"),
        *("previous_response_id", "reasoning", "text", "dimensions", "encoding_format", "verbosity"),
        *("prediction",),
    )
)
"""Fields of the OpenAI API's request bodies: a single parameter of such a name gets the field, not the whole body."""

_TEXT_FIELDS = frozenset(("service_tier", "instructions", "suffix", "previous_response_id", "reasoning_effort", "stop"))
"""Those of them that are texts themselves: a parameter of such a name that is annotated ``str`` gets the field."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one function is called.

    ``whole`` is the parameter that gets the main argument whatever its name. ``named`` are those that get something
    known under another name: ``{"question": "prompt"}``.
    """

    positional: tuple[inspect.Parameter, ...]
    keyword: tuple[inspect.Parameter, ...]
    rest: bool
    whole: str | None
    named: Mapping[str, str] = field(default_factory=dict)

    def sees(self, name: str) -> bool:
        """Whether the function can know the body's field *name*, by its name or in the whole body."""
        named = any(parameter.name == name for parameter in self.positional + self.keyword)
        return named or self.rest or self.whole is not None

    def arguments(
        self, main: Any, injected: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments for one call.

        *main* goes to the parameter that takes it whole; *injected* values by name come before the body's *fields*. A
        parameter that nothing is known for keeps its default, or gets None. ``**kwargs`` gets the fields left.
        """
        used = set()

        def value(parameter: inspect.Parameter) -> Any:
            name = parameter.name
            used.add(name)
            if name == self.whole:
                return main
            if name in HISTORY and name in fields:  # a client's own
                return fields[name]
            name = self.named.get(name, name)
            if name in injected and not (injected[name] is None and parameter.default is not parameter.empty):
                return injected[name]
            if name in fields:
                return fields[name]
            return None if parameter.default is parameter.empty else parameter.default

        args = [value(parameter) for parameter in self.positional]
        kwargs = {parameter.name: value(parameter) for parameter in self.keyword}
        if self.rest:
            kwargs.update((name, given) for name, given in fields.items() if name not in used)
        return args, kwargs


def plan(function: Callable[..., Any], main_names: frozenset[str] = frozenset(("request", "body"))) -> Plan:
    """Read *function*'s signature. *main_names* are the names of the parameter that gets the main argument.

    Where none has such a name, the one positional parameter without a default gets it, unless its name is known to
    mean something else; annotated as a text, it gets the text of the last message, and as a list, the messages. Raises
    `NotServable` for a function whose signature cannot be read and that is no builtin.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin that tells nothing of itself: it gets the main argument
        only = inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY)
        return Plan((only,), (), False, "request")
    except TypeError as error:
        raise NotServable(f"{function!r} cannot be called.") from error
    positional = [one for one in parameters if one.kind is one.POSITIONAL_ONLY]
    named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    rest = any(one.kind is one.VAR_KEYWORD for one in parameters)
    chat = "request" in main_names
    if chat and (renamed := _renamed(positional + named)):
        return Plan(tuple(positional), tuple(named), rest, None, renamed)
    whole = next((one.name for one in positional + named if one.name in main_names), None)
    if whole is None:
        required = [one for one in positional + named if one.default is one.empty and one.kind is not one.KEYWORD_ONLY]
        known = (INJECTED | FIELDS) - main_names
        if len(required) == 1 and required[0].name not in known:
            whole = required[0].name
        elif not positional + named and not rest and parameters:  # (*args): the main argument
            only = inspect.Parameter("args", inspect.Parameter.POSITIONAL_ONLY)
            return Plan((only,), (), False, "args")
    return Plan(tuple(positional), tuple(named), rest, whole)


def _renamed(parameters: list[inspect.Parameter]) -> dict[str, str]:
    """The parameters of a chat function that get something known under another name."""
    required = [one for one in parameters if one.default is one.empty and one.kind is not one.KEYWORD_ONLY]
    history = next((one.name for one in parameters if one.name in HISTORY), None)
    if history is not None and required and required[0].name != history:
        first = required[0].name
        return {history: "history", **({first: "prompt"} if first not in INJECTED else {})}
    if len(required) != 1:
        return {}
    only = required[0]
    if only.name not in (INJECTED - {"request", "body"}) | _TEXT_FIELDS and is_text(only.annotation):
        return {only.name: "prompt"}
    if only.name == "message" and only.annotation is only.empty:
        return {"message": "prompt"}
    if only.name not in INJECTED | FIELDS and is_list(only.annotation):
        return {only.name: "messages"}
    return {}


def unknown(plan: Plan) -> list[str]:
    """The parameters without a default that nothing is known of: they get a field that clients rarely send, or None."""
    return [
        one.name
        for one in plan.positional + plan.keyword
        if one.default is one.empty
        and one.name not in INJECTED | FIELDS
        and one.name not in plan.named
        and one.name != plan.whole
    ]


def remark(model: str, plan: Plan) -> str | None:
    """What to tell the author of a function whose parameters cannot all be filled in; None if they can."""
    names = unknown(plan)
    if not names:
        return None
    close = difflib.get_close_matches(names[0], INJECTED | FIELDS, 1)
    guess = (
        f" Did you mean {close[0]!r}?" if close else " Give it a default, or a name that is known: messages, prompt..."
    )
    listed = ", ".join(map(repr, names))
    return (
        f"The model {model!r} has the parameter{'s' if len(names) > 1 else ''} {listed}, of which nothing is known: "
        f"None is passed, unless a client sends a field of that name.{guess}"
    )
