"""What names a function, is a segment of a URL and a tool's name."""

from __future__ import annotations

import functools

import pytest

from portico.errors import InvalidName
from portico.functions.names import MOST, RESERVED, function_name, name_of, suggested, title_of
from portico.types import service_name, suggest_name


class Predictor:
    def __call__(self) -> None: ...

    def predict(self) -> None: ...


def größe() -> None: ...


def 予測() -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Predictor().predict, "predict"),
        (Predictor(), "Predictor"),
        (functools.partial(functools.partial(Predictor().predict)), "predict"),
        (functools.lru_cache(Predictor().predict), "predict"),
        (lambda: None, "function"),
        (größe, "grosse"),
        (予測, "function"),
        (len, "len"),
    ],
)
def test_the_name_of_a_function(function: object, name: str) -> None:
    assert function_name(name_of(function)) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "größe", "a" * (MOST + 1), "..", "a.b", "a\n", *sorted(RESERVED)])
def test_what_is_refused_comes_with_an_alternative_that_is_taken(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        function_name(name)
    assert repr(suggested(name)) in str(caught.value)
    assert function_name(suggested(name)) == suggested(name)


@pytest.mark.parametrize(("text", "name"), [("über", "uber"), ("größe", "grosse"), ("Ærø 2", "aero-2"), ("予測", "")])
def test_a_service_is_spelt_as_its_function_is(text: str, name: str) -> None:
    assert suggest_name(text) == name
    if name:
        assert service_name(name) == name
        assert suggested(text).lower().replace("_", "-") == name


@pytest.mark.parametrize(
    ("name", "title"),
    [("price_of_flat", "Price of flat"), ("PDFReader", "PDFReader"), ("toCelsius", "To celsius"), ("_", "_")],
)
def test_a_title(name: str, title: str) -> None:
    assert title_of(name) == title
