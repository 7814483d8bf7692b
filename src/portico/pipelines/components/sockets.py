"""The sockets of a Haystack pipeline, or of one component: what it can be given, what it gives, and of which types.

Here: what Haystack knows of them. Not here: which of them callers are told of (`declared`), and how a type becomes a
field (`socket_types`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EMPTY: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class SocketPath:
    """One input socket, or one output socket, of one component: ``llm.messages``."""

    component: str
    """Empty where a component is served by itself, not a pipeline."""
    socket: str

    def __str__(self) -> str:
        return f"{self.component}.{self.socket}" if self.component else self.socket


@dataclass(frozen=True, slots=True)
class InputSocket:
    """What Haystack knows of one input."""

    target: SocketPath
    annotation: Any
    default: Any
    """`EMPTY` where the component cannot run without it."""
    senders: tuple[str, ...]
    """The components that give it."""
    many: bool
    """Whether it may be given by several, as a joiner's is."""
    own: bool
    """Whether it is a parameter of the component's ``run``; else this one instance has it, as a prompt's variables."""


def components_of(pipe: Any) -> dict[str, Any]:
    """The components by name, in the order in which they were added. A component by itself has the name ``""``."""
    if is_component(pipe):
        return {"": pipe}
    return dict(pipe.walk())


def is_component(thing: Any) -> bool:
    """Whether it is one component (an Agent is one), with sockets of its own."""
    return hasattr(thing, "__haystack_input__") and hasattr(thing, "__haystack_output__")


def is_pipeline(thing: Any) -> bool:
    """Whether it is a pipeline of Haystack's: it has components, and runs."""
    return all(callable(getattr(thing, name, None)) for name in ("walk", "run", "inputs", "outputs"))


def inputs_of(pipe: Any) -> dict[SocketPath, InputSocket]:
    """All inputs, connected ones too."""
    return {found.target: found for found in _inputs(components_of(pipe))}


def _inputs(components: Mapping[str, Any]) -> Iterator[InputSocket]:
    for name, component in components.items():
        try:
            parameters = inspect.signature(type(component).run).parameters
        except (TypeError, ValueError):  # a `run` that does not tell: nothing is known to be of the instance alone
            parameters = None
        for socket_name, socket in sockets(component.__haystack_input__):
            yield InputSocket(
                target=SocketPath(name, socket_name),
                annotation=socket.type,
                default=EMPTY if socket.is_mandatory else socket.default_value,
                senders=tuple(socket.senders),
                many=bool(socket.is_variadic),
                own=parameters is None or socket_name in parameters,
            )


def following(pipe: Any, component: str) -> set[str]:
    """All components that *component* gives something to, directly or by way of others."""
    onward = {
        name: {receiver for _, socket in sockets(one.__haystack_output__) for receiver in socket.receivers}
        for name, one in components_of(pipe).items()
    }
    found: set[str] = set()
    waiting = [component]
    while waiting:
        new = onward.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def outputs_of(pipe: Any) -> dict[SocketPath, bool]:
    """All outputs, each with whether another component takes it."""
    return {
        SocketPath(name, socket_name): bool(socket.receivers)
        for name, component in components_of(pipe).items()
        for socket_name, socket in sockets(component.__haystack_output__)
    }


def sockets(of_component: Any) -> list[tuple[str, Any]]:
    """Haystack's own records of one component's inputs or outputs, which it has under this one name for long."""
    return list(of_component._sockets_dict.items())
