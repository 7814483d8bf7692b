"""Which of the forms that there are a caller wants: the ``Accept`` header. Source: RFC 9110 §12.5.1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_LONGEST: Final = 2048
"""Characters of the header that are read. Browsers send up to 200."""
_RANGES: Final = 64
"""Ranges of it that are read."""


def choose(accept: str, offers: Sequence[str]) -> str | None:
    """The offer that *accept* likes best; the first that it likes as well as any, and None if it likes none.

    What is named stands before what a wildcard lets through, at the same q. An empty header takes anything.
    """
    ranges = _read(accept[:_LONGEST])
    if not ranges:
        return offers[0] if offers else None
    best, found = (0.0, 0), None
    for offer in offers:
        liked = _liking(offer, ranges)
        if liked[0] > 0 and liked > best:
            best, found = liked, offer
    return found


def names(accept: str, media_type: str) -> bool:
    """Whether *accept* names *media_type* itself, and wants it."""
    return any(name == media_type and q > 0 for name, q in _read(accept[:_LONGEST]))


def _liking(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """The q of the range that fits *offer* most closely, and how closely that is: 3 by name, 1 by ``*/*``."""
    whole, best = offer.partition("/")[0] + "/*", (0.0, 0)
    for name, q in ranges:
        close = 3 if name == offer else 2 if name == whole else 1 if name == "*/*" else 0
        if close > best[1]:
            best = (q, close)
    return best


def ranges_of(accept: str) -> tuple[str, ...]:
    """The media ranges of a header, what is liked best first; what is named stands before a wildcard of the same q."""
    return _ordered(accept[:_LONGEST])


@lru_cache(maxsize=256)
def _ordered(accept: str) -> tuple[str, ...]:
    wanted = [(q, 3 - name.count("*"), name) for name, q in _read(accept) if q > 0]
    return tuple(name for _, _, name in sorted(wanted, key=lambda each: each[:2], reverse=True))


@lru_cache(maxsize=256)  # a few KiB each: callers of one kind send the same
def _read(accept: str) -> tuple[tuple[str, float], ...]:
    """The media ranges of a header with their q. What is none is left out."""
    found = []
    for part in accept.split(",", _RANGES)[:_RANGES]:
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        q = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                q = _quality(value.strip())
        if "/" in name:
            found.append((name, q))
        elif name == "*":  # what some old clients send
            found.append(("*/*", q))
    return tuple(found)


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
