"""What may name a function: it is a segment of a URL, and the name of a tool. And how a name is made of a function."""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any

from portico.errors import InvalidName
from portico.types import plain_letters

MOST = 64
"""Characters: what the providers of language models take as a tool's name."""

RESERVED = frozenset(("run", "docs", "redoc", "openapi.json", "mcp", "v1", "static"))
"""First segments of URLs that are Portico's own, beside those of functions."""

FALLBACK = "function"
"""The name of what has none of its own: a lambda."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MOST}}}")


def function_name(name: str) -> str:
    """Check that *name* may name a function. Raises `InvalidName`, which offers an alternative."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(
            f"{name!r} cannot be a function's name: use at most {MOST} of A-Z, a-z, 0-9, _ and -. "
            f"Try {suggested(str(name))!r}."
        )
    if name in RESERVED:
        raise InvalidName(
            f"{name!r} cannot be a function's name, since that URL is Portico's own. Try {suggested(name)!r}: "
            f"portico.tool(name={suggested(name)!r}), or a dict {{{suggested(name)!r}: ...}}."
        )
    return name


def suggested(name: str) -> str:
    """The nearest name to *name* that `function_name` lets through."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", plain_letters(name))
    if plain != name:
        plain = plain.strip("_-")
    plain = plain[:MOST] or FALLBACK
    return f"{plain}_function"[:MOST] if plain in RESERVED else plain


def name_of(function: Any) -> str:
    """What *function* is called: a function, method, partial, or object that can be called. Always a valid name.

    But for one that is reserved: that is for its author to change, as the name is what they see.
    """
    while isinstance(function, functools.partial | functools.partialmethod):
        function = function.func
    own = isinstance(getattr(function, "__name__", None), str)  # what functools.lru_cache and numpy make has one
    if not own and not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function)
    name = getattr(function, "__name__", FALLBACK)
    if not isinstance(name, str) or name == "<lambda>":
        return FALLBACK
    return name if name in RESERVED else suggested(name)


def title_of(name: str) -> str:
    """*name* as people read it: ``price_of_flat`` -> ``Price of flat``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").split()
    text = " ".join(word if word.isupper() or any(map(str.isupper, word[1:])) else word.lower() for word in words)
    return text[:1].upper() + text[1:] or name
