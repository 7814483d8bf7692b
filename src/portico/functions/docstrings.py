"""What a docstring says: of the function, of each parameter, of the result. Google's, NumPy's and Sphinx's styles.

A docstring is text for people, and may be anything: what cannot be understood is taken as it is.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

MOST = 20_000
"""Characters of a docstring that are read: more than the longest that people write."""


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, taken apart."""

    summary: str = ""
    """Its first paragraph, on one line."""
    description: str = ""
    """All that is about the function itself, with the summary."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""


def docstring_of(function: Any) -> Docstring:
    """What the docstring of *function* says. Never fails."""
    try:
        text = inspect.getdoc(function)
    except Exception:  # noqa: BLE001 - an object's own attributes may do anything
        return Docstring()
    return parse(text) if isinstance(text, str) else Docstring()


def parse(text: str) -> Docstring:
    """Take *text* apart. Never fails."""
    text = inspect.cleandoc(text[:MOST])
    try:
        return _parsed(text)
    except Exception:  # of a library that reads what people write; a docstring must keep no function from being served
        log.debug("A docstring cannot be read", exc_info=True)
        return Docstring(_one_line(text.split("\n\n")[0]), text)


def _parsed(text: str) -> Docstring:
    from docstring_parser import parse as read

    found = read(text)
    parts = [part.strip() for part in (found.short_description, found.long_description) if part and part.strip()]
    parameters = {
        one.arg_name.lstrip("*"): _one_line(one.description)
        for one in found.params
        if one.description and one.args and one.args[0] not in ("attribute", "raises")
    }
    returns = _one_line((found.returns and found.returns.description) or "")
    return Docstring(_one_line(parts[0]) if parts else "", "\n\n".join(parts), parameters, returns)


def _one_line(text: str) -> str:
    return " ".join(text.split())
