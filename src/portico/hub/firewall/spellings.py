"""Finds secrets in what a visitor sends, in every spelling that some program behind would read back.

A secret counts where it stands plain, percent-encoded (more than once, or as ``%u0065``), escaped with backslashes, or
in base64 or base64url with anything around it. To look for base64 nothing is decoded: it writes three bytes as
four characters, so that a secret inside of a longer text has one of three spellings, which are made once. Which secrets
there are, and what becomes of a text that holds one, is `portico.hub.firewall.headers`' and the gate's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Container, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from portico.bounded import BoundedCache
from portico.hub.keys import MARK
from portico.types import Headers

LEAST = 8
"""Bytes of a secret that is looked for everywhere. A shorter one would be found in much that is none."""

_LONG = 16
"""Bytes from which on a secret is found inside a longer word; below, it must be a word: it may be one of a language."""

_MOST_LAYERS = 4
"""Encodings inside each other that are undone. Each takes a pass over the text; a text with more was made to hide
something. (`%2525252E` is one: `_NESTED` undoes any number of that kind at once.)"""

_NESTED = re.compile(rb"%(?:25)+")  # percent signs that were encoded again and again
_WIDE = re.compile(rb"%[uU]00([0-9a-fA-F]{2})")  # as JavaScript's escape() and unescape() have it (ECMA-262 §B.2.1)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u00([0-9a-fA-F]{2})|U000000([0-9a-fA-F]{2})|[ux]\{0{0,6}([0-9a-fA-F]{2})\}|(.))",
    re.DOTALL,
)
"""A cookie's octal (as Python's ``http.cookies`` reads it), the escapes of JSON, C, Python and JavaScript, a quoted
pair (RFC 9110 §5.6.4)."""

_OFTEN_THE_SAME = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"content-type", b"sec-ch-ua", b"user-agent"}
)
"""Fields whose values come again and again, and are nobody's credentials."""

_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
)
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")


class Secrets:
    """Some secrets, in all of their spellings. Immutable."""

    __slots__ = ("_harmless", "_needles", "_words", "shortest")

    def __init__(self, secrets: Iterable[bytes], *, lasting: bool = False) -> None:
        """*lasting* ones are looked for again and again, and remember values that came often and hold none of them."""
        self._harmless: BoundedCache[bytes, None] | None = BoundedCache(most_bytes=256 * 1024) if lasting else None
        needles: list[bytes] = []
        self._words: tuple[tuple[bytes, re.Pattern[bytes]], ...] = ()
        for secret in secrets:
            if len(secret) >= _LONG:
                needles.append(secret)
            elif len(secret) >= LEAST:
                word = re.compile(rb"(?<![\w.-])" + re.escape(secret) + rb"(?![\w.-])")
                self._words += ((secret, word),)
            if len(secret) >= LEAST:
                needles += _base64(secret)
        self._needles = tuple(dict.fromkeys(needles))
        self.shortest = min(map(len, (*needles, *(secret for secret, _ in self._words))), default=0)
        """Bytes: a shorter text holds none of them, and what is decoded is never longer than before."""

    def within(self, text: bytes) -> bool:
        """Whether one of them is in *text*. Takes time in proportion to its length."""
        if len(text) < self.shortest:
            return False
        return self.plain(text) or ((b"%" in text or b"\\" in text) and self._decoded(text))

    def among(self, headers: Headers) -> bool:
        """Whether one of them is in any value of *headers*, for less than asking for each of them."""
        shortest, harmless = self.shortest, self._harmless
        known: Container[bytes] = harmless if harmless is not None else ()
        looked_into = [pair for pair in headers if len(pair[1]) >= shortest and pair[1] not in known]
        if not looked_into:
            return False
        whole = b"\n".join([value for _, value in looked_into])
        if self.plain(whole):
            return True
        if b"%" in whole or b"\\" in whole:
            for _, text in looked_into:
                if (b"%" in text or b"\\" in text) and self._decoded(text):
                    return True
        if harmless is not None:
            for name, value in looked_into:
                if name in _OFTEN_THE_SAME:
                    harmless.keep(value, None, len(value))
        return False

    def _decoded(self, text: bytes) -> bool:
        return any(further is None or self.plain(further) for further in readings(text))

    def within_credentials(self, value: bytes) -> bool:
        """As `within`, of an Authorization header: what Basic holds is decoded, as leniently as anybody would."""
        if self.within(value):
            return True
        decoded = basic_credentials(value)
        return decoded is not None and self.within(decoded)

    def plain(self, text: bytes) -> bool:
        """Whether one of them is in *text* as it stands, or in base64."""
        for needle in self._needles:  # asked of every request: a generator costs three times this
            if needle in text:
                return True
        return bool(self._words) and any(secret in text and word.search(text) for secret, word in self._words)


def readings(text: bytes) -> Iterator[bytes | None]:
    """What *text* becomes as one layer after the other is undone; None at last, if there are more than anyone uses."""
    for _ in range(_MOST_LAYERS):
        further = text
        if b"%" in further:
            further = unquote_to_bytes(_NESTED.sub(b"%", further) if b"%25" in further else further)
            if b"%u00" in further or b"%U00" in further:
                further = _WIDE.sub(lambda match: bytes.fromhex(match[1].decode()), further)
        if b"\\" in further:
            further = _ESCAPE.sub(_unescape, further)
        if further == text:
            return
        yield further
        text = further
    if b"%" in text and (unquote_to_bytes(text) != text or _WIDE.search(text)):
        yield None


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, *hexadecimal, other = match.groups()
    if octal:
        return bytes((int(octal, 8) & 255,))
    digits = next(filter(None, hexadecimal), None)
    return other if digits is None else bytes.fromhex(digits.decode())


def _base64(secret: bytes) -> Iterator[bytes]:
    """What of *secret* is always the same in the base64 of a text that it is in: by the bytes before it, modulo three.

    A character stands for six bits (RFC 4648 §4); those that it shares with a neighbour are left out.
    """
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret)
        own = text[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
        yield own
        yield own.translate(_FROM_BASE64)


_FROM_BASE64 = bytes.maketrans(b"+/", b"-_")


def basic_credentials(value: bytes) -> bytes | None:
    """What an Authorization header of the Basic scheme holds (RFC 7617 §2), however badly it is written; else None."""
    parts = value.split(None, 1)
    if len(parts) != 2 or parts[0].lower() != b"basic":
        return None
    text = parts[1].translate(_TO_BASE64).translate(None, _NOT_BASE64)
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
    except binascii.Error:  # nothing that is left can be read
        return None


_SECRETS: BoundedCache[tuple[bytes, ...], Secrets] = BoundedCache(most_bytes=4 << 20, longest=16 * 1024)
"""Visitors' cookies are among them."""


def secrets_of(*secrets: bytes) -> Secrets:
    """The `Secrets` that are *secrets*."""
    known = _SECRETS.get(secrets)
    # each is kept as it is, in six spellings of base64, and in a pattern
    return _SECRETS.keep(secrets, Secrets(secrets), 12 * sum(map(len, secrets))) if known is None else known


MARKED = Secrets((MARK[1:],), lasting=True)
"""Every key and token that a hub ever made. The mark's dot would be one more thing to encode."""
