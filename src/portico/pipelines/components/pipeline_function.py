"""A Haystack pipeline as a typed function: its declared inputs are the parameters, and what it gives is a dict.

Here: how it is run. Not here: which inputs and outputs callers know (`declared`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from portico.errors import NotServable, PipelineError
from portico.functions.conventions import Conventions
from portico.functions.names import suggested, title_of
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions, TypedFunction
from portico.pipelines.components.declared import Inputs, Outputs
from portico.pipelines.components.sockets import EMPTY, components_of, is_component

log = logging.getLogger(__name__)

Result = dict[str, Any]
Shape = Callable[[Result], Result]


def whole(result: Result) -> Result:
    """What the pipeline gave, as it gave it: for each component a dict of what it gave."""
    return result


def named(outputs: Outputs) -> Shape:
    """A shape of results: each output by its declared name. Those of components that did not run are left out."""

    def shape(result: Result) -> Result:
        found: Result = {}
        for name, targets in outputs.items():
            for target in targets:
                given = result.get(target.component) if target.component else result
                if isinstance(given, Mapping) and target.socket in given:
                    found[name] = given[target.socket]
                    break
        return found

    return shape


def pipeline_function(
    name: str, pipe: Any, inputs: Inputs, outputs: Outputs, *, shape: Shape = whole, description: str = ""
) -> TypedFunction:
    """The typed function that runs *pipe*, or a component by itself. Fields that it has no input for are ignored.

    It runs on the event loop if some component can do that, as one that waits for a network would, and else on a
    thread. Raises `PipelineError` if an input cannot be a field.
    """
    run = _runner(pipe, inputs, outputs, shape)
    run.__name__ = run.__qualname__ = suggested(name)
    run.__doc__ = None
    run.__annotations__ = {"values": _fields(inputs), "return": Result}
    options = FunctionOptions(title=title_of(name), description=description or _described(name, pipe))
    try:
        return typed_function(run, suggested(name), options, conventions=Conventions(extra="ignore"))
    except NotServable as error:
        raise PipelineError(str(error)) from error


def warm_up(pipe: Any) -> None:
    """Load what components load before they can run, such as models: by the first call that would take long.

    On a thread: Haystack's ``run_async`` would do it on the event loop. What fails is logged, and Haystack
    tries it again at each call, whose caller is told.
    """
    asynchronous = runs_async(pipe)
    for name, component in components_of(pipe).items():
        if not hasattr(component, "warm_up") or (asynchronous and hasattr(component, "warm_up_async")):
            continue
        try:
            component.warm_up()
        except Exception:  # a component's own code may raise anything
            log.warning("Component %r cannot be made ready; it is tried again at each call", name, exc_info=True)


def runs_async(pipe: Any) -> bool:
    """Whether it is run by ``run_async``: some component does not need a thread to wait on."""
    if not callable(getattr(pipe, "run_async", None)):
        return False
    return any(getattr(one, "__haystack_supports_async__", False) for one in components_of(pipe).values())


def _runner(pipe: Any, inputs: Inputs, outputs: Outputs, shape: Shape) -> Callable[..., Any]:
    arranged = _arrange_for_one if is_component(pipe) else _arrange
    more: dict[str, Any] = {}
    if not is_component(pipe) and outputs:
        known = components_of(pipe)
        wanted = {target.component for targets in outputs.values() for target in targets}
        more["include_outputs_from"] = {name for name in wanted if name in known}

    def call(values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        data = arranged(inputs, values)
        return ((), data) if is_component(pipe) else ((data,), more)

    if runs_async(pipe):

        async def run_async(**values: Any) -> Result:
            args, kwargs = call(values)
            return shape(await pipe.run_async(*args, **kwargs))

        return run_async

    def run(**values: Any) -> Result:
        args, kwargs = call(values)
        return shape(pipe.run(*args, **kwargs))

    return run


def _arrange(inputs: Inputs, values: Mapping[str, Any]) -> dict[str, Any]:
    """What callers gave, by component and socket."""
    data: dict[str, Any] = {}
    for name, value in values.items():
        for target in inputs[name].targets:
            data.setdefault(target.component, {})[target.socket] = value
    return data


def _arrange_for_one(inputs: Inputs, values: Mapping[str, Any]) -> dict[str, Any]:
    return {target.socket: value for name, value in values.items() for target in inputs[name].targets}


def _fields(inputs: Inputs) -> Any:
    """The annotation of ``**values`` that makes a field of each input, by whatever name (PEP 692)."""
    from typing import NotRequired

    from pydantic import Field
    from typing_extensions import TypedDict, Unpack

    fields: dict[str, Any] = {}
    for name, one in inputs.items():
        note = Field(description=f"Parameter '{name}'")
        kind = _noted(one.annotation, note)
        fields[name] = kind if one.default is EMPTY else NotRequired[kind]
    make: Any = TypedDict
    return Unpack[make("Inputs", fields)]


def _noted(annotation: Any, note: Any) -> Any:
    from typing import Annotated

    return Annotated[annotation, note]


def _described(name: str, pipe: Any) -> str:
    if is_component(pipe):
        return f"Runs {type(pipe).__name__}."
    return f"Runs the pipeline {name}: {', '.join(components_of(pipe))}."[:500]
