"""What a service's author may ask of visitors besides access: until when, from where, with which password, how often.

Brought here into the form that a hub reads (docs/protocol.md, REGISTER). Whether the values can be used is the hub's to
say, which holds requests against them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from portico.errors import InvalidOption
from portico.provider.secret import Secret


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
