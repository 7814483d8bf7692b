"""Text that somebody else chose, as a log may show it: on one line, without control characters, of bounded length.

Raw, it could end the line and forge the next one, steer the terminal that shows it, or fill the disk.
"""

from __future__ import annotations

MOST_SHOWN = 500
"""Characters of one field: more than a name, an address or a usual path has."""

MOST_PATH = 2048
"""Characters of a path, which may be long, and is bounded by what one reads."""


def cut(text: str, most: int) -> str:
    """*text*, or its first *most* characters and how many are missing."""
    return text if len(text) <= most else f"{text[:most]}...(+{len(text) - most})"


def shown(text: str | bytes, most: int = MOST_SHOWN) -> str:
    """One field: cut after *most* characters, and what is not visible ASCII escaped as in Python.

    Bytes are read as latin-1.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    text = cut(text, most)
    return text if text.isascii() and text.isprintable() else _escaped(text)


def one_line(text: str, most: int) -> str:
    """A whole message, with what others put into it: as `shown`, but that printable letters of all scripts stay.

    Not printable are control characters, line and paragraph separators, and marks that turn the direction of writing
    (`str.isprintable`).
    """
    text = cut(text, most)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")
