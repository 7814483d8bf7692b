"""Reads a form with files (``multipart/form-data``), bounded in all that a sender chooses.

Here: Starlette's parser, with bounds that it does not have, and told when the form has ended. It is the one module
that knows that parser. Source: RFC 7578; RFC 2046 §5.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser


class BrokenForm(Exception):
    """The form cannot be read; ``str(error)`` says why."""


class TooMuchText(Exception):
    """What the form's fields hold, and is no file, is more than it may be."""


class FormReader(MultiPartParser):
    """Reads one form. What goes wrong closes the files that have come."""

    def __init__(
        self,
        headers: Headers,
        chunks: AsyncIterator[bytes],
        *,
        most_files: int,
        most_fields: int,
        most_text: int,
        in_memory: int,
    ) -> None:
        """*most_text* are bytes of all fields together; of each file, *in_memory* bytes stay in memory."""
        super().__init__(
            headers,
            chunks,  # type: ignore[arg-type]  # it is only iterated
            max_files=most_files,
            max_fields=most_fields,
            max_part_size=most_text,
        )
        self.spool_max_size = in_memory
        self._text_left = most_text
        self._ended = False

    async def parse(self) -> FormData:
        """Read the form. Raises `BrokenForm` and `TooMuchText`, and what the chunks and writing the files raise."""
        try:
            form = await super().parse()
        except MultiPartException as error:
            raise BrokenForm(error.message) from None
        if not self._ended:
            self._close()
            raise BrokenForm("its end is missing.")
        return form

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._text_left -= end - start
            if self._text_left < 0:
                raise TooMuchText
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self._ended = True

    def _close(self) -> None:
        files: list[Any] = self._files_to_close_on_error
        for file in files:
            file.close()
