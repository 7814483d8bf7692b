"""What a value that a stranger sends may cost, and how a reader says that one is too large or cannot be read.

Each number counts for one value of one call; docs/security.md, "What is bounded", lists them. How large a whole body
may be is not here: the server part says that (`portico.functions.request`).
"""

from __future__ import annotations

from typing import Final

from portico.errors import UnusableRequest

IN_MEMORY: Final = 256 * 2**20
"""Bytes of one file that is read into memory, and of what becomes of it there. ``Path`` and ``UploadFile`` are not."""
PIXELS: Final = 64 * 2**20
"""Pixels of an image: more than a phone's camera has, and 256 MiB in memory at four bytes a pixel."""
CELLS: Final = 2**24
"""Cells of a table, and elements of nested lists: as Python objects, about 1 GiB at worst."""
COLUMNS: Final = 10_000
"""Columns of a table: each costs as much as a hundred cells, whatever is in it."""
NESTED: Final = 2**22
"""Different fields of objects in cells, times their values: polars takes up to 260 bytes for each, so 1 GiB."""
DEEP: Final = 8
"""How deep a column is nested: lists of objects of lists. Polars takes seconds for some hundred levels."""
DIMENSIONS: Final = 32
"""How deep lists that become an array are nested. NumPy itself stops at 64."""
DISPLAY: Final = 8 * 2**20
"""Bytes of one form of a display, such as its HTML: what a page can show without being slowed down."""
TEXT: Final = 100_000
"""Characters of a result's text in a display."""


def unreadable(message: str) -> UnusableRequest:
    """An error that says to the caller what is wrong with a value, and what to send."""
    return UnusableRequest(message, 422, code="value")


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def one_line(error: BaseException) -> str:
    """What a library says is wrong, as part of a message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_failure(error: BaseException) -> bool:
    """Whether *error* is a library's: where polars' Rust code panics, it raises what is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
