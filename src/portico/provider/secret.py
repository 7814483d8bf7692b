"""Text that opens something, and so is not shown by accident: a key as a cell's last line would be saved with it."""

from __future__ import annotations

from typing import Any


class Secret(str):
    """A text in every way, but for how it looks as a cell's result. ``print`` and f-strings show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not shown here, as the notebook would keep it; print(...) shows it>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython's display of results."""
        printer.text(repr(self))
