"""The ``Accept`` header: which of the forms that there are is given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.functions.values.accepting import choose, names, ranges_of

OFFERS = ("application/json", "text/csv", "image/png")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV;q=1", "text/csv"),
        ("text/csv, */*", "text/csv"),
        ("text/csv;q=0.5, */*", "application/json"),
        ("image/*", "image/png"),
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv"),
        ("application/json;q=0, */*;q=0.1", "text/csv"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "application/json"),
        ("text/csv;charset=utf-8;q=0.9, application/json;q=0.8", "text/csv"),
        ("text/csv;q=nonsense, application/json;q=0.8", "application/json"),
        ("text/html", None),
        ("*/*;q=0", None),
        ("application/json;q=0", None),
        (",,;;", "application/json"),
    ],
)
def test_the_best_liked_offer_is_chosen(accept: str, chosen: str | None) -> None:
    assert choose(accept, OFFERS) == chosen


def test_what_a_wildcard_means_is_not_named() -> None:
    assert names("text/html, image/png;q=0.1", "image/png")
    assert not names("image/*, */*", "image/png")
    assert not names("image/png;q=0", "image/png")


def test_ranges_are_told_in_order() -> None:
    assert ranges_of("*/*, text/csv;q=0.5, image/png, text/html;q=0") == ("image/png", "*/*", "text/csv")


@settings(deadline=None)
@given(st.text() | st.from_regex(r"([a-z*]+/[a-z*]+(; ?q=[0-9.]*)?, ?)*"))
def test_any_header_gives_an_offer_or_none(accept: str) -> None:
    """Any text chooses one of the offers, or none of them."""
    assert choose(accept, OFFERS) in (*OFFERS, None)
