"""The types that callers can send, as schemas say them, and those that they cannot."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import ipaddress
import sys
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NoReturn, Optional, TypedDict, TypeVar, Union

import pytest
from fastapi import Depends, Security, UploadFile
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from portico.errors import NotServable
from portico.functions.calling import call, validate
from portico.functions.signature import typed_function


class Node(BaseModel):
    """A node of a tree."""

    value: int
    children: list[Node] = []


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Movie(TypedDict, total=False):
    title: str
    year: int


class Place(NamedTuple):
    x: int
    y: str = "here"


@dataclass
class Linked:
    value: int
    next: Optional[Linked] = None  # noqa: UP045 -- as older code has it
    notes: list[str] = field(default_factory=list)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)

    day: datetime.date
    pair: tuple[int, int]


Metres = NewType("Metres", float)
T = TypeVar("T")
Pet = Annotated[Union[Cat, Dog], Field(discriminator="kind")]  # noqa: UP007 -- as older code has it

ACCEPTED: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (float, 3, 3.0),
    (bool, True, True),
    (str, "text", "text"),
    (None, None, None),
    (Any, {"a": [1, None]}, {"a": [1, None]}),
    (object, [1], [1]),
    (T, "text", "text"),
    (Optional[int], None, None),  # noqa: UP045 -- as older code has it
    (int | str, "3", "3"),
    (Literal["a", 1, None], 1, 1),
    (Colour, "red", Colour.RED),
    (Size, 2, Size.LARGE),
    (list[int], [1, 2], [1, 2]),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (set[int], [1, 2], {1, 2}),
    (frozenset[str], ["a"], frozenset("a")),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (Sequence[int], [1], [1]),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (Iterable[int], [1], [1]),
    (Iterator[int] | None, [1], [1]),
    (Iterable[Movie], [{"title": "a"}], [{"title": "a"}]),
    (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.datetime, "2024-02-29T12:00:00", datetime.datetime(2024, 2, 29, 12)),
    (datetime.time, "12:30:00", datetime.time(12, 30)),
    (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678123456781234567812345678")),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (ipaddress.IPv4Address, "127.0.0.1", ipaddress.IPv4Address("127.0.0.1")),
    (Metres, 3.5, 3.5),
    (Annotated[int, Field(ge=0, le=10), "how many"], 3, 3),
    (Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
    (Linked, {"value": 1, "next": {"value": 2}}, Linked(1, Linked(2))),
    (Movie, {"title": "a"}, {"title": "a"}),
    (list[Movie] | None, [{"year": 1}], [{"year": 1}]),
    (Place, [1, "there"], Place(1, "there")),
    (Pet, {"kind": "dog", "name": "Rex"}, Dog(kind="dog", name="Rex")),
    (dict[str, list[Node]], {"a": [{"value": 1}]}, {"a": [Node(value=1)]}),
    (Exact, {"day": "2024-02-29", "pair": [1, 2]}, Exact(day=datetime.date(2024, 2, 29), pair=(1, 2))),
    (Annotated[datetime.date, Strict()], "2024-02-29", datetime.date(2024, 2, 29)),
    (bytes, "YWJj", b"abc"),
]


def taking(annotation: Any) -> Any:
    def function(value: Any) -> Any:
        return value

    function.__annotations__ = {"value": annotation}
    return function


@pytest.mark.parametrize(("annotation", "sent", "got"), ACCEPTED, ids=lambda one: str(one)[:40])
def test_a_function_gets_what_was_sent(annotation: Any, sent: Any, got: Any) -> None:
    typed = typed_function(taking(annotation))
    value = asyncio.run(call(typed, *validate(typed, {"value": sent})))
    assert (value, type(value)) == (got, type(got))


@pytest.mark.parametrize(("annotation", "sent", "got"), ACCEPTED, ids=lambda one: str(one)[:40])
def test_the_schema_says_what_is_taken(annotation: Any, sent: Any, got: Any) -> None:
    import jsonschema  # not where it has no wheel: these tests run in Pyodide too

    typed = typed_function(taking(annotation))
    jsonschema.Draft202012Validator.check_schema(typed.input_schema)
    jsonschema.validate({"value": sent}, typed.input_schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        (int, "text"),
        (int, 1.5),
        (int, None),
        (bool, "maybe"),
        (Colour, "green"),
        (Literal["a"], "b"),
        (list[int], {"a": 1}),
        (tuple[int, str], [1]),
        (datetime.date, "29.2.2024"),
        (Node, {"value": 1, "children": [{"value": "x"}]}),
        (Movie, {"title": 3}),
        (Pet, {"kind": "bird"}),
        (Iterable[int], ["x"]),
        (Annotated[int, Field(ge=0)], -1),
        (Exact, {"day": "2024-02-29", "pair": ["1", 2]}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_the_function_runs(annotation: Any, sent: Any) -> None:
    typed = typed_function(taking(annotation))
    with pytest.raises(ValidationError) as caught:
        validate(typed, {"value": sent})
    assert all(error["loc"][0] == "value" for error in caught.value.errors())


class Unsent:
    pass


class Tree(TypedDict):
    children: list[Tree]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it there")
def test_a_typed_dict_that_refers_to_itself_says_what_to_do() -> None:
    with pytest.raises(NotServable, match=r"typing_extensions\.TypedDict"):
        typed_function(taking(Tree))


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Unsent, "Unsent, which callers cannot send as JSON"),
        (list[Unsent], "Unsent"),
        (Callable[[int], int], "What would do: numbers"),
        (type[int], "What would do: numbers"),
        (asyncio.Queue, "functools.partial"),
        (Request, "headers: Headers"),
        (Response, "user: portico.User"),
        ("Undefined", "'Undefined' of the parameter 'value'"),
        ("1 +", "SyntaxError"),
        (3, "annotated with 3"),
        (datetime, "annotated with datetime, which is a module. Name a class of it, as in datetime.datetime."),
        (ipaddress, "annotated with ipaddress, which is a module. Name a class of it."),
        (Annotated[str, Field(ge="x", pattern="(")], "'value'"),
    ],
    ids=str,
)
def test_what_nobody_can_send_is_refused_by_the_parameters_name(annotation: Any, says: str) -> None:
    with pytest.raises(NotServable) as caught:
        typed_function(taking(annotation))
    assert says in str(caught.value)
    assert "value" in str(caught.value)


def dependency() -> int:
    return 3


def by_default(other: int, value: int = Depends(dependency)) -> None: ...


def by_annotation(other: int, value: Annotated[int, Depends(dependency)]) -> None: ...


def secured(other: int, value: Annotated[int, Security(dependency)]) -> None: ...


@pytest.mark.parametrize("function", [by_default, by_annotation, secured])
def test_what_fastapi_would_fill_in_is_refused(function: Any) -> None:
    """Else the function would get the dependency itself, or what a caller likes."""
    with pytest.raises(NotServable, match=r"'value' of .* is a dependency"):
        typed_function(function)


def test_a_signature_that_fails() -> None:
    class Odd:
        def __call__(self) -> None: ...

        @property
        def __signature__(self) -> Any:
            raise KeyError("signature")

    with pytest.raises(NotServable, match="cannot be read"):
        typed_function(Odd())


def test_the_right_one_of_several_parameters_is_named() -> None:
    def function(one: int, other: Unsent, third: Node) -> None: ...

    with pytest.raises(NotServable, match="'other' of function"):
        typed_function(function)


@pytest.mark.parametrize(
    ("annotation", "upload"),
    [(bytes, True), (Path, True), (UploadFile, True), (list[UploadFile], True), (bytes | None, True), (str, False)],
    ids=str,
)
def test_what_is_sent_as_a_file(annotation: Any, upload: bool) -> None:
    assert typed_function(taking(annotation)).parameters[0].upload is upload


def giving(annotation: Any) -> Any:
    def function() -> Any: ...

    function.__annotations__ = {"return": annotation}
    return function


INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("annotation", "schema", "streams"),
    [
        (int, {"type": "integer"}, False),
        (None, {"type": "null"}, False),
        (Any, None, False),
        (NoReturn, None, False),
        (Unsent, None, False),
        (Iterator[int], INTEGERS, True),
        (AsyncIterator[int], INTEGERS, True),
        (AsyncGenerator[int, None], INTEGERS, True),
        (Generator[int, None, None], INTEGERS, True),
        (Generator[int, None, str], {"anyOf": [INTEGERS, {"type": "string"}]}, True),
        (Iterator, {"type": "array", "items": {}}, True),
        (Iterable[int], INTEGERS, False),
        (list[int], INTEGERS, False),
        (Awaitable[int], {"type": "integer"}, False),
        (Coroutine[Any, Any, Iterator[int]], INTEGERS, True),
        (Movie, {"$ref": "#/$defs/Movie"}, False),
        ("Undefined", None, False),
    ],
    ids=str,
)
def test_a_result(annotation: Any, schema: Any, streams: bool) -> None:
    typed = typed_function(giving(annotation))
    told = None if typed.output_schema is None else {k: v for k, v in typed.output_schema.items() if k != "$defs"}
    assert (told, typed.streams) == (schema, streams)


def test_references_are_kept_whole() -> None:
    """Whatever a schema refers to is in it, also where types refer to themselves."""
    import jsonschema  # not where it has no wheel: these tests run in Pyodide too

    def function(node: Node, linked: Linked | None = None, colour: Colour = Colour.RED) -> dict[str, Node]:
        return {}

    typed = typed_function(function)
    assert set(typed.input_schema["$defs"]) == {"Node", "Linked", "Colour"}
    for schema in (typed.input_schema, typed.output_schema):
        assert schema is not None
        for reference in references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]
    assert typed.input_schema["properties"]["colour"] == {"$ref": "#/$defs/Colour", "default": "red"}
    tree = {"node": {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]}}
    jsonschema.validate(tree, typed.input_schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"node": {"value": 1, "children": [{"value": "x"}]}}, typed.input_schema)
    assert typed.output_schema is not None
    jsonschema.validate({"a": {"value": 1, "children": [{"value": 2, "children": []}]}}, typed.output_schema)


def references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [one for value in schema.values() for one in references(value)]
    return [one for value in schema for one in references(value)] if isinstance(schema, list) else []


def test_limits_and_notes_are_told() -> None:
    def function(
        a: Annotated[int, Field(ge=0, lt=10, multiple_of=2, title="Number", examples=[2])],
        b: Annotated[str, Field(min_length=1, pattern="^a")],
        c: Annotated[list[int], Field(max_length=3)] = [],  # noqa: B006
        d: Annotated[float, "in metres"] = 1.0,
    ) -> None: ...

    assert typed_function(function).input_schema["properties"] == {
        "a": {
            "type": "integer",
            "title": "Number",
            "examples": [2],
            "minimum": 0,
            "exclusiveMaximum": 10,
            "multipleOf": 2,
        },
        "b": {"type": "string", "title": "B", "minLength": 1, "pattern": "^a"},
        "c": {"type": "array", "title": "C", "items": {"type": "integer"}, "maxItems": 3, "default": []},
        "d": {"type": "number", "title": "D", "description": "in metres", "default": 1.0},
    }
