"""What the value of a setting may be: one reader a kind, from text, a number or a list of a TOML file.

Each returns the value, or raises `InvalidOption` with what is wrong and an example. Which setting takes which is in
`portico.relay.config.SETTINGS` and `portico.pipelines.settings.SETTINGS`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from portico.errors import InvalidOption

DAY = 86400.0  # seconds
_LONGEST = 10 * 365 * DAY  # seconds


def duration(value: object) -> float:
    """Seconds in *value*: a number, or one with a unit (``90s``, ``15m``, ``1h``, ``30d``). Raises `InvalidOption`."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value  # compared as it is: an int may be beyond all floats
    else:
        raise InvalidOption(f"{value!r} is no duration: write it as 90s, 15m, 1h or 30d")
    if not 0 < seconds <= _LONGEST:
        raise InvalidOption(f"{value!r} is not between nothing and ten years")
    return float(seconds)


_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}


def size(value: object) -> int:
    """Bytes in *value*: a number, or one with a unit (``64k``, ``16M``, ``1G``; of 1024). Raises `InvalidOption`."""
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,15})([kmg]?)(i?b)?", value.lower(), re.ASCII)):
        return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2]]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidOption(f"{value!r} is no size: write it as 65536, 64k, 16M or 1G")


def count(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,12}", value, re.ASCII) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidOption(f"{value!r} is no whole number from {low} to {high}")
        return number

    return read


def yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _YES:
        return True
    if isinstance(value, str) and value.lower() in _NO:
        return False
    raise InvalidOption(f"{value!r} is neither true nor false")


_YES, _NO = ("1", "true", "yes", "on", "t", "y"), ("0", "false", "no", "off", "f", "n")  # as pydantic has them


def line(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidOption(f"{value!r} is not a line of text")
    return value


def secret(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{16,500}", value):
        raise InvalidOption("at least 16 visible characters of ASCII are needed")  # which were given is not said
    return value


def domain(value: object) -> str:
    text = line(value).lower()
    labels = text.split(".")
    if len(text) > 190 or not all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels):
        raise InvalidOption(f"{value!r} is no domain: write it as share.example.org")
    return text


def base_url(value: object) -> str:
    text = line(value).removesuffix("/")
    parts = urlsplit(text)
    try:
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 80) and "@" not in parts.netloc
    except ValueError:  # a port that is none
        right = False
    if not right or parts.path or parts.query or parts.fragment or "?" in text or "#" in text:
        raise InvalidOption(f"{value!r} is no base URL: write it as https://share.example.org, without a path")
    return text


def networks(value: object) -> str:
    text = ",".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else line(value)
    for item in text.split(","):
        try:
            if item.strip() != "*":
                ipaddress.ip_network(item.strip(), strict=False)
        except ValueError:
            raise InvalidOption(f"{item.strip()!r} is no address or network: write it as 10.0.0.0/8, or *") from None
    return text


def hosts(value: object) -> str:
    given = ",".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else line(value)
    items = [item.strip().lower() for item in given.split(",") if item.strip()]
    for item in items:
        try:
            if item != "*" and not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", item, re.ASCII):
                ipaddress.ip_address(item[1:-1] if item[:1] + item[-1:] == "[]" else item)
        except ValueError:
            raise InvalidOption(
                f"{item!r} is no host name: write it as relay.example.org, *.example.org or 10.0.0.7, without a port"
            ) from None
    return ",".join(items)


def access(value: object) -> frozenset[str]:
    items = value.replace(" ", "").split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items or not all(item in ("private", "key", "public") for item in items):
        raise InvalidOption(f"{value!r} is not of private, key and public, with commas between")
    return frozenset(items)


def one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise InvalidOption(f"{value!r} is none of {', '.join(choices)}")
        return value

    return read


def items(value: object) -> tuple[str, ...]:
    """The texts in *value*: a list, a JSON list of texts, or texts with commas between. Raises `InvalidOption`."""
    found: object = value
    if isinstance(value, str):
        found = [item.strip() for item in line(value).split(",") if item.strip()]
        if value.lstrip().startswith("["):
            try:
                found = json.loads(value)
            except (ValueError, RecursionError):
                found = None
    if not isinstance(found, (list, tuple)) or not all(isinstance(item, str) for item in found):
        raise InvalidOption(f'{value!r} is no list of texts: write it as one,two or ["one", "two"]')
    return tuple(line(item) for item in found)
