"""What a service's author may ask of visitors besides access: until when, from where, with which password, how often.

Brought here into the form that a hub reads (docs/protocol.md, REGISTER). Whether the values can be used is the hub's to
say, which holds requests against them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from portico.errors import InvalidOption


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
    expires: str | float | None = None,
    password: str | None = None,
    cidr: str | Iterable[str] = (),
    rate: str | None = None,
    concurrency: int | None = None,
    max_body: int | None = None,
) -> dict[str, Any]:
    """The conditions as a hub reads them; empty if there are none. Raises `InvalidOption` for what is no duration.

    *expires* is how long from now on; *cidr* are networks (``10.0.0.0/8``); *rate* is of each visitor (``60/min``);
    *concurrency* requests of all visitors at once; *max_body* is in bytes.
    """
    networks = [cidr] if isinstance(cidr, str) else list(cidr or ())
    given = {
        "expires": time.time() + expiry_seconds(expires) if expires is not None else None,
        "password": password,
        "cidr": networks or None,
        "rate": rate,
        "concurrency": concurrency,
        "max_body": max_body,
    }
    return {name: value for name, value in given.items() if value is not None}
