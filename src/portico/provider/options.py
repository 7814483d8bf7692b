"""How a service is published, and what its author may ask of visitors besides access: until when, from where, with
which password, how often.

Brought here into the form that a hub reads (docs/protocol.md, REGISTER). Whether the values can be used is the hub's to
say, which holds requests against them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from portico.asgi import mount
from portico.asgi.wsgi import THREADS, check_threads
from portico.bounded import BoundedCache
from portico.errors import InvalidOption
from portico.provider.secret import Secret

ACCESS = ("private", "key", "public")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a service is published."""

    title: str = ""
    access: str = "private"
    origins: tuple[str, ...] = ()
    replace: bool = False
    """Take the name over from whoever holds it."""
    replica: bool = False
    """Stand beside whoever holds the name, and share its requests."""
    mount: str | None = None
    """Where the app believes that it lives: ``root_path``, ``strip``, or None for what suits it. See `asgi.mount`."""
    threads: int = THREADS
    """How many requests a WSGI app works on at a time; more wait for one of its threads."""
    loop: str = "own"
    """``own``: the provider's thread. ``kernel``: the loop that ``serve`` was called on."""
    conditions: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What is asked of visitors besides, as `conditions` makes it."""

    def __post_init__(self) -> None:
        if self.access not in ACCESS:
            raise InvalidOption(f"access is one of {', '.join(ACCESS)}; {self.access!r} is none of them")
        for origin in self.origins:
            scheme, separator, host = origin.partition("://")
            if origin != "*" and (not separator or scheme not in ("http", "https") or not host or "/" in host):
                raise InvalidOption(
                    f"{origin!r} is no origin: give scheme and host, such as https://chat.example.com, or *"
                )
        if self.replace and self.replica:
            raise InvalidOption("choose one of replace and replica")
        mount.check(self.mount)
        check_threads(self.threads)
        if self.loop not in ("own", "kernel"):
            raise InvalidOption(f"loop is 'own' or 'kernel', not {self.loop!r}")


@dataclass(frozen=True, slots=True)
class Terms:
    """Who may open a link, as a share has it. Holds nothing of the app."""

    access: str
    conditions: Mapping[str, Any] = field(repr=False)
    aside: Mapping[str, Any] = field(repr=False)


SharePlace = tuple[str, str, str, str]
"""What is shared and where: the service, the relay, the workspace and the name there."""

LastTerms = BoundedCache[SharePlace, Terms]
"""With which terms a link was live."""

_REMEMBERED = 1000  # links: more than a notebook ever makes, and a script that makes them on and on does not grow


def last_terms() -> LastTerms:
    """Of the links that there were, the newest `_REMEMBERED` of them; none at first."""
    return BoundedCache(_REMEMBERED, None, oldest_first=True)


class AsBefore(Enum):
    """The type of `AS_BEFORE`."""

    VALUE = "as before"

    def __repr__(self) -> str:
        return "AS_BEFORE"


AS_BEFORE: Final = AsBefore.VALUE
"""Stands for an option that is not named: what held before holds still, and at first there is none."""


def expiry_seconds(text: str | float) -> float:
    """Seconds in *text*: a number, or digits with a unit (``90s``, ``15m``, ``1h``, ``30d``). Or `InvalidOption`."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text)
    else:
        unit = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}.get(str(text)[-1:])
        number = str(text)[:-1]
        if unit is None or not number.isdigit():
            raise InvalidOption(f"{text!r} is no duration: write it as 90s, 15m, 1h or 30d")
        seconds = float(number) * unit
    if not 1 <= seconds <= 10 * 365 * 86400:
        raise InvalidOption("it can last from one second to ten years")
    return seconds


def conditions(
    *,
    expires: str | float | AsBefore | None = AS_BEFORE,
    password: str | AsBefore | None = AS_BEFORE,
    cidr: str | Iterable[str] | AsBefore | None = AS_BEFORE,
    rate: str | AsBefore | None = AS_BEFORE,
    concurrency: int | AsBefore | None = AS_BEFORE,
    max_body: int | AsBefore | None = AS_BEFORE,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The conditions as a hub reads them; empty if there are none. Raises `InvalidOption` for what is no duration.

    *expires* is how long from now on; *cidr* are networks (``10.0.0.0/8``); *rate* is of each visitor (``60/min``);
    *concurrency* requests of all visitors at once; *max_body* is in bytes. What is not named (`AS_BEFORE`) is as it was
    *before*; None takes it away.
    """
    named: dict[str, Any] = {
        "expires": expires,
        "password": password,
        "cidr": cidr,
        "rate": rate,
        "concurrency": concurrency,
        "max_body": max_body,
    }
    held = dict(before or {})
    for name, value in named.items():
        if value is AS_BEFORE:
            continue
        if name == "expires" and value is not None:
            value = time.time() + expiry_seconds(value)
        elif name == "password" and value is not None:
            value = Secret(value)
        elif name == "cidr":
            value = [value] if isinstance(value, str) else list(value or ()) or None
        if value is None:
            held.pop(name, None)
        else:
            held[name] = value
    return held
