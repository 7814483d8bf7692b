"""A result as a notebook would show it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from portico.functions.values import bounds
from portico.functions.values.displays import display


class Shown:
    def __init__(self, **forms: Any) -> None:
        self._forms = forms

    def __repr__(self) -> str:
        return "Shown"

    def _repr_html_(self) -> Any:
        form = self._forms.get("html")
        if isinstance(form, Exception):
            raise form
        return form

    def _repr_png_(self) -> Any:
        return self._forms.get("png")


def test_forms_are_told_by_media_type() -> None:
    assert display(Shown(html="<b>", png=b"\x89PNG")) == {
        "text/plain": "Shown",
        "text/html": "<b>",
        "image/png": "iVBORw==",
    }
    assert "<table" in display(pd.DataFrame({"a": [1]}))["text/html"]
    assert display(3) == {"text/plain": "3"}


def test_a_form_that_fails_costs_that_form_alone_and_its_author_is_told() -> None:
    told: list[BaseException] = []
    assert display(Shown(html=ValueError("no"), png=b"x"), told.append) == {"text/plain": "Shown", "image/png": "eA=="}
    assert [str(error) for error in told] == ["no"]


def test_a_display_is_bounded() -> None:
    shown = display(Shown(html="x" * (bounds.DISPLAY + 1), png=b"x" * (bounds.DISPLAY + 1)))
    assert shown == {"text/plain": "Shown"}
    assert len(display("x" * 10 * bounds.TEXT)["text/plain"]) <= bounds.TEXT + 1
