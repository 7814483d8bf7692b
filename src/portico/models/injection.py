"""Decides which arguments a model function gets: each parameter by its name.

Here: signatures. What the values are is the endpoints' business. Bound methods, partials and callable objects count
as functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.errors import NotServable

INJECTED = frozenset(("messages", "model", "request", "body", "tools", "headers", "user", "cancel", "prompt"))
"""The names that mean something of their own; any other name is a field of the request's body."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """How one function is called. ``whole`` is the parameter that gets the main argument whatever its name."""

    positional: tuple[inspect.Parameter, ...]
    keyword: tuple[inspect.Parameter, ...]
    rest: bool
    whole: str | None

    def sees(self, field: str) -> bool:
        """Whether the function can know the body's *field*, by its name or in the whole body."""
        named = any(parameter.name == field for parameter in self.positional + self.keyword)
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
    mean something else. Raises `NotServable` for a function whose signature cannot be read and that is no builtin.
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
