"""What the annotation of a parameter says of what it wants: a text, or a list.

Here: annotations as they come, evaluated or not (PEP 563). Knows nothing of models.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

_TEXT = re.compile(
    r"(?:typing\.)?(?:str|Optional\[str\]|Annotated\[str\b.*|str *\| *None|None *\| *str|Union\[str, *None\])"
)
_LIST = re.compile(r"(?:typing\.|collections\.abc\.)?(?:list|List|Sequence|Iterable)\b")


def is_text(annotation: Any) -> bool:
    """Whether *annotation* is ``str``, also as one that may be None, or with something said of it."""
    if isinstance(annotation, str):
        return _TEXT.fullmatch(annotation.strip("\"' ")) is not None
    return _bare(annotation) is str


def is_list(annotation: Any) -> bool:
    """Whether *annotation* is a list or a sequence of whatever."""
    if isinstance(annotation, str):
        return _LIST.match(annotation.strip("\"' ")) is not None
    bare = _bare(annotation)
    return bare is list or get_origin(bare) in (list, Sequence, Iterable)


def _bare(annotation: Any) -> Any:
    """*annotation* without None, and without what is said of it."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        return _bare(others[0]) if len(others) == 1 else annotation
    return annotation
