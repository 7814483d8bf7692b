"""Every kind of parameter, and everything that can be called: it gets what Python itself would have passed."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
import typing_extensions
from pydantic import AliasChoices, BaseModel, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from portico.errors import InvalidName, NotServable
from portico.functions.calling import call, validate
from portico.functions.conventions import Conventions
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions


def called(function: Any, given: dict[str, Any]) -> Any:
    typed = typed_function(function)
    return asyncio.run(call(typed, *validate(typed, given)))


def every_kind(a: int, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> Any:
    return a, b, c, rest, d, e, more


def two_by_position(a: int = 1, b: int = 2, /) -> Any:
    return a, b


def names_of_pydantic(copy: int, json: int, model_config: int = 0, _x: int = 0, parameter_0: int = 0) -> Any:
    return copy, json, model_config, _x, parameter_0


def self_and_cls(self: int, cls: int = 1) -> Any:
    return self, cls


def fields(
    other: Annotated[int, Field(alias="from", ge=3)],
    x: int = Field(5, le=10),
    y: list[int] = Field(default_factory=list),  # noqa: B008 -- as people write it for FastAPI
) -> Any:
    return other, x, y


def defaults_of_fields(
    a: Annotated[int, Field(default=3)],
    b: Annotated[list[int], Field(default_factory=list)],
    c: Annotated[list[int], Field(json_schema_extra={"hint": "x"}, title="Many")] = [1],  # noqa: B006
) -> Any:
    return a, b, c


def several_aliases(
    a: Annotated[int, Field(validation_alias=AliasChoices("one", "uno"))],
    b: Annotated[int, Field(validation_alias="two", serialization_alias="zwei")],
    c: Annotated[int, SkipJsonSchema()] = 0,
) -> Any:
    return a, b, c


class Options(TypedDict, total=False):
    size: typing_extensions.Required[int]
    colour: str


class OtherOptions(typing_extensions.TypedDict):
    size: int
    colour: typing_extensions.NotRequired[str]


def options(**kwargs: typing_extensions.Unpack[Options]) -> Any:
    return kwargs


def other_options(**kwargs: typing_extensions.Unpack[OtherOptions]) -> Any:
    return kwargs


def untyped(a, b=1, c=None, d="x", *rest, **more):  # type: ignore[no-untyped-def]
    return a, b, c, d, rest, more


@pytest.mark.parametrize(
    ("function", "given", "result"),
    [
        (every_kind, {"a": 1, "d": 4}, (1, 2, 3, (), 4, 5, {})),
        (every_kind, {"a": "1", "d": 4, "rest": [7, "8"], "z": "9"}, (1, 2, 3, (7, 8), 4, 5, {"z": 9})),
        (every_kind, {"a": 1, "c": 9, "d": 4, "more": 6}, (1, 2, 9, (), 4, 5, {"more": 6})),
        (two_by_position, {}, (1, 2)),
        (two_by_position, {"a": 5}, (5, 2)),
        (two_by_position, {"b": 5}, (1, 5)),
        (names_of_pydantic, {"copy": 1, "json": 2}, (1, 2, 0, 0, 0)),
        (
            names_of_pydantic,
            {"copy": 1, "json": 2, "model_config": 3, "_x": 4, "parameter_0": 5},
            (1, 2, 3, 4, 5),
        ),
        (self_and_cls, {"self": 2}, (2, 1)),
        (fields, {"from": 3}, (3, 5, [])),
        (fields, {"from": 3, "x": 6, "y": [1]}, (3, 6, [1])),
        (defaults_of_fields, {}, (3, [], [1])),
        (defaults_of_fields, {"a": 4, "b": [1], "c": []}, (4, [1], [])),
        (several_aliases, {"one": 1, "two": 2}, (1, 2, 0)),
        (several_aliases, {"uno": 1, "two": 2, "c": 3}, (1, 2, 3)),
        (options, {"size": 1}, {"size": 1}),
        (options, {"size": 1, "colour": "red"}, {"size": 1, "colour": "red"}),
        (other_options, {"size": 1}, {"size": 1}),
        (untyped, {"a": [1]}, ([1], 1, None, "x", (), {})),
        (untyped, {"a": None, "b": 2, "c": {}, "rest": [1, "2"], "z": 3}, (None, 2, {}, "x", (1, "2"), {"z": 3})),
    ],
)
def test_each_parameter_gets_its_own(function: Any, given: dict[str, Any], result: Any) -> None:
    assert called(function, given) == result


@pytest.mark.parametrize(
    ("function", "given", "wrong"),
    [
        (every_kind, {"d": 4}, ("a",)),
        (every_kind, {"a": 1, "d": 4, "z": "text"}, ("z",)),
        (every_kind, {"a": 1, "d": 4, "rest": [1, "text"]}, ("rest", 1)),
        (two_by_position, {"c": 1}, ("c",)),
        (names_of_pydantic, {"copy": 1, "json": "text"}, ("json",)),
        (names_of_pydantic, {"copy": 1, "json": 1, "_x": "text"}, ("_x",)),
        (fields, {"other": 3}, ("from",)),
        (fields, {"from": 2}, ("from",)),
        (fields, {"from": 3, "x": 11}, ("x",)),
        (options, {}, ("size",)),
        (options, {"size": 1, "weight": 2}, ("weight",)),
        (other_options, {"size": 1, "colour": 2}, ("colour",)),
        (untyped, {"a": 1, "b": "text"}, ("b",)),
    ],
)
def test_a_wrong_field_is_named_as_its_caller_wrote_it(function: Any, given: dict[str, Any], wrong: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(typed_function(function), given)
    assert wrong in [error["loc"] for error in caught.value.errors()]


def test_what_no_parameter_is_for_is_ignored_where_that_was_asked_for() -> None:
    typed = typed_function(two_by_position, conventions=Conventions(extra="ignore"))
    assert validate(typed, {"a": 3, "c": 1}) == ([3], {})


def test_no_field_stands_in_the_place_of_another_parameter() -> None:
    """Of a function with ``**more``, a field's name that is an alias elsewhere is not passed on."""

    def function(other: Annotated[int, Field(alias="from")], **more: Any) -> Any:
        return other, more

    with pytest.raises(ValidationError, match="Extra inputs"):
        validate(typed_function(function), {"from": 1, "other": 2})
    assert called(function, {"from": 1, "another": 2}) == (1, {"another": 2})


