"""What is said of a pipeline from outside: which of its sockets callers reach, and the settings of a wrapper.

Here: the record, and how a command line says it. Not here: what becomes of it (`pipelines`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.errors import InvalidOption
from portico.pipelines.deployment import Wires


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What is said of a pipeline besides the thing itself."""

    inputs: Wires | None = None
    """Of a Haystack pipeline: what callers give, by name, and the inputs of components that get it. None for all that
    the pipeline asks for."""
    outputs: Wires | None = None
    """Likewise what callers get. None for all that it gives."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of a wrapper: what its ``setup`` is given, by name."""


NO_WIRING = Wiring()

_SOCKET = re.compile(r"[^\s.,:]+(?:\.[^\s.,:]+)*")
"""A socket, with its component's name before it where there are several components."""


def wiring_of(inputs: Iterable[str], outputs: Iterable[str], settings: Iterable[str]) -> Wiring:
    """What a command line says: ``--inputs question:prompt.query --outputs answer:llm.replies --set top_k=3``.

    Raises `InvalidOption`, with an example.
    """
    ins, outs = wires_of("--inputs", inputs), wires_of("--outputs", outputs)
    return Wiring(inputs=ins or None, outputs=outs or None, settings=settings_of(settings))


def wires_of(option: str, texts: Iterable[str]) -> dict[str, list[str]]:
    """Each text is ``name:component.socket``, or several sockets with commas; a name may come again."""
    wires: dict[str, list[str]] = {}
    for text in texts:
        name, colon, sockets = text.partition(":")
        places = [place.strip() for place in sockets.split(",")]
        if not (colon and name.strip().isidentifier() and all(map(_SOCKET.fullmatch, places))):
            raise InvalidOption(
                f"{option} {text}: write a name and a socket of a component, such as {option} "
                + ("question:prompt.query" if option == "--inputs" else "answer:llm.replies")
            )
        known = wires.setdefault(name.strip(), [])
        known += [place for place in places if place not in known]
    return wires


def settings_of(texts: Iterable[str]) -> dict[str, Any]:
    """Each text is ``key=value``; a value that is JSON is that, and any other is a text."""
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise InvalidOption(f"--set {text}: write it as key=value, such as --set top_k=3")
        try:
            settings[key] = json.loads(value)
        except (ValueError, RecursionError):
            settings[key] = value
    return settings
