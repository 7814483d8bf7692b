"""What a room reads in its own way of the functions that it serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from portico.functions.values.families import Family

Extra = Literal["forbid", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What a room reads in its own way of the functions that it serves."""

    extra: Extra = "forbid"
    """What becomes of fields that the function has no parameter for: an error, or nothing."""
    any_name: bool = False
    """Whether the room has its own rule for names."""
    models_as_dicts: bool = False
    """Whether the function gets a dict where a parameter's type is a model or a dataclass, once that has read it."""
    plain: frozenset[Family] = frozenset()
    """Values that are left to pydantic as parameters: bytes and paths, say, which are texts to it."""
    describe: Callable[[str], str] = lambda name: ""
    """Describes a parameter of which neither the docstring nor its type says anything."""
    result: Callable[[Any], Any] = lambda annotation: annotation
    """Gives the type that a result is checked against, in place of what the function says that it returns."""


USUAL = Conventions()