def test_parameters_have_the_names_that_callers_write() -> None:
    assert [one.name for one in typed_function(several_aliases).parameters] == ["one", "two", "c"]
    assert typed_function(defaults_of_fields).input_schema["properties"]["c"] == {
        "type": "array",
        "items": {"type": "integer"},
        "title": "Many",
        "hint": "x",
        "default": [1],
    }

    def twice(a: Annotated[int, Field(alias="x")], x: int) -> None: ...

    with pytest.raises(NotServable, match="Two parameters of twice are 'x'"):
        typed_function(twice)


class Unsent:
    """A type that no caller can send."""


UNSENT = Unsent()
SHARED: list[int] = []


def odd_defaults(
    a: int = UNSENT,  # type: ignore[assignment]
    b: Any = UNSENT,
    c: list[int] = SHARED,
    d: float = math.nan,
    e: int = None,  # type: ignore[assignment]  # noqa: RUF013 -- as people write it
    f: Annotated[int, Field(ge=1)] = None,  # type: ignore[assignment]  # noqa: RUF013 -- as above
) -> Any:
    return a is UNSENT, b is UNSENT, c is SHARED, d, e, f


def test_defaults_are_the_functions_own() -> None:
    typed = typed_function(odd_defaults)
    properties = typed.input_schema["properties"]
    assert {name: value.get("default", "none") for name, value in properties.items()} == {
        "a": "none",
        "b": "none",
        "c": [],
        "d": "none",
        "e": None,
        "f": None,
    }
    assert "required" not in typed.input_schema
    *same, number, nothing, too = called(odd_defaults, {})
    assert all(same)
    assert math.isnan(number)
    assert nothing is too is None
    assert called(odd_defaults, {"a": 1, "e": None, "f": None})[0] is False
    with pytest.raises(ValidationError):
        validate(typed, {"f": 0})


def test_without_an_annotation_a_default_tells_the_type() -> None:
    properties = typed_function(untyped).input_schema["properties"]
    assert {name: value.get("type") for name, value in properties.items()} == {
        "a": None,
        "b": "integer",
        "c": None,
        "d": "string",
        "rest": "array",
    }


class Predictor:
    """Predicts."""

    def __call__(self, area: int) -> int:
        return area

    def predict(self, area: int) -> int:
        """Of an area."""
        return area + 1

    async def predict_later(self, area: int) -> int:
        return area + 2

    @classmethod
    def of_class(cls, area: int) -> str:
        return f"{cls.__name__} {area}"

    @staticmethod
    def of_none(area: int) -> int:
        return area


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@dataclass
class Point:
    area: int
    y: int = 0


class Flat(BaseModel):
    area: int


def add(area: int, other: int = 1, *, third: int = 2) -> int:
    return area + other + third


@pytest.mark.parametrize(
    ("function", "name", "result"),
    [
        (Predictor(), "Predictor", 3),
        (Predictor().predict, "predict", 4),
        (Predictor().predict_later, "predict_later", 5),
        (Predictor.of_class, "of_class", "Predictor 3"),
        (Predictor.of_none, "of_none", 3),
        (decorated(add), "add", 6),
        (decorated(decorated(Predictor().predict_later)), "predict_later", 5),
        (functools.lru_cache(add), "add", 6),
        (functools.partial(add, other=5), "add", 10),
        (functools.partial(functools.partial(add, third=0), other=0), "add", 3),
        (functools.partial(Predictor().predict), "predict", 4),
        (Point, "Point", Point(3)),
        (Flat, "Flat", Flat(area=3)),
        (lambda area: area, "function", 3),
    ],
)
def test_whatever_can_be_called(function: Any, name: str, result: Any) -> None:
    typed = typed_function(function)
    assert (typed.name, typed.parameters[0].name) == (name, "area")
    assert called(function, {"area": 3}) == result


def test_a_builtin() -> None:
    assert called(math.sqrt, {"x": 4}) == 2
    assert called(divmod, {"x": 7, "y": 2}) == (3, 1)


def test_what_a_partial_has_bound() -> None:
    """By position it is gone; by name it is a default, unless nobody could send such a value."""

    def function(model: Unsent, area: int, rooms: int = 1, show: Callable[..., Any] = print) -> Any:
        return model, area, rooms

    by_position = typed_function(functools.partial(function, UNSENT, show=print))
    by_name = typed_function(functools.partial(function, model=UNSENT, rooms=3, show=print))
    assert list(by_position.input_schema["properties"]) == ["area", "rooms"]
    assert list(by_name.input_schema["properties"]) == ["area", "rooms"]
    assert asyncio.run(call(by_name, *validate(by_name, {"area": 2}))) == (UNSENT, 2, 3)
    assert asyncio.run(call(by_position, *validate(by_position, {"area": 2, "rooms": 4}))) == (UNSENT, 2, 4)
    with pytest.raises(ValidationError):
        validate(by_name, {"area": 2, "model": "other"})


def test_local_types_that_annotations_name_as_text() -> None:
    class Local(BaseModel):
        z: int

    def function(one: Local, more: list[Local] | None = None, third: dict[str, Local] = {}) -> Local:  # noqa: B006
        return one

    assert called(function, {"one": {"z": 1}, "more": [{"z": 2}]}) == Local(z=1)
    assert called(decorated(function), {"one": {"z": 1}}) == Local(z=1)


@pytest.mark.parametrize("thing", [3, "text", None, [add]])
def test_what_cannot_be_called(thing: Any) -> None:
    with pytest.raises(NotServable, match="cannot be called"):
        typed_function(thing)


def test_what_tells_nothing_of_itself() -> None:
    with pytest.raises(NotServable, match="max does not tell what its parameters are"):
        typed_function(max)


def test_names() -> None:
    def run() -> None: ...

    with pytest.raises(InvalidName, match="run_function"):
        typed_function(run)
    assert typed_function(run, "go").name == "go"
    assert typed_function(run, options=FunctionOptions(name="went", title="Went")).title == "Went"
    typed = typed_function(run, "go", FunctionOptions(name="went", description="Goes.\nFar."))
    assert (typed.name, typed.options.name, typed.title, typed.summary) == ("go", "go", "Go", "Goes.")


def test_what_a_docstring_says() -> None:
    def function(area: float, rooms: Annotated[int, Field(description="of the field")] = 2, *rest: int) -> float:
        """Price of a flat.

        In francs.

        Args:
            area: square metres
            rooms: of the docstring
            *rest: others

        Returns:
            the price

        Raises:
            ValueError: if it is too small
        """
        return area

    typed = typed_function(function)
    assert typed.summary == "Price of a flat."
    assert typed.description == "Price of a flat.\n\nIn francs.\n\nRaises:\n    ValueError: if it is too small"
    assert [parameter.description for parameter in typed.parameters] == ["square metres", "of the field", "others"]
    assert typed.output_schema == {"type": "number", "description": "the price"}
    assert typed_function(Predictor()).summary == "Predicts."
    assert typed_function(Predictor().predict).summary == "Of an area."
