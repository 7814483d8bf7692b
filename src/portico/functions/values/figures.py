"""Matplotlib figures as results: PNG, SVG and PDF. What pandas' ``plot`` returns, the axes, stands for its figure."""

from __future__ import annotations

import io
from typing import Any, Final

from portico.functions.values.uploads import data_url
from portico.packages import loaded

WRITTEN: Final = {"image/png": "png", "image/svg+xml": "svg", "application/pdf": "pdf"}
"""In which formats a figure is given, by media type: matplotlib's name."""
_WITHOUT_WINDOWS: Final = ("agg", "inline", "pdf", "svg", "ps", "cairo", "template")
"""Ends of the names of backends whose figures have no window."""


def to_bytes(figure: Any, media_type: str = "image/png") -> bytes:
    """*figure* as a file of *media_type*, one of `WRITTEN`, cut to what is drawn as in notebooks."""
    figure = getattr(figure, "figure", None) or figure
    while (outer := getattr(figure, "figure", None)) is not None and outer is not figure:  # a figure within another
        figure = outer
    file = io.BytesIO()
    figure.savefig(file, format=WRITTEN[media_type], bbox_inches="tight")
    _forget(figure)
    return file.getvalue()


def to_data_url(figure: Any) -> str:
    return data_url(to_bytes(figure), "image/png")


def _forget(figure: Any) -> None:
    """Take *figure* out of pyplot's list, as notebooks do after each cell: else each call would leave one there."""
    get_backend, close = loaded("matplotlib.pyplot", "get_backend"), loaded("matplotlib.pyplot", "close")
    if get_backend is None or close is None:
        return
    if get_backend().lower().rpartition(".")[2].endswith(_WITHOUT_WINDOWS):
        close(figure)
