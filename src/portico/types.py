"""The types that every layer shares: the ASGI callables, raw headers, names. No logic but the rule for names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NewType

from portico.errors import InvalidName

Scope = MutableMapping[str, Any]
"""An ASGI connection scope (ASGI 3.0)."""

Message = MutableMapping[str, Any]
"""An ASGI event (ASGI 3.0)."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]
"""Header fields in order, duplicates kept; names are lower case, both are latin-1 bytes."""

ServiceName = NewType("ServiceName", str)
"""A name that `service_name` has let through."""

MAX_NAME = 30
"""Characters. `<name>--<workspace>` must fit one DNS label of 63 (RFC 1035 §2.3.4)."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def service_name(text: str) -> ServiceName:
    """Check that *text* may name a service or a workspace.

    Raises `InvalidName`, with a suggestion where one can be made, unless it is at most 30 characters of
    ``a-z``, ``0-9`` and single inner hyphens (a DNS label without ``--``, which separates the parts of a host name).
    """
    if len(text) <= MAX_NAME and "--" not in text and _NAME.fullmatch(text):
        return ServiceName(text)
    suggestion = suggest_name(text)
    hint = f" Try {suggestion!r}." if suggestion else ""
    raise InvalidName(
        f"{text!r} cannot be a service name: use at most {MAX_NAME} of a-z, 0-9 and single hyphens between them.{hint}"
    )


APP_NAMES = ("app", "application", "api", "asgi", "main", "server")
"""What apps are usually called in their files: names that say nothing of what is served."""


_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "ł": "l", "Ł": "L", "đ": "d", "ı": "i"}
)
"""Latin letters that Unicode does not take apart."""


def plain_letters(text: str) -> str:
    """*text* with the plain letter for each that has an accent or the like, and without what has none in ASCII."""
    return unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()


def suggest_name(text: str) -> str:
    """Turn *text* (``my_app``, ``lib.My App``, ``über``) into the nearest valid name, or '' if there is none."""
    words = re.findall(r"[a-z0-9]+", plain_letters(text).lower())
    return "-".join(words)[:MAX_NAME].strip("-")
