"""What a service offers, as REGISTER says it: its kind, models, tools and capabilities. Both ends keep to the bounds.

A control frame holds `max_control_frame` bytes, which bounds how many of each there may be. So of tools there are
names and a digest; their schemas are asked of the provider when they are needed.

Each ``check_...`` gives the value as it is kept, or raises `ValueError` with what is wrong, for whoever said it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAX_KIND: Final = 20  # characters: one word that fits a column of a list
MAX_MODEL: Final = 200  # characters: the longest ids in use are paths of a model hub with a tag
MAX_TOOL: Final = 128  # characters: as many as MCP lets a tool's name have
MAX_DIGEST: Final = 128  # characters: SHA-512 in hexadecimal

MAX_CAPABILITIES: Final = 64
"""Sets of attributes that one replica offers: each is a handler or a model that it runs, and it is one process."""
MAX_ATTRIBUTES: Final = 32  # of one set; who asks names each by a header of the request
MAX_ATTRIBUTE: Final = 64  # characters of an attribute's name
MAX_TEXT: Final = 200  # characters of a text among an attribute's values, as of a model's id
MAX_VALUES: Final = 64  # of a list that is an attribute's value
MAX_NUMBER: Final = 2**53 - 1
"""The largest whole number, on either side of 0, that every reader of JSON reads as it is (RFC 7493 §2.2)."""

MAX_MORE: Final = 32  # fields that this version does not know
MAX_MORE_DEPTH: Final = 16  # of objects and lists in them: who writes them into JSON again nests them further
MAX_MORE_BYTES: Final = 16 * 1024
"""Of all fields together that this version does not know, as JSON: a quarter of the frame that they come in."""

Attribute = str | int | float | bool | list[str | int | float | bool]
Capability = dict[str, Attribute]
"""A set of typed attributes that a replica offers and a request may ask for."""


@dataclass(frozen=True, slots=True)
class ToolList:
    """The names of the tools that agents may call, and a digest that changes when one of them does."""

    names: tuple[str, ...] = ()
    digest: str = ""
    definitions: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What describes each, by its name, as JSON: its schema. At the provider, which is asked for it; a hub has none."""

    @staticmethod
    def of(definitions: Mapping[str, Any]) -> ToolList:
        """The tools of that name in *definitions*; of what describes each, such as its JSON schema, the digest is made.

        A copy of them is kept: what the digest is of does not change.

        Raises `ValueError` for a definition that is not JSON.
        """
        if not definitions:
            return ToolList()
        try:
            text = json.dumps(definitions, sort_keys=True, separators=(",", ":"), allow_nan=False)
            kept = json.loads(json.dumps(definitions))  # in the order that they came in, which forms keep to
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"the definitions of tools are not JSON: {error}") from None
        return ToolList(tuple(definitions), hashlib.sha256(text.encode()).hexdigest(), kept)

    def told(self) -> dict[str, Any]:
        """As it is said in REGISTER."""
        return {"names": list(self.names), "digest": self.digest}


NO_TOOLS: Final = ToolList()


def is_line(value: object, longest: int) -> bool:
    """Whether *value* is one line of text that can be shown and logged, of at most *longest* characters."""
    return isinstance(value, str) and len(value) <= longest and (value.isprintable() or not value)


def check_kind(value: object) -> str:
    if not isinstance(value, str) or not is_line(value, MAX_KIND):
        raise ValueError(f"kind is a word of at most {MAX_KIND} characters")
    return value


def check_models(value: object) -> tuple[str, ...]:
    if not (isinstance(value, list | tuple) and all(is_line(one, MAX_MODEL) for one in value)):
        raise ValueError(f"models is a list of ids of at most {MAX_MODEL} characters, each on one line")
    return tuple(value)


def check_tools(value: object) -> ToolList:
    """*value* is as in REGISTER: an object of ``names`` and ``digest``, empty for no tools."""
    if not isinstance(value, dict):
        raise ValueError('tools is an object: {"names": [...], "digest": "..."}')
    names, digest = value.get("names", []), value.get("digest", "")
    if not (isinstance(names, list) and all(is_line(name, MAX_TOOL) and name for name in names)):
        raise ValueError(f"the names of tools are a list of texts of 1 to {MAX_TOOL} characters, each on one line")
    if len(set(names)) != len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise ValueError(f"there are two tools named {twice!r}")
    if not is_line(digest, MAX_DIGEST) or (names and not digest):
        raise ValueError(f"the digest of tools is a text of 1 to {MAX_DIGEST} characters, on one line")
    return ToolList(tuple(names), digest) if names else NO_TOOLS


def check_capabilities(value: object) -> tuple[Capability, ...]:
    """*value* is a list of sets of attributes, each a dict."""
    if not isinstance(value, list | tuple):
        raise ValueError('capabilities is a list of objects, each a set of attributes: [{"model": "cat", "gpus": 2}]')
    if len(value) > MAX_CAPABILITIES:
        raise ValueError(f"there are {len(value)} capabilities; at most {MAX_CAPABILITIES} can be registered")
    return tuple(_check_capability(one) for one in value)


def _check_capability(value: object) -> Capability:
    if not isinstance(value, dict) or not value:
        raise ValueError('a capability is an object of attributes: {"model": "cat", "gpus": 2}')
    if len(value) > MAX_ATTRIBUTES:
        raise ValueError(f"a capability has {len(value)} attributes; at most {MAX_ATTRIBUTES} can be registered")
    for name, attribute in value.items():
        if not (is_line(name, MAX_ATTRIBUTE) and name):
            raise ValueError(f"an attribute's name is a text of 1 to {MAX_ATTRIBUTE} characters, on one line")
        if isinstance(attribute, list | tuple):
            if len(attribute) > MAX_VALUES:
                raise ValueError(f"the attribute {name!r} lists {len(attribute)} values; it may list {MAX_VALUES}")
            values = list(attribute)
        else:
            values = [attribute]
        if not all(map(_is_plain, values)):
            raise ValueError(
                f"the attribute {name!r} is neither a text of at most {MAX_TEXT} characters, on one line, nor a finite "
                f"number (whole ones up to {MAX_NUMBER} on either side of 0), nor true or false, nor a list of these"
            )
    return {name: list(kept) if isinstance(kept, list | tuple) else kept for name, kept in value.items()}


def _is_plain(value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -MAX_NUMBER <= value <= MAX_NUMBER
    if isinstance(value, float):
        return math.isfinite(value)
    return is_line(value, MAX_TEXT)


def check_more(value: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that this version does not know, as they came: they are kept for whoever does know them."""
    if len(value) > MAX_MORE:
        raise ValueError(f"{len(value)} fields are not known here; at most {MAX_MORE} are kept")
    if _is_deeper(value, MAX_MORE_DEPTH):
        raise ValueError(f"fields that are not known here may be nested {MAX_MORE_DEPTH} deep, and are deeper")
    size = len(json.dumps(value, separators=(",", ":")))
    if size > MAX_MORE_BYTES:
        raise ValueError(f"the fields that are not known here are {size} bytes long; {MAX_MORE_BYTES} are kept")
    return dict(value)


def _is_deeper(value: Mapping[str, Any], most: int) -> bool:
    """Whether the objects and lists in *value* are nested more than *most* deep; looked at without recursion."""
    level: list[Any] = list(value.values())
    for _ in range(most):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _in(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _in(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer
