"""Results of functions as agents get them: content, and data that keeps to the tool's output schema."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import io
import math
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict

import jsonschema
import matplotlib.figure
import numpy
import pandas
import polars
import pyarrow
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from portico.errors import UnusableOutput
from portico.functions.signature import typed_function
from portico.functions.tool_content import result_form, tool_result
from portico.tools.tool import ToolResult

PNG = b"\x89PNG\r\n\x1a\n"


def told(function: Any, value: Any) -> tuple[ToolResult, dict[str, Any] | None]:
    """What is told of *value*, as what *function* returned, and the tool's output schema, which it is held against."""
    typed = typed_function(function)
    form = result_form(typed)
    result = tool_result(value, typed, form)
    schema = None if form.schema is None else dict(form.schema)
    if schema is not None:
        assert schema["type"] == "object"
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(result.structured)
    return result, schema


def text(result: ToolResult) -> str:
    (block,) = result.content
    assert block["type"] == "text"
    return str(block["text"])


class Color(enum.Enum):
    RED = "red"


class Flat(BaseModel):
    area: float
    rooms: int = 2


class Node(BaseModel):
    name: str
    children: list[Node] = []


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Named(TypedDict):
    name: str


class Pair(NamedTuple):
    a: int
    b: int


def returning(kind: Any) -> Any:
    def function() -> Any: ...

    function.__annotations__["return"] = kind
    return function


@pytest.mark.parametrize(
    ("kind", "value", "shown", "data"),
    [
        (float, 2.5, "2.5", 2.5),
        (int, 3, "3", 3),
        (bool, True, "true", True),
        (str, "Zürich\n", "Zürich\n", "Zürich\n"),
        (None, None, "null", None),
        (int | None, None, "null", None),
        (list[int], [1, 2], "[1,2]", [1, 2]),
        (tuple[int, str], (1, "a"), '[1,"a"]', [1, "a"]),
        (set[int], {1}, "[1]", [1]),
        (Literal["a", "b"], "a", "a", "a"),
        (Color, Color.RED, "red", "red"),
        (datetime.date, datetime.date(2026, 1, 2), "2026-01-02", "2026-01-02"),
        (Decimal, Decimal("1.20"), "1.20", "1.20"),
        (list[Flat], [Flat(area=1)], '[{"area":1.0,"rooms":2}]', [{"area": 1.0, "rooms": 2}]),
        (Pair, Pair(1, 2), "[1,2]", [1, 2]),
        (Flat | None, Flat(area=1), '{"area":1.0,"rooms":2}', {"area": 1.0, "rooms": 2}),
        (NDArray[numpy.float32], numpy.array([1, 2], "float32"), "[1.0,2.0]", [1.0, 2.0]),
        (numpy.float64, numpy.float64(1.5), "1.5", 1.5),
    ],
)
def test_what_is_no_object_stands_in_one(kind: Any, value: Any, shown: str, data: Any) -> None:
    result, schema = told(returning(kind), value)
    assert schema is not None
    assert (list(schema["properties"]), schema["required"]) == (["result"], ["result"])
    assert result.structured == {"result": data}
    assert text(result) == shown


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        (Flat, Flat(area=1), {"area": 1.0, "rooms": 2}),
        (Node, Node(name="a", children=[Node(name="b")]), {"name": "a", "children": [{"name": "b", "children": []}]}),
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (Named, {"name": "a"}, {"name": "a"}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[str, Any], {"result": 1}, {"result": 1}),
    ],
)
def test_an_object_is_told_as_it_is(kind: Any, value: Any, data: Any) -> None:
    result, schema = told(returning(kind), value)
    assert schema is not None
    assert "$ref" not in schema
    assert result.structured == data


def test_of_what_nothing_is_known_an_object_is_data_all_the_same() -> None:
    def function() -> Any: ...

    result, schema = told(function, {"a": [1, None]})
    assert (schema, result.structured, text(result)) == (None, {"a": [1, None]}, '{"a":[1,null]}')
    result, schema = told(function, [1, 2])
    assert (schema, result.structured, text(result)) == (None, None, "[1,2]")
    assert text(told(function, "plain")[0]) == "plain"


@pytest.mark.parametrize("kind", [Iterator[str], AsyncIterator[str], None])
def test_pieces_of_text_are_joined(kind: Any) -> None:
    def function() -> Any:
        yield

    if kind is not None:
        function.__annotations__["return"] = kind
    else:
        del function.__annotations__["return"]
    result, schema = told(function, ["Hello", ", ", "world"])
    assert text(result) == "Hello, world"
    assert result.structured == (None if schema is None else {"result": "Hello, world"})
    if kind is not None:
        assert told(function, [])[0].structured == {"result": ""}


