"""Matplotlib figures as results: PNG, SVG and PDF."""

from __future__ import annotations

import io
from typing import Any, Final

from portico.functions.values.uploads import data_url

WRITTEN: Final = {"image/png": "png", "image/svg+xml": "svg", "application/pdf": "pdf"}
"""In which formats a figure is given, by media type: matplotlib's name."""


def to_bytes(figure: Any, media_type: str = "image/png") -> bytes:
    """*figure* as a file of *media_type*, one of `WRITTEN`, cut to what is drawn as in notebooks."""
    file = io.BytesIO()
    figure.savefig(file, format=WRITTEN[media_type], bbox_inches="tight")
    return file.getvalue()


def to_data_url(figure: Any) -> str:
    return data_url(to_bytes(figure), "image/png")
