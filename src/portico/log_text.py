"""Text that somebody else chose, as a log may show it: on one line, without control characters, of bounded length.

Raw, it could end the line and forge the next one, steer the terminal that shows it, or fill the disk.
"""

from __future__ import annotations

import logging

MOST_SHOWN = 500
"""Characters of one field: more than a name, an address or a usual path has."""

MOST_LINE = 10_000
"""Characters of one line of a record: an exception may hold all that a visitor has sent."""

MOST_LINES = 1_000
"""Lines of one record: a traceback has some tens."""

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


class LineFormatter(logging.Formatter):
    """As its base, but that a record's further lines are indented, so that none passes for a record of its own.

    What is not printable is escaped, and what is too long is cut. For logs in which authors write what visitors sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if len(text) <= MOST_LINE and text.isprintable():
            return text
        first, *more = text.split("\n", MOST_LINES)
        if len(more) == MOST_LINES:
            more[-1] = f"...(+{more[-1].count(chr(10)) + 1} lines)"
        return "\n".join([_line(first), *(f"  | {_line(line)}" for line in more)])


def _line(text: str) -> str:
    return one_line(text.removesuffix("\r").replace("\t", "    "), MOST_LINE)
