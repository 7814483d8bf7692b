"""A signature makes the schema, the checks and what is passed on: one source for forms, programs and agents."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from portico.functions.calling import validate
from portico.functions.signature import typed_function


def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * rooms


def test_the_example() -> None:
    typed = typed_function(predict)
    assert (typed.name, typed.title, typed.summary) == ("predict", "Predict", "Price of a flat.")
    assert typed.input_schema == {
        "type": "object",
        "properties": {
            "area": {"type": "number", "title": "Area", "description": "square metres"},
            "rooms": {"type": "integer", "title": "Rooms", "default": 2},
            "city": {"type": "string", "title": "City", "enum": ["Bern", "Basel"], "default": "Bern"},
        },
        "required": ["area"],
        "additionalProperties": False,
    }
    assert typed.output_schema == {"type": "number"}
    assert typed.arguments.__name__ == "predictRunRequest"
    assert typed.answer.__name__ == "predictRunResponse"
    assert validate(typed, {"area": "3", "rooms": 3}) == ([], {"area": 3.0, "rooms": 3})


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, "area"),
        ({"area": "wide"}, "area"),
        ({"area": 1, "extra": 2}, "extra"),
        ({"area": 1, "city": "Bonn"}, "city"),
    ],
)
def test_wrong_fields_are_named(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(typed_function(predict), given)
    assert [error["loc"] for error in caught.value.errors()] == [(wrong,)]
