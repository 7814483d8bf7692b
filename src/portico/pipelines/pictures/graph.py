"""A pipeline as a graph that can be drawn: its components, what goes between them, what comes in and what goes out.

Here: what is in the picture. Not here: where (`graph_layout`), and how it looks (`graph_svg`, `graph_png`, `mermaid`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from inspect import formatannotation
from typing import Any, Literal

from portico.pipelines.components.declared import is_needed
from portico.pipelines.components.sockets import components_of, inputs_of, is_component, is_pipeline, outputs_of

LONGEST = 60
"""Characters of one line: a box as wide as that can still be read."""

MOST_NAMES = 12
"""Names in one line of a box: of an agent's tools, of inputs that need not be given."""

Kind = Literal["component", "input", "output"]


@dataclass(frozen=True, slots=True)
class Node:
    """A box."""

    id: str
    """Unique in its graph."""
    title: str
    kind: Kind = "component"
    lines: tuple[str, ...] = ()
    """What stands below the title: the class first."""


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """What goes from one box to another."""

    sender: str
    receiver: str
    labels: tuple[str, ...] = ()
    """Each for one connection of the two."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What is drawn."""

    title: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[GraphEdge, ...] = field(default=())


def graph_of(name: str, pipe: Any) -> Graph | None:
    """The graph of *pipe*, a pipeline or a component by itself; None for anything else."""
    if isinstance(pipe, type) or not (is_component(pipe) or is_pipeline(pipe)):
        return None
    ids = {component: f"c{number}" for number, component in enumerate(components_of(pipe))}
    labels: dict[tuple[str, str], list[str]] = {}
    for sender, receiver, label in _connections(pipe):
        labels.setdefault((ids[sender], ids[receiver]), []).append(label)
    spare: dict[str, list[str]] = {}
    for one in inputs_of(pipe).values():
        path = one.target
        if is_needed(pipe, one):
            label = f"{path.socket}: {type_name(one.annotation)}"
            labels.setdefault(("input", ids[path.component]), []).append(label)
        elif not one.senders:
            spare.setdefault(path.component, []).append(path.socket)
    for path, taken in outputs_of(pipe).items():
        if not taken:
            labels.setdefault((ids[path.component], "output"), []).append(path.socket)
    nodes = [
        Node(
            ids[component],
            shortened(component or name),
            lines=_lines(instance, spare.get(component)),
        )
        for component, instance in components_of(pipe).items()
    ]
    used = {end for pair in labels for end in pair}
    if "input" in used:
        nodes.insert(0, Node("input", "Input", "input"))
    if "output" in used:
        nodes.append(Node("output", "Output", "output"))
    edges = [GraphEdge(*pair, tuple(map(shortened, texts))) for pair, texts in labels.items()]
    return Graph(name, tuple(nodes), tuple(edges))


def type_name(annotation: Any) -> str:
    """A type without the modules of its classes: ``list[ChatMessage]``."""
    text = formatannotation(annotation) if annotation is not Any else "Any"
    return re.sub(r"(?<!\w)(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)


def shortened(text: str) -> str:
    """*text* on one line that fits into a box."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _connections(pipe: Any) -> Iterable[tuple[str, str, str]]:
    if is_component(pipe):
        return
    for sender, receiver, data in pipe.graph.edges(data=True):
        left, right = data["from_socket"].name, data["to_socket"].name
        yield (
            sender,
            receiver,
            left if left == right else f"{left} \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} {right}",
        )


def _lines(instance: Any, spare: list[str] | None) -> tuple[str, ...]:
    lines = [shortened(type(instance).__name__)]
    generator = getattr(instance, "chat_generator", None)
    if generator is not None:
        lines.append(shortened(f"model: {type(generator).__name__}"))
    tools = getattr(instance, "tools", None)
    if isinstance(tools, list) and tools:  # a Toolset may have to ask a server for its tools
        lines.append(shortened("tools: " + _some(str(getattr(tool, "name", type(tool).__name__)) for tool in tools)))
    if spare:
        lines.append(shortened("may get: " + _some(spare)))
    return tuple(lines)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MOST_NAMES
    return ", ".join(listed[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