def test_other_pieces_are_a_list() -> None:
    result, _ = told(returning(Iterator[int]), [1, 2])
    assert result.structured == {"result": [1, 2]}


FRAMES = [
    pandas.DataFrame({"city": ["Bern", "B|l"], "price": [1.5, None]}),
    polars.DataFrame({"city": ["Bern", "B|l"], "price": [1.5, None]}),
    pyarrow.table({"city": ["Bern", "B|l"], "price": [1.5, None]}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("annotated", [True, False])
def test_a_table_is_text_and_records(frame: Any, annotated: bool) -> None:
    result, _ = told(returning(type(frame) if annotated else Any), frame)
    assert text(result) == "| city | price |\n| --- | --- |\n| Bern | 1.5 |\n| B\\|l |  |"
    assert result.structured == {"result": [{"city": "Bern", "price": 1.5}, {"city": "B|l", "price": None}]}


def a_figure() -> Any:
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2])
    return figure


@pytest.mark.parametrize(
    ("kind", "make"), [(Image.Image, lambda: Image.new("RGB", (4, 4))), (matplotlib.figure.Figure, a_figure)]
)
@pytest.mark.parametrize("annotated", [True, False])
def test_a_picture_is_shown(kind: Any, make: Any, annotated: bool) -> None:
    result, schema = told(returning(kind if annotated else Any), make())
    (block,) = result.content
    assert (schema, result.structured) == (None, None)
    assert (block["type"], block["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(block["data"]).startswith(PNG)


def test_pictures_among_other_values_are_shown_in_their_place() -> None:
    result, schema = told(returning(list[Any]), ["Look:", Image.new("RGB", (4, 4)), {"a": 1}])
    assert [block["type"] for block in result.content] == ["text", "image", "text"]
    assert schema is not None  # a list of anything: its pictures are data, too
    result, schema = told(returning(tuple[str, Image.Image]), ("Look:", Image.new("RGB", (4, 4))))
    assert [block["type"] for block in result.content] == ["text", "image"]
    assert (schema, result.structured) == (None, None)


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "type", "media_type"),
    [
        (picture("PNG"), "image", "image/png"),
        (picture("JPEG"), "image", "image/jpeg"),
        (picture("GIF"), "image", "image/gif"),
        (picture("WEBP"), "image", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio", "audio/wav"),
        (b"ID3\x04", "audio", "audio/mpeg"),
        (b"OggS", "audio", "audio/ogg"),
        (b"%PDF-1.7", "resource", "application/pdf"),
        (b"abc", "resource", "application/octet-stream"),
        (b"", "resource", "application/octet-stream"),
    ],
)
def test_bytes_are_what_they_begin_like(data: bytes, type: str, media_type: str) -> None:
    result, schema = told(returning(bytes), data)
    (block,) = result.content
    assert (schema, block["type"]) == (None, type)
    held = block["resource"] if type == "resource" else block
    assert held["mimeType"] == media_type
    assert base64.b64decode(held["blob"] if type == "resource" else held["data"]) == data


def test_what_no_json_can_hold_is_shown_as_it_shows_itself() -> None:
    class Drawn:
        def _repr_png_(self) -> bytes:
            return PNG

    class Written:
        def _repr_markdown_(self) -> str:
            return "**bold**"

    (block,) = told(returning(Any), Drawn())[0].content
    assert (block["type"], base64.b64decode(block["data"])) == ("image", PNG)
    assert text(told(returning(Any), Written())[0]) == "**bold**"


def test_what_shows_itself_as_nothing_cannot_be_told() -> None:
    with pytest.raises(UnusableOutput, match="object"):
        told(returning(Any), object())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "make", "where"),
    [
        (float, lambda number: number, "result"),
        (list[float], lambda number: [1.0, number], "result.1"),
        (Flat, lambda number: Flat(area=number), "area"),
    ],
)
def test_a_number_that_json_cannot_hold_is_no_data(kind: Any, make: Any, where: str, number: float) -> None:
    with pytest.raises(UnusableOutput, match=f"not finite.*'{where}'"):
        told(returning(kind), make(number))


def test_where_no_number_was_promised_it_is_null() -> None:
    assert told(returning(Any), {"a": math.nan})[0].structured == {"a": None}
    assert told(returning(float | None), math.nan)[0].structured == {"result": None}


def test_a_result_that_is_not_what_was_promised_cannot_be_told() -> None:
    for kind, value in ((int, "no"), (Flat, {"area": "x"}), (Image.Image, 7), (list[str], [1])):
        with pytest.raises(UnusableOutput, match="not what its annotation says"):
            told(returning(kind), value)
    with pytest.raises(UnusableOutput):
        told(returning(Iterator[str]), ["a", 1])
