"""Reads a form with files (``multipart/form-data``), bounded in all that a sender chooses.

Here: Starlette's parser, with bounds that it does not have, and told when the form has ended. It is the one module
that knows that parser. Source: RFC 7578; RFC 2046 §5.1.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

_BOUNDARY = re.compile(rb"[ !#-\[\]-~]{1,200}")
"""Printable ASCII without quotes and backslashes: somewhat more than RFC 2046 §5.1.1 allows."""


class BrokenForm(Exception):
    """The form cannot be read; ``str(error)`` says why."""


class TooMuchText(Exception):
    """What the form's fields hold, and is no file, is more than it may be."""


class FormReader(MultiPartParser):
    """Reads one form. What goes wrong closes the files that have come."""

    def __init__(
        self,
        content_type: str,
        chunks: AsyncIterator[bytes],
        *,
        most_files: int,
        most_fields: int,
        most_text: int,
        in_memory: int,
        grow: Callable[[int], None],
    ) -> None:
        """*content_type* is the request's header. *most_text* are bytes of all fields together.

        Of each file, *in_memory* bytes stay in memory. *grow* is told how many bytes more are held there.
        """
        super().__init__(
            Headers({"content-type": content_type}),
            chunks,  # type: ignore[arg-type]  # it is only iterated
            max_files=most_files,
            max_fields=most_fields,
            max_part_size=most_text,
        )
        self.spool_max_size = in_memory
        self._text_left = most_text
        self._grow = grow
        self._of_file, self._on_disk = 0, False
        """Bytes of the present file, and whether they are on a disk."""
        self._ended = False

    async def parse(self) -> FormData:
        """Read the form. Raises `BrokenForm` and `TooMuchText`, and what the chunks and writing the files raise."""
        # Starlette would decode names and texts by a charset, which forms do not have (RFC 7578 §4.6): some take a
        # time that grows with the square of the text, and others give what is not text.
        self.headers = Headers({"content-type": _with_boundary_alone(self.headers["content-type"])})
        try:
            form = await super().parse()
            if not self._ended:
                raise BrokenForm("its end is missing.")
        except BaseException as error:  # also one that older Starlettes let out, and close nothing for
            self._close()
            if isinstance(error, MultiPartException):
                raise BrokenForm(error.message) from None
            if isinstance(error, FormParserError):
                raise BrokenForm("Invalid multipart data.") from None
            raise
        return form

    def on_part_begin(self) -> None:
        self._of_file, self._on_disk = 0, False
        super().on_part_begin()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._current_part.file is None:
            self._text_left -= size
            if self._text_left < 0:
                raise TooMuchText
            self._grow(size)
        elif not self._on_disk:
            self._on_disk = self._of_file + size > self.spool_max_size
            self._grow(-self._of_file if self._on_disk else size)
            self._of_file += size
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self._ended = True

    def _close(self) -> None:
        files: list[Any] = self._files_to_close_on_error
        for file in files:
            file.close()


def _with_boundary_alone(content_type: str) -> str:
    """The header without other parameters. Raises `BrokenForm` for a boundary that is none."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if boundary is None:
        raise BrokenForm("Content-Type has no boundary.")
    if not _BOUNDARY.fullmatch(boundary):
        raise BrokenForm("its boundary is none.")
    return f'multipart/form-data; boundary="{boundary.decode("ascii")}"'
