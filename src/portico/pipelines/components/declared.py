"""Which inputs and outputs of a pipeline callers know, and by which names: what a YAML file, or a call, says of them.

::

    inputs:
      question: prompt.question
      query: [retriever.query, ranker.query]
    outputs:
      replies: llm.replies

Source: Hayhooks 2.1, whose YAML files are read here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.errors import PipelineError
from portico.pipelines.components.socket_types import field_type, most_exact
from portico.pipelines.components.sockets import (
    EMPTY,
    InputSocket,
    SocketPath,
    components_of,
    following,
    inputs_of,
    is_component,
    outputs_of,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """One field of what callers give."""

    targets: tuple[SocketPath, ...]
    """Each gets the value."""
    annotation: Any
    """As pydantic takes it."""
    default: Any = EMPTY
    """`EMPTY` where callers must give it. Otherwise the socket's own, which it has if callers give nothing."""


Inputs = Mapping[str, DeclaredInput]
Outputs = Mapping[str, tuple[SocketPath, ...]]


def declared_inputs(pipe: Any, said: Any) -> Inputs:
    """The fields that *said* declares, each of them required: names, each with a socket, or a list of them.

    A list declares sockets by their own names.

    Raises `PipelineError` for a socket that is not there, that another component gives already, or that two fields
    declare.
    """
    sockets = inputs_of(pipe)
    found: dict[str, DeclaredInput] = {}
    taken: dict[SocketPath, str] = {}
    for name, targets in _targets(pipe, said, "input").items():
        for target in targets:
            _check_input(pipe, name, target, sockets)
            if target in taken:
                raise PipelineError(
                    f"Declared input '{name}' targets '{target}', as declared input '{taken[target]}' does already. "
                    "Each pipeline input target may be declared only once."
                )
            taken[target] = name
        annotation = most_exact([sockets[target].annotation for target in targets])
        found[name] = DeclaredInput(targets, field_type(annotation))
    return found


def declared_outputs(pipe: Any, said: Any, *, all_there: bool = False) -> Outputs:
    """The outputs that *said* names. One that is not there is logged, since what else the pipeline gives is good.

    Raises `PipelineError` for it with *all_there*: where its author is at hand, it is a slip of the pen.
    """
    sockets = outputs_of(pipe)
    found = _targets(pipe, said, "output")
    for name, targets in found.items():
        for target in targets:
            if target not in sockets:
                has = _listed(map(str, sockets))
                why = f"Declared output {name!r} names {str(target)!r}, which the pipeline does not have: it has {has}"
                if all_there:
                    raise PipelineError(f"{why}.")
                log.warning("%s. It is left out of the answers.", why)
    return found


def missing_inputs(pipe: Any, inputs: Inputs) -> list[SocketPath]:
    """The sockets without which a component cannot run, and that nothing gives."""
    given = {target for one in inputs.values() for target in one.targets}
    return [
        socket.target
        for socket in inputs_of(pipe).values()
        if socket.default is EMPTY and not socket.senders and socket.target not in given
    ]


def usual_inputs(pipe: Any) -> Inputs:
    """The fields of a pipeline whose author declares none.

    They are what it cannot run without, and the variables that a component has by itself, such as those of a prompt,
    which may be left out. What else its components' ``run`` would take is for the author to declare: parameters of a
    model's call, a template, tools. A value of the same name and type for several components is one field; otherwise
    the component's name comes first: ``ranker_query``.
    """
    open_sockets = [one for one in inputs_of(pipe).values() if is_needed(pipe, one)]
    by_name: dict[str, list[InputSocket]] = {}
    for one in open_sockets:
        by_name.setdefault(one.target.socket, []).append(one)
    found: dict[str, DeclaredInput] = {}
    for name, sockets in by_name.items():
        alike = all(one.annotation == sockets[0].annotation for one in sockets)
        groups = [(name, sockets)] if alike else [(f"{one.target.component}_{name}", [one]) for one in sockets]
        for field, group in groups:
            required = any(one.default is EMPTY for one in group)
            found[field] = DeclaredInput(
                tuple(one.target for one in group),
                field_type(group[0].annotation),
                EMPTY if required else group[0].default,
            )
    return found


def is_needed(pipe: Any, socket: InputSocket) -> bool:
    """Whether a pipeline's caller gives it, if its author says nothing else."""
    if socket.senders:  # where a loop begins, all that is given comes round again, and nothing comes first
        return socket.many and socket.default is EMPTY and {*socket.senders} <= following(pipe, socket.target.component)
    return socket.default is EMPTY or not socket.own


def usual_outputs(pipe: Any) -> Outputs:
    """What no component takes, by the names of the sockets; with the component's name first where two have one name."""
    ends = [target for target, taken in outputs_of(pipe).items() if not taken]
    names = [target.socket for target in ends]
    return {
        target.socket if names.count(target.socket) == 1 else f"{target.component}_{target.socket}": (target,)
        for target in ends
    }


def _targets(pipe: Any, said: Any, what: str) -> dict[str, tuple[SocketPath, ...]]:
    """What is declared, as it is written."""
    if said is None:
        return {}
    if isinstance(said, str):
        said = [said]
    if isinstance(said, list | tuple):
        said = {_own_name(one): one for one in said}
    if not isinstance(said, Mapping):
        raise PipelineError(
            f"Declared {what}s are names, each with a socket, as in 'question: prompt.question', not {said!r:.100}."
        )
    found = {}
    for name, one in said.items():
        if one is None or one == []:  # as templates have it for what a pipeline has no use for
            log.warning("Declared %s %r names no socket, and is left out", what, name)
        else:
            found[str(name)] = _paths(pipe, str(name), one, what)
    return found


def _own_name(path: Any) -> str:
    return str(path).rpartition(".")[2]


def _paths(pipe: Any, name: str, said: Any, what: str) -> tuple[SocketPath, ...]:
    paths = said if isinstance(said, list | tuple) else [said]
    found: dict[SocketPath, None] = {}
    alone = is_component(pipe)
    for path in paths:
        component, dot, socket = path.rpartition(".") if isinstance(path, str) else ("", "", "")
        if alone and isinstance(path, str) and path and not dot:
            found[SocketPath("", path)] = None
        elif alone or not component.strip() or not socket.strip():
            example = next(map(str, inputs_of(pipe)), "messages" if alone else "prompt.question")
            raise PipelineError(f"Declared {what} '{name}' must name a socket, such as '{example}', not {path!r:.100}.")
        else:
            found[SocketPath(component.strip(), socket.strip())] = None
    return tuple(found)


def _check_input(pipe: Any, name: str, target: SocketPath, sockets: Mapping[SocketPath, InputSocket]) -> None:
    components = components_of(pipe)
    if target.component not in components:
        raise PipelineError(
            f"Declared input '{name}' targets '{target}', but the pipeline has no component '{target.component}'. "
            f"It has {_listed(components)}."
        )
    socket = sockets.get(target)
    if socket is None:
        own = [one.socket for one in sockets if one.component == target.component]
        which = f"component '{target.component}'" if target.component else "the component"
        raise PipelineError(
            f"Declared input '{name}' targets '{target}', but {which} has no input '{target.socket}'. "
            f"It has {_listed(own) or 'none'}."
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)[:500]
