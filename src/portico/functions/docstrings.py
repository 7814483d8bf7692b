"""What a docstring says: of the function, of each parameter, of the result. Google's, NumPy's and Sphinx's styles.

A docstring is text for people, and may be anything: what cannot be understood is left in the description.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

MOST = 20_000
"""Characters of a docstring that are read: more than the longest that people write."""

_GOOGLE = re.compile(
    r"(((keyword |other )?(args|arguments|parameters))|params|attributes|returns?|yields?)\s*:\s*",
    re.IGNORECASE,
)
_NUMPY = re.compile(r"((other )?parameters|params|attributes|returns|yields|receives)\s*", re.IGNORECASE)
_UNDERLINE = re.compile(r"(-{3,}|={3,})\s*")
_SPHINX = re.compile(
    r"[:@](param|parameter|arg|argument|key|keyword|attribute|ivar|type|returns?|rtype|yields?)(\s[^:]*)?:"
)
_ITEM = re.compile(r"\s*([-*+•]|\d+[.)])\s|\s{4,}")
"""What begins a line that is not joined to the one before: an item of a list, or a block."""


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, taken apart."""

    summary: str = ""
    """Its first paragraph, on one line."""
    description: str = ""
    """All that it says but for what it says of parameters and of the result; with the summary."""
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
    text = inspect.cleandoc(text[:MOST]).strip()
    try:
        parameters, returns = _read(text)
        if not parameters and (mended := _mended(text)) != text:
            parameters, returns = _read(mended)
    except Exception:  # of a library that reads what people write; a docstring must keep no function from being served
        log.debug("A docstring cannot be read", exc_info=True)
        parameters, returns = {}, ""
    description = _without_sections(text) if parameters or returns else text
    return Docstring(" ".join(re.split(r"\n\s*\n", description)[0].split()), description, parameters, returns)


def _read(text: str) -> tuple[dict[str, str], str]:
    from docstring_parser import parse as read

    found = read(text)
    parameters = {
        name.strip().lstrip("*"): _flowing(one.description)
        for one in found.params
        if one.description and one.args[:1] != ["attribute"]
        for name in one.arg_name.split(",")
    }
    results = [one for one in found.many_returns if one.description]
    results = [one for one in results if not one.is_generator] or results
    return parameters, _flowing("\n".join(one.description or "" for one in results))


def _mended(text: str) -> str:
    """*text* without the lines for which a section of Google's style would not be read: items without a colon."""
    kept: list[str] = []
    inside, indent = False, 0
    for line in text.split("\n"):
        own = len(line) - len(line.lstrip())
        if _GOOGLE.fullmatch(line):
            inside, indent = True, 0
        elif line.strip() and own == 0:
            inside = False
        elif inside and line.strip():
            indent = indent or own
            if own == indent and ":" not in line:
                continue
        kept.append(line)
    return "\n".join(kept)


def _without_sections(text: str) -> str:
    """*text* without what it says of parameters and of the result, in whichever style."""
    lines = text.split("\n")
    kept: list[str] = []
    skips = ""
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _UNDERLINE.fullmatch(following) and line.strip():
            skips = "numpy" if _NUMPY.fullmatch(line) else ""
        elif skips == "numpy":
            pass
        elif _GOOGLE.fullmatch(line) or _SPHINX.match(line):
            skips = "indented"
        elif skips and line.strip() and not line[0].isspace():
            skips = ""
        if not skips:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _flowing(text: str) -> str:
    """*text* with the lines of a paragraph joined; lists and blocks stay as they are."""
    joined: list[str] = []
    for line in inspect.cleandoc(text).split("\n"):
        if joined and joined[-1] and line.strip() and not _ITEM.match(line):
            joined[-1] = f"{joined[-1]} {line.strip()}"
        else:
            joined.append(line.rstrip())
    return "\n".join(joined).strip()
