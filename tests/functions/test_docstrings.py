"""Docstrings of three styles describe the fields; a broken one never fails."""

from __future__ import annotations

import pytest

from portico.functions.docstrings import Docstring, parse

GOOGLE = """Price of a flat.

More.

Args:
    area: square metres
    rooms (int): how many,
        kitchen too

Returns:
    francs
"""

NUMPY = """Price of a flat.

More.

Parameters
----------
area : float
    square metres
rooms : int, optional
    how many,
    kitchen too

Returns
-------
float
    francs
"""

SPHINX = """Price of a flat.

More.

:param area: square metres
:param int rooms: how many,
    kitchen too
:returns: francs
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_each_style(text: str) -> None:
    assert parse(text) == Docstring(
        "Price of a flat.",
        "Price of a flat.\n\nMore.",
        {"area": "square metres", "rooms": "how many, kitchen too"},
        "francs",
    )
